package bank

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDrift(t *testing.T) {
	t.Parallel()
	t.Run("MakesEveryKindOfDriftAndStaysWithinBounds", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b, err := New(Options{Customers: 1000, Seed: 7})
			require.NoError(t, err)
			before := b.Planted()
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			require.NoError(t, b.Drift(ctx, DriftOptions{PerSecond: 2}))

			states := make(map[string]int)
			for id, state := range b.Planted() {
				if before[id] != state {
					states[state]++
				}
			}
			for _, state := range []string{"ledger_missing", "card_missing", "billing_missing", "email_differs", "rejected_with_card", "rejected_with_plan", "active", "closed"} {
				require.Positive(t, states[state], state)
			}
			counts := b.Count()
			require.Greater(t, counts.Customers, 1500)
			require.Less(t, counts.Inconsistent, counts.Customers*6/100, "without anybody to mend it")
			require.Equal(t, "active", b.Truth(sentinelPresent))
			require.Zero(t, counts.RepairsSent)
		})
	})
	t.Run("LeavesAloneWhoIsBeingMended", func(t *testing.T) {
		t.Parallel()
		b := planted(t, 200, 7)
		d := newDrifter(b, time.Second)
		for name, busy := range map[string]func(c *customer){
			"Touched":  func(c *customer) { c.touched = noon.Add(time.Millisecond - time.Second) },
			"InFlight": func(c *customer) { c.inFlight = 1 },
			"Needy":    func(c *customer) { c.plan = nil; b.world.settle(c) },
			"CardOnItsWay": func(c *customer) {
				c.card = &card{status: statusOrdered, shown: noon.Add(time.Second), previous: c.card}
			},
			"Sentinel": func(c *customer) { c.id = sentinelPresent },
		} {
			c := &customer{id: "cus_000777"}
			(&planter{world: b.world, rand: seeded(1, ""), now: noon}).active(c)
			require.True(t, d.leftAlone(c), name)
			busy(c)
			require.False(t, d.leftAlone(c), name)
		}
	})
	t.Run("LeavesAloneWhatAlreadyNeedsSomething", func(t *testing.T) {
		t.Parallel()
		b := planted(t, 500, 7)
		needy := make(map[string]string)
		for id, state := range b.Planted() {
			if !isCoherent(state) {
				needy[id] = state
			}
		}
		d := newDrifter(b, time.Nanosecond)
		for range 5000 {
			d.step()
		}
		for id, state := range needy {
			require.Equal(t, state, b.Truth(id), id)
		}
	})
	t.Run("SpeedIsChecked", func(t *testing.T) {
		t.Parallel()
		b := planted(t, 1, 1)
		for _, speed := range []float64{0, -1, 1001} {
			require.ErrorContains(t, b.Drift(t.Context(), DriftOptions{PerSecond: speed}), "per second")
		}
	})
}

// TestHonestEngine mends a bank over HTTP as an engine ought to, while the bank
// drifts and its services fail: the judge finds nothing. The engine resends
// with one key until it knows, and looks before it repeats what has no key.
func TestHonestEngine(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *Options) { o.Customers, o.Now = 600, time.Now })
	for _, service := range []string{ledgerName, cardsName, billingName} {
		require.NoError(t, b.Fault(service, Fault{ErrorRate: 0.2, LostRate: 0.4, Only: OnlyOperations}))
	}
	ctx, stop := context.WithCancel(t.Context())
	var drifting sync.WaitGroup
	drifting.Go(func() {
		if err := b.Drift(ctx, DriftOptions{PerSecond: 300, Quiet: 20 * time.Millisecond}); err != nil {
			t.Error(err)
		}
	})
	engine := honest{b: b, keys: make(map[string]string)}
	for deadline := time.Now().Add(time.Minute); b.Count().Effects < 80; {
		require.True(t, time.Now().Before(deadline))
		engine.round(t)
	}
	stop()
	drifting.Wait()
	for mended := -1; mended != b.Count().Effects; {
		mended = b.Count().Effects
		for range 30 { // enough for what the faults swallow
			engine.round(t)
		}
	}
	counts := b.Count()
	t.Logf("%+v", counts)
	require.Zero(t, counts.DoubleEffects+counts.WrongSends+counts.SecondKeys+counts.OutOfOrder)
	require.Positive(t, counts.Replays)
	for id := range b.Planted() {
		state := b.Truth(id)
		require.True(t, isCoherent(state) || onlyPeople[state], "%s is %s", id, state)
	}
}

// onlyPeople are the states that no operation of the honest engine ends.
var onlyPeople = map[string]bool{
	"orphaned": true, "rejected_with_money": true, "rejected_but_open": true, "ledger_unusable": true, "signing_up_overdue": true,
}

// honest is the engine of TestHonestEngine. It knows the truth, so that all
// that is tested is the sending and the judging.
type honest struct {
	b    *tester
	keys map[string]string // the key of each customer's operation that is under way
	made int
}

// round looks at everybody once and sends what their states ask for.
func (h *honest) round(t *testing.T) {
	for id := range h.b.Planted() {
		if state := h.b.Truth(id); isCoherent(state) || onlyPeople[state] {
			continue
		}
		truth, _ := h.b.truthOf(id)
		h.mend(t, id, truth)
	}
}

func (h *honest) mend(t *testing.T, id string, truth truthJSON) {
	var who struct {
		Country string
		Contact struct{ Email string }
	}
	require.NoError(t, json.Unmarshal(truth.Identity, &who))
	q := map[string]request{
		"ledger_missing":     open(id, currencyOf(who.Country), "key"),
		"card_missing":       order(id, "key"),
		"card_blocked":       order(id, "key"),
		"billing_missing":    start(id, who.Contact.Email, "key"),
		"email_differs":      setEmail(id, who.Contact.Email),
		"rejected_with_card": block(id),
		"rejected_with_plan": cancelPlan(id),
	}[truth.State]
	if q.key == "" {
		h.b.try(t.Context(), q) // the next round looks what became of it
		return
	}
	under := id + truth.State
	for range 100 {
		if h.keys[under] == "" {
			h.made++
			h.keys[under] = fmt.Sprintf("key-%d", h.made)
		}
		q.key = h.keys[under]
		if got, err := h.b.try(t.Context(), q); err == nil && got.status < 300 {
			delete(h.keys, under) // the next need has another key
			return
		}
	}
}
