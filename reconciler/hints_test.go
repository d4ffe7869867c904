package reconciler_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/bank"
	"amend/lifecycle"
)

// hint is what a service says of customers.
func (w *world) hint(customers ...string) {
	w.Helper()
	_, err := w.store.AskLooks(w.Context(), customers, "observe")
	require.NoError(w, err)
}

// requireLooked holds that nothing is asked of a customer any more.
func (w *world) requireLooked(customer string) {
	w.Helper()
	open, err := w.store.OpenRequests(w.Context(), customer)
	require.NoError(w, err)
	require.Empty(w, open)
}

// TestHint: a hint makes amend look, and nothing else.
func TestHint(t *testing.T) { onEach(t, testHint) }

func testHint(t *testing.T, o options) {
	t.Parallel()
	t.Run("OfACoherentCustomerCostsItsRow", func(t *testing.T) {
		t.Parallel()
		w := setup(t, o)
		customer := w.planted("active")
		w.hint(customer, "cus_999999")
		for _, customer := range []string{customer, "cus_999999"} {
			ready, err := w.store.Ready(t.Context(), 10)
			require.NoError(t, err)
			require.Contains(t, ready, customer, "the sweep finds it, also where the queue has lost it")
			w.heal(customer)
			w.requireLooked(customer)
			w.requireNoCase(customer)
			timeline, err := w.store.Timeline(t.Context(), customer, 10)
			require.NoError(t, err)
			require.Empty(t, timeline)
		}
		require.Empty(t, w.bank.Journal().Entries())
	})
	t.Run("OpensACaseForWhoeverIsNotInOrder", func(t *testing.T) {
		t.Parallel()
		w := setup(t, o)
		w.scan()
		customer := w.planted("active")
		w.human(http.MethodPatch, "BILLING_URL", "/subscriptions/"+customer, `{"email":"other@bank.example"}`, "")
		w.hint(customer)
		w.heal(customer)
		w.requireLooked(customer)
		require.Equal(t, "email_differs", w.lastCase(customer).State)
		require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
		require.True(t, w.bank.Coherent(customer))
	})
	t.Run("ShortensNoWait", func(t *testing.T) {
		t.Parallel()
		w := setup(t, o)
		w.scan()
		customer := w.planted("ledger_missing")
		w.fault("ledger", bank.Fault{ErrorRate: 1, Only: bank.OnlyOperations})
		waits := w.healUntil(customer, "backoff")
		sent := len(w.sendings(customer, bank.LedgerOpen))
		for range 20 {
			w.hint(customer)
			w.heal(customer)
			w.requireLooked(customer)
		}
		now := w.lastCase(customer)
		require.Equal(t, "backoff", now.Reason)
		require.Equal(t, waits.Attempts, now.Attempts)
		require.Len(t, w.sendings(customer, bank.LedgerOpen), sent, "nothing is sent any sooner")
		require.Equal(t, waits.WakeAt.Truncate(time.Second), now.WakeAt.Truncate(time.Second))
	})
	t.Run("SettlesNothingSooner", func(t *testing.T) {
		t.Parallel()
		w := setup(t, o)
		w.scan()
		customer := w.planted("ledger_missing")
		for range 5 {
			w.hint(customer)
			w.heal(customer)
		}
		require.Equal(t, "settling", w.lastCase(customer).Reason)
		require.Empty(t, w.sendings(customer, bank.LedgerOpen))
		require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
		w.requireNothingWrong()
	})
	t.Run("OfWhomCanNotBeRead", func(t *testing.T) {
		t.Parallel()
		w := setup(t, o)
		customer := w.planted("ledger_missing")
		w.fault("ledger", bank.Fault{Outage: bank.OutageUnavailable})
		w.hint(customer)
		w.heal(customer)
		w.requireLooked(customer)
		w.requireNoCase(customer)
		scans, err := w.store.Scans(t.Context(), 10)
		require.NoError(t, err)
		require.Empty(t, scans)
	})
}
