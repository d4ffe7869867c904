package conditions

import (
	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// longest is the longest text in bytes, of a field or a literal, that compiled
// conditions look at. It bounds what a condition can cost, so that compiling
// rules out beforehand that cel-go would reach its limit. The address of an
// e-mail has at most 254.
const longest = 256

// maxServices is how many services a decision can need: a bit for each.
const maxServices = 64

// compiled gives the closures that evaluate a checked condition without cel-go,
// or nil where part of it is beyond them: then cel-go evaluates all of it.
// There are no loops but over the lists that are written out in the condition
// and over texts of limited length.
func (e *Environment) compiled(ast *cel.Ast) test {
	dearest, err := e.cel.EstimateCost(ast, limitedTexts{})
	if err != nil || dearest.Max > costLimit {
		return nil
	}
	c := compiler{env: e, ast: ast.NativeRep()}
	return c.test(c.ast.Expr())
}

// limitedTexts says to CEL's estimate of costs how long the texts of fields are.
type limitedTexts struct{}

// EstimateSize is part of CEL's cost.Estimator.
func (limitedTexts) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	if len(node.Path()) == 0 {
		return nil
	}
	return &cost.SizeEstimate{Max: longest}
}

// EstimateCallCost is part of CEL's cost.Estimator: its own estimates hold.
func (limitedTexts) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

// compiler turns a checked expression into tests, where a truth is asked for,
// and parts, where a value is. Both are nil where cel-go must evaluate it.
type compiler struct {
	env *Environment
	ast *celast.AST
}

// test compiles an expression that is true or false.
func (c *compiler) test(x celast.Expr) test {
	if x.Kind() == celast.CallKind && x.AsCall().FunctionName() != operators.Conditional {
		return c.callTest(operands(x))
	}
	if at, known := c.slot(x); known && (at.field == isPresent || at.field == isAbsent) {
		return presence(at)
	}
	if p := c.part(x); p != nil {
		return bare(p)
	}
	return nil
}

func (c *compiler) callTest(function string, args []celast.Expr) test {
	switch function {
	case operators.LogicalAnd, operators.LogicalOr:
		if tests, ok := all(args, c.test); ok {
			return junction(tests, function == operators.LogicalOr)
		}
	case operators.LogicalNot:
		if t := c.test(args[0]); t != nil {
			return not(t)
		}
	case operators.Equals, operators.NotEquals:
		return c.equality(args, function == operators.Equals)
	case operators.In:
		return c.in(args)
	default:
		if holds := comparison(function); holds != nil {
			if parts, ok := all(args, c.part); ok {
				return compare(parts[0], parts[1], holds)
			}
		}
	}
	return nil
}

// part compiles an expression for its value.
func (c *compiler) part(x celast.Expr) part {
	switch x.Kind() {
	case celast.LiteralKind:
		if v, ok := fromCEL(x.AsLiteral()); ok && len(v.Text()) <= longest {
			return constant(v)
		}
	case celast.IdentKind, celast.SelectKind:
		if at, known := c.slot(x); known {
			return read(at)
		}
	case celast.CallKind:
		return c.callPart(x)
	default:
	}
	return nil
}

func (c *compiler) callPart(x celast.Expr) part {
	function, args := operands(x)
	switch function {
	case overloads.TypeConvertDuration:
		return converted(args, types.DurationType)
	case overloads.TypeConvertTimestamp:
		return converted(args, types.TimestampType)
	case operators.Conditional:
		condition := c.test(args[0])
		if parts, ok := all(args[1:], c.part); ok && condition != nil {
			return either(condition, parts[0], parts[1])
		}
		return nil
	}
	if c.ast.GetType(x.ID()).Kind() == types.BoolKind {
		if t := c.callTest(function, args); t != nil {
			return value(t)
		}
		return nil
	}
	parts, ok := all(args, c.part)
	if !ok {
		return nil
	}
	if function == overloads.Size {
		return apply(parts[0], size)
	}
	return c.arithmetic(x, function, parts)
}

// arithmetic compiles what gives a number or a time. Texts and lists grow by +,
// and a quotient of doubles tells -0 from 0, which a Value does not.
func (c *compiler) arithmetic(x celast.Expr, function string, parts []part) part {
	switch c.ast.GetType(x.ID()).Kind() {
	case types.IntKind, types.DurationKind, types.TimestampKind:
	case types.DoubleKind:
		if function == operators.Divide {
			return nil
		}
	default:
		return nil
	}
	if function == operators.Negate {
		return apply(parts[0], negative)
	}
	if op := calculation(function); op != nil {
		return calculate(parts[0], parts[1], op)
	}
	return nil
}

// equality compiles == and !=. A field and a constant, which most conditions
// are made of, are compared in one step.
func (c *compiler) equality(args []celast.Expr, equal bool) test {
	parts, ok := all(args, c.part)
	if !ok {
		return nil
	}
	for i, x := range args {
		at, known := c.slot(x)
		if known && at.field >= 0 && args[1-i].Kind() == celast.LiteralKind {
			return fieldIs(at, parts[1-i](nil).value, equal)
		}
	}
	return equality(parts[0], parts[1], equal)
}

// in compiles the search in a list that is written out.
func (c *compiler) in(args []celast.Expr) test {
	if args[1].Kind() != celast.ListKind || len(args[1].AsList().OptionalIndices()) > 0 {
		return nil
	}
	item := c.part(args[0])
	list, ok := all(args[1].AsList().Elements(), c.part)
	if !ok || item == nil {
		return nil
	}
	return member(item, list)
}

// slot is where a name finds its value; false where it isn't one.
func (c *compiler) slot(x celast.Expr) (slot, bool) {
	if name, checked := c.ast.ReferenceMap()[x.ID()]; checked {
		at, known := c.env.slots[name.Name]
		return at, known && at.service < maxServices
	}
	return slot{}, false
}

// operands are a call's function and what it is applied to.
func operands(x celast.Expr) (function string, args []celast.Expr) {
	call := x.AsCall()
	if call.IsMemberFunction() {
		args = append(args, call.Target())
	}
	return call.FunctionName(), append(args, call.Args()...)
}

// all compiles several expressions; false where one of them can't be.
func all[P test | part](args []celast.Expr, compile func(celast.Expr) P) ([]P, bool) {
	compiled := make([]P, len(args))
	for i, x := range args {
		if compiled[i] = compile(x); compiled[i] == nil {
			return nil, false
		}
	}
	return compiled, true
}

// converted is the constant that duration("3h") or timestamp("…") stands for.
func converted(args []celast.Expr, to ref.Type) part {
	if len(args) != 1 || args[0].Kind() != celast.LiteralKind {
		return nil
	}
	text, ok := args[0].AsLiteral().(types.String)
	if !ok {
		return nil
	}
	if v, ok := fromCEL(text.ConvertToType(to)); ok {
		return constant(v)
	}
	return nil
}
