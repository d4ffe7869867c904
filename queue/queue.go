// Package queue wakes work up. It is never the truth: losing all of it loses
// nothing, since the store knows whose time has come and the sweep asks it.
//
// Local serves a single process; package river serves any number of them on
// PostgreSQL. Package queuetest holds both to one contract.
package queue

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"
)

// Kind says what a job is about. Kinds are stored by queues that keep their
// jobs: one that is renamed loses the wake-ups that wait under its old name.
type Kind string

// The kinds of jobs.
const (
	Heal Kind = "heal" // one customer
	Page Kind = "page" // one page of a scan
	Tell Kind = "tell" // the outbox
	Tick Kind = "tick" // what one worker of all does: schedules, due times, the sweep
)

// Job is one wake-up: what is to be done, and for whom.
type Job struct {
	Kind Kind
	Key  string // of its kind: for Heal the customer; "" where there is but one
}

// Queue wakes jobs up. Every queue promises that
//
//   - a job runs soon after its time has come, and never before. A wake-up for
//     more than a second ahead may be left to the sweep.
//   - a job that waits isn't put beside itself; seldom it is, and runs twice.
//   - a job that is woken while it runs is run once more.
//   - in one process a job is run by one worker at a time. Among processes only
//     the store's lease promises that.
//   - every kind has workers of its own, so that none keeps another waiting. A
//     kind without a handler waits for a process that has one.
//   - a handler that panics harms no other job.
//
// No queue promises that a wake-up arrives.
type Queue interface {
	// Wake has jobs run at a time, or earlier where an earlier time is known.
	// It doesn't fail and doesn't wait long: what it can't take is logged and
	// left to the sweep.
	Wake(at time.Time, jobs ...Job)
	// Run works until the context ends. No handler begins after that; the
	// contexts of those that run end with it; it returns when the last of them
	// has let go. It fails at the start only, where the queue can't be reached.
	Run(ctx context.Context, handlers map[Kind]Handler) error
}

// Handler is how a kind of job is done.
type Handler struct {
	Workers int // at once, in this process; 0 is 1
	// Every has the job with the empty key run at the start and then at this
	// interval, a second or more, by one process of all that run: where that
	// one ends, another goes on. 0: only when woken.
	Every time.Duration
	// Do does one job. What goes wrong in it is its own business: it logs, and
	// the job is woken again by the sweep or not at all.
	Do func(ctx context.Context, key string)
}

// Call does one job for a queue. A panic ends here, in the log.
func (h Handler) Call(ctx context.Context, log *slog.Logger, job Job) {
	defer func() {
		if p := recover(); p != nil {
			log.Error("a job panicked", "job", string(job.Kind), "key", job.Key,
				"error", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	h.Do(ctx, job.Key)
}
