package connectors

import (
	"container/list"
	"context"
	"sync"
	"time"
)

const (
	// patientTurns is how often a priority decides whose turn it is until it goes
	// to whoever has waited longest: so nobody starves.
	patientTurns = 7
	// lateness is by how much a timer may be late without the rate falling behind.
	lateness = 10 * time.Millisecond
	// unknownWait is how often the share is asked for that isn't known.
	unknownWait = 100 * time.Millisecond
)

// gate lets calls to one service pass: no more at once and no more in a second
// than this worker's share, those of a higher priority first, and in the order
// of their coming within one.
type gate struct {
	atOnce    int
	perSecond float64 // 0: no limit
	share     func() Share

	mu       sync.Mutex
	inFlight int
	due      time.Time // when the rate allows the next call
	queues   [priorities]list.List
	turns    int // that priorities decided, since somebody last had a turn for waiting long
	timer    *time.Timer
	knee     knee
}

// waiter is a call that waits, and then one in flight.
type waiter struct {
	since  time.Time
	passed chan struct{} // closed when it may go
	asked  kind
	began  time.Time
	beside int  // calls that were in flight, it included
	full   bool // it took the last slot
}

// enter waits for the call's turn. Where it returns nil, leave must follow.
func (g *gate) enter(ctx context.Context, asked kind, p Priority) (*waiter, *Unseen) {
	w, place := g.queue(asked, p)
	select {
	case <-w.passed:
	case <-ctx.Done():
		if u := g.withdraw(ctx, p, place); u != nil {
			return nil, u
		}
	}
	if err := ctx.Err(); err != nil { // its turn came too late to be used
		g.leave(w, withdrawn)
		return nil, AsUnseen(err)
	}
	return w, nil
}

func (g *gate) queue(asked kind, p Priority) (*waiter, *list.Element) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := &waiter{asked: asked, since: time.Now(), passed: make(chan struct{})}
	place := g.queues[p].PushBack(w)
	g.pass(false)
	return w, place
}

// withdraw takes a call out of its queue and says what it was waiting for; nil
// where its turn came meanwhile.
func (g *gate) withdraw(ctx context.Context, p Priority, place *list.Element) *Unseen {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-place.Value.(*waiter).passed: //nolint:forcetypeassert // nothing else is in the queues
		return nil
	default:
	}
	u := AsUnseen(ctx.Err())
	if _, why := g.closed(g.share(), time.Now()); why != "" {
		u.Reason = why
	}
	g.queues[p].Remove(place)
	return u
}

// ending is how a call went, as far as its length says anything.
type ending uint8

const (
	withdrawn ending = iota // its length says nothing
	answered
	turnedAway // as where there is no room for it
)

// leave ends a call.
func (g *gate) leave(w *waiter, e ending) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight--
	if share := g.share(); share.Of > 0 {
		g.knee.ended(w, e, time.Now(), share.slots(g.atOnce))
	}
	g.pass(false)
}

// pass lets through whoever may go now, and comes again when the next may. The
// rate counts from when it allowed the next call where late holds, which is that
// a call waited for nothing else; else from now.
func (g *gate) pass(late bool) {
	if g.timer != nil {
		g.timer.Stop()
		g.timer = nil
	}
	for {
		w, queue := g.next()
		if w == nil {
			return
		}
		share, now := g.share(), time.Now()
		if wait, why := g.closed(share, now); why != "" {
			if wait > 0 {
				g.timer = time.AfterFunc(wait, func() { g.comeAgain(share.Of > 0) })
			}
			return
		}
		g.take(w, queue)
		g.inFlight++
		w.began, w.beside, w.full = now, g.inFlight, g.inFlight >= g.slots(share)
		g.charge(share.every(g.perSecond), now, late)
		close(w.passed)
	}
}

func (g *gate) comeAgain(late bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pass(late)
}

// slots is how many calls may be in flight.
func (g *gate) slots(share Share) int { return g.knee.slots(share.slots(g.atOnce)) }

// closed says what keeps the next call back, and for how long: 0 until a call
// ends. It says nothing where the call may go.
func (g *gate) closed(share Share, now time.Time) (wait time.Duration, why string) {
	switch {
	case share.Of == 0:
		return unknownWait, "what part of its limits is this worker's isn't known"
	case g.inFlight >= g.slots(share):
		return 0, "all calls that it allows at once are taken"
	case g.perSecond > 0 && g.due.After(now):
		return g.due.Sub(now), "its turn under the rate limit did not come in time"
	}
	return 0, ""
}

// next is whose turn it is: the first of the highest priority or, every eighth
// time that others wait beside it, who has waited longest.
func (g *gate) next() (first *waiter, queue *list.List) {
	for p := range g.queues {
		front := g.queues[p].Front()
		if front == nil {
			continue
		}
		w := front.Value.(*waiter) //nolint:forcetypeassert // nothing else is in the queues
		if first == nil || g.turns < patientTurns || w.since.Before(first.since) {
			first, queue = w, &g.queues[p]
		}
	}
	return first, queue
}

// take takes the first out of its queue, and counts the turns that others
// waited.
func (g *gate) take(w *waiter, queue *list.List) {
	queue.Remove(queue.Front())
	older := false
	for p := range g.queues {
		front := g.queues[p].Front()
		older = older || front != nil && front.Value.(*waiter).since.Before(w.since) //nolint:forcetypeassert // as above
	}
	if g.turns++; !older {
		g.turns = 0
	}
}

// charge sets when the rate allows the next call.
func (g *gate) charge(every time.Duration, now time.Time, late bool) {
	from := now
	if earliest := now.Add(-lateness); late && g.due.After(earliest) {
		from = g.due
	} else if late {
		from = earliest
	}
	g.due = from.Add(every)
}
