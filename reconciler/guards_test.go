package reconciler_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/bank"
	"amend/lifecycle"
	"amend/store"
)

// brakes are the open incidents about rules.
func (w *world) brakes() []store.Incident {
	w.Helper()
	all, err := w.store.OpenIncidents(w.Context(), 1000)
	require.NoError(w, err)
	var about []store.Incident
	for _, i := range all {
		if strings.HasPrefix(i.Cause, "share/") {
			about = append(about, i)
		}
	}
	return about
}

// TestI3MassChangeStopsTheRule blocks more cards at once than can be right.
func TestI3MassChangeStopsTheRule(t *testing.T) { onEach(t, testI3MassChangeStopsTheRule) }

func testI3MassChangeStopsTheRule(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, options{postgres: o.postgres, customers: 80})
	w.scan()
	active := w.allPlanted("active")[:25]
	for _, customer := range active {
		w.human(http.MethodPut, "CARDS_URL", "/cards/"+customer+"/status", `{"status":"blocked"}`, "")
	}
	w.scan()
	w.clock.pass(time.Minute)
	for _, customer := range active {
		w.heal(customer)
		w.clock.pass(2 * time.Second)
		w.heal(customer)
		c := w.lastCase(customer)
		require.Equal(t, "share", c.Reason)
		w.requireConsistent(c)
		require.Empty(t, w.sendings(customer, bank.CardsOrder))
	}
	brakes := w.brakes()
	require.Len(t, brakes, 1, "one incident for all of them")
	require.Equal(t, 1, w.letters(brakes[0].ID))
	require.Contains(t, brakes[0].Why, "order-card")

	t.Run("GoesOnWhenFewAreLeft", func(t *testing.T) {
		for _, customer := range active[:10] {
			w.human(http.MethodPost, "CARDS_URL", "/cards", `{"customer":"`+customer+`"}`, "by-hand-"+customer)
		}
		w.clock.pass(time.Minute)
		for i, customer := range active[:10] {
			w.heal(customer)
			require.Equal(t, lifecycle.Healed, w.lastCase(customer).Status)
			if i == 0 {
				require.Len(t, w.brakes(), 1, "still too many")
			}
		}
		require.Empty(t, w.brakes(), "whoever looks sees that the rule may act again")
		require.Equal(t, lifecycle.Healed, w.healOn(active[24]).Status)
		require.Len(t, w.sendings(active[24], bank.CardsOrder), 1)
		incident, _, err := w.store.Incident(t.Context(), brakes[0].ID)
		require.NoError(t, err)
		require.Equal(t, "healed", incident.Outcome)
		require.Equal(t, 2, w.letters(incident.ID))
	})
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
	w.scan()
	require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
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
