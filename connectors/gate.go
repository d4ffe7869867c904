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
// than this worker's share, no more in an hour than all workers may make, those
// of a higher priority first, and in the order of their coming within one.
type gate struct {
	atOnce    int
	perSecond float64 // 0: no limit
	share     func() Share
	hourly    *hourly // nil: no limit

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
	since   time.Time
	passed  chan struct{} // closed when it may go
	asked   kind
	payer   Priority // from whose part of the hour it is taken
	refused *Unseen  // there are no calls for it; known once passed is closed
	began   time.Time
	beside  int  // calls that were in flight, it included
	full    bool // it took the last slot
}

// enter waits for the call's turn. Where it returns a waiter, leave must follow.
func (g *gate) enter(ctx context.Context, asked kind, turn, payer Priority) (*waiter, *Unseen) {
	w, place := g.queue(asked, turn, payer)
	select {
	case <-w.passed:
	case <-ctx.Done():
		if u := g.withdraw(ctx, turn, place); u != nil {
			return nil, u
		}
	}
	if w.refused != nil {
		return nil, w.refused
	}
	if err := ctx.Err(); err != nil { // its turn came too late to be used
		g.leave(w, withdrawn)
		return nil, AsUnseen(err)
	}
	return w, nil
}

func (g *gate) queue(asked kind, turn, payer Priority) (*waiter, *list.Element) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := &waiter{asked: asked, payer: payer, since: time.Now(), passed: make(chan struct{})}
	place := g.queues[turn].PushBack(w)
	g.pass(false)
	return w, place
}

// withdraw takes a call out of its queue and says what it was waiting for; nil
// where its turn came meanwhile.
func (g *gate) withdraw(ctx context.Context, turn Priority, place *list.Element) *Unseen {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := waiting(place)
	select {
	case <-w.passed:
		return nil
	default:
	}
	u := AsUnseen(ctx.Err())
	if _, why := g.closed(g.share(), time.Now()); why != "" {
		u.Reason = why
	} else if why := g.unpaid(w.payer); why != "" {
		u.Reason = why
	}
	g.queues[turn].Remove(place)
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
	for g.anybody() {
		share, now := g.share(), time.Now()
		if wait, why := g.closed(share, now); why != "" {
			if wait > 0 {
				g.timer = time.AfterFunc(wait, func() { g.comeAgain(share.Of > 0) })
			}
			return
		}
		g.turnAway()
		place, queue := g.next()
		if place == nil && g.anybody() { // for another hour, or for calls that are being reserved
			g.timer = time.AfterFunc(hourLook, func() { g.comeAgain(false) })
		}
		if place == nil {
			return
		}
		w := g.take(place, queue)
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

// anybody reports whether somebody waits.
func (g *gate) anybody() bool {
	for p := range g.queues {
		if g.queues[p].Len() > 0 {
			return true
		}
	}
	return false
}

// next is whose turn it is: the first of the highest priority or, every eighth
// time that others wait beside it, who has waited longest. Nobody's where the
// hour has no calls for those who wait, and in the moment in which some are being
// reserved for the highest priority.
func (g *gate) next() (first *list.Element, queue *list.List) {
	var since time.Time
	for p := range g.queues {
		at := front(&g.queues[p], g.ready)
		if at == nil {
			if front(&g.queues[p], g.asking) != nil {
				first = nil
			}
			continue
		}
		if w := waiting(at); first == nil || g.turns < patientTurns || w.since.Before(since) {
			first, queue, since = at, &g.queues[p], w.since
		}
	}
	return first, queue
}

// front is who comes first of those who may go.
func front(queue *list.List, may func(*waiter) bool) *list.Element {
	for at := queue.Front(); at != nil; at = at.Next() {
		if may(waiting(at)) {
			return at
		}
	}
	return nil
}

func waiting(place *list.Element) *waiter {
	return place.Value.(*waiter) //nolint:forcetypeassert // nothing else is in the queues
}

// take takes who is next out of their queue, and counts the turns that others
// waited who could have gone.
func (g *gate) take(place *list.Element, queue *list.List) *waiter {
	queue.Remove(place)
	w := waiting(place)
	if g.hourly != nil {
		g.hourly.blocks[w.payer].left--
	}
	older := false
	for p := range g.queues {
		at := front(&g.queues[p], g.paid)
		older = older || at != nil && waiting(at).since.Before(w.since)
	}
	if g.turns++; !older {
		g.turns = 0
	}
	return w
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
