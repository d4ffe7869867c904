package conditions

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"amend"
)

// ErrUnseen says that a value can't be computed because a record that it reads
// could not be read.
var ErrUnseen = errors.New("a record that it reads is unseen")

// Template is a text with {expressions} over a View: an argument of a rule, or
// what to tell a customer.
type Template struct {
	pieces []piece
	reads  []Reference
	typ    amend.Type
}

// piece is either literal text or one expression.
type piece struct {
	literal string
	source  string
	offset  int // where the expression starts, in characters
	program cel.Program
	typ     *cel.Type
	name    string // the expression is this name and nothing else
}

// Template compiles a text with {expressions}; {{ and }} are braces.
func (e *Environment) Template(text string) (*Template, amend.Findings) {
	var references []Reference
	pieces, findings := compilePieces(text, e.cel, func(source string) (*cel.Ast, amend.Findings) {
		ast, found := e.compile(source)
		if len(found) == 0 {
			references = append(references, e.references(ast.NativeRep())...)
		}
		return ast, found
	})
	if len(findings) > 0 {
		return nil, findings
	}
	return &Template{pieces: pieces, reads: references, typ: typeOf(pieces)}, nil
}

// Expression compiles one bare expression that gives a single value, such as
// the time from which a state counts.
func (e *Environment) Expression(text string) (*Template, amend.Findings) {
	ast, findings := e.compile(text)
	if len(findings) > 0 {
		return nil, findings
	}
	program, err := e.cel.Program(ast, cel.CostLimit(costLimit))
	if err != nil {
		return nil, amend.Findings{{Text: err.Error()}}
	}
	pieces := []piece{{source: text, program: program, typ: ast.OutputType()}}
	return &Template{pieces: pieces, reads: e.references(ast.NativeRep()), typ: typeOf(pieces)}, nil
}

// Reads are the names that the template looks at.
func (t *Template) Reads() []Reference { return t.reads }

// Type is the type of the value; Null where it isn't known before.
func (t *Template) Type() amend.Type { return t.typ }

// Value computes the template. A text that is one expression only keeps its
// type. It fails with ErrUnseen where a record is unseen.
func (t *Template) Value(scope *Scope) (amend.Value, error) {
	if len(t.pieces) == 1 && t.pieces[0].program != nil {
		return single(&t.pieces[0], scope)
	}
	text, err := join(t.pieces, func(p *piece) (amend.Value, error) { return single(p, scope) }, func(s string) (string, error) { return s, nil })
	return amend.StringOf(text), err
}

// compilePieces splits a text and compiles each of its expressions.
func compilePieces(text string, env *cel.Env, compile func(string) (*cel.Ast, amend.Findings)) ([]piece, amend.Findings) {
	pieces, broken := split(text)
	if broken != nil {
		return nil, amend.Findings{*broken}
	}
	var findings amend.Findings
	for i := range pieces {
		p := &pieces[i]
		if p.source == "" {
			continue
		}
		ast, found := compile(p.source)
		for _, f := range found {
			f.Offset += p.offset
			findings = append(findings, f)
		}
		if len(found) > 0 {
			continue
		}
		program, err := env.Program(ast, cel.CostLimit(costLimit))
		if err != nil {
			findings = append(findings, amend.Finding{Offset: p.offset, Text: err.Error()})
		}
		p.program, p.typ = program, ast.OutputType()
		if root := ast.NativeRep().Expr(); root.Kind() == celast.IdentKind {
			p.name = root.AsIdent()
		}
	}
	return pieces, findings
}

// split cuts a text into literals and expressions. Braces inside an
// expression nest, and those in its string literals don't count.
func split(text string) ([]piece, *amend.Finding) {
	var pieces []piece
	var literal strings.Builder
	runes := []rune(text)
	for i := 0; i < len(runes); i++ {
		switch doubled := i+1 < len(runes) && runes[i+1] == runes[i]; {
		case (runes[i] == '{' || runes[i] == '}') && doubled:
			literal.WriteRune(runes[i])
			i++
		case runes[i] == '}':
			return nil, &amend.Finding{Offset: i, Text: "a } without its {", Hint: "write }} for a brace"}
		case runes[i] == '{':
			end := closing(runes, i)
			if end < 0 {
				return nil, &amend.Finding{Offset: i, Text: "this { is never closed", Hint: "write {{ for a brace"}
			}
			inside := string(runes[i+1 : end])
			source := strings.TrimSpace(inside)
			indent := len([]rune(inside)) - len([]rune(strings.TrimLeftFunc(inside, unicode.IsSpace)))
			if source == "" {
				return nil, &amend.Finding{Offset: i, Text: "there is no expression between { and }", Hint: "write {{ and }} for braces"}
			}
			if literal.Len() > 0 {
				pieces = append(pieces, piece{literal: literal.String()})
				literal.Reset()
			}
			pieces = append(pieces, piece{source: source, offset: i + 1 + indent})
			i = end
		default:
			literal.WriteRune(runes[i])
		}
	}
	if literal.Len() > 0 || len(pieces) == 0 {
		pieces = append(pieces, piece{literal: literal.String()})
	}
	return pieces, nil
}

// closing finds the brace that ends the expression which starts at open, or -1.
func closing(runes []rune, open int) int {
	depth, quote := 0, rune(0)
	for i := open; i < len(runes); i++ {
		switch c := runes[i]; {
		case quote != 0 && c == '\\':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
		case c == '"' || c == '\'':
			quote = c
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

func typeOf(pieces []piece) amend.Type {
	if len(pieces) != 1 || pieces[0].source == "" {
		return amend.String
	}
	for t := amend.String; t <= amend.Duration; t++ {
		if pieces[0].typ.IsExactType(celType(t)) || pieces[0].typ.IsExactType(nullable(t)) {
			return t
		}
	}
	return amend.Null
}

// single computes an expression that gives one value.
func single(p *piece, vars any) (amend.Value, error) {
	out, err := evaluate(p.program, vars)
	if err != nil {
		return amend.Value{}, err
	}
	v, ok := fromCEL(out)
	if !ok {
		return v, errNotSingle
	}
	return v, nil
}

var errNotSingle = errors.New("it is not a single value")

// join renders all pieces into one text; escape is applied to what expressions
// give, never to literals. Null renders as nothing.
func join(pieces []piece, compute func(*piece) (amend.Value, error), escape func(string) (string, error)) (string, error) {
	var b strings.Builder
	for i := range pieces {
		p := &pieces[i]
		if p.program == nil {
			b.WriteString(p.literal)
			continue
		}
		v, err := compute(p)
		if err != nil {
			return "", fmt.Errorf("{%s}: %w", p.source, err)
		}
		text := ""
		if !v.IsNull() {
			text = v.String()
		}
		escaped, err := escape(text)
		if err != nil {
			return "", fmt.Errorf("{%s}: %w", p.source, err)
		}
		b.WriteString(escaped)
	}
	return b.String(), nil
}

func evaluate(program cel.Program, vars any) (ref.Val, error) {
	out, _, err := program.Eval(vars)
	if err != nil {
		return nil, err
	}
	if types.IsUnknown(out) {
		return nil, ErrUnseen
	}
	return out, nil
}
