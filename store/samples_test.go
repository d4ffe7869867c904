package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend/store"
)

// Samples of several workers are added up, by slots of five minutes, for a month.
func TestSamples(t *testing.T) { onEach(t, testSamples) }

func testSamples(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	stores := []*store.Store{f.Store, f.open()}
	began := f.clock.Now()
	done := make(chan error)
	for i := range 8 {
		go func() {
			done <- stores[i%2].AddSamples(t.Context(), []store.Sample{{"cards", 100, 10}, {"ledger", 100, 0}})
		}()
	}
	for range 8 {
		assert.NoError(t, <-done)
	}
	f.clock.pass(7 * time.Minute)
	require.NoError(t, f.AddSamples(t.Context(), []store.Sample{{"cards", 5, 5}}))
	samples := func(since time.Time) []store.Sample {
		all, err := f.Samples(t.Context(), since)
		require.NoError(t, err)
		return all
	}
	require.Equal(t, []store.Sample{{"cards", 805, 85}, {"ledger", 800, 0}}, samples(began))
	require.Equal(t, []store.Sample{{"cards", 5, 5}}, samples(f.clock.Now()))

	f.clock.pass(-7 * time.Minute)
	require.Equal(t, []store.Sample{{"cards", 800, 80}, {"ledger", 800, 0}}, samples(began), "what a clock has counted that was put back doesn't count")
	require.NoError(t, f.AddSamples(t.Context(), []store.Sample{{"ledger", 1, 0}}))
	f.clock.pass(7 * time.Minute)
	require.Equal(t, []store.Sample{{"cards", 800, 80}, {"ledger", 801, 0}}, samples(began), "nor later")

	f.clock.pass(32 * 24 * time.Hour)
	require.NoError(t, f.AddSamples(t.Context(), []store.Sample{{"cards", 1, 0}}))
	require.Equal(t, []store.Sample{{"cards", 1, 0}}, samples(began), "what is old is gone")
}
