package amend_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"amend"
)

// value draws any value that a record can hold.
func value() *rapid.Generator[amend.Value] {
	return rapid.OneOf(
		rapid.Just(amend.Value{}),
		rapid.Map(rapid.String(), amend.StringOf), rapid.Map(rapid.Int64(), amend.IntOf), rapid.Map(rapid.Bool(), amend.BoolOf),
		rapid.Map(rapid.Float64(), amend.DoubleOf),
		rapid.Map(rapid.Int64(), func(n int64) amend.Value { return amend.DurationOf(time.Duration(n)) }),
		rapid.Custom(func(t *rapid.T) amend.Value {
			// RFC 3339 knows the years 0 to 9999.
			return amend.TimeOf(time.Unix(rapid.Int64Range(-62167219200, 253402300799).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")))
		}))
}

func TestValue(t *testing.T) {
	t.Parallel()
	t.Run("SurvivesTheStore", rapid.MakeCheck(func(t *rapid.T) {
		want := map[string]amend.Value{"a": value().Draw(t, "a"), "b": value().Draw(t, "b")}
		text, err := json.Marshal(want)
		require.NoError(t, err)
		var got map[string]amend.Value
		require.NoError(t, json.Unmarshal(text, &got))
		require.Equal(t, want, got)
		require.Equal(t, want["a"] == want["b"], got["a"] == got["b"])
	}))
	t.Run("ComparableByMeaning", func(t *testing.T) {
		t.Parallel()
		noon := time.Date(2026, 3, 1, 12, 0, 0, 1, time.UTC)
		require.True(t, amend.TimeOf(noon) == amend.TimeOf(noon.In(time.FixedZone("x", 3600))), "zones don't matter") //nolint:testifylint // == is what is tested
		require.NotEqual(t, amend.TimeOf(noon), amend.TimeOf(noon.Add(1)))
		distinct := map[amend.Value]bool{}
		for _, v := range []amend.Value{{}, amend.StringOf(""), amend.StringOf("0"), amend.IntOf(0), amend.DoubleOf(0), amend.BoolOf(false), amend.DurationOf(0), amend.TimeOf(time.Unix(0, 0))} {
			distinct[v] = true
		}
		require.Len(t, distinct, 8, "types are told apart")
		require.True(t, amend.DoubleOf(0) == amend.DoubleOf(math.Copysign(0, -1)), "zero has no sign") //nolint:testifylint // == is what is tested
	})
	t.Run("RefusesWhatItDidNotWrite", func(t *testing.T) {
		t.Parallel()
		for _, text := range []string{"", "int", "int:x", "bool:maybe", "timestamp:yesterday", "duration:5", "list:[]", "int:1e3"} {
			require.Error(t, new(amend.Value).UnmarshalText([]byte(text)), text)
		}
	})
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{"5m": 5 * time.Minute, "2h30m": 150 * time.Minute, "3d": 3 * day, "7y": 7 * 365 * day, "1.5d": 36 * time.Hour, "0s": 0, "250ms": 250 * time.Millisecond} {
		got, err := amend.ParseDuration(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "5", "d", "-1d", "-5m", "NaNd", "Infd", "1e9y", "200000000000y", "3 d", "1d2h", "0x1p3d", "five"} {
		_, err := amend.ParseDuration(text)
		require.ErrorContains(t, err, "is not a duration such as", text)
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	const hidden = "hunter2"
	s := amend.NewSecret(hidden)
	wrapped := struct {
		Token   amend.Secret
		Pointer *amend.Secret
		Map     map[string]amend.Secret
		private amend.Secret
	}{s, &s, map[string]amend.Secret{"a": s}, s}
	var said bytes.Buffer
	for _, verb := range "vsdqxXtTpbcoOUeEfFgG" {
		for _, flags := range []string{"", "+", "#", "-10", "010", ".3"} {
			fmt.Fprintf(&said, "%"+flags+string(verb), s)
			fmt.Fprintf(&said, "%"+flags+string(verb), wrapped)
		}
	}
	fmt.Fprintln(&said, s, &s, wrapped, []any{s}, fmt.Errorf("wrapped: %v", s))
	for _, handler := range []slog.Handler{slog.NewTextHandler(&said, nil), slog.NewJSONHandler(&said, nil)} {
		slog.New(handler).Info("x", "secret", s, "pointer", &s, "wrapped", wrapped, slog.Group("g", "s", s))
	}
	asJSON, err := json.Marshal(wrapped)
	require.NoError(t, err)
	asYAML, err := yaml.Marshal(wrapped)
	require.NoError(t, err)
	said.Write(asJSON)
	said.Write(asYAML)
	require.Contains(t, said.String(), "[secret]")
	require.NotContains(t, said.String(), hidden)
	require.NotContains(t, said.String(), fmt.Sprintf("%x", hidden))
	require.NotContains(t, said.String(), fmt.Sprintf("%X", hidden))
	require.Equal(t, hidden, s.Reveal())
	require.False(t, s.Empty())
	require.True(t, amend.Secret{}.Empty())
}

func TestNearest(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ word, want string }{
		{"stauts", "status"}, {"statu", "status"}, {"statuss", "status"}, {"sttus", "status"}, {"blnc", ""}, {"balence", "balance"},
		{"x", ""}, {"", ""}, {"completely", ""}, {"no", "on"}, {"status", "status"},
	} {
		require.Equal(t, test.want, amend.Nearest(test.word, []string{"status", "balance", "on"}), test.word)
	}
	require.Empty(t, amend.Nearest("status", nil))
}

func TestFindings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ prefix, path, want string }{
		{"", "", ""}, {"rules", "", "rules"}, {"", "do", "do"}, {"rules.a", "do[0]", "rules.a.do[0]"}, {"rules.a.do", "[0]", "rules.a.do[0]"},
	} {
		require.Equal(t, test.want, amend.Finding{Path: test.path}.Under(test.prefix).Path)
	}
	var all amend.Findings
	all.Add("a", "%d is wrong", 5)
	all.Take("b", amend.Findings{{Path: "c", Text: "a warning", Warning: true}})
	require.Equal(t, amend.Findings{{Path: "a", Text: "5 is wrong"}, {Path: "b.c", Text: "a warning", Warning: true}}, all)
	require.Equal(t, amend.Findings{{Path: "a", Text: "5 is wrong"}}, all.Errors())
}

func TestError(t *testing.T) {
	t.Parallel()
	cause := amend.Errorf(amend.Conflict, "it changed")
	err := fmt.Errorf("heal: %w", &amend.Error{Code: amend.NotFound, Text: "no case", Next: "look it up", Err: cause})
	require.EqualError(t, err, "heal: no case: it changed; look it up")
	require.Equal(t, amend.NotFound, amend.CodeOf(err))
	require.ErrorIs(t, err, cause)
	require.Equal(t, amend.Internal, amend.CodeOf(fmt.Errorf("other")))
	require.Empty(t, amend.CodeOf(nil))
}

// S46: whatever the pattern says, an ID is a short text that any database takes.
func TestEntityValid(t *testing.T) {
	t.Parallel()
	for _, pattern := range []*regexp.Regexp{nil, regexp.MustCompile(`(?s)^c.*$`)} {
		entity := amend.Entity{ID: pattern}
		for id, want := range map[string]bool{
			"cus_1": true, "c/ä?#": true, strings.Repeat("c", 256): true, strings.Repeat("c", 257): false,
			"c\x00": false, "c\r\nX: y": false, "c\x7f": false, "c\u0085": false, "c\xff": false,
		} {
			require.Equal(t, want, entity.Valid(id), "%v: %.20q", pattern, id)
		}
	}
	require.False(t, (&amend.Entity{ID: regexp.MustCompile(`^cus_`)}).Valid("dus_1"))
}
