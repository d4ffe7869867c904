package reconciler_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend"
	"amend/bank"
	"amend/connectors"
	"amend/lifecycle"
	"amend/queue"
	"amend/store"
)

// TestRestart stops the process at the two sides of an effect, politely and not,
// and begins another on the same store: it goes on at the step where the first
// stopped, with the same key.
func TestRestart(t *testing.T) { onEach(t, testRestart) }

func testRestart(t *testing.T, o options) {
	t.Parallel()
	type stop func(cancel context.CancelFunc)
	polite := func(cancel context.CancelFunc) { cancel() }
	killed := func(context.CancelFunc) { runtime.Goexit() } // nothing after it runs
	for name, c := range map[string]struct {
		stop   stop
		effect bool // it is done by then
		sent   int
	}{
		"CancelledBeforeTheEffect": {polite, false, 1},
		"CancelledAfterTheEffect":  {polite, true, 1},
		"KilledBeforeTheEffect":    {killed, false, 1},
		"KilledAfterTheEffect":     {killed, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var keys []string
			w := setup(t, options{postgres: o.postgres, wrap: map[string]func(connectors.Connector) connectors.Connector{
				"ledger": sending(func(_ context.Context, r connectors.Request, next func() connectors.Answer) (answer connectors.Answer) {
					keys = append(keys, r.Header["Idempotency-Key"])
					if len(keys) > 1 {
						return next()
					}
					if c.effect {
						answer = next()
					}
					c.stop(cancel)
					return answer
				})}})
			w.scan()
			customer := w.planted("ledger_missing")
			w.heal(customer)
			w.clock.passTo(w.lastCase(customer).WakeAt)
			var process sync.WaitGroup
			process.Go(func() { assert.NoError(t, w.engine.Heal(ctx, customer)) })
			process.Wait()
			require.Len(t, keys, 1)
			cancelled := ctx.Err() != nil
			before := w.step(customer)
			require.Equal(t, !cancelled, before.OutcomeAt.IsZero(), "who is stopped politely writes down what became of it")

			w.restart()
			require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
			require.Len(t, w.sendings(customer, bank.LedgerOpen), c.sent)
			for _, key := range keys {
				require.Equal(t, before.Key, key)
			}
			require.Equal(t, "open-ledger", w.repairs(customer)[0].Rule)
			require.Equal(t, store.RepairDone, w.repairs(customer)[0].Status)
			require.True(t, w.bank.Coherent(customer))
			w.requireNothingWrong()
		})
	}
}

// TestI10OneHolder: while somebody holds the lease nobody else acts, and when it
// ends they do.
func TestI10OneHolder(t *testing.T) { onEach(t, testI10OneHolder) }

func testI10OneHolder(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, o)
	w.scan()
	customer := w.planted("rejected_with_card")
	dead, claimed, err := w.store.Claim(t.Context(), customer, time.Minute)
	require.NoError(t, err)
	require.True(t, claimed)
	w.clock.pass(59 * time.Second)
	w.heal(customer)
	require.Empty(t, w.bank.Journal().Entries())
	ready, err := w.store.Ready(t.Context(), 1000)
	require.NoError(t, err)
	require.NotContains(t, ready, customer)

	w.clock.pass(2 * time.Second)
	ready, err = w.store.Ready(t.Context(), 1000)
	require.NoError(t, err)
	require.Contains(t, ready, customer, "the sweeper finds the case of a dead holder")
	require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
	require.Greater(t, w.lastCase(customer).Fence, dead.Fence)
}

// TestI11StaleHolderWritesNothing: somebody else takes over while a call is in
// flight.
func TestI11StaleHolderWritesNothing(t *testing.T) { onEach(t, testI11StaleHolderWritesNothing) }

func testI11StaleHolderWritesNothing(t *testing.T, o options) {
	t.Parallel()
	var w *world
	var once sync.Once
	var seen store.Case
	customer := ""
	slow := func(_ context.Context, _ connectors.Request, next func() connectors.Answer) connectors.Answer {
		answer := next()
		once.Do(func() {
			w.clock.pass(2 * time.Minute)
			w.healOn(customer) // the successor
			seen = w.lastCase(customer)
			answer = connectors.Answer{Outcome: amend.Refused, Detail: "from the grave"}
		})
		return answer
	}
	w = setup(t, options{postgres: o.postgres, wrap: map[string]func(connectors.Connector) connectors.Connector{"cards": sending(slow)}})
	w.scan()
	customer = w.planted("rejected_with_card")
	w.heal(customer)
	require.Equal(t, lifecycle.Healed, seen.Status)
	require.Equal(t, seen, w.lastCase(customer))
	require.Equal(t, amend.Done, w.step(customer).Outcome)
	require.Len(t, w.sendings(customer, bank.CardsBlock), 1)
}

// TestI11WhileTheNextHolderWorks: the same, while the case is still open.
func TestI11WhileTheNextHolderWorks(t *testing.T) { onEach(t, testI11WhileTheNextHolderWorks) }

func testI11WhileTheNextHolderWorks(t *testing.T, o options) {
	t.Parallel()
	var w *world
	var next store.Lease
	customer := ""
	slow := func(_ context.Context, _ connectors.Request, _ func() connectors.Answer) connectors.Answer {
		w.clock.pass(2 * time.Minute)
		var claimed bool
		var err error
		next, claimed, err = w.store.Claim(t.Context(), customer, time.Minute)
		assert.NoError(t, err)
		assert.True(t, claimed)
		return connectors.Answer{Outcome: amend.Refused, Detail: "from the grave"}
	}
	w = setup(t, options{postgres: o.postgres, wrap: map[string]func(connectors.Connector) connectors.Connector{"cards": sending(slow)}})
	w.scan()
	customer = w.planted("rejected_with_card")
	w.heal(customer)
	require.Positive(t, next.Fence)
	require.Equal(t, amend.Unsettled, w.step(customer).Outcome)
	c := w.lastCase(customer)
	require.Equal(t, next.Case.Version, c.Version)
	require.True(t, c.Held(w.clock.Now()), "the next holder's lease is as it was")
}

// TestTwoEnginesOneCustomer: whoever comes second leaves it to the first.
func TestTwoEnginesOneCustomer(t *testing.T) { onEach(t, testTwoEnginesOneCustomer) }

func testTwoEnginesOneCustomer(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, options{postgres: o.postgres, customers: 200})
	w.scan()
	w.clock.pass(time.Minute)
	other := w.another()
	states := []string{"ledger_missing", "billing_missing", "email_differs", "rejected_with_card", "rejected_with_plan"}
	for range 4 {
		var group sync.WaitGroup
		for _, state := range states {
			for _, customer := range w.allPlanted(state) {
				group.Go(func() { assert.NoError(t, w.engine.Heal(t.Context(), customer)) })
				group.Go(func() { assert.NoError(t, other.Heal(t.Context(), customer)) })
			}
		}
		group.Wait()
		w.clock.pass(time.Minute)
	}
	for _, state := range states {
		for _, customer := range w.allPlanted(state) {
			require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
		}
	}
	w.requireNothingWrong()
}

// panicking panics for one customer.
type panicking struct {
	connectors.Connector
	customer *string
}

// One is part of connectors.Connector.
func (p panicking) One(ctx context.Context, id string) (amend.Record, error) {
	if id == *p.customer {
		panic("a bug in a connector")
	}
	return p.Connector.One(ctx, id)
}

// TestPanic: a connector that panics costs its own customer alone.
func TestPanic(t *testing.T) { onEach(t, testPanic) }

func testPanic(t *testing.T, o options) {
	t.Parallel()
	customer := ""
	w := setup(t, options{postgres: o.postgres, wrap: map[string]func(connectors.Connector) connectors.Connector{"billing": func(c connectors.Connector) connectors.Connector {
		return connectors.Guard(panicking{c, &customer}, connectors.GuardOptions{})
	}}})
	w.scan()
	all := w.allPlanted("ledger_missing")
	customer = all[0]
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); assert.NoError(t, w.engine.Run(ctx, nil)) }()
	w.clock.pass(time.Second)
	w.engine.Queue.Wake(w.clock.Now(), queue.Job{Kind: queue.Heal, Key: all[0]}, queue.Job{Kind: queue.Heal, Key: all[1]})
	require.Eventually(t, func() bool {
		w.clock.pass(100 * time.Millisecond)
		return w.lastCase(all[1]).Status == lifecycle.Healed && w.lastCase(all[0]).Reason == "unseen"
	}, 30*time.Second, 10*time.Millisecond)
	cancel()
	<-done
	poisoned := w.lastCase(all[0])
	require.Contains(t, poisoned.Why, "billing could not be read")
	require.Empty(t, w.sendings(all[0], bank.BillingStart))
}

// TestClockPutBack: what waits goes on, and nothing is sent twice.
func TestClockPutBack(t *testing.T) { onEach(t, testClockPutBack) }

func testClockPutBack(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, o)
	w.scan()
	customer := w.planted("ledger_missing")
	w.fault("ledger", bank.Fault{LostRate: 1, Only: bank.OnlyOperations})
	w.clock.passTo(w.healUntil(customer, "settling").WakeAt)
	w.clock.pass(time.Hour)
	lease, claimed, err := w.store.Claim(t.Context(), customer, time.Minute)
	require.NoError(t, err)
	require.True(t, claimed)
	w.clock.pass(-30 * time.Minute)
	_, claimed, err = w.store.Claim(t.Context(), customer, time.Minute)
	require.NoError(t, err)
	require.False(t, claimed, "a live lease isn't freed")
	require.NoError(t, w.store.Update(t.Context(), lease, func(u *store.Update) error { u.Release(u.Now()); return nil }))
	require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
	require.Len(t, w.sendings(customer, bank.LedgerOpen), 1)
}

// TestI26WaitsAfterTheClockWasPutBack: who waits by a clock that was ahead waits
// as long again by the right one, and no longer; nobody is looked at all the time.
func TestI26WaitsAfterTheClockWasPutBack(t *testing.T) {
	onEach(t, testI26WaitsAfterTheClockWasPutBack)
}

func testI26WaitsAfterTheClockWasPutBack(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, options{postgres: o.postgres, bank: func(b *bank.Options) { b.CardDelay = time.Hour }})
	w.clock.pass(24 * time.Hour)
	w.scan()
	settling, verifying := w.planted("ledger_missing"), w.planted("card_missing")
	w.healUntil(verifying, "verifying")
	w.healUntil(settling, "settling")
	w.clock.pass(-24 * time.Hour)
	ready := func() []string {
		all, err := w.store.Ready(t.Context(), 1000)
		require.NoError(t, err)
		return all
	}
	require.Empty(t, ready())
	require.NoError(t, w.store.PutBack(t.Context()))
	require.Subset(t, ready(), []string{settling, verifying})

	w.heal(verifying)
	c := w.lastCase(verifying)
	require.Equal(t, "verifying", c.Reason)
	require.LessOrEqual(t, c.WakeAt.Sub(w.clock.Now()), within)
	looks := 0
	for ; w.lastCase(verifying).Reason == "verifying"; looks++ {
		w.clock.passTo(w.lastCase(verifying).WakeAt)
		w.heal(verifying)
	}
	require.Less(t, looks, 12)
	w.healUntil(settling, "canary") // its account is opened, and the rule for its card waits for the other
	require.Len(t, w.sendings(settling, bank.LedgerOpen), 1)
	require.Len(t, w.sendings(verifying, bank.CardsOrder), 1)
	waits := w.lastCase(settling).WakeAt
	require.NoError(t, w.store.PutBack(t.Context()))
	require.Equal(t, waits, w.lastCase(settling).WakeAt, "who waits by the right clock waits on")
}
