package conditions

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"amend"
)

// Dynamic compiles expressions over names whose values aren't declared fields:
// what a call is made of (id, cursor, arguments), and what a service answered
// (status, header, answer, item). A missing key of an answer is null.
type Dynamic struct {
	cel   *cel.Env
	names []string
}

// Variable is one name of a Dynamic. Type Null means that anything may stand
// there.
type Variable struct {
	Name string
	Type amend.Type
	List bool // a list of strings
}

// NewDynamic makes an environment with the given names.
func NewDynamic(variables ...Variable) (*Dynamic, error) {
	d := &Dynamic{}
	options := append(base(), cel.CustomTypeAdapter(lenientAdapter{}),
		// has() is left out: a missing key is null, so has() would always hold.
		cel.ClearMacros(), cel.Macros(cel.AllMacro, cel.ExistsMacro, cel.ExistsOneMacro, cel.MapMacro, cel.MapFilterMacro, cel.FilterMacro), longDurations())
	for _, v := range variables {
		typ := cel.DynType
		switch {
		case v.List:
			typ = cel.ListType(cel.StringType)
		case v.Type != amend.Null:
			typ = celType(v.Type)
		}
		options = append(options, cel.Variable(v.Name, typ))
		d.names = append(d.names, v.Name)
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("make the CEL environment: %w", err)
	}
	d.cel = env
	return d, nil
}

// Vars are the values of the names of a Dynamic: amend.Value, string, int64,
// []string, time.Time, or decoded JSON (map[string]any, []any, int64, float64,
// string, bool, nil).
type Vars map[string]any

// Expression is one compiled expression of a Dynamic, safe for use by many
// goroutines.
type Expression struct {
	text    string
	program cel.Program
	path    []string
	names   []string
}

// Expression compiles a bare expression.
func (d *Dynamic) Expression(text string) (*Expression, amend.Findings) {
	ast, findings := d.compile(text)
	if len(findings) > 0 {
		return nil, findings
	}
	program, err := d.cel.Program(ast, cel.CostLimit(costLimit))
	if err != nil {
		return nil, amend.Findings{{Text: err.Error()}}
	}
	x := &Expression{text: text, program: program, names: identifiers(ast.NativeRep())}
	if full := qualified(ast.NativeRep().Expr()); full != "" {
		x.path = strings.Split(full, ".")
	}
	return x, nil
}

// Text is the expression as written.
func (x *Expression) Text() string { return x.text }

// Path is the chain of names where the expression is nothing but one
// (item.contact.email), so that a reader can pick it without decoding the
// rest; else nil.
func (x *Expression) Path() []string { return x.path }

// Uses reports whether the expression reads a name.
func (x *Expression) Uses(name string) bool { return slices.Contains(x.names, name) }

// Eval computes the expression as plain Go: nil, string, int64, float64, bool,
// time.Time, time.Duration, []any or map[string]any.
func (x *Expression) Eval(vars Vars) (any, error) {
	out, err := evaluate(x.program, activation(vars))
	if err != nil {
		return nil, err
	}
	return native(out), nil
}

// Holds computes a condition; anything but true or false is an error.
func (x *Expression) Holds(vars Vars) (bool, error) {
	out, err := x.Eval(vars)
	if err != nil {
		return false, err
	}
	holds, ok := out.(bool)
	if !ok {
		return false, fmt.Errorf("%s is %v, not true or false", x.text, out)
	}
	return holds, nil
}

// Text is a text with {expressions} over a Dynamic.
type Text struct{ pieces []piece }

// Text compiles a text with {expressions}.
func (d *Dynamic) Text(text string) (*Text, amend.Findings) {
	pieces, findings := compilePieces(text, d.cel, d.compile)
	return &Text{pieces: pieces}, findings
}

// Type is the type of the value; Null where it isn't known before.
func (t *Text) Type() amend.Type { return typeOf(t.pieces) }

// Uses reports whether one of the expressions reads a name.
func (t *Text) Uses(name string) bool {
	return slices.ContainsFunc(t.pieces, func(p piece) bool {
		return slices.Contains(strings.FieldsFunc(p.source, func(r rune) bool {
			return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_')
		}), name)
	})
}

// Render gives the text; escape is applied to what expressions give, never to
// literal parts.
func (t *Text) Render(vars Vars, escape func(string) (string, error)) (string, error) {
	var bound map[string]any // made for the first expression that needs it
	return join(t.pieces, func(p *piece) (amend.Value, error) {
		if v, known := vars.named(p.name); known {
			return v, nil
		}
		if bound == nil {
			bound = activation(vars)
		}
		return single(p, bound)
	}, escape)
}

// named gives the value of a name where CEL would give it back as it is: paths
// and parameters are mostly {id} and nothing else.
func (v Vars) named(name string) (amend.Value, bool) {
	switch x := v[name].(type) {
	case string:
		return amend.StringOf(x), true
	case int64:
		return amend.IntOf(x), true
	}
	return amend.Value{}, false
}

// Value gives the value; a text that is one expression only keeps its type,
// lists included.
func (t *Text) Value(vars Vars) (any, error) {
	if len(t.pieces) == 1 && t.pieces[0].program != nil {
		switch x := vars[t.pieces[0].name].(type) {
		case string, int64:
			return x, nil
		}
		out, err := evaluate(t.pieces[0].program, activation(vars))
		if err != nil {
			return nil, fmt.Errorf("{%s}: %w", t.pieces[0].source, err)
		}
		return native(out), nil
	}
	return t.Render(vars, func(s string) (string, error) { return s, nil })
}

func (d *Dynamic) compile(text string) (*cel.Ast, amend.Findings) {
	if strings.TrimSpace(text) == "" {
		return nil, amend.Findings{{Text: "the expression is empty"}}
	}
	parsed, issues := d.cel.Parse(text)
	if issues.Err() != nil {
		return nil, fromIssues(text, issues)
	}
	rep := parsed.NativeRep()
	local := comprehensionVariables(rep)
	var findings amend.Findings
	celast.PreOrderVisit(rep.Expr(), celast.NewExprVisitor(func(x celast.Expr) {
		if x.Kind() == celast.IdentKind && !local[x.AsIdent()] && !slices.Contains(d.names, x.AsIdent()) {
			f := suggest(x.AsIdent()+" is not known here", x.AsIdent(), d.names)
			f.Offset = offset(rep, x)
			findings = append(findings, *f)
		}
	}))
	if len(findings) > 0 {
		return nil, findings
	}
	checked, issues := d.cel.Check(parsed)
	if issues.Err() != nil {
		return nil, fromIssues(text, issues)
	}
	return checked, nil
}

func identifiers(ast *celast.AST) []string {
	var all []string
	celast.PreOrderVisit(ast.Expr(), celast.NewExprVisitor(func(x celast.Expr) {
		if x.Kind() == celast.IdentKind {
			all = append(all, x.AsIdent())
		}
	}))
	return all
}

// activation turns Vars into what CEL reads.
func activation(vars Vars) map[string]any {
	bound := make(map[string]any, len(vars))
	for name, v := range vars {
		bound[name] = lenientAdapter{}.NativeToValue(v)
	}
	return bound
}

// lenientAdapter makes a missing key of a JSON object null instead of an error.
type lenientAdapter struct{}

// NativeToValue is part of CEL's Adapter.
func (a lenientAdapter) NativeToValue(v any) ref.Val {
	switch x := v.(type) {
	case amend.Value:
		return toCEL(x)
	case map[string]any:
		return lenientMap{types.NewStringInterfaceMap(a, x)}
	case []any:
		return types.NewDynamicList(a, x)
	}
	return types.DefaultTypeAdapter.NativeToValue(v)
}

type lenientMap struct{ traits.Mapper }

// Find gives null for a missing key.
func (m lenientMap) Find(key ref.Val) (ref.Val, bool) {
	if v, found := m.Mapper.Find(key); found {
		return v, true
	}
	return types.NullValue, true
}

// Get gives null for a missing key.
func (m lenientMap) Get(key ref.Val) ref.Val {
	v, _ := m.Find(key)
	return v
}

// native is a CEL value as plain Go.
func native(v ref.Val) any {
	switch x := v.(type) {
	case types.Null:
		return nil
	case types.Timestamp:
		return x.Time
	case types.Duration:
		return x.Duration
	case traits.Mapper:
		if m, err := v.ConvertToNative(reflect.TypeFor[map[string]any]()); err == nil {
			return m
		}
	case traits.Lister:
		list := []any{}
		for it := x.Iterator(); it.HasNext() == types.True; {
			list = append(list, native(it.Next()))
		}
		return list
	}
	return v.Value()
}

// Plain is a result of Eval as a Value; false for lists and objects.
func Plain(v any) (amend.Value, bool) {
	switch x := v.(type) {
	case nil:
		return amend.Value{}, true
	case amend.Value:
		return x, true
	case string:
		return amend.StringOf(x), true
	case int:
		return amend.IntOf(int64(x)), true
	case int64:
		return amend.IntOf(x), true
	case float64:
		return amend.DoubleOf(x), true
	case bool:
		return amend.BoolOf(x), true
	case time.Time:
		return amend.TimeOf(x), true
	case time.Duration:
		return amend.DurationOf(x), true
	}
	return amend.Value{}, false
}
