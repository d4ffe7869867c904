package archtest

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
)

// The longest that files and functions may get. Tests may be twice as long:
// tables are long and simple.
const (
	fileLines     = 400
	functionLines = 80
)

// vagueNames say nothing about what a folder holds.
var vagueNames = []string{"util", "utils", "common", "models", "types", "pkg", "helper", "helpers"}

// packageComments finds packages that don't say what they are.
func packageComments(project tree) []string {
	var findings []string
	for _, folder := range project.folders() {
		if want, found := packageComment(project, folder); !found {
			findings = append(findings, fmt.Sprintf(
				"package %s has no package comment: begin one of its files with %q and what it is for", folder, "// "+want))
		}
	}
	return findings
}

// packageComment returns how a folder's comment must begin and whether it is
// there.
func packageComment(project tree, folder string) (want string, found bool) {
	for _, f := range project.production() {
		if f.folder() != folder {
			continue
		}
		want = "Package " + f.syntax.Name.Name + " "
		if f.syntax.Name.Name == "main" {
			want = "Command " + path.Base(folder) + " "
		}
		if strings.HasPrefix(f.syntax.Doc.Text(), want) {
			return want, true
		}
	}
	return want, false
}

// folderNames finds folders with names that say nothing.
func folderNames(project tree) []string {
	var findings []string
	for _, folder := range project.folders() {
		for _, part := range strings.Split(folder, "/") {
			if slices.Contains(vagueNames, part) {
				findings = append(findings, fmt.Sprintf(
					"folder %s: %q says nothing about what is in it: name it after a noun of the domain", folder, part))
			}
		}
	}
	return findings
}

// longFiles finds Go files that hold too much.
func longFiles(project tree) []string {
	var findings []string
	for _, f := range project {
		if most := allowed(f, fileLines); f.isGo() && !f.isGenerated() && f.lines() > most {
			findings = append(findings, fmt.Sprintf(
				"%s has %d lines, at most %d are fine: split it where the subject changes", f.path, f.lines(), most))
		}
	}
	return findings
}

// longFunctions finds functions that do too much.
func longFunctions(project tree) []string {
	var findings []string
	for _, f := range project {
		if !f.isGo() || f.isGenerated() {
			continue
		}
		for _, declaration := range f.syntax.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok {
				continue
			}
			lines := f.line(function.End()) - f.line(function.Pos()) + 1
			if most := allowed(f, functionLines); lines > most {
				findings = append(findings, fmt.Sprintf("%s:%d: %s has %d lines, at most %d are fine: give its parts names",
					f.path, f.line(function.Pos()), function.Name.Name, lines, most))
			}
		}
	}
	return findings
}

func allowed(f *file, lines int) int {
	if f.isTest() {
		return 2 * lines
	}
	return lines
}
