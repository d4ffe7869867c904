package config

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/scanner"
	"github.com/goccy/go-yaml/token"
)

// sizeLimit bounds one configuration file, in bytes: a file above it is a
// mistake or an attack.
const sizeLimit = 1 << 20

// depthLimit bounds nesting; the reference configuration needs 8.
const depthLimit = 32

// keyLimit bounds the keys of one file; the reference configuration has 500.
const keyLimit = 10_000

// widthLimit bounds the keys of one map: the parser takes memory with their
// square, 400 MiB for 10,000 of them.
const widthLimit = 2_000

// prefixes are how much of a file is looked at before all of it is: what is
// nested too deeply mostly begins so, and costs no more than its beginning.
var prefixes = []int{8 << 10, 128 << 10}

// tokenize cuts a text into tokens, and finds what the parser would take too
// long over.
func tokenize(text string) (all token.Tokens, at *token.Token, problem string) {
	for _, size := range prefixes {
		if at, problem := tooMuch(beginning(text, size)); at != nil {
			return nil, at, problem
		}
	}
	all = lexer.Tokenize(text)
	at, problem = tooMuch(all)
	return all, at, problem
}

// beginning cuts the first bytes of a long text into tokens. Where the cut
// makes them no YAML they say nothing, and there are none.
func beginning(text string, size int) token.Tokens {
	if len(text) <= size {
		return nil
	}
	var s scanner.Scanner
	s.Init(strings.ToValidUTF8(text[:size], ""))
	scanned, err := s.Scan()
	if err != nil {
		return nil
	}
	var linked token.Tokens
	linked.Add(scanned...)
	return linked
}

const nestedTooDeeply = "this is nested too deeply"

// tooMuch finds what the parser would take minutes over: it is slow with the
// square of nested brackets and of keys. The lexer isn't.
func tooMuch(tokens token.Tokens) (at *token.Token, text string) {
	brackets, keys, marks, line, onLine, keysOnLine := 0, 0, 0, 0, 0, 0
	var block widths
	for _, at := range tokens {
		if at.Position.Line != line {
			line, onLine, keysOnLine = at.Position.Line, 0, 0
		}
		switch at.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		case token.SequenceEntryType, token.MappingKeyType:
			onLine++
		case token.MappingValueType:
			keys, keysOnLine = keys+1, keysOnLine+1
		case token.AnchorType, token.AliasType, token.TagType:
			marks++
		default:
		}
		if brackets > depthLimit || onLine > depthLimit || at.Position.Column > depthLimit*16 && indented(at) {
			return at, nestedTooDeeply
		}
		if marks > depthLimit {
			return at, notYAML
		}
		if keys > keyLimit {
			return at, "one file holds 10,000 keys at most; split it into several files of a folder"
		}
		if keysOnLine > widthLimit || indented(at) && block.add(at) > widthLimit {
			return at, "one map holds 2,000 keys at most"
		}
	}
	return nil, ""
}

// widths count the keys of the block maps that a place is inside, the
// outermost first.
type widths []struct{ column, keys int }

// add counts the key that a line begins with, if it does, and says how many
// the map has. Lists are not counted: the parser is fast over them.
func (w *widths) add(first *token.Token) int {
	column := first.Position.Column
	inside := slices.IndexFunc(*w, func(m struct{ column, keys int }) bool { return m.column > column })
	if inside >= 0 {
		*w = (*w)[:inside]
	}
	if first.Next == nil || first.Next.Type != token.MappingValueType {
		return 0
	}
	if len(*w) == 0 || (*w)[len(*w)-1].column < column {
		*w = append(*w, struct{ column, keys int }{column: column})
	}
	(*w)[len(*w)-1].keys++
	return (*w)[len(*w)-1].keys
}

// indented reports whether a token is the first of its line.
func indented(at *token.Token) bool {
	return at.Prev == nil || at.Prev.Position.Line < at.Position.Line
}
