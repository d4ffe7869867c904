package conditions

import (
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"amend"
)

// Scope is one View at one time, as expressions see it. It is not safe for
// concurrent use, but can be used again for the next view.
type Scope struct {
	env  *Environment
	view *amend.View
	now  time.Time
	null amend.Value // every field of an absent record; nobody writes to it
	odd  bool        // a compiled condition met what it leaves to cel-go
}

// Scope makes the scope of a view. Ages count back from now.
func (e *Environment) Scope(view *amend.View, now time.Time) *Scope {
	return &Scope{env: e, view: view, now: now}
}

// Reset points the scope at another view.
func (s *Scope) Reset(view *amend.View, now time.Time) { s.view, s.now = view, now }

// View is what the scope looks at.
func (s *Scope) View() *amend.View { return s.view }

// Now is the time of the scope.
func (s *Scope) Now() time.Time { return s.now }

// Parent is part of CEL's Activation; there is none.
func (*Scope) Parent() cel.Activation { return nil }

// ResolveName is part of CEL's Activation. An unseen record answers with an
// unknown, which CEL carries through && and || as three-valued logic.
func (s *Scope) ResolveName(name string) (any, bool) {
	at, known := s.env.slots[name]
	if !known {
		return nil, false
	}
	if at.field == isNow {
		return types.Timestamp{Time: s.now}, true
	}
	record := &s.view.Records[at.service]
	if record.Presence == amend.Unseen {
		return at.unknown, true
	}
	switch at.field {
	case isPresent:
		return types.Bool(record.Presence == amend.Present), true
	case isAbsent:
		return types.Bool(record.Presence == amend.Absent), true
	case hasAge:
		return types.Duration{Duration: s.now.Sub(record.ReadAt)}, true
	}
	return toCEL(record.Value(at.field)), true
}

// record is what the view holds of a service.
func (s *Scope) record(service int) *amend.Record {
	if service < len(s.view.Records) {
		return &s.view.Records[service]
	}
	s.odd = true
	return &amend.Record{}
}

// field is one field of a record that was seen. A record that isn't as
// declared, which no connector gives, and a long text are odd: they are left to
// cel-go and its limits.
func (s *Scope) field(r *amend.Record, at slot) *amend.Value {
	if r.Presence != amend.Present {
		return &s.null
	}
	if at.field < len(r.Values) {
		if v := &r.Values[at.field]; (v.Type() == at.typ || v.IsNull()) && len(v.Text()) <= longest {
			return v
		}
	}
	s.odd = true
	return &s.null
}

// toCEL is a value as CEL knows it.
func toCEL(v amend.Value) ref.Val {
	switch v.Type() {
	case amend.String:
		return types.String(v.Text())
	case amend.Int:
		return types.Int(v.Int())
	case amend.Double:
		return types.Double(v.Double())
	case amend.Bool:
		return types.Bool(v.Bool())
	case amend.Timestamp:
		return types.Timestamp{Time: v.Time()}
	case amend.Duration:
		return types.Duration{Duration: v.Duration()}
	case amend.Null:
	}
	return types.NullValue
}

// fromCEL is a scalar result as a Value; false for lists, maps and the like.
func fromCEL(v ref.Val) (amend.Value, bool) {
	switch x := v.(type) {
	case types.String:
		return amend.StringOf(string(x)), true
	case types.Int:
		return amend.IntOf(int64(x)), true
	case types.Double:
		return amend.DoubleOf(float64(x)), true
	case types.Bool:
		return amend.BoolOf(bool(x)), true
	case types.Timestamp:
		return amend.TimeOf(x.Time), true
	case types.Duration:
		return amend.DurationOf(x.Duration), true
	case types.Null:
		return amend.Value{}, true
	}
	return amend.Value{}, false
}
