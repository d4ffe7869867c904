package connectors_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
)

// reader is the reader of one field.
func reader(f amend.Field) *connectors.FieldReader {
	f.Name = "it"
	return &connectors.FieldReaders(&amend.Service{Fields: []amend.Field{f}})[0]
}

// A decimal is read exactly or not at all.
func TestScale(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]any{
		"12.30": 1230, "12.3": 1230, "12": 1200, "0": 0, "-0.01": -1, "0.00": 0, "-0": 0, "12.3000": 1230, "1e2": 10000, "1.23E1": 1230, "12300e-3": 1230,
		"92233720368547758.07": math.MaxInt64, "-92233720368547758.08": math.MinInt64, "12.30000000000000000000000000": 1230, "0e999": 0,
		"12.345": "more decimals", "1e-3": "more decimals", "92233720368547758.08": "larger", "-92233720368547758.09": "larger", "1e30": "larger", "99999999999999999999": "larger",
		"": "not a number", "12,30": "not a number", "1 2": "not a number", "+1": "not a number", ".5": "not a number", "5.": "not a number", "--1": "not a number", "0x1": "not a number", "1e": "not a number", "1e9999999": "not a number", "NaN": "not a number", "١": "not a number",
	} {
		v, err := reader(amend.Field{Type: amend.Int, Scale: 2}).Text([]byte(text))
		if problem, bad := want.(string); bad {
			require.ErrorContains(t, err, problem, text)
			continue
		}
		require.NoError(t, err, text)
		require.EqualValues(t, want, v.Int(), text)
	}
}

func TestFieldReader(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 1, time.UTC)
	for _, test := range []struct {
		field amend.Field
		from  any
		want  any
	}{
		{amend.Field{Type: amend.String}, "x", amend.StringOf("x")},
		{amend.Field{Type: amend.String}, []byte("x"), amend.StringOf("x")},
		{amend.Field{Type: amend.String}, int64(1), "field it is a number, not of type string"},
		{amend.Field{Type: amend.String, Values: []string{"a", "b"}}, "b", amend.StringOf("b")},
		{amend.Field{Type: amend.String, Values: []string{"a", "b"}}, "B", "not declared"},
		{amend.Field{Type: amend.Int}, int64(math.MinInt64), amend.IntOf(math.MinInt64)},
		{amend.Field{Type: amend.Int}, 12.0, "with a fraction"},
		{amend.Field{Type: amend.Int}, "12", "is a text"},
		{amend.Field{Type: amend.Int, Scale: 2}, int64(12), amend.IntOf(1200)},
		{amend.Field{Type: amend.Int, Scale: 2}, 12.30, amend.IntOf(1230)},
		{amend.Field{Type: amend.Int, Scale: 2}, 1234567890123.45, amend.IntOf(123456789012345)},
		{amend.Field{Type: amend.Int, Scale: 2}, 12345678901234.56, "more digits"},
		{amend.Field{Type: amend.Int, Scale: 2}, math.NaN(), "not a number"},
		{amend.Field{Type: amend.Double}, 0.5, amend.DoubleOf(0.5)},
		{amend.Field{Type: amend.Double}, int64(2), amend.DoubleOf(2)},
		{amend.Field{Type: amend.Double}, math.Inf(1), "with a fraction"},
		{amend.Field{Type: amend.Bool}, true, amend.BoolOf(true)},
		{amend.Field{Type: amend.Bool}, "true", "is a text"},
		{amend.Field{Type: amend.Int}, true, "true or false"},
		{amend.Field{Type: amend.Timestamp}, "2026-03-01T13:00:00.000000001+01:00", amend.TimeOf(noon)},
		{amend.Field{Type: amend.Timestamp}, noon, amend.TimeOf(noon)},
		{amend.Field{Type: amend.Timestamp}, "2026-03-01", "RFC 3339"},
		{amend.Field{Type: amend.Timestamp}, int64(1), "is a number"},
		{amend.Field{Type: amend.Bool}, noon, "is a time"},
		{amend.Field{Type: amend.Duration}, "3d", amend.DurationOf(72 * time.Hour)},
		{amend.Field{Type: amend.Duration}, time.Hour, amend.DurationOf(time.Hour)},
		{amend.Field{Type: amend.Duration}, "soon", "not a duration"},
		{amend.Field{Type: amend.Int}, time.Hour, "is a duration"},
		{amend.Field{Type: amend.Int}, nil, "is missing"},
		{amend.Field{Type: amend.Int, Optional: true}, nil, amend.Value{}},
		{amend.Field{Type: amend.String}, []any{"x"}, "a list or an object"},
		{amend.Field{Type: amend.String}, map[string]any{}, "a list or an object"},
	} {
		v, err := reader(test.field).Any(test.from)
		if problem, bad := test.want.(string); bad {
			require.ErrorContains(t, err, problem)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, test.want, v)
	}
}

// What a field can't hold is never repeated.
func TestFieldReaderQuotesNothing(t *testing.T) {
	t.Parallel()
	for typ := amend.String; typ <= amend.Duration; typ++ {
		for _, from := range []any{"canary", []byte("canary"), 7331.7331, int64(7331)} {
			if _, err := reader(amend.Field{Type: typ, Values: []string{"a"}}).Any(from); err != nil {
				require.NotRegexp(t, `canary|7331`, err.Error())
			}
		}
	}
}
