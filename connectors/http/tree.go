package http

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"amend/conditions"
)

// tree is a JSON value with {expressions} in its strings. It is rendered by
// replacing values by values, never by joining text, so no value can change the
// shape of a body.
type tree struct {
	text     *conditions.Text // of a string
	literal  any              // a number, a bool or null
	list     []*tree
	names    []string // of an object, sorted
	children []*tree
}

func (c *compiler) tree(at string, spec any, env *conditions.Dynamic) *tree {
	switch x := spec.(type) {
	case string:
		return &tree{text: c.text(at, x, env)}
	case []any:
		t := &tree{list: []*tree{}}
		for i, one := range x {
			t.list = append(t.list, c.tree(fmt.Sprintf("%s[%d]", at, i), one, env))
		}
		return t
	case map[string]any:
		t := &tree{children: []*tree{}}
		for _, name := range slices.Sorted(maps.Keys(x)) {
			t.names = append(t.names, name)
			t.children = append(t.children, c.tree(at+"."+name, x[name], env))
		}
		return t
	}
	return &tree{literal: spec}
}

func (c *compiler) text(at, text string, env *conditions.Dynamic) *conditions.Text {
	compiled, found := env.Text(text)
	c.take(at, found)
	return compiled
}

func (t *tree) uses(name string) bool {
	in := func(x *tree) bool { return x.uses(name) }
	return t.text != nil && t.text.Uses(name) || slices.ContainsFunc(t.list, in) || slices.ContainsFunc(t.children, in)
}

// value is the tree as plain Go that has a JSON form.
func (t *tree) value(vars conditions.Vars) (any, error) {
	switch {
	case t.text != nil:
		v, err := t.text.Value(vars)
		if d, isDuration := v.(time.Duration); isDuration {
			v = d.String()
		}
		return v, err
	case t.list != nil:
		list := make([]any, len(t.list))
		for i, one := range t.list {
			v, err := one.value(vars)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		return list, nil
	case t.children != nil:
		object := make(map[string]any, len(t.children))
		for i, name := range t.names {
			v, err := t.children[i].value(vars)
			if err != nil {
				return nil, err
			}
			object[name] = v
		}
		return object, nil
	}
	return t.literal, nil
}
