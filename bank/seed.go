package bank

import (
	"fmt"
	"math/rand/v2"
	"time"
)

const day = 24 * time.Hour

// recipe plants one kind of customer.
type recipe struct {
	state string  // what Truth says of them
	share float64 // of all customers
	least int     // also where the share is less than one
	plant func(p *planter, c *customer)
}

// recipes are all kinds but the one in order, which is everybody else. About 3%
// are inconsistent; at most 0.5% need a person, as far as one of each allows;
// and no state reaches the 1% at which an engine could take it for a mistake of
// its own. Where one customer lacks several things, the state is the first
// that holds.
var recipes = []recipe{
	// In order, but not simply active. Those under a hold lack things too, to
	// show who acts in spite of it.
	{"held", 0.0025, 1, held((*planter).active)},
	{"held", 0.0010, 1, held(lacks(ledgerName))},
	{"held", 0.0010, 0, held(rejected(cardsName, billingName))},
	{"closed", 0.0150, 1, rejected()},
	{"closed", 0.0150, 1, (*planter).refused},
	{stateSigningUp, 0.0200, 1, pending(2*time.Minute, time.Hour)},

	// These need a person in the end.
	{"orphaned", 0.0004, 1, orphaned(cardsName, billingName)},
	{"orphaned", 0.0003, 0, orphaned(ledgerName)},
	{"rejected_with_money", 0.0006, 1, withMoney(rejected(ledgerName))},
	{"rejected_with_money", 0.0003, 0, withMoney(rejected(ledgerName, cardsName, billingName))},
	{"rejected_with_card", 0.0003, 0, rejected(cardsName, ledgerName)},
	{"rejected_but_open", 0.0005, 1, rejected(ledgerName)},
	{stateOverdue, 0.0008, 1, pending(3*time.Hour, 30*time.Hour)},
	{"ledger_unusable", 0.0005, 1, stuck(statusFrozen)},
	{"ledger_unusable", 0.0003, 0, stuck(statusClosed)},

	// These can be mended.
	{"rejected_with_card", 0.0020, 1, rejected(cardsName)},
	{"rejected_with_card", 0.0006, 0, rejected(cardsName, billingName)},
	{"rejected_with_plan", 0.0022, 1, rejected(billingName)},
	{"ledger_missing", 0.0030, 1, lacks(ledgerName)},
	{"ledger_missing", 0.0008, 1, lacks(ledgerName, cardsName)},
	{"ledger_missing", 0.0005, 0, lacks(ledgerName, cardsName, billingName)},
	{"card_missing", 0.0045, 1, lacks(cardsName)},
	{"card_missing", 0.0006, 0, lacks(cardsName, billingName)},
	{"card_missing", 0.0005, 0, moved(lacks(cardsName))},
	{"card_blocked", 0.0025, 1, (*planter).blocked},
	{"card_blocked", 0.0003, 0, moved((*planter).blocked)},
	{"billing_missing", 0.0035, 1, lacks(billingName)},
	{"email_differs", 0.0050, 1, moved((*planter).active)},
}

// planter makes customers; the same numbers make the same bank.
type planter struct {
	world *world
	rand  *rand.Rand
	now   time.Time
}

// plant fills the world with customers from cus_000001 on.
func plant(w *world, o Options) {
	p := &planter{world: w, rand: o.Rand("seed"), now: w.now()}
	salt := p.rand.Uint64()
	for number := 1; number <= o.Customers; number++ {
		c := w.customer(idOf(number))
		c.seed ^= salt
	}
	p.sentinel(w.order[0])
	others := p.rand.Perm(o.Customers - 1)
	for _, r := range recipes {
		count := min(max(r.least, int(r.share*float64(o.Customers))), len(others))
		for _, at := range others[:count] {
			p.make(w.order[at+1], r)
		}
		others = others[count:]
	}
	ordinary := recipe{state: stateActive, plant: (*planter).ordinary}
	for _, at := range others {
		p.make(w.order[at+1], ordinary)
	}
}

// idOf is the ID of the customer with this number.
func idOf(number int) string { return fmt.Sprintf("cus_%06d", number) }

// make plants one customer; their needs begin here.
func (p *planter) make(c *customer, r recipe) {
	r.plant(p, c)
	c.planted, c.coherent = r.state, isCoherent(r.state)
	p.world.settle(c)
}

// sentinel is in order in every service, and compliance has a row too.
func (p *planter) sentinel(c *customer) {
	p.active(c)
	c.hold = p.hold(false)
	c.planted, c.coherent = stateActive, true
}

// active gives everything that a customer in order has.
func (p *planter) active(c *customer) {
	p.identity(c, statusApproved, p.ago(10*day, 900*day))
	since := c.identity.changed
	c.account = p.account(c, since)
	c.card = &card{status: statusActive, number: 1, ordered: since.Add(time.Minute), changed: since.Add(3 * day)}
	c.plan = &plan{status: statusActive, email: c.identity.email, started: since.Add(time.Minute), changed: since.Add(time.Minute)}
}

// identity makes a record that last changed at a given time.
func (p *planter) identity(c *customer, status string, changed time.Time) {
	c.identity = &identity{
		status: status, email: c.address(0), country: pick(countries, c.seed, 28),
		created: changed.Add(-time.Duration(5+p.rand.IntN(50)) * time.Minute), changed: changed,
	}
}

// account has a past: some money and a version that is not the first.
func (p *planter) account(c *customer, since time.Time) *account {
	return &account{
		status: statusOpen, currency: currencyOf(c.identity.country), cents: p.rand.Int64N(900_000),
		version: 1 + p.rand.IntN(200), opened: since, changed: since.Add(day),
	}
}

// ordinary customers are in order, each in their own way.
func (p *planter) ordinary(c *customer) {
	p.active(c)
	switch p.rand.IntN(100) {
	case 0:
		c.hold = p.hold(false)
	case 1, 2:
		c.plan.status = statusPastDue
	case 3, 4:
		c.card.status, c.card.changed = statusOrdered, c.card.ordered
	}
}

// refused customers were rejected at sign-up and never got anything.
func (p *planter) refused(c *customer) { p.identity(c, statusRejected, p.ago(day, 400*day)) }

// blocked customers have a blocked card and no new one.
func (p *planter) blocked(c *customer) {
	p.active(c)
	c.card.status, c.card.changed = statusBlocked, p.ago(10*time.Minute, 5*day)
}

// pending plants sign-ups that began between two ages ago.
func pending(from, to time.Duration) func(*planter, *customer) {
	return func(p *planter, c *customer) { p.identity(c, statusPending, p.ago(from, to)) }
}

// lacks plants sign-ups of the last hours that were left half done.
func lacks(services ...string) func(*planter, *customer) {
	return func(p *planter, c *customer) {
		p.identity(c, statusApproved, p.ago(20*time.Minute, 20*time.Hour))
		c.signUp(c.identity.changed)
		c.lose(services...)
	}
}

// signUp gives an approved customer what sign-up brings.
func (c *customer) signUp(at time.Time) {
	c.account = &account{status: statusOpen, currency: currencyOf(c.identity.country), version: 1, opened: at, changed: at}
	c.card = &card{status: statusOrdered, number: 1, ordered: at, changed: at}
	c.plan = &plan{status: statusActive, email: c.identity.email, started: at, changed: at}
}

// lose takes away what these services have.
func (c *customer) lose(services ...string) {
	for _, service := range services {
		switch service {
		case identityName:
			c.identity = nil
		case ledgerName:
			c.account = nil
		case cardsName:
			c.card = nil
		case billingName:
			c.plan = nil
		}
	}
}

// rejected plants customers of whom these services have something left.
func rejected(left ...string) func(*planter, *customer) {
	return func(p *planter, c *customer) {
		p.active(c)
		c.reject(p.ago(time.Hour, 9*day), left...)
	}
}

// reject ends a customer's business, except in the services left behind. The
// money is paid out in any case.
func (c *customer) reject(at time.Time, left ...string) {
	c.identity.status, c.identity.changed = statusRejected, at
	c.account.cents = 0
	c.account.touch(at)
	account, card, plan := statusClosed, statusBlocked, statusCancelled
	for _, service := range left {
		switch service {
		case ledgerName:
			account = c.account.status
		case cardsName:
			card = c.card.status
		case billingName:
			plan = c.plan.status
		}
	}
	c.account.status, c.card.status, c.plan.status = account, card, plan
}

// withMoney puts money on the account that is left.
func withMoney(plant func(*planter, *customer)) func(*planter, *customer) {
	return func(p *planter, c *customer) {
		plant(p, c)
		c.account.cents = 1 + p.rand.Int64N(50_000)
	}
}

// orphaned plants customers whom identity has forgotten, and these services
// with it.
func orphaned(services ...string) func(*planter, *customer) {
	return func(p *planter, c *customer) {
		p.active(c)
		c.lose(identityName)
		c.lose(services...)
	}
}

// stuck plants accounts that only the ledger team can put right.
func stuck(status string) func(*planter, *customer) {
	return func(p *planter, c *customer) {
		p.active(c)
		c.account.status = status
		c.account.touch(p.ago(time.Hour, 2*day))
		if status == statusClosed {
			c.account.cents = 0
		}
	}
}

// moved gives customers a new address that only identity knows.
func moved(plant func(*planter, *customer)) func(*planter, *customer) {
	return func(p *planter, c *customer) {
		plant(p, c)
		c.move(p.ago(5*time.Minute, time.Hour))
	}
}

// move changes the address in identity, and nowhere else.
func (c *customer) move(at time.Time) {
	c.identity.moves++
	c.identity.email, c.identity.changed = c.address(c.identity.moves), at
}

// held puts a hold on customers who are otherwise as planted.
func held(plant func(*planter, *customer)) func(*planter, *customer) {
	return func(p *planter, c *customer) {
		plant(p, c)
		c.hold = p.hold(true)
	}
}

// hold is a row of the compliance table, in force or lifted.
func (p *planter) hold(on bool) *hold {
	reason := pick([]string{"sanctions screening", "court order", "suspicious transfer"}, p.rand.Uint64(), 0)
	return &hold{hold: on, reason: reason, placed: p.ago(time.Hour, 20*time.Hour).Truncate(time.Second)}
}

// ago is a time between two ages.
func (p *planter) ago(from, to time.Duration) time.Time {
	age := from + time.Duration(p.rand.Int64N(int64(to-from)))
	return p.now.Add(-age).Truncate(time.Millisecond)
}
