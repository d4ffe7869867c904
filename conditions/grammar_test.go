package conditions_test

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"amend"
)

// choices draws from the bytes of a fuzzer; where they end, it draws the first
// of everything, so that what is written comes to an end.
type choices []byte

func (c *choices) below(n int) int {
	if len(*c) == 0 {
		return 0
	}
	first := (*c)[0]
	*c = (*c)[1:]
	return int(first) % n
}

func (c *choices) of(all ...string) string { return all[c.below(len(all))] }

// grammarSchema has two services with two optional fields of each type.
func grammarSchema() *amend.Schema {
	schema := &amend.Schema{Entity: amend.Entity{Name: "customer"}}
	for _, name := range []string{"a", "b"} {
		service := amend.Service{Name: name}
		for _, typ := range []amend.Type{amend.String, amend.Int, amend.Double, amend.Bool, amend.Timestamp, amend.Duration} {
			for i := range 2 {
				service.Fields = append(service.Fields, amend.Field{Name: fmt.Sprintf("%s%d", letters[typ], i), Type: typ, Optional: true})
			}
		}
		schema.Services = append(schema.Services, service)
	}
	return schema
}

var letters = map[amend.Type]string{amend.String: "s", amend.Int: "i", amend.Double: "d", amend.Bool: "b", amend.Timestamp: "t", amend.Duration: "p"}

// field writes a field of the type.
func (c *choices) field(typ amend.Type) string {
	return c.of("a.", "b.") + letters[typ] + c.of("0", "1")
}

// boolean writes an expression that is true or false; depth bounds its size.
func (c *choices) boolean(depth int) string {
	if depth <= 0 {
		return c.of("a.present", "b.absent", "b.present", "a.absent", c.field(amend.Bool), "true", "false")
	}
	depth--
	switch c.below(16) {
	case 0, 1, 2:
		return "(" + c.boolean(depth) + " && " + c.boolean(depth) + ")"
	case 3, 4, 5:
		return "(" + c.boolean(depth) + " || " + c.boolean(depth) + ")"
	case 6:
		return "!" + c.boolean(depth)
	case 7:
		return "(" + c.boolean(depth) + " ? " + c.boolean(depth) + " : " + c.boolean(depth) + ")"
	case 8, 9:
		typ := amend.Type(c.below(6) + 1)
		return "(" + c.value(typ, depth) + c.of(" == ", " != ") + c.value(typ, depth) + ")"
	case 10:
		sides := []string{c.value(amend.Type(c.below(6)+1), depth), "null"}
		first := c.below(2)
		return "(" + sides[first] + c.of(" == ", " != ") + sides[1-first] + ")"
	case 11, 12:
		typ := amend.Type(c.below(6) + 1)
		return "(" + c.value(typ, depth) + c.of(" < ", " <= ", " > ", " >= ") + c.value(typ, depth) + ")"
	case 13:
		typ := amend.Type(c.below(6) + 1)
		items := make([]string, c.below(4))
		for i := range items {
			items[i] = c.value(typ, depth)
		}
		if c.below(8) == 7 {
			items = append(items, "null")
		}
		return "(" + c.value(typ, depth) + " in [" + strings.Join(items, ", ") + "])"
	case 14:
		return c.value(amend.String, depth) + c.of(".startsWith(", ".endsWith(", ".contains(") + c.value(amend.String, depth) + ")"
	}
	// Numbers of two types, and what isn't compiled and must not be mistaken for
	// what is.
	return c.of("(a.i0 in [1, 2.5, a.d0])", "(a.d1 in [1, -1.5, a.i0])", "(null in [a.i0])", `a.s0.matches("^a")`, `["a", "b"].exists(x, x == a.s0)`, `a.s0.lowerAscii() == b.s0`, `dyn(a.i0) == b.d0`, `a.s0 + b.s0 == "ab"`, `1.0 / -a.d0 < 0.0`, `a.t0.getFullYear() > 2000`, `[a.i0, 1] == [b.i0, 1]`)
}

// value writes an expression of the type.
func (c *choices) value(typ amend.Type, depth int) string {
	if depth <= 0 || c.below(3) == 0 {
		if c.below(3) == 2 {
			return c.literal(typ)
		}
		return c.field(typ)
	}
	depth--
	if c.below(6) == 5 {
		return "(" + c.boolean(depth) + " ? " + c.value(typ, depth) + " : " + c.value(typ, depth) + ")"
	}
	two := func(left amend.Type, operator string, right amend.Type) string {
		return "(" + c.value(left, depth) + operator + c.value(right, depth) + ")"
	}
	switch typ {
	case amend.Bool:
		return c.boolean(depth)
	case amend.Int:
		switch c.below(3) {
		case 0:
			return "(-" + c.value(typ, depth) + ")"
		case 1:
			return c.of("size(", "(") + c.value(amend.String, depth) + c.of(")", ").size()")
		}
		return two(typ, c.of(" + ", " - ", " * ", " / ", " % "), typ)
	case amend.Double:
		if c.below(5) == 0 {
			return "(-" + c.value(typ, depth) + ")"
		}
		return two(typ, c.of(" + ", " - ", " * "), typ)
	case amend.Timestamp:
		if c.below(3) == 0 {
			return two(amend.Duration, " + ", typ)
		}
		return two(typ, c.of(" + ", " - "), amend.Duration)
	case amend.Duration:
		if c.below(2) == 0 {
			return two(amend.Timestamp, " - ", amend.Timestamp)
		}
		return two(typ, c.of(" + ", " - "), typ)
	case amend.String, amend.Null:
	}
	return c.field(typ)
}

func (c *choices) literal(typ amend.Type) string {
	switch typ {
	case amend.String:
		return strconv.Quote(c.of("", "a", "ab", "ü", "€😀", strings.Repeat("long", 70)))
	case amend.Int:
		return c.of("0", "1", "-1", "2", "7", "9223372036854775807", "-9223372036854775808")
	case amend.Double:
		return c.of("0.0", "-0.0", "1.0", "-1.5", "1e308", "9223372036854775807.0", "5e-324")
	case amend.Bool:
		return c.of("true", "false")
	case amend.Timestamp:
		return c.of("now", `timestamp("0001-01-01T00:00:00Z")`, `timestamp("9999-12-31T23:59:59.999999999Z")`, `timestamp("2026-03-01T13:00:00+01:00")`)
	case amend.Duration:
		return c.of("a.age", "b.age", `duration("3d")`, `duration("0s")`, `duration("-1ns")`, `duration("290y")`, `duration("-2562047h47m16.854775808s")`)
	case amend.Null:
	}
	return "null"
}

// view draws a view and a time: records of every presence, nulls, the ends of
// every type, texts that are no UTF-8 or longer than what is compiled, and at
// times a record that isn't as declared.
func (c *choices) view(schema *amend.Schema) (*amend.View, time.Time) {
	now := []time.Time{noon, noon.Add(time.Nanosecond), time.Unix(1<<40, 0), noon.In(time.FixedZone("x", 3600)), time.Now()}[c.below(5)]
	view := &amend.View{}
	for _, service := range schema.Services {
		switch c.below(5) {
		case 3:
			view.Records = append(view.Records, absent)
			continue
		case 4:
			view.Records = append(view.Records, unseen)
			continue
		}
		record := amend.Record{Presence: amend.Present, ReadAt: now.Add(-time.Duration(c.below(3)) * time.Hour)}
		for _, field := range service.Fields {
			record.Values = append(record.Values, c.drawn(field.Type))
		}
		if odd := c.below(64); odd == 63 {
			record.Values = record.Values[:5]
		} else if odd == 62 {
			record.Values[1] = amend.IntOf(7)
		}
		view.Records = append(view.Records, record)
	}
	if c.below(64) == 63 {
		view.Records = view.Records[:1]
	}
	return view, now
}

// longText is one whose comparison alone exceeds the cost limit.
var longText = strings.Repeat("x", 600_000)

func (c *choices) drawn(typ amend.Type) amend.Value {
	pick := c.below(9)
	if pick == 8 {
		return amend.Value{}
	}
	switch typ {
	case amend.String:
		return amend.StringOf([]string{"", "a", "ab", "ü", "€😀", "\xff\xfe", longText[:256], longText}[pick])
	case amend.Int:
		return amend.IntOf([]int64{0, 1, -1, 2, 7, math.MaxInt64, math.MinInt64, 1 << 53}[pick])
	case amend.Double:
		return amend.DoubleOf([]float64{0, 1, -1.5, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, 1 << 63}[pick])
	case amend.Bool:
		return amend.BoolOf(pick%2 == 0)
	case amend.Timestamp:
		return amend.TimeOf([]time.Time{noon, {}, noon.Add(1), time.Unix(253402300799, 999_999_999), time.Unix(-62135596800, 0), time.Unix(math.MaxInt64, 0), time.Unix(math.MinInt64, 5), noon.Add(-72 * time.Hour)}[pick])
	case amend.Duration:
		return amend.DurationOf([]time.Duration{0, 1, -1, time.Hour, 72 * time.Hour, math.MaxInt64, math.MinInt64, math.MinInt64 + 1}[pick])
	case amend.Null:
	}
	return amend.Value{}
}
