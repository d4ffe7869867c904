package bank

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// everyState is what must occur in every bank of 200 customers or more.
var everyState = []string{
	"held", "orphaned", "rejected_with_money", "rejected_with_card", "rejected_with_plan", "rejected_but_open",
	"closed", "signing_up", "signing_up_overdue", "ledger_missing", "ledger_unusable", "card_missing", "card_blocked",
	"billing_missing", "email_differs", "active",
}

func planted(t *testing.T, customers int, seed uint64) *Bank {
	t.Helper()
	b, err := New(Options{Customers: customers, Seed: seed, Now: newClock().Now})
	require.NoError(t, err)
	return b
}

func TestSeed(t *testing.T) {
	t.Parallel()
	for _, customers := range []int{200, 1000, 2000, 10_000} {
		for _, seed := range []uint64{0, 1, 7, 42} {
			t.Run(fmt.Sprintf("%d/%d", customers, seed), func(t *testing.T) {
				t.Parallel()
				b := planted(t, customers, seed)
				states := make(map[string]int)
				for id, state := range b.Planted() {
					states[state]++
					require.Equal(t, state, b.Truth(id), id)
					require.Equal(t, isCoherent(state), b.Coherent(id), id)
				}
				requireShares(t, states, customers)
				counts := b.Count()
				require.Equal(t, customers, counts.Customers)
				require.Equal(t, customers, counts.Coherent+counts.Inconsistent)
			})
		}
	}
}

func requireShares(t *testing.T, states map[string]int, customers int) {
	t.Helper()
	people := states["orphaned"] + states["rejected_with_money"] + states["rejected_but_open"] +
		states["ledger_unusable"] + states["signing_up_overdue"]
	inconsistent := 0
	for _, state := range everyState {
		require.Positive(t, states[state], state)
		if !isCoherent(state) {
			inconsistent += states[state]
			require.LessOrEqual(t, states[state], max(15, customers/100-1), state)
		}
	}
	require.Len(t, states, len(everyState))
	require.LessOrEqual(t, people, max(5, customers/200))
	if customers >= 2000 {
		require.InDelta(t, 0.03, float64(inconsistent)/float64(customers), 0.005)
	}
}

func TestSeedCombinations(t *testing.T) {
	t.Parallel()
	tests := map[string]func(c *customer) bool{
		"LedgerAndCardMissing": func(c *customer) bool {
			return c.is(statusApproved) && c.account == nil && c.card == nil && c.plan != nil
		},
		"HeldWithoutAccount":        func(c *customer) bool { return c.held() && c.account == nil },
		"LiftedHold":                func(c *customer) bool { return c.hold != nil && !c.hold.hold && !isSentinel(c.id) },
		"RejectedWithNothing":       func(c *customer) bool { return c.is(statusRejected) && c.account == nil && c.card == nil },
		"PastDue":                   func(c *customer) bool { return c.plan != nil && c.plan.status == statusPastDue },
		"FrozenAccount":             func(c *customer) bool { return c.account != nil && c.account.status == statusFrozen },
		"PoundsInBritainOnly":       func(c *customer) bool { return c.account != nil && c.account.currency == "GBP" },
		"CustomerOfEarlierThisYear": func(c *customer) bool { return c.identity != nil && c.identity.changed.Before(noon.Add(-20*day)) },
	}
	b := planted(t, 200, 7)
	for name, is := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := 0
			for _, c := range b.world.order {
				found += one(is(c))
			}
			require.Positive(t, found)
		})
	}
}

func TestSentinels(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		b := planted(t, 200, seed)
		require.Equal(t, "active", b.Truth(sentinelPresent))
		c := b.world.byID[sentinelPresent]
		require.NotNil(t, c.hold)
		require.False(t, c.hold.hold)
		require.NotContains(t, b.world.byID, sentinelAbsent)
		require.False(t, b.Coherent(sentinelAbsent), "nobody is not coherent")
	}
}

func TestTinyBanks(t *testing.T) {
	t.Parallel()
	for customers := 1; customers < 40; customers++ {
		require.Equal(t, customers, planted(t, customers, 1).Count().Customers)
	}
}

// dump is everything that is true, as one text.
func dump(t *testing.T, b *Bank) string {
	t.Helper()
	var all []truthJSON
	for _, c := range b.world.order {
		truth, _ := b.truthOf(c.id)
		all = append(all, truth)
	}
	text, err := json.Marshal(all)
	require.NoError(t, err)
	return string(text)
}

func TestSeedDecides(t *testing.T) {
	t.Parallel()
	bank := func(seed uint64) string {
		b := planted(t, 400, seed)
		d := newDrifter(b, time.Nanosecond)
		for range 500 {
			d.step()
		}
		return dump(t, b)
	}
	require.Equal(t, bank(7), bank(7), "drift included")
	require.NotEqual(t, bank(7), bank(8))
}

func TestEverybodyIsDifferent(t *testing.T) {
	t.Parallel()
	b := planted(t, 2000, 7)
	emails := make(map[string]string)
	for _, c := range b.world.order {
		if c.identity != nil {
			require.Empty(t, emails[c.identity.email])
			emails[c.identity.email] = c.id
		}
	}
}

func TestSignUpsBecomeOverdue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, err := New(Options{Customers: 200})
		require.NoError(t, err)
		var waiting []string
		for id, state := range b.Planted() {
			if state == "signing_up" {
				waiting = append(waiting, id)
			}
		}
		require.NotEmpty(t, waiting)
		time.Sleep(2 * time.Hour)
		for _, id := range waiting {
			require.Equal(t, "signing_up_overdue", b.Truth(id))
			require.False(t, b.Coherent(id))
		}
	})
}
