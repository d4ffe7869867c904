package conditions

import (
	"strings"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"amend"
)

// sum adds up a list of ints: sum(item.cards.map(c, c.limit)).
func sum() cel.EnvOption {
	return cel.Function("sum", cel.Overload("sum_list_int", []*cel.Type{cel.ListType(cel.IntType)}, cel.IntType,
		cel.UnaryBinding(func(list ref.Val) ref.Val {
			var total ref.Val = types.Int(0)
			for it := list.(traits.Lister).Iterator(); it.HasNext() == types.True; {
				n, ok := it.Next().(types.Int)
				if !ok {
					return types.NewErr("sum() adds up ints only")
				}
				total = total.(types.Int).Add(n)
			}
			return total
		})))
}

// longDurations converts duration("3d") and duration("7y") when compiling,
// since CEL itself knows neither days nor years.
func longDurations() cel.EnvOption {
	return cel.Macros(cel.GlobalMacro("duration", 1,
		func(f cel.MacroExprFactory, _ celast.Expr, args []celast.Expr) (celast.Expr, *cel.Error) {
			if args[0].Kind() != celast.LiteralKind {
				return nil, nil
			}
			text, ok := args[0].AsLiteral().Value().(string)
			if !ok || !strings.HasSuffix(text, "d") && !strings.HasSuffix(text, "y") {
				return nil, nil
			}
			d, err := amend.ParseDuration(text)
			if err != nil {
				return nil, f.NewError(args[0].ID(), err.Error())
			}
			return f.NewCall("duration", f.NewLiteral(types.String(d.String()))), nil
		}))
}
