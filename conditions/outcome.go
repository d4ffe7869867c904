package conditions

import (
	"math/bits"

	"amend"
)

// test computes what a piece of a condition comes to, as cel-go would, where
// that is a truth.
type test func(*Scope) decision

// decision is what a test comes to. Of an error only the fact is kept: cel-go
// then evaluates the condition once more and says what is wrong.
type decision struct {
	truth Truth
	needs uint64 // where undecided: a bit for each service that would be needed
}

// part is the counterpart of a test for values.
type part func(*Scope) outcome

// outcome is a value, or what it would need, or an error.
type outcome struct {
	value amend.Value
	needs uint64
	erred bool
}

func (o outcome) known() bool { return o.needs == 0 && !o.erred }

// open is undecided for want of services, or an error where it needs none.
func open(needs uint64) decision {
	if needs == 0 {
		return decision{truth: Erred}
	}
	return decision{truth: Undecided, needs: needs}
}

func truth(b bool) decision {
	if b {
		return decision{truth: True}
	}
	return decision{truth: False}
}

// services are the indexes of the bits.
func services(needs uint64) []int {
	all := make([]int, 0, bits.OnesCount64(needs))
	for ; needs != 0; needs &= needs - 1 {
		all = append(all, bits.TrailingZeros64(needs))
	}
	return all
}

func constant(v amend.Value) part {
	known := outcome{value: v}
	return func(*Scope) outcome { return known }
}

// read gives what a name stands for, as Scope.ResolveName does.
func read(at slot) part {
	switch at.field {
	case isNow:
		return func(s *Scope) outcome { return outcome{value: amend.TimeOf(s.now)} }
	case isPresent, isAbsent:
		return value(presence(at))
	}
	return func(s *Scope) outcome {
		r := s.record(at.service)
		switch {
		case r.Presence == amend.Unseen:
			return outcome{needs: 1 << at.service}
		case at.field == hasAge:
			return outcome{value: amend.DurationOf(s.now.Sub(r.ReadAt))}
		}
		return outcome{value: *s.field(r, at)}
	}
}

func presence(at slot) test {
	wanted := amend.Present
	if at.field == isAbsent {
		wanted = amend.Absent
	}
	return func(s *Scope) decision {
		r := s.record(at.service)
		if r.Presence == amend.Unseen {
			return open(1 << at.service)
		}
		return truth(r.Presence == wanted)
	}
}

// fieldIs compares a field with a constant.
func fieldIs(at slot, constant amend.Value, equal bool) test {
	return func(s *Scope) decision {
		r := s.record(at.service)
		if r.Presence == amend.Unseen {
			return open(1 << at.service)
		}
		return truth(same(s.field(r, at), &constant) == equal)
	}
}

// value is a test's truth as a value.
func value(t test) part {
	return func(s *Scope) outcome {
		d := t(s)
		return outcome{value: amend.BoolOf(d.truth == True), needs: d.needs, erred: d.truth == Erred}
	}
}

// bare is the truth of a value by itself. Null is neither true nor false.
func bare(p part) test {
	return func(s *Scope) decision {
		o := p(s)
		if !o.known() || o.value.Type() != amend.Bool {
			return open(o.needs)
		}
		return truth(o.value.Bool())
	}
}

// junction is && or ||: one test that is false, or true, decides it whatever
// the others are, even if they err; else what is unseen counts more than an
// error.
func junction(tests []test, or bool) test {
	decides, otherwise := False, True
	if or {
		decides, otherwise = True, False
	}
	return func(s *Scope) decision {
		var needs uint64
		result := otherwise
		for _, t := range tests {
			d := t(s)
			if d.truth == decides {
				return d
			}
			needs |= d.needs
			if d.truth != otherwise {
				result = Erred
			}
		}
		if needs != 0 {
			result = Undecided
		}
		return decision{truth: result, needs: needs}
	}
}

func not(t test) test {
	return func(s *Scope) decision {
		d := t(s)
		switch d.truth {
		case True:
			d.truth = False
		case False:
			d.truth = True
		case Undecided, Erred:
		}
		return d
	}
}

// either is condition ? yes : no.
func either(condition test, yes, no part) part {
	return func(s *Scope) outcome {
		d := condition(s)
		switch d.truth {
		case True:
			return yes(s)
		case False:
			return no(s)
		case Undecided, Erred:
		}
		return outcome{needs: d.needs, erred: d.truth == Erred}
	}
}

// equality is == or !=. An error on either side counts more than what is
// unseen, other than in all other operators.
func equality(left, right part, equal bool) test {
	return func(s *Scope) decision {
		a := left(s)
		if a.erred {
			return open(0)
		}
		b := right(s)
		switch {
		case b.erred:
			return open(0)
		case a.needs|b.needs != 0:
			return open(a.needs | b.needs)
		}
		return truth(same(&a.value, &b.value) == equal)
	}
}

// operandsOf evaluates two parts that an operator needs both. The right one's
// error is hidden by what the left one needs, not the other way round.
func operandsOf(s *Scope, left, right part) (a, b outcome) {
	if a = left(s); a.erred {
		return a, a
	}
	b = right(s)
	if !b.known() && a.needs == 0 {
		return b, b
	}
	return outcome{value: a.value, needs: a.needs | b.needs}, b
}

// compare is an operator with a truth for a result.
func compare(left, right part, holds predicate) test {
	return func(s *Scope) decision {
		a, b := operandsOf(s, left, right)
		if !a.known() {
			return open(a.needs)
		}
		result, ok := holds(a.value, b.value)
		if !ok {
			return open(0)
		}
		return truth(result)
	}
}

// calculate is an operator with a value for a result.
func calculate(left, right part, op operation) part {
	return func(s *Scope) outcome {
		a, b := operandsOf(s, left, right)
		if !a.known() {
			return a
		}
		v, ok := op(a.value, b.value)
		return outcome{value: v, erred: !ok}
	}
}

// apply is an operator or a function of one value.
func apply(operand part, op func(amend.Value) (amend.Value, bool)) part {
	return func(s *Scope) outcome {
		a := operand(s)
		if !a.known() {
			return a
		}
		v, ok := op(a.value)
		return outcome{value: v, erred: !ok}
	}
}

// member is item in [list]. All of the list is evaluated, and its first error
// ends it.
func member(item part, list []part) test {
	return func(s *Scope) decision {
		sought := item(s)
		if sought.erred {
			return open(0)
		}
		found := false
		var needs uint64
		for _, p := range list {
			o := p(s)
			if o.erred { // hidden by what the item needs
				return open(sought.needs)
			}
			needs |= o.needs
			found = found || same(&sought.value, &o.value)
		}
		if needs |= sought.needs; needs != 0 {
			return open(needs)
		}
		return truth(found)
	}
}
