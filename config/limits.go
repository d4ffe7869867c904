package config

import "github.com/goccy/go-yaml/token"

// sizeLimit bounds one configuration file, in bytes: a file above it is a
// mistake or an attack.
const sizeLimit = 1 << 20

// depthLimit bounds nesting; the reference configuration needs 8.
const depthLimit = 32

// keyLimit bounds the keys of one file; the reference configuration has 500.
const keyLimit = 10_000

const nestedTooDeeply = "this is nested too deeply"

// tooMuch finds what the parser would take minutes over: it is slow with the
// square of nested brackets and of keys. The lexer isn't.
func tooMuch(tokens token.Tokens) (at *token.Token, text string) {
	brackets, keys, line, onLine := 0, 0, 0, 0
	for _, at := range tokens {
		if at.Position.Line != line {
			line, onLine = at.Position.Line, 0
		}
		switch at.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		case token.SequenceEntryType, token.MappingKeyType:
			onLine++
		case token.MappingValueType:
			keys++
		default:
		}
		if brackets > depthLimit || onLine > depthLimit || at.Position.Column > depthLimit*16 && indented(at) {
			return at, nestedTooDeeply
		}
		if keys > keyLimit {
			return at, "one file holds 10,000 keys at most; split it into several files of a folder"
		}
	}
	return nil, ""
}

// indented reports whether a token is the first of its line.
func indented(at *token.Token) bool {
	return at.Prev == nil || at.Prev.Position.Line < at.Position.Line
}
