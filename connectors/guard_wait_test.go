package connectors_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
)

// scanAll reads so many customers as scans do, eight at once, and counts those
// who were unseen.
func scanAll(ctx context.Context, c connectors.Connector, customers int) (unseen int) {
	ctx = connectors.WithPriority(ctx, connectors.Scanning)
	var mu sync.Mutex
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := worker; i < customers; i += 8 {
				if _, err := c.One(ctx, "cus_1"); err != nil {
					mu.Lock()
					unseen++
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	return unseen
}

// downFrom is a service each of whose calls takes a moment, and that fails from
// one of them on, for a time.
func downFrom(call int64, how error, d time.Duration) *fake {
	var mu sync.Mutex
	var since time.Time
	f := &fake{}
	f.one = func(context.Context, string) (amend.Record, error) {
		time.Sleep(time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		if f.calls.Load() >= call && since.IsZero() {
			since = time.Now()
		}
		if !since.IsZero() && time.Since(since) < d {
			return amend.Record{}, how
		}
		return present(), nil
	}
	return f
}

// Scans wait out what keeps everybody from calling, and see everybody
// afterwards, while others are told at once.
func TestScansWait(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		how    error
		down   time.Duration
		unseen int
		atMost time.Duration
	}{
		"while it asks to be left alone": {how: &connectors.Unseen{Cause: amend.Throttled, RetryAfter: 10 * time.Minute}, down: time.Minute, atMost: 11 * time.Minute},
		"also with a 503":                {how: &connectors.Unseen{Cause: amend.Failing, RetryAfter: 10 * time.Minute}, down: time.Minute, atMost: 11 * time.Minute},
		"while the breaker is open":      {how: unseen(amend.Failing), down: 40 * time.Second, unseen: 100, atMost: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := connectors.Guard(downFrom(200, test.how, test.down), connectors.GuardOptions{Random: middle})
				time.AfterFunc(20*time.Second, func() {
					begun := time.Now()
					_, err := g.One(t.Context(), "cus_2")
					if err == nil || time.Since(begun) > time.Second {
						t.Errorf("somebody who looks at one customer was told %q after %s", cause(err), time.Since(begun))
					}
				})
				begun := time.Now()
				require.LessOrEqual(t, scanAll(t.Context(), g, 20_000), test.unseen)
				require.Greater(t, time.Since(begun), test.down)
				require.Less(t, time.Since(begun), test.atMost)
			})
		})
	}
}

// A scan that is cancelled, or has to end before the wait does, ends at once.
func TestScansThatWaitEndWithTheirContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := connectors.Guard(downFrom(1, &connectors.Unseen{Cause: amend.Throttled, RetryAfter: 10 * time.Minute}, time.Minute), connectors.GuardOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		begun := time.Now()
		time.AfterFunc(time.Minute+300*time.Millisecond, cancel)
		require.Equal(t, 8, scanAll(ctx, g, 8))
		require.Equal(t, time.Minute+300*time.Millisecond, time.Since(begun))

		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begun = time.Now()
		require.Equal(t, 100, scanAll(ctx, g, 100))
		require.Zero(t, time.Since(begun), "there is no use in waiting longer than the caller")
	})
}

// Where nothing is answered for long scans no longer wait, until something is.
func TestScansDoNotWaitForEver(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		how    error
		atMost time.Duration
	}{
		"a ban after the other": {&connectors.Unseen{Cause: amend.Throttled, RetryAfter: 2 * time.Minute}, 18 * time.Minute},
		"an outage":             {unseen(amend.Unreachable), 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const outage = 10 * time.Hour
				g := connectors.Guard(downFrom(200, test.how, outage), connectors.GuardOptions{})
				begun := time.Now()
				require.Greater(t, scanAll(t.Context(), g, 20_000), 19_000)
				require.Less(t, time.Since(begun), test.atMost)
				begun = time.Now()
				scanAll(t.Context(), g, 20_000)
				require.Less(t, time.Since(begun), test.atMost, "the next scan")

				time.Sleep(outage)
				_, err := g.One(t.Context(), "cus_1")
				require.NoError(t, err)
				require.Zero(t, scanAll(t.Context(), g, 1000))
			})
		})
	}
}
