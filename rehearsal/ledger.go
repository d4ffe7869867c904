package rehearsal

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"amend/bank"
)

// checkArrivals holds what has arrived against what was written down.
func (c *checker) checkArrivals() {
	c.wire.mu.Lock()
	fresh := slices.Clone(c.wire.arrived[c.arrived:])
	c.wire.mu.Unlock()
	for _, a := range fresh {
		c.arrived++
		c.received[a.request]++
		announced, customer := 0, ""
		for _, s := range c.steps {
			if s.request == a.request {
				announced, customer = announced+s.sent, s.customer
			}
		}
		if c.received[a.request] > announced {
			c.broken(IntentFirst, "%s %s arrived %d times, written down %d times", a.service, a.text, c.received[a.request], announced)
		} else if !c.jumped && !c.held(customer) {
			c.broken(UnderLease, "%s %s arrived, and nobody holds the case of %s", a.service, a.text, customer)
		}
	}
}

// held reports whether somebody has the lease of the customer's open case.
func (c *checker) held(customer string) bool {
	now := c.clock.now().UnixMicro()
	for _, row := range c.cases {
		if row.customer == customer && row.endedAt == 0 {
			return row.leaseUntil > now
		}
	}
	return false
}

// checkJournal takes the bank's own verdict on what it was asked to do. What a
// person has changed since amend looked is nothing that amend could have known.
func (c *checker) checkJournal() {
	if c.bank.Journal().Len() == 0 {
		return
	}
	if c.bank.Journal().Len() == c.judged {
		c.checkEffects()
		return
	}
	for _, e := range c.bank.Journal().Entries()[c.judged:] {
		c.judged++
		if strings.HasPrefix(e.Key, personKey) || c.excused(e.Customer) {
			continue
		}
		text := fmt.Sprintf("%s for %s (%s)", e.Operation, e.Customer, c.bank.Truth(e.Customer))
		if e.Wrong != "" {
			c.broken(RightSends, "%s: %s", text, e.Wrong)
		}
		if e.SecondKey && !c.byPerson(e) {
			c.broken(OneKey, "%s", text)
		}
		if e.OutOfOrder {
			c.broken(InOrder, "%s", text)
		}
	}
	c.checkEffects()
}

// checkEffects sees effects, which are known only when a request has ended.
func (c *checker) checkEffects() {
	counts := c.bank.Count()
	if counts.DoubleEffects == len(c.doubled) {
		return
	}
	for _, e := range c.bank.Journal().Entries() {
		if !e.DoubleEffect || c.doubled[e.Seq] {
			continue
		}
		c.doubled[e.Seq] = true
		if !strings.HasPrefix(e.Key, personKey) && !c.excused(e.Customer) {
			c.broken(OneEffect, "%s for %s", e.Operation, e.Customer)
		}
	}
}

// byPerson reports whether a person has sent the same, with a key of their own.
func (c *checker) byPerson(e bank.Entry) bool {
	return slices.ContainsFunc(c.bank.Journal().Of(e.Customer), func(other bank.Entry) bool {
		return other.Operation == e.Operation && strings.HasPrefix(other.Key, personKey)
	})
}

// excused reports whether a person has changed a customer so lately that amend
// may not have seen it.
func (c *checker) excused(customer string) bool {
	at, any := c.touched[customer]
	return any && time.Since(at) < humanMargin+c.plan.CardDelay
}

const (
	// politePeriod is over which reads are counted, and politeLimit how often one
	// customer may be read from one service in it: a repair with every retry and
	// every peek stays far below.
	politePeriod = time.Minute
	politeLimit  = 120
)

// checkPolite is asked once in each period.
func (c *checker) checkPolite() {
	if who, most := c.wire.busiest(); most > politeLimit {
		c.broken(Polite, "%s was asked for %d times in %s", who, most, politePeriod)
	}
}
