package connectors

import (
	"container/list"
	"context"
	"fmt"
	"time"

	"amend"
)

const (
	// blockLife is how long calls that were reserved together may be made: a
	// worker that stops, or dies, loses those that it hasn't.
	blockLife = 2 * time.Second
	// blockOf is of how many calls an hour a block has one, at most.
	blockOf = 100
	// reserveLimit bounds one reservation.
	reserveLimit = 10 * time.Second
	// reserveAgain is how long nobody asks, at least, where a reservation gave
	// nothing.
	reserveAgain = time.Second
	// hourLook is how often scans that wait for the next hour look at the clock.
	hourLook = time.Second
)

// Reservation asks for calls of a service's hour before they are made.
type Reservation struct {
	Service string
	Calls   int // that are wanted
	Limit   int // how many of the hour may be taken by all, these included
}

// Reserved is what was given.
type Reserved struct {
	Calls int       // at most what was wanted; 0 where none can be had
	Until time.Time // the calls must have begun by then; where there are none, when to ask again
}

// leastPerHour is the fewest calls an hour of which scans can leave a tenth.
const leastPerHour = 10

// CheckPerHour finds out whether a declared limit can be held; 0 is none.
func CheckPerHour(found *amend.Findings, path string, calls int) {
	if calls != 0 && calls < leastPerHour {
		found.Add(path, "per_hour is %d at least: a tenth of it is kept for repairs", leastPerHour)
	}
}

// Part is how many of the calls that a service allows in an hour may have been
// taken so that one of this priority can still be made: scans leave a tenth to
// all others, and looks the half of that to operations and what proves them.
func (p Priority) Part(perHour int) int {
	switch p {
	case Scanning:
		return perHour - (perHour+9)/10
	case Looking:
		return perHour - perHour/20
	case Repairing:
	}
	return perHour
}

// kept says for whom the calls are that a priority can't have.
func (p Priority) kept() string {
	switch p {
	case Scanning:
		return "what scans may use of the %d calls that it allows in an hour is used up"
	case Looking:
		return "the %d calls that it allows in an hour are used up but for those that are kept for repairs that have begun"
	case Repairing:
	}
	return "the %d calls that it allows in an hour are used up"
}

type payerKey struct{}

// paidBy has calls taken from what a priority may have of an hour, whatever
// their turn is.
func paidBy(ctx context.Context, p Priority) context.Context {
	return context.WithValue(ctx, payerKey{}, p)
}

func payerOf(ctx context.Context) Priority {
	if p, given := ctx.Value(payerKey{}).(Priority); given {
		return p
	}
	return PriorityOf(ctx)
}

// hourly is what a service allows in an hour, and what this worker has reserved
// of it. The gate's lock guards it.
type hourly struct {
	service string
	calls   int
	reserve func(context.Context, Reservation) (Reserved, error)
	now     func() time.Time // the store's clock, by which hours go
	blocks  [priorities]block
}

// block is what was reserved last for calls of one payer.
type block struct {
	Reserved
	left   int       // of its calls
	at     time.Time // when it came, by the store's clock
	came   time.Time // and by this machine's
	refuse *Unseen   // why there are none
	asking bool
}

// holds reports whether the answer to the last reservation is still of use: by
// the store's clock, that it wasn't put back included, and by our own.
func (b *block) holds(now time.Time) bool {
	return !now.Before(b.at) && now.Before(b.Until) && (b.refuse != nil || elapsed(b.came) < blockLife)
}

// elapsed is the time since then by either clock of the machine: the monotonic
// one stands still while it sleeps, the other one can be put back.
func elapsed(since time.Time) time.Duration {
	now := time.Now()
	return max(now.Sub(since), now.Round(0).Sub(since.Round(0)))
}

// wanted is how many calls the next block should have: those that wait, or what
// is used in half a block's life, so that hardly any are lost; at most twice as
// many as were used of the last.
func (b *block) wanted(waiting int) int {
	used := b.Calls - b.left
	wanted := 2 * used
	if took := elapsed(b.came); took > 0 {
		wanted = min(wanted, int(float64(used)*float64(blockLife/2)/float64(took)))
	}
	return max(waiting, wanted, 1)
}

// spent says why a payer has no calls left, if that is known.
func (h *hourly) spent(payer Priority) *Unseen {
	b, now := &h.blocks[payer], h.now()
	if b.refuse == nil || !b.holds(now) {
		return nil
	}
	u := *b.refuse
	u.RetryAfter = b.Until.Sub(now)
	return &u
}

// has reports whether a call of a payer was reserved.
func (h *hourly) has(payer Priority) bool {
	b := &h.blocks[payer]
	return b.refuse == nil && b.left > 0 && b.holds(h.now())
}

// ready reports whether a call may go as far as the hour is concerned. Where
// that isn't known it finds out, and the gate is opened again afterwards.
func (g *gate) ready(w *waiter) bool {
	if g.paid(w) {
		return true
	}
	h := g.hourly
	if b := &h.blocks[w.payer]; !b.asking && h.spent(w.payer) == nil {
		b.asking = true
		go g.reserve(w.payer, min(b.wanted(g.queues[w.payer].Len()), max(1, h.calls/blockOf)))
	}
	return false
}

// paid reports whether a call needs no more than was reserved.
func (g *gate) paid(w *waiter) bool { return g.hourly == nil || g.hourly.has(w.payer) }

// asking reports whether calls are being reserved for whoever waits.
func (g *gate) asking(w *waiter) bool { return g.hourly != nil && g.hourly.blocks[w.payer].asking }

func (g *gate) reserve(payer Priority, wanted int) {
	h := g.hourly
	ctx, cancel := context.WithTimeout(context.Background(), reserveLimit)
	defer cancel()
	got, err := h.reserve(ctx, Reservation{Service: h.service, Calls: wanted, Limit: payer.Part(h.calls)})
	g.mu.Lock()
	defer g.mu.Unlock()
	b := block{Reserved: got, left: got.Calls, at: h.now(), came: time.Now()}
	switch {
	case err != nil: // nobody knows whether they were taken: they are lost
		b.refuse = &Unseen{Cause: amend.NotRead, Reason: "its calls in an hour can't be counted, since the store doesn't answer"}
	case got.Calls == 0:
		b.refuse = &Unseen{Cause: amend.Spent, Reason: fmt.Sprintf(payer.kept(), h.calls) + "; there are more from " + got.Until.UTC().Format("15:04 MST")}
	case !b.at.Before(got.Until):
		b.refuse = &Unseen{Cause: amend.NotRead, Reason: "the calls that were reserved for it came too late"}
	}
	if again := b.at.Add(reserveAgain); b.refuse != nil && b.Until.Before(again) {
		b.Until = again
	}
	h.blocks[payer] = b
	g.pass(false)
}

// unpaid says why a call had to wait for the hour; empty where it hadn't.
func (g *gate) unpaid(payer Priority) string {
	if g.hourly == nil {
		return ""
	}
	if u := g.hourly.spent(payer); u != nil {
		return u.Reason
	}
	if !g.hourly.has(payer) {
		return "its calls in an hour could not be counted in time"
	}
	return ""
}

// turnAway tells those who need not wait for the next hour that there are no
// calls left: whoever looks at one customer can come again, and holds a case
// meanwhile. Scans wait.
func (g *gate) turnAway() {
	if g.hourly == nil {
		return
	}
	for p := Scanning + 1; p < priorities; p++ {
		var next *list.Element
		for at := g.queues[p].Front(); at != nil; at = next {
			next = at.Next()
			w := waiting(at)
			if w.refused = g.hourly.spent(w.payer); w.refused != nil {
				g.queues[p].Remove(at)
				close(w.passed)
			}
		}
	}
}
