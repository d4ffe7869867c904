// Package queue wakes work up. It is never the truth: losing all of it loses
// nothing, since the store knows whose time has come.
package queue

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// Queue wakes customers up. A customer is worked on by one worker at a time; a
// wake-up that comes meanwhile makes it run once more afterwards.
type Queue interface {
	// Wake has a customer worked on at a time, or earlier where an earlier
	// time is known.
	Wake(customer string, at time.Time)
	// Run works until the context ends, and returns when the last worker has
	// let go.
	Run(ctx context.Context, workers int, work func(ctx context.Context, customer string))
}

// Local is the queue of a single process.
type Local struct {
	now func() time.Time

	mu      sync.Mutex
	waiting schedule
	known   map[string]*item
	changed chan struct{} // closed and replaced whenever something was added
}

// item is one customer that waits or runs.
type item struct {
	customer string
	at       time.Time
	index    int // in the heap; -1 while it runs
	again    bool
}

// NewLocal makes an empty queue.
func NewLocal(now func() time.Time) *Local {
	return &Local{now: now, known: map[string]*item{}, changed: make(chan struct{})}
}

// Wake has a customer worked on at a time.
func (q *Local) Wake(customer string, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch it := q.known[customer]; {
	case it == nil:
		it = &item{customer: customer, at: at}
		q.known[customer] = it
		heap.Push(&q.waiting, it)
	case it.index < 0: // running
		if !it.again || at.Before(it.at) {
			it.again, it.at = true, at
		}
		return
	case at.Before(it.at):
		it.at = at
		heap.Fix(&q.waiting, it.index)
	default:
		return
	}
	close(q.changed)
	q.changed = make(chan struct{})
}

// Len is the number of customers that wait or run.
func (q *Local) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.known)
}

// Run works with a number of workers until the context ends.
func (q *Local) Run(ctx context.Context, workers int, work func(context.Context, string)) {
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for {
				it := q.next(ctx)
				if it == nil {
					return
				}
				work(ctx, it.customer)
				q.finish(it)
			}
		})
	}
	group.Wait()
}

// next waits for a customer whose time has come; nil when the context ends.
func (q *Local) next(ctx context.Context) *item {
	for ctx.Err() == nil {
		it, wait, changed := q.take()
		if it != nil {
			return it
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return nil
}

// idle is how long a worker sleeps where nothing waits.
const idle = time.Hour

func (q *Local) take() (ready *item, wait time.Duration, changed <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return nil, idle, q.changed
	}
	if wait := q.waiting[0].at.Sub(q.now()); wait > 0 {
		return nil, wait, q.changed
	}
	return heap.Pop(&q.waiting).(*item), 0, nil
}

func (q *Local) finish(it *item) {
	q.mu.Lock()
	delete(q.known, it.customer)
	q.mu.Unlock()
	if it.again {
		q.Wake(it.customer, it.at)
	}
}

// schedule is a heap of items by time.
type schedule []*item

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].at.Before(s[j].at) }
func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}

// Push is part of heap.Interface.
func (s *schedule) Push(x any) {
	it := x.(*item)
	it.index = len(*s)
	*s = append(*s, it)
}

// Pop is part of heap.Interface.
func (s *schedule) Pop() any {
	last := len(*s) - 1
	it := (*s)[last]
	it.index = -1
	*s = (*s)[:last]
	return it
}
