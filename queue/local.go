package queue

import (
	"container/heap"
	"context"
	"log/slog"
	"sync"
	"time"
)

// Local is the queue of a single process. It keeps wake-ups for later, and a
// job that is woken while it runs is run once more afterwards.
type Local struct {
	now func() time.Time
	log *slog.Logger

	mu    sync.Mutex
	known map[Job]*item
	lanes map[Kind]*lane
}

var _ Queue = (*Local)(nil)

// lane is what waits of one kind.
type lane struct {
	waiting schedule
	changed chan struct{} // closed and replaced whenever another job is the next
}

// item is one job that waits or runs.
type item struct {
	job   Job
	at    time.Time
	index int // in the lane's heap; -1 while it runs
	again bool
}

// NewLocal makes an empty queue.
func NewLocal(now func() time.Time, log *slog.Logger) *Local {
	return &Local{now: now, log: log, known: map[Job]*item{}, lanes: map[Kind]*lane{}}
}

// Wake has jobs run at a time.
func (q *Local) Wake(at time.Time, jobs ...Job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, job := range jobs {
		q.wake(at, job)
	}
}

func (q *Local) wake(at time.Time, job Job) {
	lane, it := q.lane(job.Kind), q.known[job]
	switch {
	case it == nil:
		it = &item{job: job, at: at}
		q.known[job] = it
		heap.Push(&lane.waiting, it)
	case it.index < 0: // running
		if !it.again || at.Before(it.at) {
			it.again, it.at = true, at
		}
		return
	case at.Before(it.at):
		it.at = at
		heap.Fix(&lane.waiting, it.index)
	case it.at.After(q.now()):
		return
	default: // due: who sleeps until then may do so by a clock that was changed
	}
	if it.index == 0 {
		close(lane.changed)
		lane.changed = make(chan struct{})
	}
}

// lane finds a kind's lane; the caller holds the lock.
func (q *Local) lane(kind Kind) *lane {
	l := q.lanes[kind]
	if l == nil {
		l = &lane{changed: make(chan struct{})}
		q.lanes[kind] = l
	}
	return l
}

// Len is the number of jobs that wait or run.
func (q *Local) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.known)
}

// Run works until the context ends. It never fails.
func (q *Local) Run(ctx context.Context, handlers map[Kind]Handler) error {
	var group sync.WaitGroup
	for kind, handler := range handlers {
		for range max(1, handler.Workers) {
			group.Go(func() { q.work(ctx, kind, handler) })
		}
		if handler.Every > 0 {
			group.Go(func() { q.repeat(ctx, kind, handler.Every) })
		}
	}
	group.Wait()
	return nil
}

func (q *Local) work(ctx context.Context, kind Kind, handler Handler) {
	for {
		it := q.next(ctx, kind)
		if it == nil {
			return
		}
		handler.Call(ctx, q.log, it.job)
		q.finish(it)
	}
}

func (q *Local) repeat(ctx context.Context, kind Kind, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for ctx.Err() == nil {
		q.Wake(q.now(), Job{Kind: kind})
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// next waits for a job whose time has come; nil when the context ends.
func (q *Local) next(ctx context.Context, kind Kind) *item {
	for ctx.Err() == nil {
		it, wait, changed := q.take(kind)
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

func (q *Local) take(kind Kind) (ready *item, wait time.Duration, changed <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	lane := q.lane(kind)
	if len(lane.waiting) == 0 {
		return nil, idle, lane.changed
	}
	if wait := lane.waiting[0].at.Sub(q.now()); wait > 0 {
		return nil, wait, lane.changed
	}
	return heap.Pop(&lane.waiting).(*item), 0, nil
}

func (q *Local) finish(it *item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.known, it.job)
	if it.again {
		q.wake(it.at, it.job)
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
