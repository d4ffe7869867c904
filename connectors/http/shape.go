package http

import (
	"slices"
	"strings"
	"sync"

	"amend/conditions"
	"amend/connectors"
)

// source is where one thing stands in an answer or an item. A plain chain of
// names is picked while the body is read; any other expression needs everything
// decoded that it looks at. The zero source is nowhere.
type source struct {
	path []string // of a plain chain; the first name says of what: item, answer or header
	expr *conditions.Expression
}

func (s *source) declared() bool { return s.path != nil || s.expr != nil }

func (s *source) computed() bool { return s.path == nil && s.expr != nil }

// of reports whether the source is a plain chain from a root.
func (s *source) of(root string) bool { return len(s.path) > 0 && s.path[0] == root }

// shape says what is picked out of an answer.
type shape struct {
	fields     []connectors.FieldReader
	answer     *node // leads to items and next
	item       *node // leads to what is picked of an item
	items      source
	next       source
	version    source
	key        source
	byField    []source
	calculated []calculation // what is computed from a whole item
	single     bool          // the answer itself is the item
	lent       bool          // the key is that of another read: an item may leave it out
	scanners   sync.Pool     // of *scanner, which know what the answers have looked like
}

// calculation is a value that is computed instead of picked.
type calculation struct {
	slot int // index of the field, or slotKey, slotVersion
	expr *conditions.Expression
}

// node is one name on the way to what is picked.
type node struct {
	name  string
	kids  []*node
	slots []int // what is picked here
}

// Slots are indexes of fields, or one of these.
const (
	slotKey = -1 - iota
	slotVersion
	slotItems
	slotNext
)

// insert makes the way to a slot. It reports false where a chain would lead
// through something that is picked itself: then it must be computed.
func (n *node) insert(path []string, slot int) bool {
	for _, name := range path {
		if len(n.slots) > 0 {
			return false
		}
		kid := n.find(name)
		if kid == nil {
			kid = &node{name: name}
			n.kids = append(n.kids, kid)
		}
		n = kid
	}
	if len(n.kids) > 0 {
		return false
	}
	n.slots = append(n.slots, slot)
	return true
}

func (n *node) find(name string) *node {
	for _, kid := range n.kids {
		if kid.name == name {
			return kid
		}
	}
	return nil
}

// fields compiles the fields' paths, which are the same for all reads.
func (c *compiler) fields() []source {
	env := c.environment(conditions.Variable{Name: "item"})
	sources := make([]source, len(c.service.Fields))
	for i, f := range c.service.Fields {
		at := "fields." + f.Name + ".path"
		if f.Path == "" {
			sources[i] = source{path: []string{"item", f.Name}, expr: c.expression(at, `item["`+f.Name+`"]`, env)}
			continue
		}
		sources[i] = c.source(at, f.Path, env)
		c.unless(len(sources[i].path) != 1, at, "a field is a single value, not the whole item")
	}
	return sources
}

// source compiles an expression that may be a plain chain.
func (c *compiler) source(at, text string, env *conditions.Dynamic) source {
	if text == "" {
		return source{}
	}
	x := c.expression(at, text, env)
	if x == nil {
		return source{}
	}
	return source{path: x.Path(), expr: x}
}

func (c *compiler) shape(at string, spec *readSpec, name string, fields []source) *shape {
	answer := conditions.Variable{Name: "answer"}
	header := conditions.Variable{Name: "header"}
	item := conditions.Variable{Name: "item"}
	s := &shape{fields: connectors.FieldReaders(c.service), byField: fields, answer: &node{}, item: &node{}}
	s.items = c.source(at+".items", spec.Items, c.environment(answer))
	s.next = c.source(at+".next", spec.Next, c.environment(answer, header))
	s.key = c.source(at+".key", spec.Key, c.environment(item))
	if name == "one" {
		s.version = c.source(at+".version", spec.Version, c.environment(item, header))
	} else { // one header can't be the version of many records
		s.version = c.source(at+".version", spec.Version, c.environment(item))
	}
	c.unless(!s.version.of("header") || len(s.version.path) == 2, at+".version", "name one header: header.etag")
	c.unless(!s.next.of("header") || len(s.next.path) == 2, at+".next", "name one header: header.next")
	c.unless(!s.key.of("item") || len(s.key.path) > 1, at+".key", "the key is a single value, not the whole item")
	c.unless(!s.version.of("item") || len(s.version.path) > 1, at+".version", "the version is a single value, not the whole item")
	s.single = name == "one" && spec.Items == ""
	if name != "one" && spec.Items == "" {
		s.items.path = []string{"answer"}
	}
	s.plant()
	return s
}

// plant puts each plain chain into its tree; what doesn't fit is computed.
func (s *shape) plant() {
	if s.items.of("answer") {
		s.answer.insert(s.items.path[1:], slotItems)
	}
	if s.next.of("answer") && (s.items.computed() || !s.answer.insert(s.next.path[1:], slotNext)) {
		s.next.path = nil
	}
	for i, f := range s.byField {
		s.pick(f, i)
	}
	s.pick(s.key, slotKey)
	if !s.version.of("header") {
		s.pick(s.version, slotVersion)
	}
}

func (s *shape) pick(from source, slot int) {
	if from.declared() && (from.computed() || !s.item.insert(from.path[1:], slot)) {
		s.calculated = append(s.calculated, calculation{slot, from.expr})
	}
}

// lend sets the key of a shape that has none. It reports false where it can't
// be picked beside the rest.
func (s *shape) lend(key source) bool {
	if !s.item.insert(key.path[1:], slotKey) {
		return false
	}
	s.key, s.lent = key, true
	return true
}

// mask is what a service that can be asked for some fields only must be asked
// for; nil where that can't be said, since something is computed from a whole
// item.
func (s *shape) mask() []string {
	if len(s.calculated) > 0 {
		return nil
	}
	var paths []string
	for _, from := range append([]source{s.key}, append(slices.Clip(s.byField), s.version)...) {
		if !from.of("item") {
			continue
		}
		if path := strings.Join(from.path[1:], "."); !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return paths
}
