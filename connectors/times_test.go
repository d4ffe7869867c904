package connectors_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"amend"
)

// A time is what the time package reads, and nothing else is one.
func TestTimes(t *testing.T) {
	t.Parallel()
	r := reader(amend.Field{Name: "at", Type: amend.Timestamp})
	same := func(t require.TestingT, text string) {
		var want time.Time
		wrong := want.UnmarshalText([]byte(text))
		got, err := r.Text([]byte(text))
		require.Equal(t, wrong == nil, err == nil, "%q", text)
		if err == nil {
			require.Equal(t, amend.TimeOf(want), got, "%q", text)
		}
	}
	for day := time.Date(-1, 12, 20, 0, 0, 0, 0, time.UTC); day.Year() < 10_000; day = day.AddDate(0, 0, 23) {
		same(t, day.Format("2006-01-02T15:04:05Z"))
	}
	form := `2\d\d\d-(0[0-9]|1[0-3])-[0-3]\d[Tt ][0-2]\d:[0-6]\d:[0-6]\d([.,]\d{0,11})?(Z|z|\+01:00|)`
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(form).Draw(t, "time")
		at := rapid.IntRange(0, len(text)).Draw(t, "at")
		same(t, text)
		same(t, text[:at]+rapid.SampledFrom([]string{"", "0", "9", ":", "/", "\x80", "\xc8", "-", ".", "Z"}).Draw(t, "put")+text[min(len(text), at+1):])
	})
}
