package bank

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFault(t *testing.T) {
	t.Parallel()
	card := request{service: cardsName, method: "GET", path: "/cards/" + sentinelPresent}
	t.Run("LatencyAndJitter", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.NoError(t, b.Fault(cardsName, Fault{Latency: 50 * time.Millisecond, Jitter: 10 * time.Millisecond}))
		began := time.Now()
		require.Equal(t, 200, b.call(t, card).status)
		require.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)
	})
	t.Run("ErrorsComeBeforeAnyEffect", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.NoError(t, b.Fault(cardsName, Fault{ErrorRate: 1, Latency: time.Millisecond}))
		id := b.someone(t, "card_missing")
		require.Contains(t, []int{500, 502, 503}, b.call(t, order(id, "k1")).status)
		require.Equal(t, "card_missing", b.Truth(id))
		require.False(t, b.last(t).Effect)
		require.Contains(t, []int{500, 502, 503}, b.last(t).Status)
		require.Contains(t, []int{500, 502, 503}, b.call(t, card).status)
	})
	t.Run("SomeErrorsAreSome", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.NoError(t, b.Fault(cardsName, Fault{ErrorRate: 0.5}))
		bad := 0
		for range 60 {
			bad += one(b.call(t, card).status != 200)
		}
		require.True(t, bad > 10 && bad < 50, "%d of 60", bad)
	})
	t.Run("LostAnswersComeAfterTheEffect", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.NoError(t, b.Fault(cardsName, Fault{LostRate: 1, Only: OnlyOperations}))
		id := b.someone(t, "card_missing")
		_, err := b.try(t.Context(), order(id, "k1"))
		require.ErrorContains(t, err, "EOF")
		require.Equal(t, 201, b.last(t).Status, "it would have been said")
		require.True(t, b.last(t).Lost)
		require.Equal(t, "ordered", b.call(t, request{service: cardsName, method: "GET", path: "/cards/" + id}).body["status"])

		require.NoError(t, b.Fault(cardsName, Fault{}))
		require.Equal(t, 201, b.call(t, order(id, "k1")).status)
		require.Equal(t, judged{sent: 2, effects: 1, replays: 1}, b.judged())
	})
	t.Run("AcksComeLateAndAfterTheEffect", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.NoError(t, b.Fault(cardsName, Fault{AckDelay: time.Hour}))
		id := b.someone(t, "card_missing")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error, 1)
		go func() {
			_, err := b.try(ctx, order(id, "k1"))
			ended <- err
		}()
		require.Eventually(t, func() bool { return b.Truth(id) == "active" }, 10*time.Second, time.Millisecond)
		require.Empty(t, ended)
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)

		require.NoError(t, b.Fault(cardsName, Fault{}))
		require.Equal(t, 201, b.call(t, order(id, "k1")).status)
		require.Equal(t, judged{sent: 2, effects: 1, replays: 1}, b.judged())
	})
	t.Run("HangsUntilTheCallerGivesUp", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.NoError(t, b.Fault(cardsName, Fault{HangRate: 1}))
		id := b.someone(t, "card_missing")
		for _, q := range []request{card, order(id, "k1")} {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
			_, err := b.try(ctx, q)
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		require.Equal(t, "card_missing", b.Truth(id))
		require.False(t, b.last(t).Effect)
		require.Zero(t, b.last(t).Status)
		idle := func() bool {
			b.world.mu.RLock()
			defer b.world.mu.RUnlock()
			return b.world.byID[id].inFlight == 0
		}
		require.Eventually(t, idle, 10*time.Second, time.Millisecond, "the service noticed")
	})
	t.Run("CloseFreesWhatHangs", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.NoError(t, b.Fault(cardsName, Fault{HangRate: 1}))
		ended := make(chan error)
		go func() {
			_, err := b.try(t.Context(), card)
			ended <- err
		}()
		require.Eventually(t, func() bool { return b.Count().Reads[cardsName].Single == 1 }, 10*time.Second, time.Millisecond)
		require.NoError(t, b.Close())
		require.Error(t, <-ended)
	})
	t.Run("OutageIs503", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.NoError(t, b.Fault(ledgerName, Fault{Outage: OutageUnavailable}))
		require.Equal(t, 503, b.get(t, ledgerName, "/accounts/"+sentinelPresent).status)
		require.Equal(t, 503, b.get(t, ledgerName, "/accounts?limit=1").status)
		require.Equal(t, 200, b.call(t, card).status, "the others are in order")
		require.Equal(t, map[string]Fault{ledgerName: {Outage: OutageUnavailable}}, b.Faults())
		require.NoError(t, b.Fault(ledgerName, Fault{}))
		require.Equal(t, 200, b.get(t, ledgerName, "/accounts/"+sentinelPresent).status)
		require.Empty(t, b.Faults())
	})
	t.Run("OutageIsACut", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.NoError(t, b.Fault(cardsName, Fault{Outage: OutageCut}))
		_, err := b.try(t.Context(), card)
		require.ErrorContains(t, err, "EOF")
		id := b.someone(t, "card_missing")
		_, err = b.try(t.Context(), order(id, "k1"))
		require.ErrorContains(t, err, "EOF")
		require.Equal(t, "card_missing", b.Truth(id))
	})
	t.Run("OnlyReads", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.NoError(t, b.Fault(cardsName, Fault{Outage: OutageUnavailable, Only: OnlyReads}))
		require.Equal(t, 503, b.call(t, card).status)
		require.Equal(t, 201, b.call(t, order(b.someone(t, "card_missing"), "k1")).status)
	})
	t.Run("OnlyOperations", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.NoError(t, b.Fault(cardsName, Fault{Outage: OutageUnavailable, Only: OnlyOperations}))
		require.Equal(t, 200, b.call(t, card).status)
		require.Equal(t, 503, b.call(t, order(b.someone(t, "card_missing"), "k1")).status)
	})
}

func TestFaultIsChecked(t *testing.T) {
	t.Parallel()
	b, err := New(Options{Customers: 1})
	require.NoError(t, err)
	tests := map[string]struct {
		service string
		fault   Fault
		want    string
	}{
		"UnknownService":       {"mail", Fault{}, `"mail" is not one of the services`},
		"RateAboveOne":         {cardsName, Fault{ErrorRate: 1.1}, "error_rate is a share"},
		"NegativeRate":         {cardsName, Fault{LostRate: -0.1}, "lost_rate is a share"},
		"NegativeLatency":      {cardsName, Fault{Latency: -1}, "never negative"},
		"NegativeAckDelay":     {cardsName, Fault{AckDelay: -1}, "never negative"},
		"NegativeReadDelay":    {cardsName, Fault{ReadDelay: -1}, "never negative"},
		"LieRateAboveOne":      {cardsName, Fault{LieRate: 2}, "lie_rate is a share"},
		"UnknownCharacter":     {cardsName, Fault{Character: "moody"}, `not "moody"`},
		"UnknownOutage":        {cardsName, Fault{Outage: "fire"}, `not "fire"`},
		"UnknownScope":         {cardsName, Fault{Only: "writes"}, `not "writes"`},
		"ComplianceHasNoHTTP":  {complianceName, Fault{Latency: 1}, "only an outage"},
		"ComplianceNotRunning": {complianceName, Fault{Outage: OutageUnavailable}, "only while the bank runs"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ErrorContains(t, b.Fault(test.service, test.fault), test.want)
		})
	}
}

// TestFaultsAreDecidedBySeed draws the same faults for the same seed, and
// others for another.
func TestFaultsAreDecidedBySeed(t *testing.T) {
	t.Parallel()
	draw := func(seed uint64) []drawnFault {
		f := newFaults(seeded(seed, "faults/cards"))
		f.set(Fault{ErrorRate: 0.3, LostRate: 0.3, HangRate: 0.3, Jitter: time.Second})
		var drawn []drawnFault
		for range 100 {
			drawn = append(drawn, f.draw(true))
		}
		return drawn
	}
	require.Equal(t, draw(1), draw(1))
	require.NotEqual(t, draw(1), draw(2))
}
