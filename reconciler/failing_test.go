package reconciler_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/bank"
	"amend/connectors"
	"amend/lifecycle"
	"amend/store"
)

// TestT43Stumble: where amend itself fails on a customer, their case is let go at
// once, says so, and ends with a person if it goes on (invariant I14).
func TestT43Stumble(t *testing.T) { onEach(t, testT43Stumble) }

func testT43Stumble(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, options{postgres: o.postgres, wrap: map[string]func(connectors.Connector) connectors.Connector{"ledger": func(c connectors.Connector) connectors.Connector {
		return preparing{c}
	}}})
	w.scan()
	customer := w.planted("ledger_missing")
	w.heal(customer) // it must have been seen twice
	heal := func() store.Case {
		w.clock.passTo(w.lastCase(customer).WakeAt)
		require.ErrorContains(t, w.engine.Heal(t.Context(), customer), "a bug in a connector")
		return w.lastCase(customer)
	}
	first := heal()
	require.Equal(t, lifecycle.Waiting, first.Status)
	require.Equal(t, "failed", first.Reason)
	require.False(t, first.Held(w.clock.Now()), "nobody waits for its lease")
	require.WithinDuration(t, w.clock.Now().Add(time.Minute), first.WakeAt, time.Second)
	w.requireEscalated(heal(), "failed")

	require.Empty(t, w.sendings(customer, bank.LedgerOpen))
	require.Empty(t, w.repairs(customer))
}

// TestStumbleKeepsTheRepair: a failure beside an open repair neither ends nor
// repeats it.
func TestStumbleKeepsTheRepair(t *testing.T) { onEach(t, testStumbleKeepsTheRepair) }

func testStumbleKeepsTheRepair(t *testing.T, o options) {
	t.Parallel()
	sent := 0
	w := setup(t, options{postgres: o.postgres, wrap: map[string]func(connectors.Connector) connectors.Connector{
		"ledger": sending(func(_ context.Context, _ connectors.Request, next func() connectors.Answer) connectors.Answer {
			sent++
			next()
			panic("a bug in a connector")
		})}})
	w.scan()
	customer := w.planted("ledger_missing")
	w.heal(customer)
	w.clock.passTo(w.lastCase(customer).WakeAt)
	require.Error(t, w.engine.Heal(t.Context(), customer))
	require.Equal(t, "failed", w.lastCase(customer).Reason)
	require.Equal(t, store.RepairOpen, w.repairs(customer)[0].Status)

	require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
	require.Equal(t, 1, sent)
	w.requireNothingWrong()
}

// preparing panics where a request is made.
type preparing struct {
	connectors.Connector
}

// Prepare is part of connectors.Connector.
func (preparing) Prepare(connectors.Call) (connectors.Request, error) { panic("a bug in a connector") }
