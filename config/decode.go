package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"amend"
)

// decoder fills structs from a document by their yaml tags, and collects every
// problem instead of stopping at the first.
type decoder struct {
	values   *substituter
	problems []problem
}

// custom is a type that reads its part of the document itself: maps whose
// order matters, values that can be written in two ways.
type custom interface {
	decode(d *decoder, n *node)
}

var (
	customType   = reflect.TypeFor[custom]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
	durationType = reflect.TypeFor[time.Duration]()
	secretType   = reflect.TypeFor[amend.Secret]()
)

// complain records a problem at a node.
func (d *decoder) complain(n *node, format string, args ...any) {
	d.problems = append(d.problems, problem{from: n.from, line: n.line, col: n.col, text: fmt.Sprintf(format, args...)})
	n.broken = true
}

// missing records that a map lacks a key, unless it only misspells it.
func (d *decoder) missing(n *node, key, format string, args ...any) {
	if !n.misspelt(key) {
		line, col := n.name()
		d.problems = append(d.problems, problem{from: n.from, line: line, col: col, text: fmt.Sprintf(format, args...)})
	}
}

// decode fills what into points to. A missing or empty value leaves it as it
// is, so defaults are set before.
func (d *decoder) decode(n *node, into any) {
	d.value(n, reflect.ValueOf(into).Elem())
}

func (d *decoder) value(n *node, v reflect.Value) {
	if n == nil {
		return
	}
	if v.Addr().Type().Implements(customType) {
		v.Addr().Interface().(custom).decode(d, n)
		return
	}
	if n.kind == isNull {
		return
	}
	switch {
	case v.Type() == secretType:
		// A secret that can't be read is given all the same, so that nobody
		// complains of a missing one as well.
		text, ok := d.scalar(n, true)
		if !ok {
			text = "unreadable"
		}
		if n.kind != isMap && n.kind != isList {
			n.hide()
		}
		v.Set(reflect.ValueOf(amend.NewSecret(text)))
	case v.Type() == durationType:
		d.duration(n, v)
	case v.Addr().Type().Implements(textType):
		d.text(n, v.Addr().Interface().(encoding.TextUnmarshaler))
	default:
		d.plain(n, v)
	}
}

func (d *decoder) plain(n *node, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem())
	case reflect.Struct:
		d.structure(n, v)
	case reflect.Map:
		d.mapping(n, v)
	case reflect.Slice:
		d.list(n, v)
	case reflect.Interface:
		if x := d.any(n); x != nil {
			v.Set(reflect.ValueOf(x))
		}
	default:
		d.single(n, v)
	}
}

// single fills a string, a bool or a number.
func (d *decoder) single(n *node, v reflect.Value) {
	text, ok := d.scalar(n, false)
	if !ok {
		return
	}
	var err error
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		var b bool
		if b, err = strconv.ParseBool(text); err == nil {
			v.SetBool(b)
		}
	case reflect.Float64:
		var f float64
		if f, err = strconv.ParseFloat(text, 64); err == nil {
			v.SetFloat(f)
		}
	default:
		var i int64
		if i, err = strconv.ParseInt(text, 10, 64); err == nil {
			v.SetInt(i)
		}
	}
	if err != nil {
		d.complain(n, "%q is not %s", text, map[reflect.Kind]string{reflect.Bool: "true or false", reflect.Float64: "a number"}[v.Kind()]+map[bool]string{true: "a whole number"}[v.CanInt()])
	}
}

// scalar is the text of a single value with ${…} replaced.
func (d *decoder) scalar(n *node, secret bool) (string, bool) {
	if n.kind == isMap || n.kind == isList {
		d.complain(n, "a single value belongs here, this is %s", n.kind)
		return "", false
	}
	text, problems := d.values.replace(n, secret)
	d.problems = append(d.problems, problems...)
	n.broken = n.broken || len(problems) > 0
	return text, len(problems) == 0
}

func (d *decoder) duration(n *node, v reflect.Value) {
	text, ok := d.scalar(n, false)
	if !ok {
		return
	}
	parsed, err := amend.ParseDuration(text)
	if err != nil {
		d.complain(n, "%s", err)
		return
	}
	v.SetInt(int64(parsed))
}

func (d *decoder) text(n *node, into encoding.TextUnmarshaler) {
	text, ok := d.scalar(n, false)
	if !ok {
		return
	}
	err := into.UnmarshalText([]byte(text))
	if err == nil {
		return
	}
	n.broken = true
	p := problem{from: n.from, line: n.line, col: n.col, text: err.Error()}
	if e, ok := errors.AsType[*amend.Error](err); ok {
		p.text, p.hint = e.Text, e.Next
	}
	d.problems = append(d.problems, p)
}

// structure fills a struct's tagged fields and remembers its keys as known.
// Embedded structs share the map.
func (d *decoder) structure(n *node, v reflect.Value) {
	if n.kind != isMap {
		d.complain(n, "a map of %s belongs here, this is %s", strings.Join(tags(v.Type()), ", "), n.kind)
		return
	}
	n.known = append(n.known, tags(v.Type())...)
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("yaml")
		for e := range n.entries {
			if key != "" && n.entries[e].key == key {
				n.entries[e].used = true
				d.value(n.entries[e].value, v.Field(i))
			}
		}
	}
}

func tags(t reflect.Type) []string {
	var all []string
	for i := range t.NumField() {
		if tag := t.Field(i).Tag.Get("yaml"); tag != "" {
			all = append(all, tag)
		}
	}
	return all
}

func (d *decoder) mapping(n *node, v reflect.Value) {
	if n.kind != isMap {
		d.complain(n, "a map belongs here, this is %s", n.kind)
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for i := range n.entries {
		n.entries[i].used = true
		value := reflect.New(v.Type().Elem()).Elem()
		d.value(n.entries[i].value, value)
		v.SetMapIndex(reflect.ValueOf(n.entries[i].key), value)
	}
}

func (d *decoder) list(n *node, v reflect.Value) {
	if n.kind != isList {
		d.complain(n, "a list belongs here, this is %s", n.kind)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	for i, item := range n.items {
		d.value(item, v.Index(i))
	}
}

// any decodes into plain Go: map[string]any, []any, string, int64, float64,
// bool, nil.
func (d *decoder) any(n *node) any {
	switch n.kind {
	case isMap:
		m := map[string]any{}
		for i := range n.entries {
			n.entries[i].used = true
			m[n.entries[i].key] = d.any(n.entries[i].value)
		}
		return m
	case isList:
		list := make([]any, len(n.items))
		for i, item := range n.items {
			list[i] = d.any(item)
		}
		return list
	case isNumber:
		if i, err := strconv.ParseInt(n.text, 10, 64); err == nil {
			return i
		}
		if f, err := strconv.ParseFloat(n.text, 64); err == nil {
			return f
		}
	case isBool:
		return n.text == "true"
	case isNull:
		return nil
	case isText:
	}
	text, _ := d.scalar(n, false)
	return text
}

// ordered is a map whose order matters.
type ordered[T any] []named[T]

type named[T any] struct {
	name  string
	value T
	at    *node
}

func (o *ordered[T]) decode(d *decoder, n *node) {
	if n.kind == isNull {
		return
	}
	if n.kind != isMap {
		d.complain(n, "a map of names belongs here, this is %s", n.kind)
		return
	}
	for i := range n.entries {
		e := &n.entries[i]
		e.used = true
		one := named[T]{name: e.key, at: e.value}
		if !isName(e.key) {
			d.problems = append(d.problems, problem{from: e.value.from, line: e.line, col: e.col, text: fmt.Sprintf("%q can't be a name", e.key), hint: "a name is lower-case letters, digits, _ and -, beginning with a letter"})
		}
		d.value(e.value, reflect.ValueOf(&one.value).Elem())
		*o = append(*o, one)
	}
}

// isName bounds what services, fields, states and rules can be called: names
// stand in expressions, URLs, metrics and log lines.
func isName(s string) bool {
	for i, c := range s {
		letter := c >= 'a' && c <= 'z'
		if i == 0 && !letter || !letter && c != '_' && c != '-' && (c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// oneOrMany is a single word or a list of them.
type oneOrMany []string

func (o *oneOrMany) decode(d *decoder, n *node) {
	switch n.kind {
	case isList:
		for _, item := range n.items {
			if text, ok := d.scalar(item, false); ok {
				*o = append(*o, text)
			}
		}
	case isNull:
	default:
		if text, ok := d.scalar(n, false); ok {
			*o = oneOrMany{text}
		}
	}
}

// share is a part of a whole: "2%" is 0.02.
type share float64

// UnmarshalText reads a percentage.
func (s *share) UnmarshalText(text []byte) error {
	number, percent := strings.CutSuffix(strings.TrimSpace(string(text)), "%")
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || !percent || f < 0 || f > 100 {
		return fmt.Errorf("%q is not a share such as 2%%", text)
	}
	*s = share(f / 100)
	return nil
}
