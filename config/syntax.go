package config

import (
	"errors"
	"strings"

	"github.com/goccy/go-yaml/token"
)

// syntaxProblem says in plain words why a file is no YAML.
func syntaxProblem(from *source, err error) problem {
	p := problem{from: from, line: 1, col: 1}
	var syntax interface {
		error
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(err, &syntax) {
		p.text = syntax.GetMessage()
		if at := syntax.GetToken(); at != nil && at.Position != nil {
			p.line, p.col = at.Position.Line, at.Position.Column
		}
	} else {
		p.text = err.Error() // the parser's own rendering takes minutes over a long line
	}
	for _, s := range plainSyntax {
		if strings.Contains(p.text, s.said) {
			p.text, p.hint = s.text, s.hint
			break
		}
	}
	return p
}

// plainSyntax says what the parser means, for the mistakes that people make.
var plainSyntax = []struct{ said, text, hint string }{
	{"character '\t'", "a tab can't stand here", "indent with spaces"},
	{"must be specified", "a comma or a closing bracket is missing here", `inside { } and [ ], a text that holds { or } stands in quotes: url: "${NAME}"`},
	{"mapping value is not allowed", "this line doesn't fit the lines before it", "is it indented like its neighbours? A text that holds a colon stands in quotes"},
	{"could not find end character of", "this quote or bracket is never closed", ""},
	{"non-map value is specified", "this is neither a key with a value nor part of the line before", "is a colon missing, or an indentation wrong?"},
	{"value is not allowed in this context", "this line doesn't fit the lines before it", "is it indented like its neighbours?"},
	{"unexpected key name", "this key doesn't fit the lines before it", "is it indented like its neighbours?"},
}
