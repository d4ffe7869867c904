// Package conditions compiles and evaluates the expressions of the
// configuration language. They are CEL: typed from the declared fields, without
// loops, with a cost limit. Conditions over a View are three-valued: with an
// unseen record a condition is true or false only if the rest decides it. Most
// are compiled to closures, with the results of cel-go at a twentieth of its cost.
package conditions

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"

	"amend"
)

// costLimit bounds one evaluation, in CEL's cost units. The reference
// configuration's dearest condition costs below 20; without a limit a single
// hostile expression ran for 9 seconds.
const costLimit = 50_000

// expressionLimit bounds the text of one expression, in characters.
const expressionLimit = 4_000

// Truth is the result of a condition.
type Truth uint8

// The four results. The zero Truth is Undecided, so that what nobody has
// evaluated makes no rule act.
const (
	Undecided Truth = iota // an unseen record could make it either
	False
	True
	Erred // it could not be evaluated: visible, and never acted on
)

// String is the word that people see.
func (t Truth) String() string {
	return [...]string{"undecided", "false", "true", "error"}[t]
}

// Environment knows the declared services and fields, and compiles what is
// written about them.
type Environment struct {
	schema *amend.Schema
	cel    *cel.Env
	slots  map[string]slot
}

// slot is where a name in an expression finds its value.
type slot struct {
	service int
	field   int        // index, or one of the values below
	typ     amend.Type // of a field
	unknown *types.Unknown
}

const (
	isPresent = -1 - iota
	isAbsent
	hasAge
	isNow
)

// New makes the environment of one schema. It fails only where names collide.
func New(schema *amend.Schema) (*Environment, error) {
	e := &Environment{schema: schema, slots: map[string]slot{"now": {service: -1, field: isNow}}}
	options := append(base(), cel.Variable("now", cel.TimestampType))
	for i := range schema.Services {
		for name, field := range names(&schema.Services[i]) {
			if _, taken := e.slots[name]; taken {
				return nil, fmt.Errorf("%s is declared twice", name)
			}
			at := slot{service: i, field: field.index, unknown: types.NewUnknown(int64(i), types.NewAttributeTrail(name))}
			if field.index >= 0 {
				at.typ = schema.Services[i].Fields[field.index].Type
			}
			e.slots[name] = at
			options = append(options, cel.Variable(name, field.typ))
		}
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("make the CEL environment: %w", err)
	}
	e.cel = env
	return e, nil
}

// base is what every expression may use, whatever it is about.
func base() []cel.EnvOption {
	return []cel.EnvOption{
		ext.Strings(), sum(), longDurations(),
		cel.ParserExpressionSizeLimit(expressionLimit), cel.ParserRecursionLimit(64),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals()),
	}
}

type name struct {
	index int
	typ   *cel.Type
}

// names are the qualified names that a service brings into conditions. They
// are declared flat ("ledger.status"), so a view needs neither maps nor
// structs, and a service's own name means nothing by itself.
func names(s *amend.Service) map[string]name {
	all := map[string]name{
		s.Name + ".present": {isPresent, cel.BoolType},
		s.Name + ".absent":  {isAbsent, cel.BoolType},
		s.Name + ".age":     {hasAge, cel.DurationType},
	}
	for i, f := range s.Fields {
		all[s.Name+"."+f.Name] = name{i, nullable(f.Type)}
	}
	return all
}

// nullable is the CEL type of a field: every field is null where the record is
// absent, and == and != must compile with null.
func nullable(t amend.Type) *cel.Type {
	switch t {
	case amend.Timestamp, amend.Duration:
		return celType(t)
	case amend.Null: // the declaration was refused: nothing more is said about it
		return cel.DynType
	case amend.String, amend.Int, amend.Double, amend.Bool:
	}
	return cel.NullableType(celType(t))
}

func celType(t amend.Type) *cel.Type {
	switch t {
	case amend.String:
		return cel.StringType
	case amend.Int:
		return cel.IntType
	case amend.Double:
		return cel.DoubleType
	case amend.Bool:
		return cel.BoolType
	case amend.Timestamp:
		return cel.TimestampType
	case amend.Duration:
		return cel.DurationType
	case amend.Null:
	}
	return cel.NullType
}

// Condition is a compiled expression over a View that is true, false or
// undecided. It is safe for use by many goroutines.
type Condition struct {
	text     string
	compiled test        // nil where cel-go evaluates it
	program  cel.Program // also says why a compiled one errs
	reads    []Reference
}

// Reference is one thing that an expression looks at.
type Reference struct {
	Name    string // as written: ledger.status, cards.absent
	Service int    // -1 for now
	Field   int    // index of the field, negative for present, absent and age
}

// Condition compiles a boolean expression.
func (e *Environment) Condition(text string) (*Condition, amend.Findings) {
	ast, findings := e.compile(text)
	if len(findings) > 0 {
		return nil, findings
	}
	if out := ast.OutputType(); !out.IsExactType(cel.BoolType) && !out.IsExactType(cel.NullableType(cel.BoolType)) {
		return nil, amend.Findings{{Text: fmt.Sprintf("a condition must be true or false, this is %s", plainType(out.String()))}}
	}
	program, err := e.cel.Program(ast, cel.CostLimit(costLimit))
	if err != nil {
		return nil, amend.Findings{{Text: err.Error()}}
	}
	return &Condition{text: text, compiled: e.compiled(ast), program: program, reads: e.references(ast.NativeRep())}, nil
}

// Text is the expression as written.
func (c *Condition) Text() string { return c.text }

// Reads are the names that the condition looks at, in order of appearance.
func (c *Condition) Reads() []Reference { return c.reads }

// Compiled reports whether the condition is evaluated by closures. What isn't is
// left to cel-go, with the same result, but takes some twenty times as long:
// macros (all, exists, filter …), functions other than size, startsWith, endsWith
// and contains, texts that are put together, quotients of doubles, dyn, and
// what could reach the cost limit.
func (c *Condition) Compiled() bool { return c.compiled != nil }

// Result is what a condition came to.
type Result struct {
	Truth Truth
	Needs []int // services that would have decided it, where undecided
	Err   error // why it could not be evaluated, where erred
}

// Eval evaluates the condition. A null result is an error: a bare bool field of
// an absent record is neither true nor false.
func (c *Condition) Eval(scope *Scope) Result {
	if c.compiled == nil {
		return c.interpret(scope)
	}
	d := c.compiled(scope)
	if d.truth == Erred || scope.odd {
		scope.odd = false
		return c.interpret(scope)
	}
	if d.truth == Undecided {
		return Result{Truth: Undecided, Needs: services(d.needs)}
	}
	return Result{Truth: d.truth}
}

// interpret evaluates the condition by cel-go.
func (c *Condition) interpret(scope *Scope) Result {
	out, _, err := c.program.Eval(scope)
	if unknown, ok := out.(*types.Unknown); ok {
		return Result{Truth: Undecided, Needs: unseen(unknown)}
	}
	if err != nil {
		return Result{Truth: Erred, Err: err}
	}
	switch out {
	case types.True:
		return Result{Truth: True}
	case types.False:
		return Result{Truth: False}
	}
	return Result{Truth: Erred, Err: fmt.Errorf("the result is %v, not true or false", out.Value())}
}

func unseen(u *types.Unknown) []int {
	ids := u.IDs()
	needs := make([]int, len(ids))
	for i, id := range ids {
		needs[i] = int(id)
	}
	return needs
}

// compile parses, resolves names with suggestions of its own, and checks.
func (e *Environment) compile(text string) (*cel.Ast, amend.Findings) {
	if strings.TrimSpace(text) == "" {
		return nil, amend.Findings{{Text: "the expression is empty"}}
	}
	parsed, issues := e.cel.Parse(text)
	if issues.Err() != nil {
		return nil, fromIssues(text, issues)
	}
	if findings := e.resolve(parsed.NativeRep()); len(findings) > 0 {
		return nil, findings
	}
	checked, issues := e.cel.Check(parsed)
	if issues.Err() != nil {
		return nil, fromIssues(text, issues)
	}
	return checked, nil
}

func (e *Environment) references(ast *celast.AST) []Reference {
	var reads []Reference
	seen := map[string]bool{}
	celast.PreOrderVisit(ast.Expr(), celast.NewExprVisitor(func(x celast.Expr) {
		full := qualified(x)
		at, known := e.slots[full]
		if known && !seen[full] {
			seen[full] = true
			reads = append(reads, Reference{Name: full, Service: at.service, Field: at.field})
		}
	}))
	return reads
}
