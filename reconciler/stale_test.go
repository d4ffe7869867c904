package reconciler_test

import (
	"context"
	"database/sql"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend"
	"amend/bank"
	"amend/connectors"
	"amend/desk"
	"amend/lifecycle"
	"amend/store"
)

// I16: what was decided before a pause isn't sent behind it, where its intent had
// to wait for somebody else.
func TestAPauseBindsWhatWaitedForTheStore(t *testing.T) {
	t.Parallel()
	ledger := &heard{}
	var w *world
	var customer string
	var sent atomic.Bool
	var once sync.Once
	var group sync.WaitGroup
	ledger.reads = func(sent bool) {
		if sent || customer == "" {
			return
		}
		once.Do(func() {
			raw, err := sql.Open("pgx", w.address)
			require.NoError(t, err)
			other, err := raw.Begin() // say, a dashboard that stands still in the middle of an approval
			require.NoError(t, err)
			_, err = other.Exec(`select 1 from cases where customer = $1 for update`, customer)
			require.NoError(t, err)
			group.Go(func() {
				defer raw.Close()
				eventually(t, func() bool {
					var waits int
					err := raw.QueryRow(`select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`).Scan(&waits)
					return assert.NoError(t, err) && waits > 0
				}, "the intent waits for the row")
				_, err := w.store.Pause(t.Context(), store.Pause{Scope: store.PauseAll, By: "ada", Why: "stop"})
				assert.NoError(t, err)
				w.clock.pass(time.Second)
				assert.NoError(t, other.Rollback())
			})
		})
	}
	w = setup(t, options{postgres: true, wrap: map[string]func(connectors.Connector) connectors.Connector{"ledger": func(c connectors.Connector) connectors.Connector {
		ledger.Connector = between{c, func(_ context.Context, _ connectors.Request, next func() connectors.Answer) connectors.Answer {
			sent.Store(true)
			return next()
		}}
		return ledger
	}}})
	w.scan()
	c := w.planted("ledger_missing")
	w.heal(c)
	w.clock.passTo(w.lastCase(c).WakeAt)
	customer = c
	w.heal(c)
	group.Wait()
	require.False(t, sent.Load())
	w.requireNothingWrong()
}

// Of two people who saw the same page the second is refused, since the first was
// carried out meanwhile.
func TestTwoPeopleWithTheSamePage(t *testing.T) {
	onEach(t, func(t *testing.T, o options) {
		t.Parallel()
		w := setup(t, options{postgres: o.postgres})
		w.scan()
		customer := w.planted("active")
		one, err := w.desk().Customer(t.Context(), customer)
		require.NoError(t, err)
		option, err := one.Option("reissue-card")
		require.NoError(t, err)
		click := func(actor string) error {
			return w.desk().Start(t.Context(), desk.Start{Request: w.store.NewID("ask"), Customer: customer, Rule: "reissue-card", Fingerprint: option.Fingerprint, Actor: actor, Reason: "lost"})
		}
		require.NoError(t, click("ada"))
		require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
		require.ErrorContains(t, click("bo"), "the customer has changed since the page was shown")
		require.Equal(t, 1, w.bank.Count().Reissues)
	})
}

// A page that is older than what amend has sent starts nothing beside it (I5).
func TestAnOldPage(t *testing.T) {
	onEach(t, func(t *testing.T, o options) {
		t.Parallel()
		w := setup(t, options{postgres: o.postgres, yaml: func(s string) string { return strings.ReplaceAll(s, "timeout: 2s", "timeout: 100ms") }})
		w.scan()
		customer := w.planted("ledger_missing")
		w.heal(customer)
		sheet, err := w.desk().Customer(t.Context(), customer)
		require.NoError(t, err)
		option, err := sheet.Option("open-ledger")
		require.NoError(t, err)
		require.Nil(t, sheet.Question)
		w.fault("ledger", bank.Fault{ErrorRate: 1, Only: bank.OnlyOperations})
		w.requireEscalated(w.healOn(customer), "attempts")
		now, err := w.desk().Customer(t.Context(), customer)
		require.NoError(t, err)
		require.NotNil(t, now.Question, "a person is asked whether it happened")
		err = w.desk().Start(t.Context(), desk.Start{Request: w.store.NewID("ask"), Customer: customer, Rule: "open-ledger", Fingerprint: option.Fingerprint, Actor: "ada", Reason: "ticket 1"})
		require.ErrorContains(t, err, "the customer has changed since the page was shown")
	})
}

// A click that comes while amend is about to send the same is refused when its
// turn comes: what must never be repeated isn't (I6).
func TestAPageThatWasShownBeforeASending(t *testing.T) {
	onEach(t, func(t *testing.T, o options) {
		t.Parallel()
		never := func(s string) string {
			return strings.Replace(s, `with: {email: string}, repeat: safe`, `with: {email: string}, repeat: never`, 1)
		}
		var w *world
		var customer string
		var sheet *desk.Sheet
		var keys []string
		var once sync.Once
		billing := &heard{}
		request := ""
		billing.reads = func(sent bool) {
			if sent || sheet == nil {
				return
			}
			once.Do(func() { // amend has claimed the case, and is looking; nobody sees that
				option, err := sheet.Option("copy-email")
				require.NoError(t, err)
				require.Empty(t, option.Why)
				request = w.store.NewID("ask")
				sheet = nil
				require.NoError(t, w.desk().Start(t.Context(), desk.Start{Request: request, Customer: customer, Rule: "copy-email", Fingerprint: option.Fingerprint, Actor: "ada", Reason: "ticket 1"}))
			})
		}
		w = setup(t, options{postgres: o.postgres, yaml: never, wrap: map[string]func(connectors.Connector) connectors.Connector{"billing": func(c connectors.Connector) connectors.Connector {
			billing.Connector = between{c, func(_ context.Context, r connectors.Request, _ func() connectors.Answer) connectors.Answer {
				keys = append(keys, r.Header["Idempotency-Key"])
				return connectors.Answer{Outcome: amend.Unsettled, Detail: "timeout"} // it may be at work
			}}
			return billing
		}}})
		w.scan()
		customer = w.planted("email_differs")
		w.heal(customer)
		w.clock.passTo(w.lastCase(customer).WakeAt)
		var err error
		sheet, err = w.desk().Customer(t.Context(), customer)
		require.NoError(t, err)
		w.heal(customer)
		require.Len(t, keys, 1)
		c := w.lastCase(customer)
		w.requireEscalated(c, "unsettled")
		ready, err := w.store.Ready(t.Context(), 1000)
		require.NoError(t, err)
		require.Contains(t, ready, customer)
		w.heal(customer) // a second later
		require.Equal(t, "refused: the customer has changed since the page was shown.", w.result(request))
		require.Len(t, keys, 1)
	})
}

// sleeper is time.Now on a machine that can sleep: the wall clock goes on, the
// monotonic one stands.
type sleeper struct{ slept atomic.Int64 } // seconds

func (s *sleeper) Now() time.Time {
	t := time.Now()
	*(*uint64)(unsafe.Pointer(&t)) += uint64(s.slept.Load()) << 30
	return t
}

type preparesBefore struct {
	connectors.Connector
	prepared func()
}

func (p preparesBefore) Prepare(c connectors.Call) (connectors.Request, error) {
	p.prepared()
	return p.Connector.Prepare(c)
}

// I11: a machine that sleeps for an hour between an intent and its sending doesn't
// hold the lease any more, although a clock that counts says so.
func TestWhoeverSleptSendsNothing(t *testing.T) {
	s := &sleeper{}
	var armed, prepares, calls, sent atomic.Int64
	w := setup(t, options{wrap: map[string]func(connectors.Connector) connectors.Connector{"ledger": func(c connectors.Connector) connectors.Connector {
		return preparesBefore{between{c, func(_ context.Context, _ connectors.Request, next func() connectors.Answer) connectors.Answer {
			sent.Add(1)
			return next()
		}}, func() {
			if armed.Load() == 1 {
				prepares.Add(1)
			}
		}}
	}}})
	w.scan()
	customer := w.planted("ledger_missing")
	w.heal(customer)
	eventually(t, func() bool { return s.Now().After(w.lastCase(customer).WakeAt) }, "it has settled")
	require.NoError(t, w.store.Close())
	var err error
	w.store, err = store.Open(t.Context(), w.address, store.Options{Now: s.Now, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	w.engine = w.another()
	w.engine.Now = func() time.Time {
		// The first call after the request was prepared is within the transaction
		// of the intent, the second is behind it, before the sending.
		if prepares.Load() >= 2 && calls.Add(1) == 2 {
			s.slept.Store(3600)
		}
		return s.Now()
	}
	require.NoError(t, w.engine.Begin(t.Context()))
	armed.Store(1)
	require.NoError(t, w.engine.Heal(t.Context(), customer))
	require.Equal(t, int64(3600), s.slept.Load())
	require.Zero(t, sent.Load(), "it slept longer than its lease lasts")
}
