package reconciler_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend/bank"
	"amend/lifecycle"
	"amend/reconciler"
	"amend/rules"
	"amend/store"
)

// fingerprint is of what a person sees who is about to start a rule.
func (w *world) fingerprint(customer, rule string) string {
	w.Helper()
	look := w.engine.Look(w.Context(), customer)
	r := w.cfg.Rules.Rule(rule)
	plan, err := r.Plan(look.Scope, w.cfg.Schema)
	require.NoError(w, err)
	newest, err := w.store.NewestRepair(w.Context(), customer)
	require.NoError(w, err)
	return rules.StartFingerprint(look, r, plan, newest)
}

// ask writes down that a person wants a rule taken, and gives the request. An
// empty fingerprint is that of now.
func (w *world) ask(customer, rule, fingerprint string) string {
	w.Helper()
	if fingerprint == "" {
		fingerprint = w.fingerprint(customer, rule)
	}
	id := w.store.NewID("ask")
	asked, err := w.store.Ask(w.Context(), store.Request{ID: id, Customer: customer, Kind: store.AskStart, Rule: rule, Fingerprint: fingerprint, Actor: "ada", Reason: "lost"})
	require.NoError(w, err)
	require.True(w, asked)
	return id
}

// result is what became of a request.
func (w *world) result(id string) string {
	w.Helper()
	q, found, err := w.store.Asked(w.Context(), id)
	require.NoError(w, err)
	require.True(w, found)
	return q.Result
}

// TestStart takes a rule in a person's name.
func TestStart(t *testing.T) { onEach(t, testStart) }

func testStart(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, options{postgres: o.postgres, customers: 100})
	w.scan()
	active := w.allPlanted("active")

	t.Run("AlsoWhatIsSettling", func(t *testing.T) {
		customer := w.planted("email_differs")
		w.heal(customer)
		require.Equal(t, "settling", w.lastCase(customer).Reason)
		request := w.ask(customer, "copy-email", "")
		w.heal(customer)
		require.Equal(t, "started", w.result(request))
		ended := w.lastCase(customer)
		require.Equal(t, lifecycle.Healed, ended.Status)
		require.Equal(t, store.EndedByPerson, ended.EndedBy)
	})
	t.Run("OnACoherentCustomer", func(t *testing.T) {
		customer := active[0]
		request := w.ask(customer, "reissue-card", "")
		w.heal(customer)
		require.Equal(t, "started", w.result(request))
		require.Equal(t, "card_blocked", w.lastCase(customer).State, "order-card goes on from here")
		require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
		require.Equal(t, "active", w.bank.Truth(customer))
		all := w.repairs(customer)
		require.Equal(t, []string{"reissue-card", "order-card"}, []string{all[0].Rule, all[1].Rule})
		require.Equal(t, []string{"ada", "amend"}, []string{all[0].StartedBy, all[1].StartedBy})
		require.Equal(t, 1, w.bank.Count().Reissues)
	})
	t.Run("TheSameRequestTwiceIsOne", func(t *testing.T) {
		customer := active[1]
		request := w.ask(customer, "reissue-card", "")
		asked, err := w.store.Ask(t.Context(), store.Request{ID: request, Customer: customer, Kind: store.AskStart, Rule: "reissue-card", Actor: "ada"})
		require.NoError(t, err)
		require.False(t, asked)
		w.healOn(customer)
		w.heal(customer)
		require.Len(t, w.sendings(customer, bank.CardsBlock), 1)
	})
	t.Run("TakenByOneOfTwoEngines", func(t *testing.T) {
		customer := active[2]
		w.ask(customer, "reissue-card", "")
		other := w.another()
		var group sync.WaitGroup
		for _, e := range []*reconciler.Engine{w.engine, other, w.engine, other} {
			group.Go(func() { assert.NoError(t, e.Heal(t.Context(), customer)) })
		}
		group.Wait()
		require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
		require.Len(t, w.sendings(customer, bank.CardsBlock), 1)
		require.Len(t, w.sendings(customer, bank.CardsOrder), 1)
	})
	t.Run("RefusedWhereThePersonSawSomethingElse", func(t *testing.T) {
		customer := active[3]
		request := w.ask(customer, "reissue-card", "something else")
		w.heal(customer)
		require.Contains(t, w.result(request), "refused: the customer has changed")
		w.requireNoCase(customer)
		require.Empty(t, w.sendings(customer, bank.CardsBlock))
	})
	t.Run("RefusedWhereTheRuleDoesNotFit", func(t *testing.T) {
		customer := active[4]
		for rule, why := range map[string]string{"copy-email": "the customer is active now", "nothing": "no such rule"} {
			request := w.ask(customer, rule, "anything")
			w.heal(customer)
			require.Contains(t, w.result(request), why)
		}
		w.requireNoCase(customer)
	})
	t.Run("RefusedWhileARepairIsUnderWay", func(t *testing.T) {
		customer := w.planted("billing_missing")
		w.fault("billing", bank.Fault{ErrorRate: 1, Only: bank.OnlyOperations})
		w.healUntil(customer, "backoff")
		request := w.ask(customer, "start-billing", "")
		w.heal(customer)
		require.Contains(t, w.result(request), "refused: ")
		require.Len(t, w.repairs(customer), 1)
		w.fault("billing", bank.Fault{})
		require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
	})
	t.Run("InsteadOfWhatWasProposed", func(t *testing.T) {
		customer := w.planted("rejected_but_open")
		w.healOn(customer)
		request := w.ask(customer, "close-account", "")
		w.heal(customer)
		require.Contains(t, w.result(request), "proposed already")
		require.Equal(t, lifecycle.Proposed, w.lastCase(customer).Status)
		require.Empty(t, w.sendings(customer, bank.LedgerClose))
	})
	t.Run("RefusedWhileAServiceIsUnseen", func(t *testing.T) {
		customer := active[5]
		request := w.ask(customer, "reissue-card", "")
		w.fault("identity", bank.Fault{Outage: bank.OutageUnavailable})
		w.heal(customer)
		require.Contains(t, w.result(request), "refused: it can't be judged: identity could not be read")
		w.requireNoCase(customer)
		require.Empty(t, w.sendings(customer, bank.CardsBlock))
	})
	w.requireNothingWrong()
}

// TestLook looks because a person asked.
func TestLook(t *testing.T) { onEach(t, testLook) }

func testLook(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, o)
	look := func(customer string) string {
		id := w.store.NewID("ask")
		_, err := w.store.Ask(t.Context(), store.Request{ID: id, Customer: customer, Kind: store.AskLook, Actor: "ada"})
		require.NoError(t, err)
		ready, err := w.store.Ready(t.Context(), 10)
		require.NoError(t, err)
		require.Contains(t, ready, customer)
		w.heal(customer)
		ready, err = w.store.Ready(t.Context(), 10)
		require.NoError(t, err)
		require.NotContains(t, ready, customer)
		return w.result(id)
	}
	t.Run("CoherentOpensNone", func(t *testing.T) {
		customer := w.planted("active")
		require.Equal(t, "looked: active", look(customer))
		w.requireNoCase(customer)
	})
	t.Run("NobodyOpensNone", func(t *testing.T) {
		require.Equal(t, "looked: nobody", look("cus_999999"))
		w.requireNoCase("cus_999999")
	})
	t.Run("OutOfCoherenceOpensOneWithWhatIsPromised", func(t *testing.T) {
		customer := w.planted("ledger_missing")
		require.Equal(t, "looked: ledger_missing", look(customer))
		c := w.lastCase(customer)
		require.Equal(t, lifecycle.Waiting, c.Status)
		require.WithinDuration(t, c.Since.Add(time.Hour), c.DueAt, time.Millisecond)
	})
	t.Run("WhatPeopleHaveStaysTheirs", func(t *testing.T) {
		customer := w.planted("orphaned")
		look(customer)
		require.Equal(t, lifecycle.Escalated, w.lastCase(customer).Status)
		look(customer)
		require.Equal(t, lifecycle.Escalated, w.lastCase(customer).Status)
		require.Equal(t, 1, w.letters(w.lastCase(customer).Incident))
	})
}
