package rehearsal

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
)

// errKilled is what a worker that has died gets from whatever it still tries.
var errKilled = errors.New("this worker has died")

// bus has goroutines take turns. Whoever is about to do something that others
// can notice parks here; the scheduler grants one turn when nothing moves.
type bus struct {
	mu       sync.Mutex
	parked   []*turn
	wakeUps  []wakeUp // that no queue has yet
	arrivals int
	over     bool
	came     chan struct{} // holds one token while somebody new is parked
}

// turn is one goroutine that waits to go on.
type turn struct {
	owner   *worker // nil: a service
	label   string
	number  int // in order of arrival: those with the same label never arrive at the same moment
	granted chan error
}

func newBus() *bus { return &bus{came: make(chan struct{}, 1)} }

// wait parks the caller until its turn. The error says that it may not go on.
func (b *bus) wait(owner *worker, label string) error {
	t := &turn{owner: owner, label: label, granted: make(chan error, 1)}
	b.mu.Lock()
	if b.over {
		b.mu.Unlock()
		return errKilled
	}
	b.arrivals++
	t.number = b.arrivals
	b.parked = append(b.parked, t)
	b.mu.Unlock()
	select {
	case b.came <- struct{}{}:
	default:
	}
	return <-t.granted
}

// pick takes one of those who wait and may go on off the list; nil where there is
// none. Which goroutine arrived first within a moment is chance, so the list is
// sorted.
func (b *bus) pick(random *rand.Rand, held func(*turn) bool) *turn {
	b.mu.Lock()
	defer b.mu.Unlock()
	slices.SortFunc(b.parked, func(x, y *turn) int {
		return cmp.Or(cmp.Compare(x.label, y.label), cmp.Compare(x.number, y.number))
	})
	var free []int
	for i, t := range b.parked {
		if !held(t) {
			free = append(free, i)
		}
	}
	if len(free) == 0 {
		return nil
	}
	at := free[random.IntN(len(free))]
	picked := b.parked[at]
	b.parked = slices.Delete(b.parked, at, at+1)
	return picked
}

// later keeps a wake-up until nothing moves.
func (b *bus) later(w wakeUp) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wakeUps = append(b.wakeUps, w)
}

// wakeUp takes the first wake-up that no queue has yet.
func (b *bus) wakeUp() (first wakeUp, some bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.wakeUps) == 0 {
		return first, false
	}
	first = b.wakeUps[0]
	b.wakeUps = b.wakeUps[1:]
	return first, true
}

// drop sends everybody away whom a worker has left behind.
func (b *bus) drop(owner *worker) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.parked = slices.DeleteFunc(b.parked, func(t *turn) bool {
		if t.owner == owner {
			t.granted <- errKilled
		}
		return t.owner == owner
	})
}

// end sends everybody away who still waits or comes, at the end of a run.
func (b *bus) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	for _, t := range b.parked {
		t.granted <- errKilled
	}
	b.parked = nil
}
