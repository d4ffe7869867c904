package reconciler_test

import (
	"context"
	"database/sql/driver"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/bank"
	"amend/connectors"
	"amend/lifecycle"
	"amend/store"
)

// TestThreeTransactions: claim, intent, and the outcome together with what the
// reading after it has shown.
func TestThreeTransactions(t *testing.T) { onEach(t, testThreeTransactions) }

func testThreeTransactions(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, o)
	w.scan()
	customer := w.planted("ledger_missing")
	w.heal(customer)
	w.clock.passTo(w.lastCase(customer).WakeAt)
	require.NoError(t, w.store.Close())
	var begun atomic.Int64
	var err error
	w.store, err = store.Open(t.Context(), w.address, store.Options{Now: w.clock.Now, Log: slog.New(slog.DiscardHandler),
		Before: func(context.Context) error { begun.Add(1); return nil }})
	require.NoError(t, err)
	w.engine = w.another()
	before := begun.Load()
	w.heal(customer)
	require.Equal(t, store.RepairDone, w.repairs(customer)[0].Status)
	c := w.lastCase(customer)
	require.False(t, c.Held(w.clock.Now()), "it was let go of")
	require.LessOrEqual(t, begun.Load()-before, int64(3))

	step := w.step(customer)
	require.Equal(t, amend.Done, step.Outcome)
	require.False(t, step.OutcomeAt.IsZero())
	require.Equal(t, []string{"waiting", "proved", "answer", "repair"}, kinds(t, w, customer), "it waits for its card now")
	w.requireNothingWrong()
}

// kinds are the newest lines of a customer's timeline, those of states left out.
func kinds(t *testing.T, w *world, customer string) (all []string) {
	t.Helper()
	lines, err := w.store.Timeline(t.Context(), customer, 20)
	require.NoError(t, err)
	for _, line := range lines {
		if line.Kind != "state" && len(all) < 4 {
			all = append(all, line.Kind)
		}
	}
	return all
}

// TestStoppedAfterAYes: between a service's yes and the reading that follows
// nothing is written. Whoever is stopped there politely writes the yes down,
// and whoever dies there leaves a step that reading settles: either way nothing
// is sent twice (invariant I8).
func TestStoppedAfterAYes(t *testing.T) { onEach(t, testStoppedAfterAYes) }

func testStoppedAfterAYes(t *testing.T, o options) {
	t.Parallel()
	for name, polite := range map[string]bool{"Politely": true, "Killed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var w *world
			var stop sync.Once
			ledger := &heard{}
			ledger.reads = func(sent bool) {
				if !sent {
					return
				}
				stop.Do(func() {
					if polite {
						cancel()
						return
					}
					require.NoError(t, w.store.Close()) // it writes nothing any more
				})
			}
			w = setup(t, options{postgres: o.postgres, wrap: map[string]func(connectors.Connector) connectors.Connector{
				"ledger": func(c connectors.Connector) connectors.Connector { ledger.Connector = c; return ledger }}})
			w.scan()
			customer := w.planted("ledger_missing")
			w.heal(customer)
			w.clock.passTo(w.lastCase(customer).WakeAt)
			err := w.engine.Heal(ctx, customer)
			require.Equal(t, polite, err == nil, "%v", err)
			require.Len(t, w.sendings(customer, bank.LedgerOpen), 1)

			if !polite {
				w.open()
				require.NoError(t, w.store.LockWorker())
				w.clock.pass(20 * time.Second)
			}
			step := w.step(customer)
			require.Equal(t, polite, !step.OutcomeAt.IsZero())
			require.True(t, step.ProvedAt.IsZero())
			require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
			require.Len(t, w.sendings(customer, bank.LedgerOpen), 1)
			require.Equal(t, store.RepairDone, w.repairs(customer)[0].Status)
			w.requireNothingWrong()
		})
	}
}

// TestAYesThatIsAllThereIs: where no reading can tell, a yes is written at once,
// so that nobody has to be asked after a crash.
func TestAYesThatIsAllThereIs(t *testing.T) { onEach(t, testAYesThatIsAllThereIs) }

func testAYesThatIsAllThereIs(t *testing.T, o options) {
	t.Parallel()
	var w *world
	billing := &heard{}
	read := false
	billing.reads = func(sent bool) {
		if !sent || read {
			return
		}
		read = true
		all := w.repairs(w.planted("email_differs"))
		steps, err := w.store.Steps(t.Context(), all[0].ID)
		require.NoError(t, err)
		require.Equal(t, amend.Done, steps[0].Outcome)
	}
	w = setup(t, options{postgres: o.postgres, yaml: func(s string) string {
		return strings.Replace(s, `repeat: safe, sets: {email: "{email}"}}`, `repeat: never, done: "true"}`, 1)
	}, wrap: map[string]func(connectors.Connector) connectors.Connector{
		"billing": func(c connectors.Connector) connectors.Connector { billing.Connector = c; return billing }}})
	w.scan()
	require.Equal(t, lifecycle.Healed, w.healOn(w.planted("email_differs")).Status)
	require.True(t, read)
}

// TestAYesOutlivesAStoreThatIsAway: what a service has said isn't forgotten
// where the store can't be written for a moment, so that a service that says yes
// and does nothing isn't asked again.
func TestAYesOutlivesAStoreThatIsAway(t *testing.T) {
	onEach(t, testAYesOutlivesAStoreThatIsAway)
}

func testAYesOutlivesAStoreThatIsAway(t *testing.T, o options) {
	t.Parallel()
	ledger := &heard{reads: func(bool) {}}
	w := setup(t, options{postgres: o.postgres, wrap: map[string]func(connectors.Connector) connectors.Connector{
		"ledger": func(c connectors.Connector) connectors.Connector { ledger.Connector = c; return ledger }}})
	w.scan()
	customer := w.planted("ledger_missing")
	w.heal(customer)
	w.clock.passTo(w.lastCase(customer).WakeAt)
	require.NoError(t, w.store.Close())
	var err error
	away := 0
	w.store, err = store.Open(t.Context(), w.address, store.Options{Now: w.clock.Now, Log: slog.New(slog.DiscardHandler), Before: func(context.Context) error {
		if !ledger.sent.Load() || away == 2 {
			return nil
		}
		away++
		return driver.ErrBadConn
	}})
	require.NoError(t, err)
	w.engine = w.another()
	w.fault("ledger", bank.Fault{LieRate: 1, Only: bank.OnlyOperations})
	w.heal(customer)
	require.Equal(t, 2, away)
	require.Equal(t, "not_shown", w.lastCase(customer).Reason)
	step := w.step(customer)
	require.Equal(t, amend.Done, step.Outcome)
	require.False(t, step.OutcomeAt.IsZero())
	w.requireEscalated(w.healOn(customer), "not_shown")
	require.Len(t, w.sendings(customer, bank.LedgerOpen), 1)
}

// heard is a connector that tells of readings, and whether something was sent before.
type heard struct {
	connectors.Connector
	reads func(sent bool)
	sent  atomic.Bool
}

// One is part of connectors.Connector.
func (c *heard) One(ctx context.Context, id string) (amend.Record, error) {
	c.reads(c.sent.Load())
	return c.Connector.One(ctx, id)
}

// Send is part of connectors.Connector.
func (c *heard) Send(ctx context.Context, r connectors.Request) connectors.Answer {
	defer c.sent.Store(true)
	return c.Connector.Send(ctx, r)
}
