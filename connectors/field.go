package connectors

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"amend"
)

// FieldReader turns what a service says of one field into a Value. All kinds
// share it, so that the same text means the same everywhere. Its errors name
// the field and never the value. It is safe for concurrent use.
type FieldReader struct {
	field  *amend.Field
	values []amend.Value // the declared values, each kept once
}

// FieldReaders are the readers of a service's fields, by Record.Values index.
func FieldReaders(s *amend.Service) []FieldReader {
	readers := make([]FieldReader, len(s.Fields))
	for i := range s.Fields {
		readers[i].field = &s.Fields[i]
		for _, v := range s.Fields[i].Values {
			readers[i].values = append(readers[i].values, amend.StringOf(v))
		}
	}
	return readers
}

// Name is the field's name.
func (r *FieldReader) Name() string { return r.field.Name }

// Text reads a text: a string, a time in RFC 3339, a duration such as 5m, or a
// decimal where the field has a scale.
func (r *FieldReader) Text(text []byte) (amend.Value, error) {
	return r.TextIn(nil, text)
}

// TextIn is Text for many records whose strings may share memory.
func (r *FieldReader) TextIn(texts *Texts, text []byte) (amend.Value, error) {
	switch r.field.Type {
	case amend.String:
		return r.declared(texts, text)
	case amend.Timestamp:
		return r.timestamp(text)
	case amend.Duration:
		d, err := amend.ParseDuration(string(text))
		if err != nil {
			return r.fail("is not a duration")
		}
		return amend.DurationOf(d), nil
	case amend.Int:
		if r.field.Scale > 0 {
			return r.scaled(text)
		}
	case amend.Null, amend.Double, amend.Bool:
	}
	return r.wrong("a text")
}

// declared keeps the text of a declared value once for all records.
func (r *FieldReader) declared(texts *Texts, text []byte) (amend.Value, error) {
	for i := range r.values {
		if r.values[i].Text() == string(text) {
			return r.values[i], nil
		}
	}
	if len(r.values) > 0 {
		return r.fail("has a value that is not declared")
	}
	return amend.StringOf(texts.Of(text)), nil
}

func (r *FieldReader) timestamp(text []byte) (amend.Value, error) {
	at, common := commonTime(text)
	if !common {
		if err := at.UnmarshalText(text); err != nil {
			return r.fail("is not a time in RFC 3339")
		}
	}
	return amend.TimeOf(at), nil
}

// Number reads a number in decimal, as JSON writes it. An int must be written
// as one: 12.0 and 1e3 are not ints.
func (r *FieldReader) Number(text []byte) (amend.Value, error) {
	switch r.field.Type {
	case amend.Int:
		if r.field.Scale == 0 && bytes.ContainsAny(text, ".eE") {
			return r.wrong("a number with a fraction")
		}
		return r.scaled(text)
	case amend.Double:
		f, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			return r.fail("is not a double that can be held")
		}
		return amend.DoubleOf(f), nil
	case amend.Null, amend.String, amend.Bool, amend.Timestamp, amend.Duration:
	}
	return r.wrong("a number")
}

func (r *FieldReader) scaled(text []byte) (amend.Value, error) {
	n, err := decimal(text, r.field.Scale)
	if err != nil {
		return r.fail(err.Error())
	}
	return amend.IntOf(n), nil
}

// Bool reads true or false.
func (r *FieldReader) Bool(b bool) (amend.Value, error) {
	if r.field.Type != amend.Bool {
		return r.wrong("true or false")
	}
	return amend.BoolOf(b), nil
}

// Null reads a null or a missing value, which only an optional field may have.
func (r *FieldReader) Null() (amend.Value, error) {
	if !r.field.Optional {
		return r.fail("is missing")
	}
	return amend.Value{}, nil
}

// exactDigits is how many decimal digits a float64 always keeps.
const exactDigits = 15

// Any reads plain Go: nil, string, []byte, int64, float64, bool, time.Time or
// time.Duration.
func (r *FieldReader) Any(v any) (amend.Value, error) {
	switch x := v.(type) {
	case nil:
		return r.Null()
	case string:
		return r.Text([]byte(x))
	case []byte:
		return r.Text(x)
	case int64:
		return r.Number(strconv.AppendInt(nil, x, 10))
	case float64:
		return r.float(x)
	case bool:
		return r.Bool(x)
	case time.Time:
		if r.field.Type == amend.Timestamp {
			return amend.TimeOf(x), nil
		}
		return r.wrong("a time")
	case time.Duration:
		if r.field.Type == amend.Duration {
			return amend.DurationOf(x), nil
		}
		return r.wrong("a duration")
	}
	return r.wrong("a list or an object")
}

// float reads a number that was a float64 already. As a scaled int it is exact
// only while all of its decimal digits were kept.
func (r *FieldReader) float(f float64) (amend.Value, error) {
	switch {
	case r.field.Type == amend.Double && !math.IsNaN(f) && !math.IsInf(f, 0):
		return amend.DoubleOf(f), nil
	case r.field.Type != amend.Int || r.field.Scale == 0:
		return r.wrong("a number with a fraction")
	}
	text := strconv.AppendFloat(nil, f, 'f', -1, 64)
	if len(bytes.Trim(bytes.Replace(text, []byte("."), nil, 1), "-0")) > exactDigits {
		return r.fail("has more digits than its source keeps exactly")
	}
	return r.scaled(text)
}

func (r *FieldReader) wrong(got string) (amend.Value, error) {
	return amend.Value{}, fmt.Errorf("field %s is %s, not of type %s", r.field.Name, got, r.field.Type)
}

func (r *FieldReader) fail(problem string) (amend.Value, error) {
	return amend.Value{}, fmt.Errorf("field %s %s", r.field.Name, problem)
}

var (
	errNotDecimal = errors.New("is not a number")
	errTooPrecise = errors.New("has more decimals than its scale")
	errTooLarge   = errors.New("is larger than an int can hold")
)

// decimal reads "-12.30" or 1.23e1 exactly as an int of a scale. Zeros beyond
// the scale change nothing and are accepted.
func decimal(text []byte, scale int) (int64, error) {
	digits, negative := bytes.CutPrefix(text, []byte("-"))
	shift := scale
	if at := bytes.IndexAny(digits, "eE"); at >= 0 {
		exponent, err := strconv.ParseInt(string(digits[at+1:]), 10, 16)
		if err != nil {
			return 0, errNotDecimal
		}
		digits, shift = digits[:at], shift+int(exponent)
	}
	whole, fraction, dotted := bytes.Cut(digits, []byte("."))
	if len(whole) == 0 || dotted && len(fraction) == 0 {
		return 0, errNotDecimal
	}
	fraction = bytes.TrimRight(fraction, "0")
	n, err := accumulate(0, whole)
	if err == nil {
		n, err = accumulate(n, fraction)
	}
	if err == nil {
		n, err = shifted(n, shift-len(fraction))
	}
	switch {
	case err != nil || negative:
		return n, err
	case n == math.MinInt64:
		return 0, errTooLarge
	}
	return -n, nil
}

// accumulate appends digits to a number that is kept negative, since the
// smallest int has no positive.
func accumulate(n int64, digits []byte) (int64, error) {
	for _, c := range digits {
		digit := int64(c) - '0'
		if digit < 0 || digit > 9 {
			return 0, errNotDecimal
		}
		if n < (math.MinInt64+digit)/10 {
			return 0, errTooLarge
		}
		n = n*10 - digit
	}
	return n, nil
}

// shifted multiplies a negative number by a power of ten, exactly.
func shifted(n int64, places int) (int64, error) {
	for ; places > 0 && n != 0; places-- {
		if n < math.MinInt64/10 {
			return 0, errTooLarge
		}
		n *= 10
	}
	for ; places < 0 && n != 0; places++ {
		if n%10 != 0 {
			return 0, errTooPrecise
		}
		n /= 10
	}
	return n, nil
}
