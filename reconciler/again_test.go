package reconciler_test

import (
	"context"
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
)

// ice makes a ledger say that accounts are frozen while it is on, so that a
// customer is in another state for a while and comes back.
type ice struct{ on atomic.Bool }

func (i *ice) wrap(c connectors.Connector) connectors.Connector { return iced{c, i} }

type iced struct {
	connectors.Connector
	ice *ice
}

func (f iced) One(ctx context.Context, id string) (amend.Record, error) {
	r, err := f.Connector.One(ctx, id)
	if f.ice.on.Load() && r.Presence == amend.Present {
		r.Values = slices.Clone(r.Values)
		r.Values[0] = amend.StringOf("frozen")
	}
	return r, err
}

func noAnswer(seen *[]connectors.Request) func(connectors.Connector) connectors.Connector {
	return sending(func(_ context.Context, r connectors.Request, _ func() connectors.Answer) connectors.Answer {
		*seen = append(*seen, r)
		return connectors.Answer{Outcome: amend.Unsettled, Detail: "no answer in time"}
	})
}

// I8: what may have happened and must never be repeated isn't sent again when
// the customer leaves the state and comes back.
func TestI8NeverIsNotForgotten(t *testing.T) { onEach(t, testI8NeverIsNotForgotten) }

func testI8NeverIsNotForgotten(t *testing.T, o options) {
	t.Parallel()
	var sent []connectors.Request
	frozen := &ice{}
	w := setup(t, options{postgres: o.postgres,
		yaml: func(s string) string {
			return strings.Replace(s, `order: {post: /cards, body: {customer: "{id}"}, repeat: {key: header Idempotency-Key, window: 24h}`, `order: {post: /cards, body: {customer: "{id}"}, repeat: never`, 1)
		},
		wrap: map[string]func(connectors.Connector) connectors.Connector{"ledger": frozen.wrap, "cards": noAnswer(&sent)},
	})
	w.scan()
	customer := w.planted("card_missing")
	c := w.healOn(customer)
	require.Equal(t, lifecycle.Escalated, c.Status)
	require.Equal(t, "unsettled", c.Reason)
	frozen.on.Store(true)
	w.fresh()
	w.heal(customer)
	require.Equal(t, "ledger_unusable", w.lastCase(customer).State)
	frozen.on.Store(false)
	w.fresh()
	w.healUntil(customer, "failing")
	w.release("order-card")
	c = w.healOn(customer)
	require.Equal(t, "card_missing", c.State)
	require.Equal(t, lifecycle.Escalated, c.Status)
	require.Equal(t, "unsettled", c.Reason)
	require.Len(t, sent, 1)
}

// I5: a repair that was dropped unsettled is not begun again with another key.
func TestI5NoSecondKeyAfterMovingAway(t *testing.T) { onEach(t, testI5NoSecondKeyAfterMovingAway) }

func testI5NoSecondKeyAfterMovingAway(t *testing.T, o options) {
	t.Parallel()
	var sent []connectors.Request
	frozen := &ice{}
	w := setup(t, options{postgres: o.postgres, wrap: map[string]func(connectors.Connector) connectors.Connector{"ledger": frozen.wrap, "cards": noAnswer(&sent)}})
	w.scan()
	customer := w.planted("card_missing")
	w.healUntil(customer, "verifying")
	frozen.on.Store(true)
	w.clock.pass(30 * time.Second)
	w.healOn(customer)
	require.Equal(t, "ledger_unusable", w.lastCase(customer).State)
	frozen.on.Store(false)
	w.fresh()
	c := w.healOn(customer)
	require.Equal(t, "card_missing", c.State)
	require.Equal(t, "unsettled", c.Reason)
	keys := map[string]bool{}
	for _, r := range sent {
		keys[r.Header["Idempotency-Key"]] = true
	}
	require.Len(t, keys, 1)
}

// shut is a rule of two steps that a person starts.
func shut(s string) string {
	return strings.Replace(s, "  reissue-card:\n", "  shut:\n    from: active\n    to: card_blocked\n    do: [{cards.block: {}}, {billing.cancel: {}}]\n    mode: manual\n\n  reissue-card:\n", 1)
}

// I12, I17: the second step isn't sent where the customer has become somebody
// else in between.
func TestI12NextStepNeedsTheSameCustomer(t *testing.T) {
	onEach(t, testI12NextStepNeedsTheSameCustomer)
}

func testI12NextStepNeedsTheSameCustomer(t *testing.T, o options) {
	t.Parallel()
	frozen := &ice{}
	blocks := sending(func(_ context.Context, _ connectors.Request, next func() connectors.Answer) connectors.Answer {
		defer frozen.on.Store(true)
		return next()
	})
	w := setup(t, options{postgres: o.postgres, yaml: shut, wrap: map[string]func(connectors.Connector) connectors.Connector{"ledger": frozen.wrap, "cards": blocks}})
	w.scan()
	customer := w.planted("active")
	w.ask(customer, "shut", w.fingerprint(customer, "shut"))
	c := w.healOn(customer)
	require.Equal(t, lifecycle.Escalated, c.Status)
	require.Equal(t, "moved", c.Reason)
	require.Len(t, w.sendings(customer, bank.CardsBlock), 1)
	require.Empty(t, w.sendings(customer, bank.BillingCancel))
}

// I17: the second step isn't sent where the rule was taken away in between.
func TestI17NextStepNeedsItsRule(t *testing.T) { onEach(t, testI17NextStepNeedsItsRule) }

func testI17NextStepNeedsItsRule(t *testing.T, o options) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	blocks := sending(func(_ context.Context, _ connectors.Request, next func() connectors.Answer) connectors.Answer {
		defer stop()
		return next()
	})
	w := setup(t, options{postgres: o.postgres, yaml: shut, wrap: map[string]func(connectors.Connector) connectors.Connector{"cards": blocks}})
	w.scan()
	customer := w.planted("active")
	w.ask(customer, "shut", w.fingerprint(customer, "shut"))
	require.NoError(t, w.engine.Heal(ctx, customer))
	require.Len(t, w.sendings(customer, bank.CardsBlock), 1)
	w.reload(func(s string) string { return s + "\n" })
	c := w.healOn(customer)
	require.Equal(t, "gone", c.Reason)
	require.Empty(t, w.sendings(customer, bank.BillingCancel))
}

// A wish that nobody carried out in time isn't carried out weeks later.
func TestOldWishIsRefused(t *testing.T) { onEach(t, testOldWishIsRefused) }

func testOldWishIsRefused(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, o)
	w.scan()
	customer := w.planted("active")
	asked := w.ask(customer, "reissue-card", w.fingerprint(customer, "reissue-card"))
	w.clock.pass(30 * 24 * time.Hour)
	w.heal(customer)
	require.Contains(t, w.result(asked), "refused: it was asked too long ago")
	require.Empty(t, w.sendings(customer, bank.CardsBlock))
}

// A sensitive argument that isn't a text can be sent, and is hidden whole.
func TestSensitiveNumber(t *testing.T) { onEach(t, testSensitiveNumber) }

func testSensitiveNumber(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, options{postgres: o.postgres, yaml: func(s string) string {
		s = strings.Replace(s, "balance:  {type: int, path: item.balance.amount, scale: 2}", "balance:  {type: int, path: item.balance.amount, scale: 2, sensitive: true}", 1)
		s = strings.Replace(s, `body: {email: "{email}"}, with: {email: string}, repeat: safe`, `body: {email: "{email}"}, query: {n: "{n}"}, with: {email: string, n: int}, repeat: safe`, 1)
		return strings.Replace(s, `{billing.set_email: {email: "{identity.email}"}}`, `{billing.set_email: {email: "{identity.email}", n: "{ledger.balance}"}}`, 1)
	}})
	w.scan()
	customer := w.planted("email_differs")
	look := w.engine.Look(w.Context(), customer)
	plan, err := w.cfg.Rules.Rule("copy-email").Plan(look.Scope, w.cfg.Schema)
	require.NoError(t, err)
	shown, err := w.engine.Preview(look.View, plan)
	require.NoError(t, err)
	require.Equal(t, "[hidden]", shown[0].URL)
	require.Equal(t, "[hidden]", shown[0].Body)
	require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
}

// What can't be computed is said without the values that it was computed from.
func TestPlanErrorsQuoteNothing(t *testing.T) { onEach(t, testPlanErrorsQuoteNothing) }

func testPlanErrorsQuoteNothing(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, options{postgres: o.postgres, yaml: func(s string) string {
		s = strings.Replace(s, `body: {email: "{email}"}, with: {email: string}, repeat: safe`, `body: {email: "{email}", n: "{n}"}, with: {email: string, n: int}, repeat: safe`, 1)
		return strings.Replace(s, `{billing.set_email: {email: "{identity.email}"}}`, `{billing.set_email: {email: "{identity.email}", n: "{ {\"x\": 1}[identity.email] }"}}`, 1)
	}})
	w.scan()
	customer := w.planted("email_differs")
	asked := w.ask(customer, "copy-email", "any")
	w.healOn(customer)
	require.Equal(t, "refused: plan billing.set_email: the argument n can't be computed for this customer.", w.result(asked))
	lines, err := w.store.Timeline(w.Context(), customer, 50)
	require.NoError(t, err)
	for _, l := range lines {
		require.NotContains(t, l.Text, "@")
	}
}
