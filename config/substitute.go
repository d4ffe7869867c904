package config

import (
	"fmt"
	"regexp"
	"strings"
)

// substituter replaces ${NAME}, ${NAME:-default} and ${file:/path} in scalars:
// once, after YAML parsing, and what comes out is never scanned again.
type substituter struct {
	getenv   func(string) (string, bool)
	readFile func(string) ([]byte, error)
}

var reference = regexp.MustCompile(`\$\{([^}]*)\}`)
var variable = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)(:-(.*))?$`)

// replace gives a scalar's text. What comes from a file is a secret and must
// stand where secrets stand.
func (s *substituter) replace(n *node, secret bool) (string, []problem) {
	if !strings.Contains(n.text, "${") {
		return n.text, nil
	}
	var problems []problem
	complain := func(format string, args ...any) {
		problems = append(problems, problem{from: n.from, line: n.line, col: n.col, text: fmt.Sprintf(format, args...)})
	}
	if strings.Contains(reference.ReplaceAllLiteralString(n.text, ""), "${") {
		complain("this ${ is never closed")
		return "", problems
	}
	text := reference.ReplaceAllStringFunc(n.text, func(found string) string {
		inside := found[2 : len(found)-1]
		if path, isFile := strings.CutPrefix(inside, "file:"); isFile {
			if !secret {
				complain("${file:…} is a secret, and this can be printed")
				return ""
			}
			data, err := s.readFile(path)
			if err != nil {
				complain("read the secret: %s", err)
			}
			return strings.TrimRight(string(data), "\r\n")
		}
		parts := variable.FindStringSubmatch(inside)
		if parts == nil {
			complain("%s is neither ${NAME}, ${NAME:-default} nor ${file:/path}", found)
			return ""
		}
		if value, set := s.getenv(parts[1]); set && value != "" {
			return value
		}
		if parts[2] == "" {
			complain("the environment variable %s is not set", parts[1])
		}
		return parts[3]
	})
	return text, problems
}
