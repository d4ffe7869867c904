package cmd

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/reconciler"
	"amend/store"
)

func TestHowFar(t *testing.T) {
	t.Parallel()
	half := strings.Repeat("█", 12) + strings.Repeat("░", 12)
	for name, c := range map[string]struct {
		so   reconciler.Progress
		want string
	}{
		"UnknownTotal": {reconciler.Progress{Customers: 12408, Counted: 12408, Took: 4 * time.Second}, "12,408 customers, 3,102/s"},
		"Half":         {reconciler.Progress{Customers: 20604, Expected: 41208, Counted: 20604, Took: 10 * time.Second}, half + "  50 %  20,604 of 41,208, 2,060/s, about 10s left"},
		"Resumed": {reconciler.Progress{Customers: 20604, Expected: 41208, Counted: 604, Took: time.Second},
			half + "  50 %  20,604 of 41,208, 604/s, about 34s left"},
		"LongToGo": {reconciler.Progress{Customers: 500_000, Expected: 1_000_000, Counted: 100, Took: time.Second},
			half + "  50 %  500,000 of 1,000,000, 100/s, about 1h23m left"},
		"AlmostDone":     {reconciler.Progress{Customers: 9999, Expected: 10000, Counted: 9999, Took: time.Second}, strings.Repeat("█", 23) + "░  99 %  9,999 of 10,000, 9,999/s, about 0s left"},
		"AsManyAsLast":   {reconciler.Progress{Customers: 100, Expected: 100, Counted: 100, Took: time.Second}, "100 customers, 100/s (100 at the last scan)"},
		"MoreThanLast":   {reconciler.Progress{Customers: 250, Expected: 100, Counted: 100, Took: time.Second}, "250 customers, 100/s (100 at the last scan)"},
		"JustBegun":      {reconciler.Progress{Expected: 100}, strings.Repeat("░", 24) + "   0 %  0 of 100"},
		"JustTakenUp":    {reconciler.Progress{Customers: 50, Expected: 100}, half + "  50 %  50 of 100"},
		"NoTimePassed":   {reconciler.Progress{Customers: 50, Counted: 50}, "50 customers"},
		"Stuck":          {reconciler.Progress{Customers: 50, Expected: 100, Took: time.Minute}, half + "  50 %  50 of 100, 0/s"},
		"Done":           {reconciler.Progress{Customers: 250, Expected: 300, Counted: 250, Took: time.Second, Done: true}, "250 customers, 250/s"},
		"Pausing":        {reconciler.Progress{Customers: 50, Expected: 100, Status: store.ScanPaused, By: "ada", Held: 2}, "pausing: 2 parts are still looked at"},
		"PausingTheLast": {reconciler.Progress{Status: store.ScanPaused, By: "ada", Held: 1}, "pausing: 1 part is still looked at"},
		"Paused":         {reconciler.Progress{Customers: 50, Expected: 100, Status: store.ScanPaused, By: "ada"}, "paused by ada"},
		"WaitsForAnHour": {reconciler.Progress{Customers: 50, Expected: 100, Took: time.Minute, Waits: "ledger", Until: time.Date(2026, 3, 1, 14, 0, 0, 0, time.UTC)},
			"50 customers, 0/s, waits until 14:00 UTC: scans have used their part of the calls that ledger allows in an hour"},
		"CancelledByAnna": {reconciler.Progress{Customers: 50, Expected: 100, Status: store.ScanCancelled, By: "anna", Done: true}, "cancelled by anna"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, howFar(c.so))
		})
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", 400 * time.Millisecond: "0s", 9 * time.Second: "9s", 70 * time.Second: "1m10s", 20 * time.Minute: "20m",
		time.Hour: "1h", 3*time.Hour + 5*time.Minute + 40*time.Second: "3h6m", 50 * time.Hour: "50h",
	} {
		require.Equal(t, want, span(d))
	}
}

// TestProgressLines: a log isn't filled with what it says already.
func TestProgressLines(t *testing.T) {
	t.Parallel()
	running := func(n int) reconciler.Progress {
		return reconciler.Progress{Scan: "full", Customers: n, Counted: n, Took: time.Second}
	}
	paused := reconciler.Progress{Scan: "full", Status: store.ScanPaused, By: "ada"}
	var out strings.Builder
	p := &progress{out: &out, every: time.Hour, last: time.Now()}
	p.scan(running(1))
	pausing := paused
	pausing.Held = 1
	p.scan(pausing)
	p.scan(pausing)
	for range 10 {
		p.scan(paused)
	}
	p.scan(running(2))
	done := running(3)
	done.Done = true
	p.scan(done)
	require.Equal(t, "full scan: pausing: 1 part is still looked at\nfull scan: paused by ada\nfull scan: 2 customers, 2/s\nfull scan: 3 customers, 3/s\n", out.String())

	var none *progress
	none.scan(paused)
	none.scan(done)

	out.Reset()
	live := &progress{out: &out, live: true}
	live.scan(running(100))
	live.scan(running(2))
	require.Equal(t, "\rfull scan: 100 customers, 100/s\rfull scan: 2 customers, 2/s    ", out.String(), "a shorter line covers the one before")
}
