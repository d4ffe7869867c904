package conditions

import (
	"cmp"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"amend"
)

// predicate says whether something holds of two values; not ok where cel-go
// errs.
type predicate func(a, b amend.Value) (holds, ok bool)

// operation computes a value from two; not ok where cel-go errs.
type operation func(a, b amend.Value) (result amend.Value, ok bool)

// comparison is the predicate of an operator or a function, or nil.
func comparison(function string) predicate {
	switch function {
	case operators.Less:
		return order(func(n int) bool { return n < 0 })
	case operators.LessEquals:
		return order(func(n int) bool { return n <= 0 })
	case operators.Greater:
		return order(func(n int) bool { return n > 0 })
	case operators.GreaterEquals:
		return order(func(n int) bool { return n >= 0 })
	case overloads.StartsWith:
		return texts(strings.HasPrefix)
	case overloads.EndsWith:
		return texts(strings.HasSuffix)
	case overloads.Contains:
		return texts(strings.Contains)
	}
	return nil
}

// calculation is the operation of an operator that gives a number or a time, or
// nil.
func calculation(function string) operation {
	switch function {
	case operators.Add:
		return calculated(func(a, b ref.Val) ref.Val { return a.(traits.Adder).Add(b) })
	case operators.Subtract:
		return difference
	case operators.Multiply:
		return calculated(func(a, b ref.Val) ref.Val { return a.(traits.Multiplier).Multiply(b) })
	case operators.Divide:
		return calculated(func(a, b ref.Val) ref.Val { return a.(traits.Divider).Divide(b) })
	case operators.Modulo:
		return calculated(func(a, b ref.Val) ref.Val { return a.(traits.Modder).Modulo(b) })
	}
	return nil
}

// calculated does arithmetic with cel-go's own values, so that what overflows,
// or leaves the years that CEL knows, is the same. A value has the type that
// was checked, or is null.
func calculated(op func(a, b ref.Val) ref.Val) operation {
	return func(a, b amend.Value) (amend.Value, bool) {
		if a.IsNull() {
			return a, false
		}
		return fromCEL(op(toCEL(a), toCEL(b)))
	}
}

// difference is a - b. That of two times, which every condition on now takes,
// is computed without a detour by cel-go's values.
func difference(a, b amend.Value) (amend.Value, bool) {
	if a.Type() != amend.Timestamp || b.Type() != amend.Timestamp {
		return calculated(func(a, b ref.Val) ref.Val { return a.(traits.Subtractor).Subtract(b) })(a, b)
	}
	from, to := b.Time(), a.Time()
	seconds := to.Unix() - from.Unix()
	if (seconds < to.Unix()) != (from.Unix() > 0) || seconds < math.MinInt64/int64(time.Second) || seconds > math.MaxInt64/int64(time.Second) {
		return a, false
	}
	whole := seconds * int64(time.Second)
	sum := whole + int64(to.Nanosecond()-from.Nanosecond())
	if (sum < whole) != (to.Nanosecond() < from.Nanosecond()) {
		return a, false
	}
	return amend.DurationOf(time.Duration(sum)), true
}

// same is ==, which knows null: NaN equals nothing, and numbers of different
// types are compared by what they are.
func same(a, b *amend.Value) bool {
	if a.Type() != b.Type() {
		return !a.IsNull() && !b.IsNull() && types.Equal(toCEL(*a), toCEL(*b)) == types.True
	}
	if a.Type() == amend.Double {
		return a.Double() == b.Double()
	}
	return *a == *b
}

// order compares two values of a type. NaN is neither less nor greater, nor
// equal, also beside null on its right.
func order(holds func(int) bool) predicate {
	return func(a, b amend.Value) (bool, bool) {
		switch {
		case a.IsNull():
			return false, false
		case notANumber(a) || notANumber(b):
			return false, true
		case b.IsNull():
			return false, false
		}
		return holds(compared(a, b)), true
	}
}

// compared is negative where a is less than b, which has the same type.
func compared(a, b amend.Value) int {
	switch a.Type() {
	case amend.String:
		return strings.Compare(a.Text(), b.Text())
	case amend.Double:
		return cmp.Compare(a.Double(), b.Double())
	case amend.Timestamp:
		return a.Time().Compare(b.Time())
	case amend.Int, amend.Bool, amend.Duration, amend.Null:
	}
	return cmp.Compare(a.Int(), b.Int())
}

func notANumber(v amend.Value) bool {
	return v.Type() == amend.Double && math.IsNaN(v.Double())
}

func texts(holds func(text, part string) bool) predicate {
	return func(a, b amend.Value) (bool, bool) {
		return holds(a.Text(), b.Text()), a.Type() == amend.String && b.Type() == amend.String
	}
}

// size is the length of a text in characters.
func size(v amend.Value) (amend.Value, bool) {
	return amend.IntOf(int64(utf8.RuneCountInString(v.Text()))), v.Type() == amend.String
}

func negative(v amend.Value) (amend.Value, bool) {
	if v.IsNull() {
		return v, false
	}
	return fromCEL(toCEL(v).(traits.Negater).Negate())
}
