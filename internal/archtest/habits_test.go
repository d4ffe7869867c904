package archtest

import (
	"fmt"
	"go/ast"
	"regexp"
	"slices"
	"strings"
)

// unfinished are the marks of work that was put off. They are written in two
// halves so that this file is not a finding.
var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME)\b`)

// testVariables are the names under which tests carry their *testing.T.
var testVariables = []string{"t", "b", "f", "tb"}

// marks finds work that was put off, in code and in texts.
func marks(project tree) []string {
	var findings []string
	for _, f := range project {
		for i, line := range strings.Split(f.text, "\n") {
			if mark := unfinished.FindString(line); mark != "" {
				findings = append(findings, fmt.Sprintf(
					"%s:%d: %s: finish it, or file an issue and leave the code as it is meant", f.path, i+1, mark))
			}
		}
	}
	return findings
}

// sleeps finds tests that wait by the wall clock. In a synctest bubble a sleep
// costs nothing and is exact, so files that use one are left alone.
func sleeps(project tree) []string {
	return calls(project, func(f *file, variable, method string) string {
		if variable == "time" && method == "Sleep" && !f.imported("testing/synctest") {
			return "time.Sleep makes a test slow or flaky: wait for a signal, use require.Eventually, or a synctest bubble"
		}
		return ""
	})
}

// skips finds tests that may leave themselves out.
func skips(project tree) []string {
	return calls(project, func(_ *file, variable, method string) string {
		if slices.Contains(testVariables, variable) && strings.HasPrefix(method, "Skip") {
			return "a test that skips itself proves nothing: fail, and name what is missing and how to install it"
		}
		return ""
	})
}

// calls asks judge about each call "variable.method(…)" in files that serve
// tests.
func calls(project tree, judge func(f *file, variable, method string) string) []string {
	var findings []string
	for _, f := range project {
		if !f.isGo() || !f.servesTests() {
			continue
		}
		ast.Inspect(f.syntax, func(node ast.Node) bool {
			if variable, method, ok := selected(node); ok {
				if why := judge(f, variable, method); why != "" {
					findings = append(findings, fmt.Sprintf("%s:%d: %s", f.path, f.line(node.Pos()), why))
				}
			}
			return true
		})
	}
	return findings
}

// selected takes a call apart.
func selected(node ast.Node) (variable, method string, ok bool) {
	call, ok := node.(*ast.CallExpr)
	if !ok {
		return "", "", false
	}
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", "", false
	}
	name, ok := selector.X.(*ast.Ident)
	if !ok {
		return "", "", false
	}
	return name.Name, selector.Sel.Name, true
}
