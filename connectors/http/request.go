package http

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"amend"
	"amend/conditions"
)

// template is a request with {expressions} in it.
type template struct {
	method string
	path   *conditions.Text
	query  []parameter
	form   []parameter
	body   *tree
}

// parameter is one name of a query or a form. A list gives one value each.
type parameter struct {
	name  string
	value *tree
}

// rendered is a request of which every value is known.
type rendered struct {
	path        string // escaped, with its query
	contentType string
	body        []byte
}

// uses reports whether some expression reads a name.
func (t *template) uses(name string) bool {
	in := func(p parameter) bool { return p.value.uses(name) }
	return t.path.Uses(name) || slices.ContainsFunc(t.query, in) || slices.ContainsFunc(t.form, in) ||
		t.body != nil && t.body.uses(name)
}

// render is deterministic: the same values give the same bytes. Errors name
// the place and never a value.
func (t *template) render(vars conditions.Vars) (rendered, error) {
	var r rendered
	path, err := t.path.Render(vars, escapeSegment)
	if err != nil {
		return r, errors.New("a value can't stand in the path")
	}
	r.path = path
	query, err := encode(t.query, vars)
	if err != nil {
		return r, fmt.Errorf("query %w", err)
	}
	if query != "" {
		r.path += "?" + query
	}
	err = t.renderBody(&r, vars)
	return r, err
}

func (t *template) renderBody(r *rendered, vars conditions.Vars) error {
	switch {
	case t.body != nil:
		v, err := t.body.value(vars)
		if err != nil {
			return errors.New("a value of the body can't be computed")
		}
		r.contentType = "application/json"
		if r.body, err = json.Marshal(v, json.Deterministic(true)); err != nil {
			return errors.New("a value of the body has no JSON form")
		}
	case t.form != nil:
		form, err := encode(t.form, vars)
		if err != nil {
			return fmt.Errorf("form %w", err)
		}
		r.contentType, r.body = "application/x-www-form-urlencoded", []byte(form)
	}
	return nil
}

var errSegment = errors.New("not a path segment")

// escapeSegment makes a value part of one path segment, so that no value can
// lead to another path: what servers and proxies on the way might resolve is
// refused even where it would be escaped.
func escapeSegment(value string) (string, error) {
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", errSegment
	}
	for segment := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == '/' || r == '\\' }) {
		if segment == "." || segment == ".." {
			return "", errSegment
		}
	}
	return url.PathEscape(value), nil
}

// encode renders parameters in the order of their names. Null and empty ones
// are left out.
func encode(parameters []parameter, vars conditions.Vars) (string, error) {
	values := url.Values{}
	for _, p := range parameters {
		v, err := p.value.value(vars)
		if err != nil {
			return "", fmt.Errorf("parameter %s can't be computed", p.name)
		}
		list, isList := v.([]any)
		if !isList {
			list = []any{v}
		}
		for _, one := range list {
			plain, ok := conditions.Plain(one)
			if !ok {
				return "", fmt.Errorf("parameter %s is an object, not a single value", p.name)
			}
			if text := plain.String(); !plain.IsNull() && text != "" {
				values.Add(p.name, text)
			}
		}
	}
	return values.Encode(), nil
}

// verb is one method with its path, as written under its key.
type verb struct{ key, path string }

// requestSpec is what reads and operations have in common.
type requestSpec struct {
	at    string
	verbs []verb
	query map[string]any
	form  map[string]any
	body  any
}

// request compiles a request; all expressions may use the names of the
// environment.
func (c *compiler) request(spec requestSpec, env *conditions.Dynamic) *template {
	t := &template{path: c.text(spec.at, "", env)}
	var written []string
	for _, v := range spec.verbs {
		if v.path != "" {
			written = append(written, v.key)
			t.method, t.path = strings.ToUpper(v.key), c.path(spec.at+"."+v.key, v.path, env)
		}
	}
	if len(written) != 1 {
		c.found.Add(spec.at, "exactly one method with its path belongs here, one of %s", keys(spec.verbs))
	}
	t.query = c.parameters(spec.at+".query", spec.query, env)
	t.form = c.parameters(spec.at+".form", spec.form, env)
	if spec.body != nil {
		t.body = c.tree(spec.at+".body", spec.body, env)
	}
	switch {
	case spec.body != nil && spec.form != nil:
		c.found.Add(spec.at, "a request has a body or a form, not both")
	case t.method == "GET" && (spec.body != nil || spec.form != nil):
		c.found.Add(spec.at, "a GET has no body")
	}
	return t
}

func keys(verbs []verb) string {
	var all []string
	for _, v := range verbs {
		all = append(all, v.key)
	}
	return strings.Join(all, ", ")
}

func (c *compiler) path(at, path string, env *conditions.Dynamic) *conditions.Text {
	literal := outsideBraces(path)
	switch {
	case !strings.HasPrefix(path, "/"):
		c.found.Add(at, "a path begins with /")
	case strings.Contains(literal+"/", "/./") || strings.Contains(literal+"/", "/../"):
		c.found.Add(at, "a path has no dot segments")
	case strings.ContainsAny(literal, "?#"):
		c.found.Add(at, "parameters belong below query, where their values are escaped")
	case strings.ContainsFunc(literal, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		c.found.Add(at, "a path holds no spaces; write characters beyond ASCII as %%XX")
	}
	return c.text(at, path, env)
}

// outsideBraces is what stands outside of {expressions}, near enough to look
// for characters that must not stand there.
func outsideBraces(text string) string {
	var b strings.Builder
	depth := 0
	for _, r := range text {
		switch {
		case r == '{':
			depth++
		case r == '}':
			depth--
		case depth == 0:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func (c *compiler) parameters(at string, spec map[string]any, env *conditions.Dynamic) []parameter {
	var all []parameter
	for _, name := range slices.Sorted(maps.Keys(spec)) {
		if _, isObject := spec[name].(map[string]any); isObject {
			c.found.Add(at+"."+name, "a parameter is a single value or a list, not an object")
		}
		all = append(all, parameter{name, c.tree(at+"."+name, spec[name], env)})
	}
	return all
}

// take adds what was found in the scalar at a path.
func (c *compiler) take(at string, found amend.Findings) { c.found.Take(at, found) }
