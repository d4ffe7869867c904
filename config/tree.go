package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"amend"
)

// sizeLimit bounds one configuration file, in bytes: a file above it is a
// mistake or an attack.
const sizeLimit = 1 << 20

// source is one file as read.
type source struct {
	name  string
	lines []string
}

// node is one value of a document with its place. It is what remains of YAML:
// no anchors, no aliases, no tags.
type node struct {
	from      *source
	line, col int  // of the value; both from 1
	exact     bool // the value's characters stand one by one in the file from line and col on
	kind      kind
	text      string // of a scalar
	entries   []entry
	items     []*node
	known     []string // keys that some decoder asked for
}

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
	from := &source{name: name, lines: strings.Split(string(data), "\n")}
	if len(data) > sizeLimit {
		return nil, []problem{{from: from, line: 1, col: 1, text: fmt.Sprintf("the file has %d bytes; at most %d are read", len(data), sizeLimit)}}
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, []problem{syntaxProblem(from, err)}
	}
	t := &tree{from: from}
	root := &node{from: from, line: 1, col: 1, kind: isMap}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if root = t.node(doc.Body); root.kind != isMap {
			t.complain(doc.Body.GetToken(), "a configuration is a map of version, entity, services, states, rules, scans, …", "")
		}
	}
	if len(file.Docs) > 1 {
		t.complain(file.Docs[1].Body.GetToken(), "one file holds one document", "put the second one into a file of its own")
	}
	return root, t.problems
}

// tree converts goccy's syntax tree.
type tree struct {
	from     *source
	problems []problem
	depth    int
}

// depthLimit bounds nesting; the reference configuration needs 8.
const depthLimit = 32

func (t *tree) complain(at *token.Token, text, hint string) {
	p := problem{from: t.from, line: 1, col: 1, text: text, hint: hint}
	if at != nil && at.Position != nil {
		p.line, p.col = at.Position.Line, at.Position.Column
	}
	t.problems = append(t.problems, p)
}

func (t *tree) node(from ast.Node) *node {
	t.depth++
	defer func() { t.depth-- }()
	at := from.GetToken()
	n := &node{from: t.from, line: at.Position.Line, col: at.Position.Column}
	if t.depth > depthLimit {
		t.complain(at, "this is nested too deeply", "")
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
		n.kind, n.text = isText, x.Value.Value
		n.line++
	case *ast.StringNode:
		n.kind, n.text, n.exact = isText, x.Value, true
		if at.Type == token.DoubleQuoteType || at.Type == token.SingleQuoteType {
			n.col++
			n.exact = !strings.Contains(at.Origin, `\`)
		}
	case *ast.IntegerNode, *ast.FloatNode:
		n.kind, n.text, n.exact = isNumber, at.Value, true
	case *ast.BoolNode:
		n.kind, n.text, n.exact = isBool, strconv.FormatBool(x.Value), true
	case *ast.NullNode:
	default:
		t.complain(at, "anchors, aliases, tags and merges are not part of the language", "write the value out")
	}
	n.exact = n.exact && !strings.Contains(n.text, "${")
	return n
}

func (t *tree) entries(n *node, values []*ast.MappingValueNode) {
	for _, v := range values {
		key, plain := v.Key.(*ast.StringNode)
		if !plain {
			if number, ok := v.Key.(ast.ScalarNode); ok && v.Key.Type() != ast.MergeKeyType {
				key, plain = &ast.StringNode{BaseNode: &ast.BaseNode{}, Token: v.Key.GetToken(), Value: fmt.Sprint(number.GetValue())}, true
			}
		}
		if !plain {
			t.complain(v.Key.GetToken(), "a key is a plain word", "")
			continue
		}
		at := key.Token.Position
		if n.get(key.Value) != nil {
			t.complain(key.Token, fmt.Sprintf("%s stands here twice", key.Value), "")
			continue
		}
		n.entries = append(n.entries, entry{key: key.Value, line: at.Line, col: at.Column, value: t.node(v.Value)})
	}
}

func syntaxProblem(from *source, err error) problem {
	p := problem{from: from, line: 1, col: 1, text: err.Error()}
	var syntax interface {
		error
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(err, &syntax) {
		p.text = syntax.GetMessage()
		if at := syntax.GetToken(); at != nil {
			p.line, p.col = at.Position.Line, at.Position.Column
		}
	}
	return p
}

// locate finds the place of a path such as services.ledger.read.one.get or
// rules.open-ledger.do[0].ledger.open: the value, or the deepest part of the
// path that is there.
func (n *node) locate(path string) (at *node, found bool) {
	at = n
	for _, part := range pathParts(path) {
		next := (*node)(nil)
		if index, err := strconv.Atoi(part); err == nil && at.kind == isList && index < len(at.items) {
			next = at.items[index]
		} else {
			next = at.get(part)
		}
		if next == nil {
			return at, false
		}
		at = next
	}
	return at, true
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
			end := strings.IndexByte(path, ']')
			parts, path = append(parts, path[1:end]), path[end+1:]
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
			p := problem{from: n.from, line: e.line, col: e.col, text: fmt.Sprintf("there is no key %s here", e.key)}
			if near := amend.Nearest(e.key, n.known); near != "" {
				p.hint = "did you mean " + near + "?"
			} else {
				p.hint = "known are " + strings.Join(sorted(n.known), ", ")
			}
			*problems = append(*problems, p)
			continue
		}
		e.value.unknown(problems)
	}
	for _, item := range n.items {
		item.unknown(problems)
	}
}
