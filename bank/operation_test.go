package bank

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	t.Run("MendsAMissingAccount", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		id := b.someone(t, "ledger_missing")
		got := b.call(t, open(id, b.currency(t, id), "k1"))
		require.Equal(t, 201, got.status, got.raw)
		require.Equal(t, "open", got.body["status"])
		require.Equal(t, "0.00", got.body["balance"].(map[string]any)["amount"])
		require.Equal(t, got.header.Get("ETag"), got.body["etag"])
		require.Equal(t, got.body, b.get(t, ledgerName, "/accounts/"+id).body)
		require.NotEqual(t, "ledger_missing", b.Truth(id))
	})
	t.Run("ConflictsWithAnOpenOne", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.Equal(t, 409, b.call(t, open(b.someone(t, "active"), "EUR", "k1")).status)
	})
	t.Run("AClosedOneIsNoConflict", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		id := b.someone(t, "rejected_with_card")
		before := b.get(t, ledgerName, "/accounts/"+id)
		require.Equal(t, "closed", before.body["status"])
		got := b.call(t, open(id, "EUR", "k1"))
		require.Equal(t, 201, got.status)
		require.NotEqual(t, before.header.Get("ETag"), got.header.Get("ETag"))
	})
	t.Run("WhoIsUnknownBecomesAnOrphan", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.Empty(t, b.Truth("cus_777777"))
		require.Equal(t, 201, b.call(t, open("cus_777777", "EUR", "k1")).status)
		require.Equal(t, "orphaned", b.Truth("cus_777777"))
		require.Equal(t, "the customer is not approved", b.last(t).Wrong)
	})
}

func TestClosing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	t.Run("WithTheRightVersion", func(t *testing.T) {
		id := b.someone(t, "rejected_but_open")
		etag := b.get(t, ledgerName, "/accounts/"+id).header.Get("ETag")
		require.Equal(t, 412, b.call(t, closing(id, `"a0"`)).status)
		require.Equal(t, "rejected_but_open", b.Truth(id))

		got := b.call(t, closing(id, `"a0", `+etag))
		require.Equal(t, 200, got.status)
		require.Equal(t, "closed", got.body["status"])
		require.NotEqual(t, etag, got.header.Get("ETag"))
		require.Equal(t, "closed", b.Truth(id))

		require.Equal(t, 412, b.call(t, closing(id, etag)).status, "the version has changed")
		again := b.call(t, closing(id, got.header.Get("ETag")))
		require.Equal(t, 200, again.status)
		require.Equal(t, got.header.Get("ETag"), again.header.Get("ETag"), "nothing changed")
	})
	t.Run("WithoutAVersion", func(t *testing.T) {
		b := setup(t)
		require.Equal(t, 200, b.call(t, closing(b.someone(t, "rejected_but_open"), "")).status)
	})
	t.Run("NotWithMoney", func(t *testing.T) {
		id := b.someone(t, "rejected_with_money")
		require.Equal(t, 409, b.call(t, closing(id, "*")).status)
		require.Equal(t, "rejected_with_money", b.Truth(id))
	})
	t.Run("Unknown", func(t *testing.T) {
		require.Equal(t, 404, b.call(t, closing(b.someone(t, "ledger_missing"), "")).status)
	})
}

func TestOrder(t *testing.T) {
	t.Parallel()
	status := func(t *testing.T, b *tester, id string) any { return b.get(t, cardsName, "/cards/"+id).body["status"] }
	t.Run("ShowsAfterADelay", func(t *testing.T) {
		t.Parallel()
		b := setup(t, withCardDelay(3*time.Second))
		id := b.someone(t, "card_missing")
		require.Equal(t, 201, b.call(t, order(id, "k1")).status)
		require.Equal(t, "active", b.Truth(id), "the truth knows at once")
		require.Equal(t, 404, b.get(t, cardsName, "/cards/"+id).status)
		b.clock.advance(3*time.Second - time.Millisecond)
		require.Equal(t, 404, b.get(t, cardsName, "/cards/"+id).status)
		b.clock.advance(time.Millisecond)
		require.Equal(t, "ordered", status(t, b, id))
		b.clock.advance(defaultActivation)
		require.Equal(t, "active", status(t, b, id))
		require.Equal(t, "active", b.Truth(id))
	})
	t.Run("ABlockedCardShowsUntilTheNewOneDoes", func(t *testing.T) {
		t.Parallel()
		b := setup(t, withCardDelay(time.Second))
		id := b.someone(t, "card_blocked")
		require.Equal(t, 201, b.call(t, order(id, "k1")).status)
		require.Equal(t, "blocked", status(t, b, id))
		b.clock.advance(time.Second)
		require.Equal(t, "ordered", status(t, b, id))
	})
	t.Run("ConflictsWithALiveCard", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		id := b.someone(t, "card_missing")
		require.Equal(t, 201, b.call(t, order(id, "k1")).status)
		require.Equal(t, 409, b.call(t, order(id, "k2")).status, "ordered")
		require.Equal(t, 409, b.call(t, order(b.someone(t, "active"), "k3")).status, "active")
	})
}

func TestBlock(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.someone(t, "rejected_with_card")
	for range 2 { // the second time changes nothing
		got := b.call(t, block(id))
		require.Equal(t, 200, got.status)
		require.Equal(t, "blocked", got.body["status"])
	}
	require.NotEqual(t, "rejected_with_card", b.Truth(id))
	require.False(t, b.last(t).Effect)
	require.Equal(t, 404, b.call(t, block(b.someone(t, "card_missing"))).status)
}

func TestBilling(t *testing.T) {
	t.Parallel()
	b := setup(t)
	t.Run("Start", func(t *testing.T) {
		t.Parallel()
		id := b.someone(t, "billing_missing")
		got := b.call(t, start(id, b.email(t, id), "k1"))
		require.Equal(t, 201, got.status)
		require.Equal(t, "active", got.body["status"])
		require.Equal(t, b.email(t, id), got.body["email"])
		require.Equal(t, "active", b.Truth(id))
		require.Equal(t, 409, b.call(t, start(id, b.email(t, id), "k2")).status)
	})
	t.Run("Cancel", func(t *testing.T) {
		t.Parallel()
		id := b.someone(t, "rejected_with_plan")
		for range 2 {
			got := b.call(t, cancelPlan(id))
			require.Equal(t, 200, got.status)
			require.Equal(t, "cancelled", got.body["status"])
		}
		require.Equal(t, "closed", b.Truth(id))
		require.Equal(t, 404, b.call(t, cancelPlan(sentinelAbsent)).status)
	})
	t.Run("SetEmail", func(t *testing.T) {
		t.Parallel()
		id := b.someone(t, "email_differs")
		require.Equal(t, 200, b.call(t, setEmail(id, b.email(t, id))).status)
		require.Equal(t, "active", b.Truth(id))
		require.Equal(t, 404, b.call(t, setEmail(sentinelAbsent, "a@b.example")).status)
	})
	t.Run("AnAddressIsNeeded", func(t *testing.T) {
		t.Parallel()
		id := b.planted("active")[3]
		require.Equal(t, 400, b.call(t, setEmail(id, "nonsense")).status)
	})
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.someone(t, "ledger_missing")
	account := func(body string) request {
		return request{service: ledgerName, method: "POST", path: "/accounts", body: body, key: "k"}
	}
	tests := map[string]request{
		"NoJSON":        account("nonsense"),
		"NoObject":      account(`["` + id + `"]`),
		"MissingValue":  account(`{"owner":"` + id + `"}`),
		"EmptyOwner":    account(`{"owner":"","currency":"EUR"}`),
		"MoreThanAsked": account(`{"owner":"` + id + `","currency":"EUR","overdraft":"1000.00"}`),
		"TwoObjects":    account(`{"owner":"` + id + `","currency":"EUR"}{}`),
		"BadID":         account(`{"owner":"nobody","currency":"EUR"}`),
		"OtherCurrency": account(`{"owner":"` + id + `","currency":"USD"}`),
		"NoKey":         open(id, "EUR", ""),
		"OtherStatus":   {service: cardsName, method: "PUT", path: "/cards/" + id + "/status", body: `{"status":"active"}`},
		"UnwantedBody":  {service: billingName, method: "DELETE", path: "/subscriptions/" + id, body: `{}`},
	}
	for name, q := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := b.call(t, q)
			require.Equal(t, 400, got.status, got.raw)
			require.NotEmpty(t, got.body["message"])
		})
	}
	t.Cleanup(func() {
		counts := b.Count()
		require.Equal(t, len(tests), counts.RepairsSent, "what can't be understood was received all the same")
		require.Equal(t, len(tests), counts.WrongSends)
		require.Zero(t, counts.Effects)
	})
}

func TestKeys(t *testing.T) {
	t.Parallel()
	t.Run("SameKeyAndBodyIsReplayed", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		id := b.someone(t, "billing_missing")
		first := b.call(t, start(id, b.email(t, id), "k1"))
		second := b.call(t, start(id, b.email(t, id), "k1"))
		require.Equal(t, 201, second.status)
		require.Equal(t, first.raw, second.raw)
		require.Equal(t, "true", second.header.Get("Idempotent-Replayed"))
		require.True(t, b.last(t).Replayed)
		require.False(t, b.last(t).Effect)
	})
	t.Run("ReplaysWhatWasTrueThen", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		id := b.someone(t, "ledger_missing")
		first := b.call(t, open(id, b.currency(t, id), "k1"))
		b.world.mu.Lock()
		b.world.byID[id].account.cents = 500
		b.world.byID[id].account.touch(b.world.now())
		b.world.mu.Unlock()
		second := b.call(t, open(id, b.currency(t, id), "k1"))
		require.Equal(t, first.raw, second.raw)
		require.Equal(t, first.header.Get("ETag"), second.header.Get("ETag"))
	})
	t.Run("SameKeyWithAnotherBodyIsRefused", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		missing := b.planted("card_missing")
		require.Equal(t, 201, b.call(t, order(missing[0], "k1")).status)
		got := b.call(t, order(missing[1], "k1"))
		require.Equal(t, 422, got.status)
		require.Equal(t, "card_missing", b.Truth(missing[1]))
		require.Equal(t, "the key was used with another body", b.last(t).Wrong)
	})
	t.Run("KeysBelongToAService", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.Equal(t, 201, b.call(t, order(b.someone(t, "card_missing"), "k1")).status)
		id := b.someone(t, "billing_missing")
		require.Equal(t, 201, b.call(t, start(id, b.email(t, id), "k1")).status)
	})
	t.Run("RefusalsAreNotReplayed", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		id := b.someone(t, "active")
		require.Equal(t, 409, b.call(t, order(id, "k1")).status)
		require.Equal(t, 200, b.call(t, block(id)).status)
		require.Equal(t, 201, b.call(t, order(id, "k1")).status)
	})
	t.Run("TheWindowEnds", func(t *testing.T) {
		t.Parallel()
		b := setup(t, func(o *Options) { o.KeyWindow = time.Minute })
		id := b.someone(t, "card_missing")
		require.Equal(t, 201, b.call(t, order(id, "k1")).status)
		b.clock.advance(time.Minute)
		require.Equal(t, 201, b.call(t, order(id, "k1")).status, "replayed")
		b.clock.advance(time.Millisecond)
		require.Equal(t, 409, b.call(t, order(id, "k1")).status, "a new request")
		require.Equal(t, "the customer has a live card", b.last(t).Wrong)
	})
	t.Run("InFlightIsAConflictAndAnAbandonedKeyIsFree", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		id := b.someone(t, "card_missing")
		require.NoError(t, b.Fault(cardsName, Fault{Latency: time.Hour}))
		ctx, abandon := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			_, err := b.try(ctx, order(id, "k1"))
			ended <- err
		}()
		taken := func() bool {
			b.world.mu.RLock()
			defer b.world.mu.RUnlock()
			return len(b.world.keys.stored) == 1
		}
		require.Eventually(t, taken, 10*time.Second, time.Millisecond)
		require.NoError(t, b.Fault(cardsName, Fault{}))

		require.Equal(t, 409, b.call(t, order(id, "k1")).status)
		require.Empty(t, b.last(t).Wrong)
		require.Equal(t, 422, b.call(t, order(b.planted("card_missing")[1], "k1")).status)

		abandon()
		require.Error(t, <-ended)
		require.Eventually(t, func() bool { return !taken() }, 10*time.Second, time.Millisecond)
		require.Equal(t, "card_missing", b.Truth(id), "who goes away leaves nothing behind")
		require.Equal(t, 201, b.call(t, order(id, "k1")).status)
	})
}
