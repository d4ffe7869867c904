package reconciler_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/bank"
	"amend/lifecycle"
	"amend/store"
)

// TestI16Pause: nothing that a pause covers is sent, neither for the first time
// nor again, until a person resumes; also over a restart.
func TestI16Pause(t *testing.T) { onEach(t, testI16Pause) }

func testI16Pause(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, o)
	w.scan()
	customer := w.planted("ledger_missing")
	pause := func(scope, target string) {
		_, err := w.store.Pause(t.Context(), store.Pause{Scope: scope, Target: target, By: "ada", Why: "a test"})
		require.NoError(t, err)
	}
	resume := func(scope, target string) {
		require.NoError(t, w.store.Resume(t.Context(), scope, target, "bo"))
	}
	for scope, target := range map[string]string{store.PauseAll: "", store.PauseRule: "open-ledger", store.PauseService: "ledger", store.PauseCustomer: customer} {
		pause(scope, target)
		c := w.healUntil(customer, "paused")
		require.Contains(t, c.Why, "ada has paused")
		w.clock.passTo(c.WakeAt)
		w.restart()
		require.Equal(t, "paused", w.healUntil(customer, "paused").Reason)
		resume(scope, target)
		require.False(t, w.lastCase(customer).WakeAt.After(w.clock.Now()), "whoever waited is looked at")
	}
	require.Empty(t, w.sendings(customer, bank.LedgerOpen))

	// What was sent and must be sent again waits, too.
	w.fault("ledger", bank.Fault{Outage: bank.OutageUnavailable, Only: bank.OnlyOperations})
	w.healUntil(customer, "backoff")
	sent := w.step(customer).Sent
	pause(store.PauseService, "ledger")
	w.fault("ledger", bank.Fault{})
	w.clock.pass(time.Minute)
	w.healUntil(customer, "paused")
	require.Equal(t, sent, w.step(customer).Sent)
	resume(store.PauseService, "ledger")
	require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
	w.requireNothingWrong()
}

// TestI16PauseByFormerNames: a pause of a rule holds by each of its names,
// whenever it was given another one, and also for what it began before.
func TestI16PauseByFormerNames(t *testing.T) { onEach(t, testI16PauseByFormerNames) }

func testI16PauseByFormerNames(t *testing.T, o options) {
	t.Parallel()
	rename := func(w *world) {
		w.reload(func(s string) string {
			return strings.Replace(s, "  open-ledger:\n", "  make-ledger:\n    was: [open-ledger]\n", 1)
		})
	}
	pause := func(w *world, name string) {
		_, err := w.desk().Pause(w.Context(), store.Pause{Scope: store.PauseRule, Target: name, By: "ada", Why: "a test"})
		require.NoError(w, err)
	}
	for name, prepare := range map[string]func(w *world){
		"PausedBefore":              func(w *world) { pause(w, "open-ledger"); rename(w) },
		"PausedByTheFormerName":     func(w *world) { rename(w); pause(w, "open-ledger") },
		"PausedByThePresentName":    func(w *world) { rename(w); pause(w, "make-ledger") },
		"PausedBeforeAndAfterwards": func(w *world) { pause(w, "open-ledger"); rename(w); pause(w, "open-ledger") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, o)
			prepare(w)
			w.scan()
			customer := w.planted("ledger_missing")
			w.healUntil(customer, "paused")
			require.NoError(t, w.desk().Resume(t.Context(), store.PauseRule, "make-ledger", "bo"))
			require.Equal(t, amend.NotFound, amend.CodeOf(w.desk().Resume(t.Context(), store.PauseRule, "make-ledger", "bo")))
			require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
		})
	}
	t.Run("WhatWasBegun", func(t *testing.T) {
		t.Parallel()
		w := setup(t, o)
		w.scan()
		customer := w.planted("ledger_missing")
		w.fault("ledger", bank.Fault{ErrorRate: 1, Only: bank.OnlyOperations})
		w.healUntil(customer, "backoff")
		sent := w.step(customer).Sent
		rename(w)
		pause(w, "make-ledger")
		w.fault("ledger", bank.Fault{})
		w.healUntil(customer, "paused")
		require.Equal(t, sent, w.step(customer).Sent)
		require.NoError(t, w.desk().Resume(t.Context(), store.PauseRule, "open-ledger", "bo"))
		require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
	})
}
