package amend

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Type is the type of a field, of an argument and of a Value.
type Type uint8

// The types that the configuration language knows. Null is the type of a
// missing optional field and of every field of an absent record.
const (
	Null Type = iota
	String
	Int
	Double
	Bool
	Timestamp
	Duration
)

var typeNames = [...]string{"null", "string", "int", "double", "bool", "timestamp", "duration"}

// TypeNames are the types that a field or an argument can be declared with.
func TypeNames() []string { return append([]string(nil), typeNames[1:]...) }

// String is the type's name in the configuration language.
func (t Type) String() string { return typeNames[t] }

// UnmarshalText reads a type's name; null can't be declared.
func (t *Type) UnmarshalText(text []byte) error {
	for i, name := range typeNames[1:] {
		if name == string(text) {
			*t = Type(i + 1)
			return nil
		}
	}
	next := "known are " + strings.Join(typeNames[1:], ", ")
	if near := Nearest(string(text), typeNames[1:]); near != "" {
		next = "did you mean " + near + "?"
	}
	return &Error{Code: Invalid, Text: fmt.Sprintf("%q is not a type", text), Next: next}
}

// Value is one scalar: a field of a record or an argument of an operation. It
// is small, flat and comparable, so that a view costs no maps and two values
// are the same exactly if == says so. The zero Value is null.
type Value struct {
	str  string
	num  int64 // int, bool, duration in ns, seconds of a timestamp, bits of a double
	frac int32 // nanoseconds of a timestamp
	typ  Type
}

// StringOf makes a string value.
func StringOf(s string) Value { return Value{typ: String, str: s} }

// IntOf makes an int value.
func IntOf(n int64) Value { return Value{typ: Int, num: n} }

// DoubleOf makes a double value; -0 is 0.
func DoubleOf(f float64) Value { return Value{typ: Double, num: int64(math.Float64bits(f + 0))} }

// BoolOf makes a bool value.
func BoolOf(b bool) Value {
	if b {
		return Value{typ: Bool, num: 1}
	}
	return Value{typ: Bool}
}

// TimeOf makes a timestamp value; the zone is dropped, the nanosecond kept.
func TimeOf(t time.Time) Value {
	return Value{typ: Timestamp, num: t.Unix(), frac: int32(t.Nanosecond())}
}

// DurationOf makes a duration value.
func DurationOf(d time.Duration) Value { return Value{typ: Duration, num: int64(d)} }

// Type says which of the accessors below is meant.
func (v Value) Type() Type { return v.typ }

// IsNull reports whether there is no value.
func (v Value) IsNull() bool { return v.typ == Null }

// Text is the string of a string value.
func (v Value) Text() string { return v.str }

// Int is the number of an int value.
func (v Value) Int() int64 { return v.num }

// Double is the number of a double value.
func (v Value) Double() float64 { return math.Float64frombits(uint64(v.num)) }

// Bool is the truth of a bool value.
func (v Value) Bool() bool { return v.num != 0 }

// Time is the time of a timestamp value, in UTC.
func (v Value) Time() time.Time { return time.Unix(v.num, int64(v.frac)).UTC() }

// Duration is the duration of a duration value.
func (v Value) Duration() time.Duration { return time.Duration(v.num) }

// String shows the value to people; null is "null".
func (v Value) String() string {
	switch v.typ {
	case Null:
		return "null"
	case String:
		return v.str
	case Int:
		return strconv.FormatInt(v.num, 10)
	case Double:
		return strconv.FormatFloat(v.Double(), 'g', -1, 64)
	case Bool:
		return strconv.FormatBool(v.Bool())
	case Timestamp:
		return v.Time().Format(time.RFC3339Nano)
	case Duration:
		return v.Duration().String()
	}
	return "invalid"
}

// Plain is the value as JSON knows it: nil, string, int64, float64 or bool;
// times and durations as text.
func (v Value) Plain() any {
	switch v.typ {
	case Null:
		return nil
	case Int:
		return v.num
	case Double:
		return v.Double()
	case Bool:
		return v.Bool()
	case String, Timestamp, Duration:
	}
	return v.String()
}

// MarshalText writes the value with its type, as stored beside an intent:
// "int:1230". It loses nothing.
func (v Value) MarshalText() ([]byte, error) {
	return []byte(v.typ.String() + ":" + v.String()), nil
}

// UnmarshalText reads what MarshalText wrote.
func (v *Value) UnmarshalText(text []byte) error {
	name, rest, _ := strings.Cut(string(text), ":")
	if name == "null" {
		*v = Value{}
		return nil
	}
	var t Type
	if err := t.UnmarshalText([]byte(name)); err != nil {
		return err
	}
	parsed, err := ParseValue(t, rest)
	if err != nil {
		return err
	}
	*v = parsed
	return nil
}

// ParseValue reads the text of a value of a given type: numbers in decimal,
// timestamps in RFC 3339, durations as Go writes them.
func ParseValue(t Type, text string) (Value, error) {
	switch t {
	case String:
		return StringOf(text), nil
	case Int:
		n, err := strconv.ParseInt(text, 10, 64)
		return IntOf(n), err
	case Double:
		f, err := strconv.ParseFloat(text, 64)
		return DoubleOf(f), err
	case Bool:
		b, err := strconv.ParseBool(text)
		return BoolOf(b), err
	case Timestamp:
		at, err := time.Parse(time.RFC3339Nano, text)
		return TimeOf(at), err
	case Duration:
		d, err := time.ParseDuration(text)
		return DurationOf(d), err
	case Null:
	}
	return Value{}, fmt.Errorf("%q can't be read as %s", text, t)
}
