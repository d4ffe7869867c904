package bank

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// view is a customer as bank.yaml's conditions see them; "" is an absent
// record.
type view struct {
	identity, ledger, cards, billing string
	cents                            int64
	hold, lifted, differs            bool
	pending                          time.Duration
}

func (v view) customer() *customer {
	c := &customer{id: "cus_000002"}
	if v.identity != "" {
		c.identity = &identity{status: v.identity, email: "a@b.example", changed: noon.Add(-v.pending)}
	}
	if v.ledger != "" {
		c.account = &account{status: v.ledger, cents: v.cents}
	}
	if v.cards != "" {
		c.card = &card{status: v.cards}
	}
	if v.billing != "" {
		c.plan = &plan{status: v.billing, email: "a@b.example"}
		if v.differs {
			c.plan.email = "c@d.example"
		}
	}
	if v.hold || v.lifted {
		c.hold = &hold{hold: v.hold}
	}
	return c
}

func TestState(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		view view
		want string
	}{
		{"Nobody", view{}, ""},
		{"AHoldOnNobody", view{hold: true}, "held"},
		{"ALiftedHoldOnNobody", view{lifted: true}, "orphaned"},
		{"HeldBeforeEverything", view{identity: "rejected", ledger: "open", cents: 1, cards: "active", hold: true}, "held"},
		{"LiftedHoldsDoNothing", view{identity: "approved", ledger: "open", cards: "active", billing: "active", lifted: true}, "active"},
		{"OrphanedAccount", view{ledger: "open"}, "orphaned"},
		{"OrphanedCardEvenBlocked", view{cards: "blocked"}, "orphaned"},
		{"OrphanedPlanEvenCancelled", view{billing: "cancelled"}, "orphaned"},
		{"MoneyBeforeCard", view{identity: "rejected", ledger: "open", cents: 1, cards: "active", billing: "active"}, "rejected_with_money"},
		{"DebtIsMoney", view{identity: "rejected", ledger: "frozen", cents: -1}, "rejected_with_money"},
		{"MoneyOnAClosedAccountIsNone", view{identity: "rejected", ledger: "closed", cents: 1}, "closed"},
		{"CardBeforePlan", view{identity: "rejected", ledger: "open", cards: "ordered", billing: "active"}, "rejected_with_card"},
		{"PlanBeforeAccount", view{identity: "rejected", ledger: "open", cards: "blocked", billing: "past_due"}, "rejected_with_plan"},
		{"AccountLast", view{identity: "rejected", ledger: "frozen", cards: "blocked", billing: "cancelled"}, "rejected_but_open"},
		{"AllEnded", view{identity: "rejected", ledger: "closed", cards: "blocked", billing: "cancelled"}, "closed"},
		{"NeverBegun", view{identity: "rejected"}, "closed"},
		{"Pending", view{identity: "pending"}, "signing_up"},
		{"PendingWithEverything", view{identity: "pending", ledger: "frozen", cards: "blocked"}, "signing_up"},
		{"PendingForTwoHours", view{identity: "pending", pending: 2 * time.Hour}, "signing_up"},
		{"PendingForLonger", view{identity: "pending", pending: 2*time.Hour + time.Millisecond}, "signing_up_overdue"},
		{"AccountBeforeCard", view{identity: "approved"}, "ledger_missing"},
		{"FrozenBeforeCard", view{identity: "approved", ledger: "frozen"}, "ledger_unusable"},
		{"ClosedIsUnusable", view{identity: "approved", ledger: "closed", cards: "active", billing: "active"}, "ledger_unusable"},
		{"CardBeforeBilling", view{identity: "approved", ledger: "open"}, "card_missing"},
		{"BlockedBeforeBilling", view{identity: "approved", ledger: "open", cards: "blocked"}, "card_blocked"},
		{"Billing", view{identity: "approved", ledger: "open", cards: "ordered"}, "billing_missing"},
		{"Address", view{identity: "approved", ledger: "open", cards: "active", billing: "past_due", differs: true}, "email_differs"},
		{"AddressOfACancelledPlan", view{identity: "approved", ledger: "open", cards: "active", billing: "cancelled", differs: true}, "email_differs"},
		{"InOrder", view{identity: "approved", ledger: "open", cents: 1230, cards: "active", billing: "active"}, "active"},
		{"CancelledPlanIsInOrder", view{identity: "approved", ledger: "open", cards: "active", billing: "cancelled"}, "active"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, test.view.customer().state(noon))
		})
	}
}

// TestNeedsEndInOrder walks every view: as long as a state asks for an
// operation the customer needs it, and a customer who is in order needs
// nothing. So the judge's needs and bank.yaml's states never contradict each
// other.
func TestNeedsEndInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(Options{Now: newClock().Now})
	for _, v := range everyView() {
		c := v.customer()
		state := c.state(noon)
		asked := 0
		for op, states := range asksFor {
			needed := c.unneeded(op) == ""
			for _, asking := range states {
				if state == asking {
					asked++
					require.True(t, needed, "%s of %+v", op, v)
					require.False(t, w.outOfOrder(c, command{op: &operation{name: op}}))
				}
			}
			require.False(t, needed && isCoherent(state), "%s of %+v", op, v)
		}
		require.LessOrEqual(t, asked, 1, "%+v", v)
	}
}

func everyView() []view {
	var views []view
	for _, identity := range []string{"", "pending", "approved", "rejected"} {
		for _, ledger := range []string{"", "open", "frozen", "closed"} {
			for _, cards := range []string{"", "ordered", "active", "blocked"} {
				for _, billing := range []string{"", "active", "past_due", "cancelled"} {
					for bits := range 16 {
						views = append(views, view{
							identity: identity, ledger: ledger, cards: cards, billing: billing, cents: int64(bits & 1),
							hold: bits&2 != 0, lifted: bits&4 != 0, differs: bits&8 != 0,
						})
					}
				}
			}
		}
	}
	return views
}

// TestCoherentWithin breaks a customer in order at one minute past noon, who is
// mended at three minutes past.
func TestCoherentWithin(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := func(minute int) time.Time { return noon.Add(time.Duration(minute) * time.Minute) }
	active, missing := b.planted("active")[0], b.someone(t, "card_missing")
	change := func(id string, do func(c *customer)) {
		b.world.mu.Lock()
		defer b.world.mu.Unlock()
		do(b.world.byID[id])
		b.world.settle(b.world.byID[id])
	}
	b.clock.advance(time.Minute)
	change(active, func(c *customer) { c.identity.email = "new@mail.example" })
	change(missing, func(c *customer) { c.identity.email = "new@mail.example" })
	b.clock.advance(2 * time.Minute)
	b.call(t, setEmail(active, b.email(t, active)))

	for name, test := range map[string]struct {
		id       string
		from, to int
		want     bool
	}{
		"Before":              {active, 0, 0, true},
		"UpToTheBreak":        {active, 0, 2, true},
		"WhileBroken":         {active, 2, 2, false},
		"UntilMended":         {active, 2, 3, true},
		"Since":               {active, 4, 9, true},
		"OverAllOfIt":         {active, 0, 9, true},
		"NeverInOrder":        {missing, 0, 9, false},
		"NobodyIsNotInOrder":  {"cus_999999", 0, 9, false},
		"AlwaysInOrderBefore": {sentinelPresent, -9, -8, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, b.CoherentWithin(test.id, at(test.from), at(test.to)))
		})
	}
}
