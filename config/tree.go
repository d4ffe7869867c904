package config

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"amend"
)

// source is one file as read.
type source struct {
	name   string
	lines  []string
	hidden []hidden
}

// hidden is a stretch of a line that is a secret and isn't shown.
type hidden struct{ line, from, to int }

// node is one value of a document with its place. It is what remains of YAML:
// no anchors, no aliases, no tags.
type node struct {
	from      *source
	line, col int // of the value; both from 1
	key       place
	style     style
	kind      kind
	text      string // of a scalar
	entries   []entry
	items     []*node
	known     []string // keys that some decoder asked for
	broken    bool     // a problem with the value was reported: what follows from it isn't
}

// place is the key that a value stands under; zero in lists.
type place struct{ line, col int }

// style says how a scalar is written, so that a place inside it can be found.
type style uint8

const (
	plain style = iota
	singleQuoted
	doubleQuoted
	block
)

type kind uint8

const (
	isNull kind = iota
	isText
	isNumber
	isBool
	isMap
	isList
)

func (k kind) String() string {
	return [...]string{"nothing", "text", "a number", "true or false", "a map", "a list"}[k]
}

// entry is one key of a map, in the order of the file.
type entry struct {
	key       string
	line, col int
	value     *node
	used      bool
}

// get finds the value of a key, else nil.
func (n *node) get(key string) *node {
	for i := range n.entries {
		if n.entries[i].key == key {
			return n.entries[i].value
		}
	}
	return nil
}

// parse reads one file into a tree.
func parse(name string, data []byte) (*node, []problem) {
	if len(data) > sizeLimit {
		first, _, _ := strings.Cut(string(data[:excerptWidth]), "\n")
		return nil, []problem{{from: &source{name: name, lines: []string{first}}, line: 1, col: 1, text: fmt.Sprintf("the file has %d bytes; at most %d are read", len(data), sizeLimit)}}
	}
	from := &source{name: name, lines: strings.Split(string(data), "\n")}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if p := notText(from); p != nil {
		return nil, []problem{*p}
	}
	tokens, at, text := tokenize(string(data))
	if at != nil {
		return nil, []problem{{from: from, line: at.Position.Line, col: at.Position.Column, text: text}}
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, []problem{syntaxProblem(from, err)}
	}
	t := &tree{from: from}
	root := &node{from: from, line: 1, col: 1, kind: isMap}
	documents := 0
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.NullType || doc.Body.Type() == ast.CommentType {
			continue
		}
		if documents++; documents > 1 {
			t.complain(start(doc.Body), "one file holds one document", "put the second one into a file of its own")
			break
		}
		if root = t.node(doc.Body); root.kind != isMap {
			t.complain(doc.Body.GetToken(), "a configuration is a map of version, entity, services, states, rules, scans, …", "")
		}
	}
	return root, t.problems
}

// notText finds what no text holds: bytes that aren't UTF-8, control characters.
func notText(from *source) *problem {
	for i, line := range from.lines {
		at := strings.IndexFunc(strings.TrimSuffix(line, "\r"), func(r rune) bool {
			return r == utf8.RuneError || r < ' ' && r != '\t' || r == 0x7f
		})
		if at >= 0 {
			return &problem{from: from, line: i + 1, col: utf8.RuneCountInString(line[:at]) + 1, text: "this is not text in UTF-8"}
		}
	}
	return nil
}

// start is the first token of a value: a map in a block is known to the parser
// by its first colon, to people by its first key.
func start(of ast.Node) *token.Token {
	switch x := of.(type) {
	case *ast.MappingNode:
		if !x.IsFlowStyle && len(x.Values) > 0 {
			return x.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		return x.Key.GetToken()
	}
	return of.GetToken()
}

// tree converts goccy's syntax tree.
type tree struct {
	from     *source
	problems []problem
	depth    int
}

func (t *tree) complain(at *token.Token, text, hint string) {
	p := problem{from: t.from, line: 1, col: 1, text: text, hint: hint}
	if at != nil && at.Position != nil {
		p.line, p.col = at.Position.Line, at.Position.Column
	}
	t.problems = append(t.problems, p)
}

const notYAML = "anchors, aliases, tags and merges are not part of the language"

func (t *tree) node(from ast.Node) *node {
	t.depth++
	defer func() { t.depth-- }()
	at := start(from)
	n := &node{from: t.from, line: at.Position.Line, col: at.Position.Column}
	if t.depth > depthLimit {
		t.complain(at, nestedTooDeeply, "")
		return n
	}
	switch x := from.(type) {
	case *ast.MappingNode:
		n.kind = isMap
		t.entries(n, x.Values)
	case *ast.MappingValueNode:
		n.kind = isMap
		t.entries(n, []*ast.MappingValueNode{x})
	case *ast.SequenceNode:
		n.kind = isList
		for _, item := range x.Values {
			n.items = append(n.items, t.node(item))
		}
	case *ast.LiteralNode:
		n.kind, n.text, n.style = isText, x.Value.Value, block
		n.line++
	case *ast.StringNode:
		n.kind, n.text = isText, x.Value
		n.quoted(at.Type)
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		n.kind, n.text = isNumber, at.Value
	case *ast.BoolNode:
		n.kind, n.text = isBool, strconv.FormatBool(x.Value)
	case *ast.NullNode:
	default:
		t.complain(at, notYAML, "write the value out")
	}
	return n
}

func (n *node) quoted(as token.Type) {
	switch as {
	case token.SingleQuoteType:
		n.style = singleQuoted
	case token.DoubleQuoteType:
		n.style = doubleQuoted
	default:
		return
	}
	n.col++
}

func (t *tree) entries(n *node, values []*ast.MappingValueNode) {
	for _, v := range values {
		key, plain := v.Key.(*ast.StringNode)
		if !plain {
			if number, ok := v.Key.(ast.ScalarNode); ok && v.Key.Type() != ast.MergeKeyType {
				key, plain = &ast.StringNode{BaseNode: &ast.BaseNode{}, Token: v.Key.GetToken(), Value: fmt.Sprint(number.GetValue())}, true
			}
		}
		if !plain && v.Key.Type() == ast.MergeKeyType {
			t.complain(v.Key.GetToken(), notYAML, "write the value out")
			continue
		}
		if !plain {
			t.complain(v.Key.GetToken(), "a key is a plain word", "")
			continue
		}
		at := key.Token.Position
		if first := n.get(key.Value); first != nil {
			t.complain(key.Token, fmt.Sprintf("%s stands here twice; first in line %d", key.Value, first.key.line), "")
			continue
		}
		value := t.node(v.Value)
		value.key = place{at.Line, at.Column}
		if slices.Contains(secretKeys, key.Value) {
			value.hide()
		}
		n.entries = append(n.entries, entry{key: key.Value, line: at.Line, col: at.Column, value: value})
	}
}

// locate finds the place of a path such as services.ledger.read.one.get or
// rules.open-ledger.do[0].ledger.open: the value, or the deepest part of the
// path that is there and the name of the next, which is missing.
func (n *node) locate(path string) (at *node, missing string) {
	at = n
	for _, part := range pathParts(path) {
		next := at.get(part)
		if index, err := strconv.Atoi(part); err == nil && at.kind == isList && index >= 0 && index < len(at.items) {
			next = at.items[index]
		}
		if next == nil {
			return at, part
		}
		at = next
	}
	return at, ""
}

// pathParts splits a.b[0].c; a key that holds a dot itself is written in
// brackets: do[0].[ledger.open].currency.
func pathParts(path string) []string {
	var parts []string
	for path != "" {
		switch {
		case path[0] == '.':
			path = path[1:]
		case path[0] == '[':
			inside, rest, _ := strings.Cut(path[1:], "]")
			parts, path = append(parts, inside), rest
		default:
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			parts, path = append(parts, path[:end]), path[end:]
		}
	}
	return parts
}

// unknown collects the keys that nobody asked for.
func (n *node) unknown(problems *[]problem) {
	for i := range n.entries {
		e := &n.entries[i]
		if n.known != nil && !e.used {
			*problems = append(*problems, problem{from: e.value.from, line: e.line, col: e.col,
				text: fmt.Sprintf("there is no key %s here", e.key), hint: didYouMean(e.key, n.known)})
			continue
		}
		e.value.unknown(problems)
	}
	for _, item := range n.items {
		item.unknown(problems)
	}
}

// misspelt reports whether a key that is missing here stands here under another
// name, which is reported as unknown.
func (n *node) misspelt(key string) bool {
	for i := range n.entries {
		e := &n.entries[i]
		if !slices.Contains(n.known, e.key) && amend.Nearest(e.key, append([]string{key}, n.known...)) == key {
			return true
		}
	}
	return false
}

// use marks a key as known.
func (n *node) use(key string) {
	for i := range n.entries {
		n.entries[i].used = n.entries[i].used || n.entries[i].key == key
	}
}

// settle marks all keys as known: where nobody can tell what belongs here, no
// key is wrong.
func (n *node) settle() {
	if n == nil {
		return
	}
	n.known = nil
	for i := range n.entries {
		n.entries[i].value.settle()
	}
	for _, item := range n.items {
		item.settle()
	}
}
