package reconciler_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/bank"
	"amend/connectors"
	"amend/lifecycle"
	"amend/store"
)

// brakes are the rules that amend itself has stopped, and their incidents.
func (w *world) brakes() (pauses []store.Pause, incidents []store.Incident) {
	w.Helper()
	all, err := w.store.OpenIncidents(w.Context(), 1000)
	require.NoError(w, err)
	for _, i := range all {
		if strings.HasPrefix(i.Cause, "brake/") {
			incidents = append(incidents, i)
		}
	}
	pauses, err = w.store.Pauses(w.Context())
	require.NoError(w, err)
	return pauses, incidents
}

// release has a person let a rule go on that amend has stopped.
func (w *world) release(rule string) {
	w.Helper()
	require.NoError(w, w.store.Resume(w.Context(), store.PauseRule, rule, "ada"))
}

// block blocks the cards of customers in order, by hand.
func (w *world) block(customers []string) {
	for _, customer := range customers {
		w.human(http.MethodPut, "CARDS_URL", "/cards/"+customer+"/status", `{"status":"blocked"}`, "")
	}
}

// TestI3MassChangeStopsTheRule blocks more cards at once than can be right.
func TestI3MassChangeStopsTheRule(t *testing.T) { onEach(t, testI3MassChangeStopsTheRule) }

func testI3MassChangeStopsTheRule(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, options{postgres: o.postgres, customers: 120})
	w.scan()
	active := w.allPlanted("active")
	w.block(active[:25])
	w.scan()
	w.clock.pass(time.Minute)
	for i, customer := range active[:25] {
		w.heal(customer)
		if c := w.lastCase(customer); i == 0 {
			require.Equal(t, "share", c.Reason)
		}
		w.clock.pass(2 * time.Second)
		w.heal(customer)
		c := w.lastCase(customer)
		require.Equal(t, "paused", c.Reason)
		require.Contains(t, c.Why, "customers are in the states of order-card at once, more than 20")
		w.requireConsistent(c)
		require.Empty(t, w.sendings(customer, bank.CardsOrder))
	}
	pauses, incidents := w.brakes()
	require.Len(t, incidents, 1, "one incident for all of them")
	require.Equal(t, 1, w.letters(incidents[0].ID))
	require.Regexp(t, `order-card at once.*card_blocked \d+, of them \d+ opened within 10 minutes`, incidents[0].Why)
	require.Contains(t, incidents[0].Next, "amend resume --rule order-card")
	require.Len(t, pauses, 1)
	require.Equal(t, []string{store.PauseRule, "order-card", store.Amend, store.BrakeShare}, []string{pauses[0].Scope, pauses[0].Target, pauses[0].By, pauses[0].Brake})

	w.restart()
	for _, customer := range active[:10] {
		w.human(http.MethodPost, "CARDS_URL", "/cards", `{"customer":"`+customer+`"}`, "by-hand-"+customer)
	}
	w.clock.pass(time.Hour)
	w.scan()
	for _, customer := range active[:10] {
		w.heal(customer)
		require.Equal(t, lifecycle.Healed, w.lastCase(customer).Status)
	}
	w.heal(active[11])
	require.Empty(t, w.sendings(active[11], bank.CardsOrder), "it doesn't let go by itself, nor with a restart")

	w.release("order-card")
	ready, err := w.store.Ready(t.Context(), 1000)
	require.NoError(t, err)
	require.Contains(t, ready, active[11], "whoever waited is looked at")
	_, incidents = w.brakes()
	require.Empty(t, incidents)
	for _, customer := range active[10:25] {
		require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
		require.Len(t, w.sendings(customer, bank.CardsOrder), 1)
	}
}

// TestUsuallySo: what is so every day is no mass change.
func TestUsuallySo(t *testing.T) { onEach(t, testUsuallySo) }

func testUsuallySo(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, options{postgres: o.postgres, customers: 80})
	active := w.allPlanted("active")
	w.block(active[:6])
	for range 3 {
		w.scan()
		w.clock.pass(time.Hour)
	}
	w.block(active[6:25])
	w.scan()
	w.clock.pass(time.Minute)
	require.Equal(t, lifecycle.Healed, w.healOn(active[0]).Status, "fewer than five times as many as last time")
	w.clock.pass(8 * 24 * time.Hour)
	w.heal(active[1])
	require.Equal(t, "share", w.lastCase(active[1]).Reason, "a week later nobody knows what is usual")
}

// TestCanary: a version of a rule begins one repair, then nine, then ninety, each
// when those before it are proved.
func TestCanary(t *testing.T) { onEach(t, testCanary) }

func testCanary(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, options{postgres: o.postgres, customers: 120})
	w.scan()
	active := w.allPlanted("active")
	begin := func(customers ...string) {
		w.block(customers)
		w.clock.pass(time.Second)
		w.scan()
		w.clock.pass(time.Minute)
		w.fault("cards", bank.Fault{ErrorRate: 1, Only: bank.OnlyOperations})
	}
	begin(active[:3]...)
	w.healUntil(active[0], "backoff")
	c := w.healUntil(active[1], "canary")
	require.Contains(t, c.Why, "This version of order-card is new: more follow when its first 1 repair is proved")
	require.Empty(t, w.sendings(active[1], bank.CardsOrder))
	w.fault("cards", bank.Fault{})
	reads := w.bank.Count().Reads["identity"].Single
	w.clock.passTo(w.lastCase(active[1]).WakeAt)
	w.heal(active[1])
	require.Equal(t, "canary", w.lastCase(active[1]).Reason)
	require.Equal(t, reads, w.bank.Count().Reads["identity"].Single, "waiting for others reads nothing")
	require.Equal(t, lifecycle.Healed, w.healOn(active[0]).Status)
	ready, err := w.store.Ready(t.Context(), 1000)
	require.NoError(t, err)
	require.Contains(t, ready, active[1], "the proof wakes who waits for it")
	for _, customer := range active[1:3] {
		require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
	}
	begin(active[3:14]...)
	for _, customer := range active[3:10] {
		w.healUntil(customer, "backoff")
	}
	w.healUntil(active[10], "canary")
	w.fault("cards", bank.Fault{})
	for _, customer := range active[3:14] {
		require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
	}

	// A version that works is new no more; another version is.
	w.reload(func(s string) string {
		return strings.Replace(s, "do: [{cards.order: {}}]", "do: [{cards.order: {}}]\n    attempts: 4", 1)
	})
	w.scan()
	begin(active[14:16]...)
	w.healUntil(active[14], "backoff")
	w.healUntil(active[15], "canary")
}

// TestCanaryFails: where one of a changed rule's first repairs fails, it does no
// more until a person says so (fault T15).
func TestCanaryFails(t *testing.T) { onEach(t, testCanaryFails) }

func testCanaryFails(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, options{postgres: o.postgres, wrap: map[string]func(connectors.Connector) connectors.Connector{"cards": answers(no)}})
	w.scan()
	all := w.allPlanted("active")[:3]
	w.block(all)
	w.clock.pass(time.Second)
	w.scan()
	w.clock.pass(time.Minute)
	w.requireEscalated(w.healOn(all[0]), "refused")
	c := w.healUntil(all[1], "failing")
	require.Equal(t, "One of the first repairs by this version of order-card has failed; 0 were proved.", c.Why)
	w.healUntil(all[2], "paused")
	pauses, incidents := w.brakes()
	require.Len(t, pauses, 1)
	require.Equal(t, store.BrakeCanary, pauses[0].Brake)
	require.Len(t, incidents, 1)
	require.Contains(t, incidents[0].About, "changed rule")

	w.release("order-card")
	w.requireEscalated(w.healOn(all[1]), "refused")
	w.healUntil(all[2], "failing")
	_, incidents = w.brakes()
	require.Len(t, incidents, 1, "it is tried once more, and no more often")
}

// TestT41Flapping: what doesn't last isn't repaired a fourth time within a day.
func TestT41Flapping(t *testing.T) { onEach(t, testT41Flapping) }

func testT41Flapping(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, o)
	w.scan()
	customer := w.planted("active")
	for range 3 {
		w.block([]string{customer})
		w.clock.pass(time.Minute)
		w.scan()
		require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
	}
	w.block([]string{customer})
	w.clock.pass(time.Minute)
	w.scan()
	c := w.healOn(customer)
	w.requireEscalated(c, "flapping")
	require.Contains(t, c.Why, "order-card has repaired this customer 3 times within a day")
	require.Len(t, w.sendings(customer, bank.CardsOrder), 3)
}

// TestChangedRuleWaitsForAFullPass: what a full scan has found before a rule
// was changed says little of the rule's customers.
func TestChangedRuleWaitsForAFullPass(t *testing.T) { onEach(t, testChangedRuleWaitsForAFullPass) }

func testChangedRuleWaitsForAFullPass(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, o)
	w.scan()
	w.clock.pass(time.Minute)
	w.reload(func(s string) string { return strings.Replace(s, "per_hour: 500", "per_hour: 400", 1) })
	customer := w.planted("ledger_missing")
	c := w.healUntil(customer, "full_pass")
	require.Contains(t, c.Why, "No full scan has ended since this version of open-ledger is in use")
	w.scan()
	require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
}

// TestFirstPass: nothing is repaired before every customer was looked at once.
func TestFirstPass(t *testing.T) { onEach(t, testFirstPass) }

func testFirstPass(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, o)
	customer := w.planted("rejected_with_card")
	_, err := w.store.Sight(t.Context(), []store.Sighting{{Customer: customer, State: "rejected_with_card", Wake: w.clock.Now()}})
	require.NoError(t, err)
	w.heal(customer)
	c := w.lastCase(customer)
	require.Equal(t, "full_pass", c.Reason)
	require.Empty(t, w.bank.Journal().Entries())
	require.Greater(t, c.WakeAt.Sub(w.clock.Now()), time.Minute, "nobody is read again and again while a scan goes on")
	w.scan()
	require.False(t, w.lastCase(customer).WakeAt.After(w.clock.Now()), "whoever waited for the scan need wait no longer")
	opened := w.lastCase(w.planted("ledger_missing"))
	require.Equal(t, "full_pass", opened.Reason, "whoever the scan itself has found waits for its end without being read")
	require.False(t, opened.WakeAt.After(w.clock.Now()))
	require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
	require.Equal(t, lifecycle.Healed, w.healOn(opened.Customer).Status)

}

// TestSettle: nothing acts before it has been so for long enough, over two
// looks.
func TestSettle(t *testing.T) { onEach(t, testSettle) }

func testSettle(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, o)
	w.scan()
	customer := w.planted("ledger_missing")
	w.heal(customer)
	c := w.lastCase(customer)
	require.Equal(t, "settling", c.Reason)
	require.Equal(t, c.Since.Add(settle).UnixMilli(), c.WakeAt.UnixMilli())
	require.Empty(t, w.bank.Journal().Entries())
	w.clock.passTo(c.WakeAt)
	w.heal(customer)
	require.Len(t, w.sendings(customer, bank.LedgerOpen), 1)
}

// TestWindow: in a standing pause nothing is sent, also not once more.
func TestWindow(t *testing.T) { onEach(t, testWindow) }

func testWindow(t *testing.T, o options) {
	t.Parallel()
	pause := func(s string) string {
		return s + "\npause:\n  - {cron: \"* * * * *\", zone: UTC, for: 1h, why: weekly settlement}\n"
	}
	w := setup(t, o)
	w.scan()
	begun, other := w.planted("ledger_missing"), w.planted("rejected_with_card")
	w.fault("ledger", bank.Fault{ErrorRate: 1, Only: bank.OnlyOperations})
	w.clock.passTo(w.healUntil(begun, "backoff").WakeAt)
	sent := len(w.bank.Journal().Entries())
	w.reload(pause)
	for _, customer := range []string{begun, other} {
		w.heal(customer)
		c := w.lastCase(customer)
		require.Equal(t, "window", c.Reason)
		require.Contains(t, c.Why, "weekly settlement")
		w.requireConsistent(c)
	}
	w.ask(w.planted("active"), "reissue-card", "")
	w.heal(w.planted("active"))
	require.Len(t, w.bank.Journal().Entries(), sent, "people aren't above it")
}

// TestRates hold for all customers of a rule together.
func TestRates(t *testing.T) { onEach(t, testRates) }

func testRates(t *testing.T, o options) {
	t.Parallel()
	t.Run("PerHour", func(t *testing.T) {
		t.Parallel()
		w := setup(t, options{postgres: o.postgres, yaml: func(s string) string { return strings.Replace(s, "per_hour: 500", "per_hour: 1", 1) }})
		w.scan()
		w.clock.pass(time.Second)
		all := w.allPlanted("ledger_missing")
		require.Equal(t, lifecycle.Healed, w.healOn(all[0]).Status)
		c := w.healUntil(all[1], "per_hour")
		require.Empty(t, w.sendings(all[1], bank.LedgerOpen))
		reads := w.bank.Count().Reads["identity"].Single
		w.clock.passTo(c.WakeAt)
		w.heal(all[1])
		require.Equal(t, "per_hour", w.lastCase(all[1]).Reason)
		require.Equal(t, reads, w.bank.Count().Reads["identity"].Single, "asking the limit again reads nothing")
		w.clock.pass(time.Hour)
		require.Equal(t, lifecycle.Healed, w.healOn(all[1]).Status)
	})
	t.Run("AtOnce", func(t *testing.T) {
		t.Parallel()
		w := setup(t, options{postgres: o.postgres, yaml: func(s string) string { return strings.Replace(s, "at_once: 8, share", "at_once: 1, share", 1) }})
		w.scan()
		all := w.allPlanted("ledger_missing")
		w.fault("ledger", bank.Fault{ErrorRate: 1, Only: bank.OnlyOperations})
		w.healUntil(all[0], "backoff")
		w.healUntil(all[1], "at_once")
		require.Empty(t, w.sendings(all[1], bank.LedgerOpen))
		w.fault("ledger", bank.Fault{})
		w.clock.pass(time.Minute)
		require.Equal(t, lifecycle.Healed, w.healOn(all[0]).Status)
		require.Equal(t, lifecycle.Healed, w.healOn(all[1]).Status)
		w.requireNothingWrong()
	})
}

// Invariant I3: above 5 % unseen in a service, rules that need it wait.
func TestOutage(t *testing.T) { onEach(t, testOutage) }

func testOutage(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, o)
	w.scan()
	samples, err := w.store.Samples(t.Context(), w.clock.Now())
	require.NoError(t, err)
	require.Len(t, samples, len(w.engine.Schema.Services))
	for _, s := range samples {
		require.Positive(t, s.Read, s.Service)
		require.Zero(t, s.Unseen, s.Service)
	}
	w.clock.pass(time.Hour)
	require.NoError(t, w.store.AddSamples(t.Context(), []store.Sample{{Service: "ledger", Read: 1000, Unseen: 51}}))
	customer := w.planted("ledger_missing")
	c := w.healUntil(customer, "outage")
	require.Contains(t, c.Why, "ledger could not be read for 51 of 1000 customers")
	require.Empty(t, w.bank.Journal().Of(customer))
	require.Equal(t, lifecycle.Healed, w.healOn(w.planted("rejected_with_card")).Status, "a rule that doesn't need it goes on")
	w.clock.pass(10 * time.Minute)
	require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)

	w.fault("ledger", bank.Fault{ErrorRate: 1})
	_, err = w.engine.Scan(t.Context(), store.FullScan, "ada")
	require.Error(t, err)
	samples, err = w.store.Samples(t.Context(), w.clock.Now())
	require.NoError(t, err)
	ledger := slices.IndexFunc(samples, func(s store.Sample) bool { return s.Service == "ledger" })
	require.Equal(t, samples[ledger].Read, samples[ledger].Unseen)
}
