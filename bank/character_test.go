package bank

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// perNeed is what the bank says of its needs, and of sends that were wrong.
type perNeed struct{ effects, keys, wrong int }

func (b *tester) perNeed() perNeed {
	c := b.Count()
	return perNeed{c.EffectsPerNeed, c.KeysPerNeed, c.WrongSends}
}

func TestCharacter(t *testing.T) {
	t.Parallel()
	// Each test gets a bank whose services that take operations are all of the
	// character, and says what the ledger shows of it.
	tests := []struct {
		name  string
		fault Fault
		play  func(t *testing.T, b *tester)
		want  perNeed
	}{
		{"HonoursKeys", Fault{Character: HonoursKeys}, func(t *testing.T, b *tester) {
			id := b.someone(t, "billing_missing")
			for range 3 {
				require.Equal(t, 201, b.call(t, start(id, b.email(t, id), "k1")).status)
			}
		}, perNeed{effects: 1, keys: 1}},
		{"ASecondKeyIsSeen", Fault{Character: HonoursKeys}, func(t *testing.T, b *tester) {
			id := b.someone(t, "billing_missing")
			b.call(t, start(id, b.email(t, id), "k1"))
			b.call(t, start(id, b.email(t, id), "k2"))
		}, perNeed{effects: 1, keys: 2, wrong: 1}},
		{"IgnoresKeys", Fault{Character: IgnoresKeys}, func(t *testing.T, b *tester) {
			id := b.someone(t, "ledger_missing")
			q := open(id, b.currency(t, id), "k1")
			require.Equal(t, 201, b.call(t, q).status)
			etag := b.last(t).After
			require.Equal(t, 201, b.call(t, q).status)
			require.NotEqual(t, etag, b.last(t).After, "a second account")
			require.True(t, b.last(t).DoubleEffect)
			q.key = ""
			require.Equal(t, 201, b.call(t, q).status, "none is wanted")
		}, perNeed{effects: 3, keys: 1, wrong: 2}},
		{"IgnoresKeysForCardsAndPlans", Fault{Character: IgnoresKeys}, func(t *testing.T, b *tester) {
			for range 2 {
				require.Equal(t, 201, b.call(t, order(b.planted("card_missing")[0], "k1")).status)
			}
			id := b.someone(t, "billing_missing")
			for range 2 {
				require.Equal(t, 201, b.call(t, start(id, b.email(t, id), "k1")).status)
			}
			require.Equal(t, 2, b.Count().DoubleEffects)
		}, perNeed{effects: 2, keys: 1, wrong: 2}},
		{"WantsVersion", Fault{Character: WantsVersion}, func(t *testing.T, b *tester) {
			id := b.someone(t, "email_differs")
			etag := b.get(t, billingName, "/subscriptions/"+id).header.Get("ETag")
			q := setEmail(id, b.email(t, id))
			require.Equal(t, 428, b.call(t, q).status)
			q.ifMatch = `"p0"`
			require.Equal(t, 412, b.call(t, q).status)
			q.ifMatch = etag
			require.Equal(t, 200, b.call(t, q).status)
			require.Equal(t, 412, b.call(t, q).status, "it has changed since")
			require.Zero(t, b.Count().DoubleEffects)
		}, perNeed{effects: 1, wrong: 1}},
		{"WantsVersionToCancelAndToClose", Fault{Character: WantsVersion}, func(t *testing.T, b *tester) {
			id := b.someone(t, "rejected_with_plan")
			require.Equal(t, 428, b.call(t, cancelPlan(id)).status)
			q := cancelPlan(id)
			q.ifMatch = b.get(t, billingName, "/subscriptions/"+id).header.Get("ETag")
			require.Equal(t, 200, b.call(t, q).status)
			require.Equal(t, 428, b.call(t, closing(b.someone(t, "rejected_but_open"), "")).status)
			id = b.someone(t, "billing_missing")
			require.Equal(t, 201, b.call(t, start(id, b.email(t, id), "")).status, "nothing is there to be named")
			require.Equal(t, 409, b.call(t, start(id, b.email(t, id), "")).status, "and no key tells that it is the same")
		}, perNeed{effects: 1, wrong: 1}},
		{"ReplaysFailures", Fault{Character: ReplaysErrors, ErrorRate: 1}, func(t *testing.T, b *tester) {
			id := b.someone(t, "card_missing")
			failed := b.call(t, order(id, "k1")).status
			require.GreaterOrEqual(t, failed, 500)
			for range 2 { // and not because it fails once more
				again := b.call(t, order(id, "k1"))
				require.Equal(t, failed, again.status)
				require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
			}
			require.NoError(t, b.Fault(cardsName, Fault{Character: ReplaysErrors}))
			require.Equal(t, failed, b.call(t, order(id, "k1")).status, "for life")
			require.Equal(t, "card_missing", b.Truth(id))
			require.Equal(t, 201, b.call(t, order(id, "k2")).status)
		}, perNeed{effects: 1, keys: 2}},
		{"ReplaysRefusals", Fault{Character: ReplaysErrors}, func(t *testing.T, b *tester) {
			id := b.someone(t, "active")
			require.Equal(t, 409, b.call(t, order(id, "k1")).status)
			require.Equal(t, 200, b.call(t, block(id)).status)
			require.Equal(t, 409, b.call(t, order(id, "k1")).status)
			require.Equal(t, 201, b.call(t, order(id, "k2")).status)
		}, perNeed{effects: 1, keys: 1, wrong: 1}}, // k1 was sent before there was a need
		{"ReplaysAnyBody", Fault{Character: ReplaysAnyBody}, func(t *testing.T, b *tester) {
			missing := b.planted("card_missing")
			first := b.call(t, order(missing[0], "k1"))
			second := b.call(t, order(missing[1], "k1"))
			require.Equal(t, first.raw, second.raw)
			require.Equal(t, 201, second.status)
			require.Equal(t, "card_missing", b.Truth(missing[1]), "the answer is another customer's")
			require.Equal(t, "the key was used with another body", b.last(t).Wrong)
		}, perNeed{effects: 1, keys: 1, wrong: 1}},
		{"Lies", Fault{LieRate: 1}, func(t *testing.T, b *tester) {
			id := b.someone(t, "card_missing")
			require.Equal(t, 200, b.call(t, order(id, "k1")).status)
			require.True(t, b.last(t).Lied)
			require.Equal(t, "card_missing", b.Truth(id))
			require.NoError(t, b.Fault(cardsName, Fault{}))
			require.Equal(t, 200, b.call(t, order(id, "k1")).status, "it stays with it")
			require.True(t, b.last(t).Replayed)
			require.Equal(t, 1, b.Count().Lies)
		}, perNeed{keys: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			for _, service := range []string{ledgerName, cardsName, billingName} {
				require.NoError(t, b.Fault(service, test.fault))
			}
			test.play(t, b)
			require.Equal(t, test.want, b.perNeed())
		})
	}
}

// TestFinishes has a caller leave in the middle: the effect comes all the same.
func TestFinishes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.someone(t, "card_missing")
	require.NoError(t, b.Fault(cardsName, Fault{Character: Finishes, Latency: time.Second}))
	ctx, leave := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer leave()
	_, err := b.try(ctx, order(id, "k1"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, 409, b.call(t, order(id, "k1")).status, "it is still at work")
	require.Eventually(t, func() bool { return b.Truth(id) == "active" }, 10*time.Second, time.Millisecond)
	require.Equal(t, 201, b.call(t, order(id, "k1")).status)
	require.True(t, b.last(t).Replayed)
	require.Equal(t, perNeed{effects: 1, keys: 1}, b.perNeed())
}

// TestIgnoresWhoHasGone has a caller leave in the middle, and come back.
func TestIgnoresWhoHasGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.someone(t, "card_missing")
	require.NoError(t, b.Fault(cardsName, Fault{Character: IgnoresKeys, Latency: time.Second}))
	ctx, leave := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer leave()
	_, err := b.try(ctx, order(id, "k1"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, 201, b.call(t, order(id, "k1")).status)
	require.Eventually(t, func() bool { return b.Count().Effects == 2 }, 10*time.Second, time.Millisecond)
	require.Equal(t, 1, b.Count().DoubleEffects)
}

// TestReadDelay has reads show late what was done, and one thing after another.
func TestReadDelay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, service := range []string{ledgerName, cardsName, billingName} {
		require.NoError(t, b.Fault(service, Fault{ReadDelay: 5 * time.Second}))
	}
	id := b.someone(t, "ledger_missing")
	path := "/accounts/" + id
	require.Equal(t, 201, b.call(t, open(id, b.currency(t, id), "k1")).status)
	require.NotEqual(t, "ledger_missing", b.Truth(id), "the truth knows at once")
	b.clock.advance(5*time.Second - time.Millisecond)
	require.Equal(t, 404, b.get(t, ledgerName, path).status)
	require.NotContains(t, b.get(t, ledgerName, "/accounts?owner="+id).raw, id)
	require.NotContains(t, b.get(t, ledgerName, "/accounts?limit=1000").raw, id)
	b.clock.advance(time.Millisecond)
	require.Equal(t, 200, b.get(t, ledgerName, path).status)
	require.Contains(t, b.get(t, ledgerName, "/accounts?limit=1000").raw, id)

	id = b.someone(t, "rejected_with_plan")
	path = "/subscriptions/" + id
	before := b.get(t, billingName, path)
	require.Equal(t, 200, b.call(t, cancelPlan(id)).status)
	require.Equal(t, before.raw, b.get(t, billingName, path).raw)
	require.Equal(t, before.header.Get("ETag"), b.get(t, billingName, path).header.Get("ETag"))
	b.clock.advance(5 * time.Second)
	require.Equal(t, "cancelled", b.get(t, billingName, path).body["status"])

	id = b.someone(t, "email_differs")
	path = "/subscriptions/" + id
	old := b.get(t, billingName, path).body["email"]
	b.call(t, setEmail(id, "first@mail.example"))
	b.clock.advance(3 * time.Second)
	b.call(t, setEmail(id, b.email(t, id)))
	require.Equal(t, old, b.get(t, billingName, path).body["email"])
	b.clock.advance(2 * time.Second)
	require.Equal(t, "first@mail.example", b.get(t, billingName, path).body["email"])
	b.clock.advance(3 * time.Second)
	require.Equal(t, b.email(t, id), b.get(t, billingName, path).body["email"])
}
