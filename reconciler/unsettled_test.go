package reconciler_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
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

// sendings are the customer's entries of one operation.
func (w *world) sendings(customer string, operation bank.Operation) []bank.Entry {
	var all []bank.Entry
	for _, e := range w.bank.Journal().Of(customer) {
		if e.Operation == operation {
			all = append(all, e)
		}
	}
	return all
}

// TestI8LostAnswers: the effect is found by reading, and nothing is sent twice.
func TestI8LostAnswers(t *testing.T) { onEach(t, testI8LostAnswers) }

func testI8LostAnswers(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, options{postgres: o.postgres, customers: 400})
	w.scan()
	for _, c := range []struct {
		service, state string
		operation      bank.Operation
	}{
		{"ledger", "ledger_missing", bank.LedgerOpen}, {"cards", "card_missing", bank.CardsOrder}, {"billing", "billing_missing", bank.BillingStart},
		{"billing", "email_differs", bank.BillingSetEmail}, {"cards", "rejected_with_card", bank.CardsBlock}, {"billing", "rejected_with_plan", bank.BillingCancel},
	} {
		w.fault(c.service, bank.Fault{LostRate: 1, Only: bank.OnlyOperations})
		customer := w.planted(c.state)
		require.Equal(t, lifecycle.Healed, w.healOn(customer).Status, c.state)
		all := w.sendings(customer, c.operation)
		require.Len(t, all, 1, c.state)
		require.True(t, all[0].Lost && all[0].Effect)
		require.True(t, w.bank.Coherent(customer))
		w.fault(c.service, bank.Fault{})
	}
	w.requireNothingWrong()
}

// TestI5I6SameKeySameBytes: what failed before its effect is sent again, after
// a backoff, and nothing about it changes.
func TestI5I6SameKeySameBytes(t *testing.T) { onEach(t, testI5I6SameKeySameBytes) }

func testI5I6SameKeySameBytes(t *testing.T, o options) {
	t.Parallel()
	short := func(s string) string { return strings.ReplaceAll(s, "timeout: 2s", "timeout: 100ms") }
	for name, fault := range map[string]bank.Fault{
		"Error":   {ErrorRate: 1, Only: bank.OnlyOperations},
		"Outage":  {Outage: bank.OutageUnavailable, Only: bank.OnlyOperations},
		"Cut":     {Outage: bank.OutageCut, Only: bank.OnlyOperations},
		"Timeout": {HangRate: 1, Only: bank.OnlyOperations},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, options{postgres: o.postgres, yaml: short})
			w.scan()
			customer := w.planted("ledger_missing")
			w.fault("ledger", fault)
			for sent := 1; sent <= 3; sent++ {
				c := w.healUntil(customer, "backoff")
				require.Equal(t, lifecycle.Waiting, c.Status)
				require.Len(t, w.sendings(customer, bank.LedgerOpen), sent)
				require.Equal(t, sent, w.step(customer).Sent)
				w.heal(customer) // too early: nothing is sent
				require.Len(t, w.sendings(customer, bank.LedgerOpen), sent)
				w.clock.passTo(c.WakeAt)
				if sent == 3 {
					w.fault("ledger", bank.Fault{})
				}
				w.heal(customer)
			}
			require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
			all := w.sendings(customer, bank.LedgerOpen)
			require.Len(t, all, 4)
			var last time.Time
			for i, e := range all {
				require.Equal(t, all[0].Key, e.Key)
				require.Equal(t, all[0].BodySHA256, e.BodySHA256)
				if backoff := 10 * time.Second << max(0, i-1); i > 0 {
					require.GreaterOrEqual(t, e.Time.Sub(last), backoff-time.Millisecond)
				}
				last = e.Time
			}
			require.Equal(t, "order-card", w.repairs(customer)[1].Rule, "one repair did it all")
			w.requireNothingWrong()
		})
	}
}

// TestAttemptsEnd: what never works ends with a person, who is told how often it
// was tried.
func TestAttemptsEnd(t *testing.T) { onEach(t, testAttemptsEnd) }

func testAttemptsEnd(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, o)
	w.scan()
	customer := w.planted("ledger_missing")
	w.fault("ledger", bank.Fault{ErrorRate: 1, Only: bank.OnlyOperations})
	c := w.healOn(customer)
	w.requireEscalated(c, "attempts")
	require.Len(t, w.sendings(customer, bank.LedgerOpen), 5)
	require.Contains(t, w.incident(c).Tried, "5 times")
	require.Equal(t, store.RepairFailed, w.repairs(customer)[0].Status)
	require.True(t, c.WakeAt.IsZero(), "nobody looks again until something changes")
	w.requireNothingWrong()
}

// TestWithin: while an order may not be shown yet, nobody orders again.
func TestWithin(t *testing.T) { onEach(t, testWithin) }

func testWithin(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, options{postgres: o.postgres, bank: func(o *bank.Options) { o.CardDelay = within - time.Second }})
	w.scan()
	w.fault("cards", bank.Fault{LostRate: 1, Only: bank.OnlyOperations})
	customer := w.planted("card_missing")
	c := w.healUntil(customer, "verifying")
	for range 4 { // more eager than any schedule
		w.clock.pass(700 * time.Millisecond)
		w.fresh()
		w.heal(customer)
		c = w.lastCase(customer)
		require.Equal(t, "verifying", c.Reason)
	}
	require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
	require.Len(t, w.sendings(customer, bank.CardsOrder), 1)
	w.requireNothingWrong()
}

// TestI7KeyWindow: once the service may have forgotten the key, only reading is
// left.
func TestI7KeyWindow(t *testing.T) { onEach(t, testI7KeyWindow) }

func testI7KeyWindow(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, options{postgres: o.postgres, yaml: func(s string) string { return strings.ReplaceAll(s, "window: 24h", "window: 1m") }})
	w.scan()
	customer := w.planted("ledger_missing")
	w.fault("ledger", bank.Fault{ErrorRate: 1, Only: bank.OnlyOperations})
	w.healUntil(customer, "backoff")
	w.clock.pass(55 * time.Second)
	w.heal(customer)
	w.requireEscalated(w.lastCase(customer), "key_window")
	require.Len(t, w.sendings(customer, bank.LedgerOpen), 1)
}

// TestNeverTwice: an operation that must not be repeated is sent again only
// where it certainly didn't happen.
func TestNeverTwice(t *testing.T) { onEach(t, testNeverTwice) }

func testNeverTwice(t *testing.T, o options) {
	t.Parallel()
	never := func(s string) string {
		return strings.Replace(s, `with: {email: string}, repeat: safe`, `with: {email: string}, repeat: never`, 1)
	}
	for _, c := range []struct {
		outcome amend.Outcome
		reason  string
		sent    int
	}{{amend.Unsettled, "unsettled", 1}, {amend.Failed, "attempts", 5}} {
		t.Run(c.outcome.String(), func(t *testing.T) {
			t.Parallel()
			sent := 0
			answer := func(context.Context, connectors.Request, func() connectors.Answer) connectors.Answer {
				sent++
				return connectors.Answer{Outcome: c.outcome}
			}
			w := setup(t, options{postgres: o.postgres, yaml: never, wrap: map[string]func(connectors.Connector) connectors.Connector{"billing": sending(answer)}})
			w.scan()
			w.requireEscalated(w.healOn(w.planted("email_differs")), c.reason)
			require.Equal(t, c.sent, sent)
		})
	}
}

// TestRefused: a no is not asked again, and people read why.
func TestRefused(t *testing.T) { onEach(t, testRefused) }

func testRefused(t *testing.T, o options) {
	t.Parallel()
	sent := 0
	refuse := func(context.Context, connectors.Request, func() connectors.Answer) connectors.Answer {
		sent++
		return connectors.Answer{Outcome: amend.Refused, Status: http.StatusUnprocessableEntity, Detail: "answered 422: the plan is not sold any more"}
	}
	w := setup(t, options{postgres: o.postgres, wrap: map[string]func(connectors.Connector) connectors.Connector{"billing": sending(refuse)}})
	w.scan()
	c := w.healOn(w.planted("billing_missing"))
	w.requireEscalated(c, "refused")
	require.Contains(t, c.Why, "not sold any more")
	require.Equal(t, 1, sent)

	t.Run("AdoptedWhereSomebodyElseWasFirst", func(t *testing.T) {
		var w *world
		first := func(_ context.Context, r connectors.Request, next func() connectors.Answer) connectors.Answer {
			w.human(http.MethodPost, "LEDGER_URL", "/accounts", string(r.Body), "by-hand")
			return next()
		}
		w = setup(t, options{postgres: o.postgres, wrap: map[string]func(connectors.Connector) connectors.Connector{"ledger": sending(first)}})
		w.scan()
		customer := w.planted("ledger_missing")
		require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
		require.Equal(t, http.StatusConflict, w.sendings(customer, bank.LedgerOpen)[0].Status+w.sendings(customer, bank.LedgerOpen)[1].Status-http.StatusCreated)
	})
	t.Run("WhenSentAgainItIsReadOnceMore", func(t *testing.T) {
		// The first sending is still at work when the second is refused, and
		// shows after it.
		var w *world
		sent := 0
		slow := func(_ context.Context, r connectors.Request, _ func() connectors.Answer) connectors.Answer {
			if sent++; sent == 1 {
				return connectors.Answer{Outcome: amend.Unsettled}
			}
			return connectors.Answer{Outcome: amend.Refused, Status: http.StatusConflict}
		}
		w = setup(t, options{postgres: o.postgres, wrap: map[string]func(connectors.Connector) connectors.Connector{"ledger": sending(slow)}})
		w.scan()
		customer := w.planted("ledger_missing")
		w.clock.passTo(w.healUntil(customer, "backoff").WakeAt)
		w.heal(customer)
		require.Equal(t, 2, sent)
		require.Equal(t, "backoff", w.lastCase(customer).Reason)
		w.human(http.MethodPost, "LEDGER_URL", "/accounts", `{"owner":"`+customer+`","currency":"`+w.currency(customer)+`"}`, "late")
		require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
		require.Equal(t, 2, sent)
	})
}

// TestUnseenInTheMiddle: an unsettled step stays open while the customer can't
// be judged, and keeps its key.
func TestUnseenInTheMiddle(t *testing.T) { onEach(t, testUnseenInTheMiddle) }

func testUnseenInTheMiddle(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, o)
	w.scan()
	customer := w.planted("ledger_missing")
	w.fault("ledger", bank.Fault{ErrorRate: 1, Only: bank.OnlyOperations})
	w.clock.passTo(w.healUntil(customer, "backoff").WakeAt)
	w.fault("ledger", bank.Fault{})
	w.fault("identity", bank.Fault{Outage: bank.OutageUnavailable})
	w.heal(customer)
	c := w.lastCase(customer)
	require.Equal(t, "unseen", c.Reason)
	w.requireConsistent(c)
	require.Equal(t, store.RepairOpen, w.repairs(customer)[0].Status)

	w.fault("identity", bank.Fault{})
	w.reload(func(s string) string { return s + "\n" })
	w.clock.passTo(c.WakeAt)
	require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
	require.Len(t, w.sendings(customer, bank.LedgerOpen), 2)
	require.Equal(t, "order-card", w.repairs(customer)[1].Rule, "one repair did it all")
	w.requireNothingWrong()
}

// TestMovedInTheMiddle: what isn't settled is given time to arrive before
// anything else is decided for a customer who has moved on.
func TestMovedInTheMiddle(t *testing.T) { onEach(t, testMovedInTheMiddle) }

func testMovedInTheMiddle(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, o)
	w.scan()
	customer := w.planted("billing_missing")
	w.fault("billing", bank.Fault{ErrorRate: 1, Only: bank.OnlyOperations})
	w.healUntil(customer, "backoff")
	w.human(http.MethodPut, "LEDGER_URL", "/accounts/"+customer+"/status", `{"status":"closed"}`, "")
	w.heal(customer)
	c := w.lastCase(customer)
	require.Equal(t, "backoff", c.Reason, "not yet")
	require.Equal(t, store.RepairOpen, w.repairs(customer)[0].Status)
	w.clock.passTo(c.WakeAt)
	w.heal(customer)
	c = w.lastCase(customer)
	w.requireEscalated(c, "no_rule")
	require.Equal(t, "ledger_unusable", c.State)
	require.Equal(t, store.RepairLeft, w.repairs(customer)[0].Status)
	require.Len(t, w.sendings(customer, bank.BillingStart), 1)
}

// TestReload changes the configuration while a repair is open.
func TestReload(t *testing.T) { onEach(t, testReload) }

func testReload(t *testing.T, o options) {
	t.Parallel()
	renamed := func(s string) string { return strings.Replace(s, "  open-ledger:", "  other:", 1) }
	start := func(t *testing.T) (*world, string) {
		w := setup(t, o)
		w.scan()
		customer := w.planted("ledger_missing")
		w.fault("ledger", bank.Fault{ErrorRate: 1, Only: bank.OnlyOperations})
		w.clock.passTo(w.healUntil(customer, "backoff").WakeAt)
		return w, customer
	}
	t.Run("RuleGone", func(t *testing.T) {
		t.Parallel()
		w, customer := start(t)
		w.reload(renamed)
		w.heal(customer)
		w.requireEscalated(w.lastCase(customer), "attempts")
		require.Len(t, w.sendings(customer, bank.LedgerOpen), 1, "a rule that is gone sends nothing")
	})
	t.Run("RuleGoneAndEffectShown", func(t *testing.T) {
		t.Parallel()
		w := setup(t, options{postgres: o.postgres, bank: func(o *bank.Options) { o.CardDelay = 3 * time.Second }})
		w.scan()
		customer := w.planted("card_missing")
		w.healUntil(customer, "verifying")
		w.reload(func(s string) string { return strings.Replace(s, "  order-card:", "  other:", 1) })
		require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
		require.Len(t, w.sendings(customer, bank.CardsOrder), 1)
	})
	t.Run("OperationGone", func(t *testing.T) {
		t.Parallel()
		w, customer := start(t)
		w.reload(func(s string) string {
			s = strings.Replace(s, "      open:\n        post: /accounts", "      opened:\n        post: /accounts", 1)
			return strings.Replace(s, "do: [{ledger.open:", "do: [{ledger.opened:", 1)
		})
		w.heal(customer)
		w.requireEscalated(w.lastCase(customer), "gone")
	})
	t.Run("RenamedRuleGoesOn", func(t *testing.T) {
		t.Parallel()
		w, customer := start(t)
		w.fault("ledger", bank.Fault{})
		w.reload(func(s string) string {
			return strings.Replace(s, "  open-ledger:", "  other:\n    was: [open-ledger]", 1)
		})
		require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
		require.Len(t, w.sendings(customer, bank.LedgerOpen), 2)
		w.requireNothingWrong()
	})
	t.Run("ProposedByAnOlderRule", func(t *testing.T) {
		t.Parallel()
		w := setup(t, o)
		w.scan()
		customer := w.planted("rejected_but_open")
		before := w.healOn(customer)
		w.reload(func(s string) string {
			return strings.Replace(s, "do: [{ledger.close: {}}]", "do: [{cards.block: {}}]", 1)
		})
		w.heal(customer)
		after := w.lastCase(customer)
		require.Equal(t, lifecycle.Proposed, after.Status)
		require.Contains(t, after.Why, "cards.block")
		require.NotEqual(t, before.Incident, after.Incident)
		all := w.repairs(customer)
		require.Equal(t, []string{store.RepairVoid, store.RepairProposed}, []string{all[0].Status, all[1].Status})
	})
}

// TestMovedBeforeItIsShown: what was answered with yes and isn't shown, since
// somebody has moved the customer on, is neither a lie nor a fault of the rule.
func TestMovedBeforeItIsShown(t *testing.T) { onEach(t, testMovedBeforeItIsShown) }

func testMovedBeforeItIsShown(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, options{postgres: o.postgres, bank: func(b *bank.Options) { b.CardDelay = time.Hour }})
	w.scan()
	customer := w.planted("card_missing")
	w.healUntil(customer, "verifying")
	w.human(http.MethodPut, "LEDGER_URL", "/accounts/"+customer+"/status", `{"status":"closed"}`, "")
	w.clock.pass(within)
	w.heal(customer)
	c := w.lastCase(customer)
	w.requireEscalated(c, "no_rule")
	require.Equal(t, "ledger_unusable", c.State)
	require.Equal(t, store.RepairLeft, w.repairs(customer)[0].Status)
	require.False(t, w.evidence("order-card").Failed > 0)
}

// TestChangedBeforeTheProof: a customer who changes once more between a repair
// and its proof is repaired once more; the rule did what it says.
func TestChangedBeforeTheProof(t *testing.T) { onEach(t, testChangedBeforeTheProof) }

func testChangedBeforeTheProof(t *testing.T, o options) {
	t.Parallel()
	moved := &moving{email: "moved@mail.example"}
	w := setup(t, options{postgres: o.postgres, wrap: map[string]func(connectors.Connector) connectors.Connector{
		"identity": func(c connectors.Connector) connectors.Connector { moved.Connector = c; return moved },
		"billing": sending(func(_ context.Context, _ connectors.Request, next func() connectors.Answer) connectors.Answer {
			defer moved.on.Store(true)
			return next()
		})}})
	_, service := w.cfg.Schema.Service("identity")
	moved.field = slices.IndexFunc(service.Fields, func(f amend.Field) bool { return f.Name == "email" })
	w.scan()
	customer := w.planted("email_differs")
	require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
	var statuses []string
	for _, r := range w.repairs(customer) {
		statuses = append(statuses, r.Status)
	}
	require.Equal(t, []string{store.RepairDone, store.RepairDone}, statuses)
}

// moving shows another address from some time on.
type moving struct {
	connectors.Connector
	field int
	email string
	on    atomic.Bool
}

// One is part of connectors.Connector.
func (m *moving) One(ctx context.Context, id string) (amend.Record, error) {
	r, err := m.Connector.One(ctx, id)
	if m.on.Load() && r.Presence == amend.Present {
		r.Values = slices.Clone(r.Values)
		r.Values[m.field] = amend.StringOf(m.email)
	}
	return r, err
}

// TestWordAlone: where no field can show an effect, the service's yes counts,
// and nothing but it.
func TestWordAlone(t *testing.T) { onEach(t, testWordAlone) }

func testWordAlone(t *testing.T, o options) {
	t.Parallel()
	word := func(s string) string {
		return strings.Replace(s, `repeat: safe, sets: {email: "{email}"}}`, `repeat: never, done: "true"}`, 1)
	}
	for _, c := range []struct {
		outcome amend.Outcome
		reason  string
	}{{amend.Done, "no_effect"}, {amend.Unsettled, "unsettled"}} {
		t.Run(c.outcome.String(), func(t *testing.T) {
			t.Parallel()
			answer := func(context.Context, connectors.Request, func() connectors.Answer) connectors.Answer {
				return connectors.Answer{Outcome: c.outcome}
			}
			w := setup(t, options{postgres: o.postgres, yaml: word, wrap: map[string]func(connectors.Connector) connectors.Connector{"billing": sending(answer)}})
			w.scan()
			w.requireEscalated(w.healOn(w.planted("email_differs")), c.reason)
		})
	}
}

// unreachable can't be reached by operations while it is so.
type unreachable struct {
	connectors.Connector
	is bool
}

func (u *unreachable) Send(ctx context.Context, request connectors.Request) connectors.Answer {
	if u.is {
		return connectors.Answer{Outcome: amend.Failed, Detail: "not sent"}
	}
	return u.Connector.Send(ctx, request)
}

// TestFailedLaterIsStillUnsettled: that something was certainly not done when it was sent again
// says nothing of the first sending, which may still arrive.
func TestFailedLaterIsStillUnsettled(t *testing.T) { onEach(t, testFailedLaterIsStillUnsettled) }

func testFailedLaterIsStillUnsettled(t *testing.T, o options) {
	t.Parallel()
	down := &unreachable{}
	w := setup(t, options{postgres: o.postgres, yaml: func(s string) string { return strings.ReplaceAll(s, "timeout: 2s", "timeout: 100ms") },
		wrap: map[string]func(connectors.Connector) connectors.Connector{"ledger": func(c connectors.Connector) connectors.Connector {
			down.Connector = c
			return down
		}}})
	w.scan()
	customer := w.planted("ledger_missing")
	w.fault("ledger", bank.Fault{HangRate: 1, Only: bank.OnlyOperations})
	w.healUntil(customer, "backoff")
	require.Equal(t, amend.Unsettled, w.step(customer).Outcome)

	down.is = true
	for w.step(customer).Sent < 2 {
		w.clock.passTo(w.lastCase(customer).WakeAt)
		w.heal(customer)
	}
	step := w.step(customer)
	require.Equal(t, "not sent", step.Detail)
	require.Equal(t, amend.Unsettled, step.Outcome)

	down.is = false
	w.fault("ledger", bank.Fault{})
	require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
	w.requireNothingWrong()
}

// I5: nobody knows of the first sending, and the second is refused: there is no new
// key, and a person is asked about the first.
func TestARefusalSaysNothingOfTheSendingBefore(t *testing.T) {
	onEach(t, func(t *testing.T, o options) {
		t.Parallel()
		for _, status := range []int{412, 403} {
			t.Run(fmt.Sprint(status), func(t *testing.T) {
				var keys []string
				w := setup(t, options{postgres: o.postgres, wrap: map[string]func(connectors.Connector) connectors.Connector{
					"ledger": sending(func(_ context.Context, r connectors.Request, _ func() connectors.Answer) connectors.Answer {
						keys = append(keys, r.Header["Idempotency-Key"])
						if len(keys) == 1 {
							return connectors.Answer{Outcome: amend.Unsettled, Detail: "timeout"} // it waits in the service's queue
						}
						return connectors.Answer{Outcome: amend.Refused, Status: status, Detail: fmt.Sprint("answered ", status)}
					})}})
				w.scan()
				customer := w.planted("ledger_missing")
				c := w.healOn(customer)
				require.Equal(t, lifecycle.Escalated, c.Status)
				sheet, err := w.desk().Customer(t.Context(), customer)
				require.NoError(t, err)
				slices.Sort(keys)
				require.Len(t, slices.Compact(keys), 1)
				require.NotNil(t, sheet.Question)
			})
		}
	})
}

// I6: what was sent without a key, since it must never be repeated, isn't repeated
// when its operation is said to have one now.
func TestAKeyThatWasDeclaredLater(t *testing.T) {
	onEach(t, func(t *testing.T, o options) {
		t.Parallel()
		never := func(s string) string {
			return strings.Replace(s, `order: {post: /cards, body: {customer: "{id}"}, repeat: {key: header Idempotency-Key, window: 24h}`, `order: {post: /cards, body: {customer: "{id}"}, repeat: never`, 1)
		}
		w := setup(t, options{postgres: o.postgres, yaml: never, bank: func(o *bank.Options) { o.CardDelay = 10 * time.Minute }})
		w.scan()
		customer := w.planted("card_missing")
		w.fault("cards", bank.Fault{LostRate: 1, Only: bank.OnlyOperations, Character: bank.IgnoresKeys}) // who sends none is served, too
		c := w.healUntil(customer, "verifying")
		require.Len(t, w.sendings(customer, bank.CardsOrder), 1)
		w.reload(func(s string) string { return s + "\n" }) // the service has keys, somebody has found out
		w.fault("cards", bank.Fault{Character: bank.IgnoresKeys})
		for range 8 {
			w.clock.passTo(c.WakeAt)
			w.heal(customer)
			c = w.lastCase(customer)
			if c.Status == lifecycle.Escalated || !c.Open() || len(w.sendings(customer, bank.CardsOrder)) > 1 {
				break
			}
		}
		w.requireEscalated(c, "unsettled")
		require.Len(t, w.sendings(customer, bank.CardsOrder), 1)
	})
}

// A call that waited for its turn longer than its effect takes to be seen isn't
// judged at once.
func TestWithinCountsFromTheAnswer(t *testing.T) {
	onEach(t, func(t *testing.T, o options) {
		t.Parallel()
		var w *world
		wait := true
		slow := func(_ context.Context, _ connectors.Request, next func() connectors.Answer) connectors.Answer {
			if wait {
				wait = false
				w.clock.pass(within + time.Second) // it waits for its turn
			}
			next()
			return connectors.Answer{Outcome: amend.Unsettled, Detail: "cut"}
		}
		w = setup(t, options{postgres: o.postgres, bank: func(o *bank.Options) { o.CardDelay = within - time.Second },
			yaml: func(s string) string {
				return strings.Replace(s, `order: {post: /cards, body: {customer: "{id}"}, repeat: {key: header Idempotency-Key, window: 24h}`, `order: {post: /cards, body: {customer: "{id}"}, repeat: never`, 1)
			},
			wrap: map[string]func(connectors.Connector) connectors.Connector{"cards": sending(slow)}})
		w.scan()
		customer := w.planted("card_missing")
		c := w.healUntil(customer, "verifying")
		require.True(t, c.WakeAt.After(w.clock.Now()))
	})
}
