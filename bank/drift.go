package bank

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	defaultQuiet = 10 * time.Second
	maxPerSecond = 1000

	// mostOfOneKind and fewestOfOneKind bound how many customers drift leaves
	// waiting for the same operation: a share of all, but not less than a few.
	// An engine that is stopped meanwhile must not come back to a bank in
	// ruins.
	mostOfOneKind   = 0.005
	fewestOfOneKind = 6

	// peopleEvery thins out what only a person can end, to one rejection in so
	// many.
	peopleEvery = 12

	// refusedPercent is how many sign-ups end with a plain no.
	refusedPercent = 8

	// tries is how many customers drift looks at for one that may be changed.
	tries = 20
)

// DriftOptions say how fast the bank drifts.
type DriftOptions struct {
	// PerSecond is how many things happen each second: sign-ups that begin or
	// end, changed addresses, rejections. More than 0, at most 1000.
	PerSecond float64
	// Quiet is how long a customer is left alone after the last mutation or
	// drift. Zero means 10 seconds.
	Quiet time.Duration
}

// Drift lets life go on until ctx ends, and then returns nil: customers sign
// up, and lose steps on the way, most of them while the card processor fails;
// addresses change in identity only; rejections leave things behind. Only
// customers who are in order and whom nothing is being done to are touched, so
// that whoever repairs the others never meets a change that they could not have
// seen.
func (b *Bank) Drift(ctx context.Context, o DriftOptions) error {
	if !(o.PerSecond > 0 && o.PerSecond <= maxPerSecond) {
		return fmt.Errorf("drift per second is more than 0 and at most %d, not %v", maxPerSecond, o.PerSecond)
	}
	if o.Quiet == 0 {
		o.Quiet = defaultQuiet
	}
	d := newDrifter(b, o.Quiet)
	ticker := time.NewTicker(time.Duration(float64(time.Second) / o.PerSecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			d.step()
		}
	}
}

// drifter is one run of Drift.
type drifter struct {
	world   *world
	rand    *rand.Rand
	quiet   time.Duration
	pending []string // sign-ups under way, the oldest first
	failing bool     // the card processor is down
	rejects int
}

// newDrifter takes the sign-ups over that are under way.
func newDrifter(b *Bank, quiet time.Duration) *drifter {
	d := &drifter{world: b.world, rand: b.options.Rand("drift"), quiet: quiet}
	d.world.mu.RLock()
	defer d.world.mu.RUnlock()
	var waiting []*customer
	for _, c := range d.world.order {
		if c.is(statusPending) {
			waiting = append(waiting, c)
		}
	}
	slices.SortStableFunc(waiting, func(a, b *customer) int { return a.identity.changed.Compare(b.identity.changed) })
	for _, c := range waiting {
		d.pending = append(d.pending, c.id)
	}
	return d
}

// step lets one thing happen, all of it in one hold of the lock, so that nobody
// ever sees half of it.
func (d *drifter) step() {
	d.world.mu.Lock()
	defer d.world.mu.Unlock()
	switch roll := d.rand.IntN(100); {
	case roll < 35:
		d.beginSignUp()
	case roll < 70:
		d.endSignUp()
	case roll < 90:
		d.changeAddress()
	default:
		d.reject()
	}
}

// changed makes what has happened to a customer count.
func (d *drifter) changed(c *customer) {
	now := d.world.now()
	c.touched, c.planted = now, c.state(now)
	d.world.settle(c)
}

// beginSignUp adds a customer whom identity alone knows yet.
func (d *drifter) beginSignUp() {
	c := d.world.customer(d.nextID())
	now := d.world.now()
	c.identity = &identity{
		status: statusPending, email: c.address(0), country: pick(countries, c.seed, 28), created: now, changed: now,
	}
	d.pending = append(d.pending, c.id)
	d.changed(c)
}

// nextID is one more than the highest number; in byte order a longer number
// may stand before a shorter one.
func (d *drifter) nextID() string {
	for number := len(d.world.order) + 1; ; number++ {
		if _, taken := d.world.byID[idOf(number)]; !taken {
			return idOf(number)
		}
	}
}

// endSignUp decides about the oldest sign-up, and does the rest of it as well as
// the services let it. One that has become overdue is left to people.
func (d *drifter) endSignUp() {
	for len(d.pending) > 0 {
		c := d.world.byID[d.pending[0]]
		now := d.world.now()
		signingUp := c.state(now) == stateSigningUp
		if signingUp && !d.leftAlone(c) {
			return
		}
		d.pending = d.pending[1:]
		if !signingUp {
			continue
		}
		c.identity.status, c.identity.changed = statusRejected, now
		if !d.chance(refusedPercent) {
			c.identity.status = statusApproved
			c.signUp(now)
			c.lose(d.lostSteps()...)
		}
		d.changed(c)
		return
	}
}

// lostSteps draws which steps of a sign-up fail. The card processor has good
// and bad times; the others fail now and then.
func (d *drifter) lostSteps() []string {
	// Down for about three sign-ups at a time, and up for about eight.
	if d.failing {
		d.failing = d.rand.IntN(100) >= 30
	} else {
		d.failing = d.rand.IntN(100) < 12
	}
	var lost []string
	if d.chance(6) && d.room(LedgerOpen) {
		lost = append(lost, ledgerName)
	}
	if (d.failing || d.chance(3)) && d.room(CardsOrder) {
		lost = append(lost, cardsName)
	}
	if d.chance(8) && d.room(BillingStart) {
		lost = append(lost, billingName)
	}
	return lost
}

// chance is true in so many cases of a hundred.
func (d *drifter) chance(percent int) bool { return d.rand.IntN(100) < percent }

// room reports whether one more customer may come to need the operation.
func (d *drifter) room(op Operation) bool {
	return d.world.open[op] < d.most()
}

// most is how many may wait for one operation.
func (d *drifter) most() int {
	return max(fewestOfOneKind, int(mostOfOneKind*float64(len(d.world.order))))
}

// roomForPeople reports whether one more rejected customer may keep an account
// open. It counts them all, which happens too seldom to matter.
func (d *drifter) roomForPeople() bool {
	waiting := 0
	for _, c := range d.world.order {
		waiting += one(c.is(statusRejected) && c.hasOpenAccount())
	}
	return waiting < d.most()
}

// changeAddress changes somebody's address in identity and tells nobody.
func (d *drifter) changeAddress() {
	c := d.find()
	if c == nil || !d.room(BillingSetEmail) {
		return
	}
	c.move(d.world.now())
	d.changed(c)
}

// reject turns a customer down and forgets something on the way: most often the
// card or the plan, seldom the account, now and then with money on it.
func (d *drifter) reject() {
	c := d.find()
	if c == nil || !d.room(CardsBlock) || !d.room(BillingCancel) {
		return
	}
	d.rejects++
	left := [][]string{{cardsName}, {billingName}, {cardsName, billingName}}[d.rand.IntN(3)]
	people := d.rejects%peopleEvery == 0 && d.roomForPeople()
	if people {
		left = append(left, ledgerName)
	}
	c.reject(d.world.now(), left...)
	if people && d.chance(30) {
		c.account.cents = 1 + d.rand.Int64N(50_000)
	}
	d.changed(c)
}

// find looks for an active customer who may be changed; nil if there is none
// among the few that it looks at.
func (d *drifter) find() *customer {
	for range tries {
		c := d.world.order[d.rand.IntN(len(d.world.order))]
		if c.state(d.world.now()) == stateActive && d.leftAlone(c) {
			return c
		}
	}
	return nil
}

// leftAlone reports whether nothing is being done to the customer, or has been
// lately, and no card of theirs is on its way.
func (d *drifter) leftAlone(c *customer) bool {
	now := d.world.now()
	return !isSentinel(c.id) && !c.hasNeed() && c.inFlight == 0 &&
		now.Sub(c.touched) >= d.quiet && c.card == c.shownCard(now) && !c.hidden(now)
}
