package bank

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// record is one customer as one service shows them at one time.
type record struct {
	c    *customer
	card *card // what the processor shows, or the truth
	now  time.Time
}

// field is one value of a service's records. It is nested at most once:
// "contact.email" stands in the object contact.
type field struct {
	path   string
	append func(b []byte, r *record) []byte

	group string // the object it stands in; "" is the record itself
	open  string // what begins that object
	label string // the field's own name, quoted, and the colon
}

// shape is how a service's records look. It encodes straight into a buffer:
// lists of a thousand records are what an engine's scan is measured against,
// so the bank must never be the slow one.
type shape struct {
	fields []field
	all    uint64 // one bit for each field
	always uint64 // the fields that no mask hides
}

// newShape prepares fields, of which those of one object stand together. The
// first ones, as many as always says, are in every answer.
func newShape(always int, fields ...field) *shape {
	s := &shape{fields: fields, all: 1<<len(fields) - 1, always: 1<<always - 1}
	for i := range fields {
		f := &fields[i]
		name := f.path
		if group, inner, nested := strings.Cut(f.path, "."); nested {
			f.group, name = group, inner
			f.open = `"` + group + `":{`
		}
		f.label = `"` + name + `":`
	}
	return s
}

// mask reads a comma-separated list of paths, of fields or of whole objects.
// An empty list asks for everything; an unknown path is an error.
func (s *shape) mask(paths string) (uint64, error) {
	if paths == "" {
		return s.all, nil
	}
	mask := s.always
	for path := range strings.SplitSeq(paths, ",") {
		var found uint64
		for i := range s.fields {
			if s.fields[i].path == path || s.fields[i].group == path {
				found |= 1 << i
			}
		}
		if found == 0 || path == "" {
			return 0, fmt.Errorf("no field %q", path)
		}
		mask |= found
	}
	return mask, nil
}

// encode appends the record as JSON, restricted to the mask.
func (s *shape) encode(b []byte, r *record, mask uint64) []byte {
	b = append(b, '{')
	group := ""
	for i := range s.fields {
		if mask&(1<<i) == 0 {
			continue
		}
		f := &s.fields[i]
		if f.group != group {
			if group != "" {
				b = append(b, '}')
			}
			b = appendComma(b)
			b = append(b, f.open...)
			group = f.group
		} else {
			b = appendComma(b)
		}
		b = append(b, f.label...)
		b = f.append(b, r)
	}
	if group != "" {
		b = append(b, '}')
	}
	return append(b, '}')
}

// appendComma separates what follows from what stands before it in the same
// object.
func appendComma(b []byte) []byte {
	if b[len(b)-1] == '{' {
		return b
	}
	return append(b, ',')
}

// appendString appends a JSON string. Nearly all of the bank's own text needs
// no escapes; the rest, which came from callers, goes the long way.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, err := json.Marshal(s)
			if err != nil {
				panic(err) // a string always has a JSON form
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// appendTime appends a time of RFC 3339 with milliseconds.
func appendTime(b []byte, t time.Time) []byte {
	b = append(b, '"')
	b = t.AppendFormat(b, "2006-01-02T15:04:05.000Z")
	return append(b, '"')
}

// appendCents appends an amount as a decimal string, such as "12.30".
func appendCents(b []byte, cents int64) []byte {
	b = append(b, '"')
	if cents < 0 {
		b, cents = append(b, '-'), -cents
	}
	b = appendDigits(b, uint64(cents/100), 1)
	b = append(b, '.')
	b = appendDigits(b, uint64(cents%100), 2)
	return append(b, '"')
}

// appendDigits appends n with at least width digits.
func appendDigits(b []byte, n uint64, width int) []byte {
	var digits [20]byte
	at := len(digits)
	for n > 0 || len(digits)-at < width {
		at--
		digits[at] = byte('0' + n%10)
		n /= 10
	}
	return append(b, digits[at:]...)
}

// text is a field whose value is a string.
func text(path string, of func(r *record) string) field {
	return field{path: path, append: func(b []byte, r *record) []byte { return appendString(b, of(r)) }}
}

// constant is a field that is the same JSON for everybody.
func constant(path, value string) field {
	return field{path: path, append: func(b []byte, _ *record) []byte { return append(b, value...) }}
}

// instant is a field whose value is a time.
func instant(path string, of func(r *record) time.Time) field {
	return field{path: path, append: func(b []byte, r *record) []byte { return appendTime(b, of(r)) }}
}

// amount is a field whose value is money.
func amount(path string, of func(r *record) int64) field {
	return field{path: path, append: func(b []byte, r *record) []byte { return appendCents(b, of(r)) }}
}

// coded is a field whose value is a prefix and digits made up from the
// customer's seed. The path salts it, so that no two fields look alike.
func coded(path, prefix string, width int) field {
	salt := mix(path)
	return field{path: path, append: func(b []byte, r *record) []byte {
		b = append(b, '"')
		b = append(b, prefix...)
		b = appendDigits(b, scramble(r.c.seed^salt)%pow10(width), width)
		return append(b, '"')
	}}
}

func pow10(n int) uint64 {
	p := uint64(1)
	for range n {
		p *= 10
	}
	return p
}
