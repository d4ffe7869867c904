package conditions

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	celast "cel.dev/cel-go/common/ast"

	"amend"
)

// resolve looks at every name before the type checker does: because names are
// declared flat, the checker would report a misspelt field as an unknown
// service. It also finds comparisons with a value that the field never has.
func (e *Environment) resolve(ast *celast.AST) amend.Findings {
	var findings amend.Findings
	inner := map[int64]bool{} // parts of a chain that was judged as a whole
	local := comprehensionVariables(ast)
	celast.PreOrderVisit(ast.Expr(), celast.NewExprVisitor(func(x celast.Expr) {
		if x.Kind() == celast.CallKind {
			findings = append(findings, e.neverEqual(ast, x)...)
		}
		full := qualified(x)
		if full == "" || inner[x.ID()] {
			return
		}
		for part := x; part.Kind() == celast.SelectKind; {
			part = part.AsSelect().Operand()
			inner[part.ID()] = true
		}
		if f := e.misspelt(full); f != nil && !local[strings.SplitN(full, ".", 2)[0]] {
			f.Offset = offset(ast, x)
			findings = append(findings, *f)
		}
	}))
	return findings
}

// qualified is the dotted name that an expression spells, or empty.
func qualified(x celast.Expr) string {
	switch x.Kind() {
	case celast.IdentKind:
		return x.AsIdent()
	case celast.SelectKind:
		if operand := qualified(x.AsSelect().Operand()); operand != "" {
			return operand + "." + x.AsSelect().FieldName()
		}
	default:
	}
	return ""
}

func (e *Environment) misspelt(full string) *amend.Finding {
	if _, known := e.slots[full]; known {
		return nil
	}
	service, field, dotted := strings.Cut(full, ".")
	_, declared := e.schema.Service(service)
	switch {
	case declared == nil && !dotted:
		return suggest(fmt.Sprintf("%s is not a service, nor anything else that is known here", full), service, e.serviceNames())
	case declared == nil:
		return suggest(fmt.Sprintf("there is no service %s", service), service, e.serviceNames())
	case !dotted:
		return &amend.Finding{Text: fmt.Sprintf("%s is a service; say which field", service), Hint: "one of " + strings.Join(e.fieldNames(declared), ", ")}
	}
	return suggest(fmt.Sprintf("%s has no field %s", service, field), field, e.fieldNames(declared))
}

func suggest(text, word string, candidates []string) *amend.Finding {
	if near := amend.Nearest(word, candidates); near != "" {
		return &amend.Finding{Text: text, Hint: "did you mean " + near + "?"}
	}
	return &amend.Finding{Text: text, Hint: "known are " + strings.Join(candidates, ", ")}
}

func (e *Environment) serviceNames() []string {
	var all []string
	for _, s := range e.schema.Services {
		all = append(all, s.Name)
	}
	return all
}

func (e *Environment) fieldNames(s *amend.Service) []string {
	var all []string
	for full := range maps.Keys(names(s)) {
		all = append(all, strings.TrimPrefix(full, s.Name+"."))
	}
	slices.Sort(all)
	return all
}

// neverEqual finds a field compared with a text that its declared values don't
// hold: such a condition silently never holds (or always does).
func (e *Environment) neverEqual(ast *celast.AST, x celast.Expr) amend.Findings {
	call := x.AsCall()
	if op := call.FunctionName(); (op != "_==_" && op != "_!=_") || len(call.Args()) != 2 {
		return nil
	}
	for i, arg := range call.Args() {
		at, known := e.slots[qualified(arg)]
		other := call.Args()[1-i]
		if !known || at.field < 0 || other.Kind() != celast.LiteralKind {
			continue
		}
		field := e.schema.Services[at.service].Fields[at.field]
		text, isText := other.AsLiteral().Value().(string)
		if isText && len(field.Values) > 0 && !slices.Contains(field.Values, text) {
			f := suggest(fmt.Sprintf("%s is never %q", qualified(arg), text), text, field.Values)
			f.Offset = offset(ast, other)
			return amend.Findings{*f}
		}
	}
	return nil
}

func comprehensionVariables(ast *celast.AST) map[string]bool {
	local := map[string]bool{}
	celast.PreOrderVisit(ast.Expr(), celast.NewExprVisitor(func(x celast.Expr) {
		if x.Kind() == celast.ComprehensionKind {
			c := x.AsComprehension()
			local[c.IterVar()], local[c.IterVar2()], local[c.AccuVar()] = true, true, true
		}
	}))
	return local
}

// offset is where an expression starts: CEL gives a select or an operator the
// position of its sign, people look at its left end.
func offset(ast *celast.AST, x celast.Expr) int {
	for x.Kind() == celast.SelectKind {
		x = x.AsSelect().Operand()
	}
	at, _ := ast.SourceInfo().GetOffsetRange(x.ID())
	return max(0, int(at.Start))
}

func fromIssues(text string, issues *cel.Issues) amend.Findings {
	var findings amend.Findings
	for _, err := range issues.Errors() {
		findings = append(findings, amend.Finding{Offset: charactersBefore(text, err.Location), Text: plainMessage(err.Message)})
	}
	return findings
}

// charactersBefore turns line and column of an expression, which may span
// lines, into a distance from its start.
func charactersBefore(text string, at common.Location) int {
	n := max(0, at.Column())
	for i, line := range strings.SplitAfter(text, "\n") {
		if i+1 >= at.Line() {
			break
		}
		n += len([]rune(line))
	}
	return n
}

var plainer = strings.NewReplacer(
	"_==_", "==", "_!=_", "!=", "_<_", "<", "_<=_", "<=", "_>_", ">", "_>=_", ">=",
	"_&&_", "&&", "_||_", "||", "!_", "!", "_+_", "+", "_-_", "-", "_?_:_", "?:",
	"found no matching overload for", "these types don't go together:", " (in container '')", "",
	"google.protobuf.Timestamp", "timestamp", "google.protobuf.Duration", "duration",
)

func plainMessage(message string) string {
	message = strings.TrimPrefix(message, "Syntax error: ")
	for _, grammar := range []string{"mismatched input", "extraneous input", "no viable alternative at input", "missing '"} {
		rest, found := strings.CutPrefix(message, grammar)
		if !found {
			continue
		}
		if strings.Contains(rest, "<EOF>") {
			return "the expression ends too early"
		}
		what, _, _ := strings.Cut(rest, " expecting ")
		return "this is not an expression: unexpected" + strings.ReplaceAll(" "+strings.TrimSpace(what), " at ", " ")
	}
	if rest, found := strings.CutPrefix(message, "token recognition error at: "); found {
		return "this is not an expression: unexpected " + rest
	}
	return plainType(plainer.Replace(message))
}

// plainType drops CEL's word for nullable: every field is.
func plainType(text string) string {
	for _, t := range []string{"string", "int", "double", "bool"} {
		text = strings.ReplaceAll(text, "wrapper("+t+")", t)
	}
	return text
}
