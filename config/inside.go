package config

import (
	"slices"
	"strings"
)

// secretKeys are the keys whose values are secrets, however they are written.
var secretKeys = []string{"auth", "observe", "token", "app_token", "secret", "signing_secret", "password"}

// hide keeps the scalars below a node out of every excerpt. A reference to a
// secret is none, and is shown.
func (n *node) hide() {
	for i := range n.entries {
		n.entries[i].value.hide()
	}
	for _, item := range n.items {
		item.hide()
	}
	if n.text == "" || strings.Contains(n.text, "${") {
		return
	}
	for i := range len([]rune(n.text)) {
		line, col := n.inside(i)
		n.from.hidden = append(n.from.hidden, hidden{line, col, col + 1})
	}
}

// inside is the place of a character of a scalar in its file. What comes out of
// ${…} stands nowhere: then it is the scalar's own place.
func (n *node) inside(offset int) (line, col int) {
	if n.kind != isText || strings.Contains(n.text, "${") {
		return n.line, n.col
	}
	if n.style == block || strings.Contains(n.text, "\n") || !n.onOneLine() {
		return n.insideLines(offset)
	}
	return n.line, n.col + n.width(offset)
}

// onOneLine reports whether the scalar's line holds all of it. The parser
// joins the lines of a plain scalar by spaces.
func (n *node) onOneLine() bool {
	rest, width := n.rest(), n.width(len([]rune(n.text)))
	switch n.style {
	case singleQuoted:
		return width < len(rest) && rest[width] == '\''
	case doubleQuoted:
		return width < len(rest) && rest[width] == '"'
	case plain, block:
	}
	return string(rest[:width]) == n.text
}

func (n *node) rest() []rune {
	if n.line < 1 || n.line > len(n.from.lines) {
		return nil
	}
	runes := []rune(strings.TrimSuffix(n.from.lines[n.line-1], "\r"))
	return runes[min(n.col-1, len(runes)):]
}

// width is how many characters of the file the first characters of a scalar
// take: in quotes, some are written with more than one.
func (n *node) width(offset int) int {
	runes, at := n.rest(), 0
	for range offset {
		if at >= len(runes) {
			break
		}
		at += written(n.style, runes[at:])
	}
	return at
}

func written(as style, from []rune) int {
	if len(from) < 2 {
		return 1
	}
	switch {
	case as == singleQuoted && from[0] == '\'' && from[1] == '\'':
		return 2
	case as == doubleQuoted && from[0] == '\\':
		if extra := slices.Index([]rune("xuU"), from[1]); extra >= 0 {
			return 2 + 2<<extra
		}
		return 2
	}
	return 1
}

// insideLines finds a character of a scalar that spans lines: each line of the
// file is looked up in the text, in order, without its indentation.
func (n *node) insideLines(offset int) (line, col int) {
	line, col = n.line, n.col
	text, from := []rune(n.text), 0
	for i := n.line; i <= len(n.from.lines) && from < len(text); i++ {
		full := n.from.lines[i-1]
		indent := len(full) - len(strings.TrimLeft(full, " "))
		if i == n.line && n.style != block {
			full, indent = string(n.rest()), n.col-1
		}
		content := strings.TrimSpace(full)
		if n.style == singleQuoted || n.style == doubleQuoted {
			content = strings.TrimRight(content, `"'`)
		}
		if content == "" {
			continue
		}
		at := strings.Index(string(text[from:]), content)
		if at < 0 {
			break
		}
		at = from + len([]rune(string(text[from:])[:at]))
		if offset < at && i > n.line {
			break
		}
		line, col = i, indent+1+max(0, offset-at)
		from = at + len([]rune(content))
		if offset < from {
			break
		}
	}
	return line, col
}
