package reconciler_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/bank"
	"amend/connectors"
	"amend/lifecycle"
	"amend/store"
)

// TestHeal holds how each state of the bank ends, by the bank's own truth.
func TestHeal(t *testing.T) { onEach(t, testHeal) }

func testHeal(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, options{postgres: o.postgres, customers: 400})
	w.scan()
	for _, c := range []struct {
		state  string
		status lifecycle.Status
		reason string
	}{
		{"ledger_missing", lifecycle.Healed, "healed"},
		{"card_missing", lifecycle.Healed, "healed"},
		{"card_blocked", lifecycle.Healed, "healed"},
		{"billing_missing", lifecycle.Healed, "healed"},
		{"email_differs", lifecycle.Healed, "healed"},
		{"rejected_with_card", lifecycle.Healed, "healed"},
		{"rejected_with_plan", lifecycle.Healed, "healed"},
		{"rejected_but_open", lifecycle.Proposed, "approval"},
		{"rejected_with_money", lifecycle.Escalated, "no_rule"},
		{"orphaned", lifecycle.Escalated, "no_rule"},
		{"ledger_unusable", lifecycle.Escalated, "no_rule"},
		{"signing_up_overdue", lifecycle.Escalated, "overdue"},
	} {
		for _, customer := range w.allPlanted(c.state) {
			got := w.healOn(customer)
			require.Equal(t, c.status, got.Status, "%s who is %s: %s", customer, c.state, got.Why)
			require.Equal(t, c.reason, got.Reason, customer)
			require.Equal(t, c.status == lifecycle.Healed, w.bank.Coherent(customer), customer)
			if got.Open() {
				require.Equal(t, "open", w.incident(got).Status)
				require.Equal(t, 1, w.letters(got.Incident))
				continue
			}
			require.Equal(t, store.EndedByRule, got.EndedBy)
			require.NotEmpty(t, w.repairs(customer))
		}
	}
	w.requireNothingWrong()
}

// TestI1UnseenIsNeverAbsent takes each service away in turn: nothing is sent
// that rests on it, and what was held back goes on when it is there again.
func TestI1UnseenIsNeverAbsent(t *testing.T) { onEach(t, testI1UnseenIsNeverAbsent) }

func testI1UnseenIsNeverAbsent(t *testing.T, o options) {
	t.Parallel()
	for _, c := range []struct{ service, outage, state string }{
		{"identity", bank.OutageUnavailable, "ledger_missing"}, {"identity", bank.OutageCut, "email_differs"},
		{"ledger", bank.OutageUnavailable, "ledger_missing"}, {"cards", bank.OutageCut, "card_missing"},
		{"billing", bank.OutageUnavailable, "billing_missing"}, {"compliance", bank.OutageUnavailable, "ledger_missing"},
	} {
		t.Run(c.service+"/"+c.outage, func(t *testing.T) {
			t.Parallel()
			w := setup(t, o)
			customer := w.planted(c.state)
			w.scan()
			w.fault(c.service, bank.Fault{Outage: c.outage})
			for range 3 {
				w.heal(customer)
				got := w.lastCase(customer)
				require.Equal(t, lifecycle.Waiting, got.Status)
				require.Equal(t, "unseen", got.Reason)
				require.Contains(t, got.Why, c.service)
				w.requireConsistent(got)
				w.clock.passTo(got.WakeAt)
			}
			require.Empty(t, w.bank.Journal().Entries())

			w.fault(c.service, bank.Fault{})
			w.reload(func(s string) string { return s + "\n" }) // a breaker that has never opened
			require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
			require.True(t, w.bank.Coherent(customer))
			w.requireNothingWrong()
		})
	}
}

// TestI4IntentBeforeTheWire finds the step in the store before every sending.
func TestI4IntentBeforeTheWire(t *testing.T) { onEach(t, testI4IntentBeforeTheWire) }

func testI4IntentBeforeTheWire(t *testing.T, o options) {
	t.Parallel()
	var w *world
	var mu sync.Mutex
	sent := 0
	check := func(ctx context.Context, r connectors.Request, next func() connectors.Answer) connectors.Answer {
		mu.Lock()
		defer mu.Unlock()
		sent++
		var customer string
		for _, id := range w.allPlanted("ledger_missing") {
			if strings.Contains(string(r.Body), id) {
				customer = id
			}
		}
		c, open, err := w.store.OpenCase(ctx, customer)
		require.NoError(t, err)
		require.True(t, open)
		require.Equal(t, lifecycle.Healing, c.Status)
		repair, open, err := w.store.OpenRepair(ctx, c.ID)
		require.NoError(t, err)
		require.True(t, open)
		steps, err := w.store.Steps(ctx, repair.ID)
		require.NoError(t, err)
		require.Len(t, steps, 1)
		require.Equal(t, amend.Unsettled, steps[0].Outcome)
		require.True(t, steps[0].OutcomeAt.IsZero())
		require.Equal(t, r.Header["Idempotency-Key"], steps[0].Key)
		var stored connectors.Request
		require.NoError(t, json.Unmarshal(steps[0].Request, &stored))
		require.Equal(t, r, stored, "what goes over the wire is what is stored")
		return next()
	}
	w = setup(t, options{postgres: o.postgres, wrap: map[string]func(connectors.Connector) connectors.Connector{"ledger": sending(check)}})
	w.scan()
	for _, customer := range w.allPlanted("ledger_missing") {
		w.healOn(customer)
	}
	require.Positive(t, sent)
	w.requireNothingWrong()
}

// TestI12NextStepAfterTheLastIsProved takes a rule of two steps.
func TestI12NextStepAfterTheLastIsProved(t *testing.T) {
	onEach(t, testI12NextStepAfterTheLastIsProved)
}

func testI12NextStepAfterTheLastIsProved(t *testing.T, o options) {
	t.Parallel()
	two := func(s string) string {
		return strings.Replace(s, "do: [{cards.block: {}}]\n    mode: manual", "do: [{billing.cancel: {}}, {cards.block: {}}]\n    mode: manual", 1)
	}
	t.Run("InOrder", func(t *testing.T) {
		t.Parallel()
		w := setup(t, options{postgres: o.postgres, yaml: two})
		w.scan()
		customer := w.planted("active")
		w.ask(customer, "reissue-card", "")
		w.heal(customer)
		repair := w.repairs(customer)[0]
		steps, err := w.store.Steps(t.Context(), repair.ID)
		require.NoError(t, err)
		require.Len(t, steps, 2)
		require.False(t, steps[0].ProvedAt.After(steps[1].IntentAt), "the second intent is older than the proof of the first")
		require.NotEqual(t, steps[0].Key, steps[1].Key)
	})
	t.Run("NotWhileTheFirstIsUnknown", func(t *testing.T) {
		t.Parallel()
		w := setup(t, options{postgres: o.postgres, yaml: two})
		w.scan()
		w.fault("billing", bank.Fault{ErrorRate: 1, Only: bank.OnlyOperations})
		customer := w.planted("active")
		w.ask(customer, "reissue-card", "")
		c := w.healOn(customer)
		w.requireEscalated(c, "attempts")
		for _, e := range w.bank.Journal().Of(customer) {
			require.Equal(t, bank.BillingCancel, e.Operation)
		}
	})
	t.Run("UnseenInTheMiddleWaits", func(t *testing.T) {
		t.Parallel()
		var w *world
		out := func(_ context.Context, _ connectors.Request, next func() connectors.Answer) connectors.Answer {
			defer w.fault("identity", bank.Fault{Outage: bank.OutageUnavailable})
			return next()
		}
		w = setup(t, options{postgres: o.postgres, yaml: two, wrap: map[string]func(connectors.Connector) connectors.Connector{"billing": sending(out)}})
		w.scan()
		customer := w.planted("active")
		w.ask(customer, "reissue-card", "")
		w.heal(customer)
		c := w.lastCase(customer)
		require.Equal(t, "unseen", c.Reason)
		require.Equal(t, store.RepairOpen, w.repairs(customer)[0].Status)
		require.Len(t, w.bank.Journal().Of(customer), 1)
		w.fault("identity", bank.Fault{})
		w.clock.passTo(c.WakeAt)
		w.heal(customer)
		require.Equal(t, bank.CardsBlock, w.bank.Journal().Of(customer)[1].Operation)
	})
}

// TestI13HealedMeansReadAgain has a service that says yes and does nothing.
func TestI13HealedMeansReadAgain(t *testing.T) { onEach(t, testI13HealedMeansReadAgain) }

func testI13HealedMeansReadAgain(t *testing.T, o options) {
	t.Parallel()
	lies := 0
	lie := func(context.Context, connectors.Request, func() connectors.Answer) connectors.Answer {
		lies++
		return connectors.Answer{Outcome: amend.Done, Status: http.StatusOK}
	}
	w := setup(t, options{postgres: o.postgres, wrap: map[string]func(connectors.Connector) connectors.Connector{"ledger": sending(lie), "cards": sending(lie)}})
	w.scan()
	for _, state := range []string{"ledger_missing", "card_missing"} {
		lies = 0
		customer := w.planted(state)
		w.requireEscalated(w.healOn(customer), "not_shown")
		require.Equal(t, 1, lies, "who said yes isn't asked again")
		require.Equal(t, store.RepairFailed, w.repairs(customer)[0].Status)
		require.False(t, w.bank.Coherent(customer))
	}

	t.Run("LooksThatPeopleAskForDoNotCount", func(t *testing.T) {
		customer := w.allPlanted("ledger_missing")[1]
		w.healUntil(customer, "failing")
		w.release("open-ledger")
		w.healUntil(customer, "not_shown")
		for i := range 10 {
			_, err := w.store.Ask(t.Context(), store.Request{ID: fmt.Sprint("look", i), Customer: customer, Kind: store.AskLook, Actor: "ada"})
			require.NoError(t, err)
			w.heal(customer)
		}
		c := w.lastCase(customer)
		require.Equal(t, lifecycle.Waiting, c.Status)
		require.Equal(t, 1, c.Attempts)
	})
}

// TestI18OthersWin changes the account between plan and sending.
func TestI18OthersWin(t *testing.T) { onEach(t, testI18OthersWin) }

func testI18OthersWin(t *testing.T, o options) {
	t.Parallel()
	var w *world
	changes := 0
	human := func(_ context.Context, r connectors.Request, next func() connectors.Answer) connectors.Answer {
		if changes++; changes == 1 {
			customer := w.planted("rejected_but_open")
			w.human(http.MethodPut, "LEDGER_URL", "/accounts/"+customer+"/status", `{"status":"closed"}`, "")
			w.human(http.MethodPost, "LEDGER_URL", "/accounts", fmt.Sprintf(`{"owner":%q,"currency":"EUR"}`, customer), "by-hand")
		}
		return next()
	}
	w = setup(t, options{postgres: o.postgres, wrap: map[string]func(connectors.Connector) connectors.Connector{"ledger": sending(human)},
		yaml: func(s string) string {
			return strings.Replace(s, "mode: approve\n    approvers: 2 ", "mode: auto\n    approvers: 2 ", 1)
		}})
	w.scan()
	customer := w.planted("rejected_but_open")
	require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
	var statuses []int
	for _, e := range w.bank.Journal().Of(customer) {
		if e.Operation == bank.LedgerClose {
			statuses = append(statuses, e.Status)
		}
	}
	require.Equal(t, []int{200, 412, 200}, statuses, "by hand; refused by If-Match; planned anew")
	all := w.repairs(customer)
	require.Len(t, all, 2)
	require.Equal(t, store.RepairLeft, all[0].Status)
	require.Equal(t, store.RepairDone, all[1].Status)
}

// human does something in a service as a person would.
func (w *world) human(method, service, path, body, key string) {
	w.Helper()
	request, err := http.NewRequestWithContext(w.Context(), method, w.bank.Env()[service]+path, strings.NewReader(body))
	require.NoError(w, err)
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	answer, err := http.DefaultClient.Do(request)
	require.NoError(w, err)
	require.NoError(w, answer.Body.Close())
	require.Less(w, answer.StatusCode, 300, "%s %s", method, path)
}

// TestWhoeverMovesByThemselves goes on from where they are.
func TestWhoeverMovesByThemselves(t *testing.T) { onEach(t, testWhoeverMovesByThemselves) }

func testWhoeverMovesByThemselves(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, o)
	w.scan()
	customer := w.planted("ledger_missing")
	w.heal(customer) // settling
	require.Equal(t, "settling", w.lastCase(customer).Reason)
	w.human(http.MethodPost, "LEDGER_URL", "/accounts", fmt.Sprintf(`{"owner":%q,"currency":%q}`, customer, w.currency(customer)), "by-hand")
	w.clock.pass(time.Minute)
	c := w.healOn(customer)
	require.Equal(t, lifecycle.Healed, c.Status)
	for _, e := range w.bank.Journal().Of(customer)[1:] {
		require.NotEqual(t, bank.LedgerOpen, e.Operation)
	}
}

// currency is what an account of the customer is kept in.
func (w *world) currency(customer string) string {
	look := w.engine.Look(w.Context(), customer)
	i, service := w.cfg.Schema.Service("identity")
	f, _ := service.Field("country")
	if look.View.Records[i].Value(f).Text() == "GB" {
		return "GBP"
	}
	return "EUR"
}
