package river

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"amend"
	"amend/queue"
)

const (
	// cooldown is the least time between two fetches. With River's default,
	// jobs that follow each other wait 50 ms on average.
	cooldown = 10 * time.Millisecond
	// poll is how often rows are looked for that no notification announced.
	// Polling is the promise: LISTEN doesn't survive a restart of PostgreSQL.
	poll = 500 * time.Millisecond
	// retention is how long rows are kept that are done with.
	retention = time.Minute
	// goodbye is how long Run waits for River to write up what is done, once
	// all handlers have let go: the database may be away.
	goodbye = 2 * time.Second
)

// Run works until the context ends. Handlers that run at intervals do so in the
// process that River has elected. Where that one is killed, another goes on
// within 25 s: River's leaders are believed for 15 s, asked after every 6 s at
// most, and begin in up to 4.
func (q *Queue) Run(ctx context.Context, handlers map[queue.Kind]queue.Handler) error {
	w := newWorker(ctx, q, handlers)
	client, err := river.NewClient(riverpgxv5.New(q.pool), w.config())
	if err != nil {
		return err
	}
	if err := client.Start(ctx); err != nil && ctx.Err() == nil {
		return unreachable(err)
	}
	// A new leader takes some seconds to its first tick: this one is at once.
	for kind, handler := range handlers {
		if handler.Every > 0 {
			q.Wake(q.now(), queue.Job{Kind: kind})
		}
	}
	<-ctx.Done()
	w.wait()
	select {
	case <-client.Stopped():
	case <-time.After(goodbye):
		q.log.Warn("the queue's database doesn't answer: wake-ups that are done with stay behind")
	}
	return nil
}

func unreachable(err error) error {
	return &amend.Error{Code: amend.Unavailable, Text: "the queue can't be reached", Err: err, Next: "check that PostgreSQL answers at its address"}
}

// worker is one Run.
type worker struct {
	queue    *Queue
	until    context.Context // Run's own; those of jobs end a moment after it
	handlers map[queue.Kind]queue.Handler

	mu      sync.Mutex
	running map[queue.Job]bool // whether it was woken again meanwhile
	ended   *sync.Cond         // a job
}

func newWorker(ctx context.Context, q *Queue, handlers map[queue.Kind]queue.Handler) *worker {
	w := &worker{queue: q, until: ctx, handlers: handlers, running: map[queue.Job]bool{}}
	w.ended = sync.NewCond(&w.mu)
	return w
}

func (w *worker) config() *river.Config {
	config := &river.Config{
		CancelledJobRetentionPeriod: retention,
		CompletedJobRetentionPeriod: retention,
		DiscardedJobRetentionPeriod: retention,
		FetchCooldown:               cooldown,
		FetchPollInterval:           poll,
		// Rows that tick are due by the database's clock, as all others are,
		// and not by that of the process that ticks.
		Hooks: []rivertype.Hook{river.HookInsertBeginFunc(func(_ context.Context, row *rivertype.JobInsertParams) error {
			row.ScheduledAt = nil
			return nil
		})},
		JobTimeout:  -1, // handlers bound themselves
		Logger:      w.queue.quiet,
		MaxAttempts: 1, // the sweep is what tries again
		Queues:      map[string]river.QueueConfig{},
		Workers:     river.NewWorkers(),
	}
	river.AddWorker(config.Workers, river.WorkFunc(w.work))
	for kind, handler := range w.handlers {
		config.Queues[string(kind)] = river.QueueConfig{MaxWorkers: max(1, handler.Workers)}
		if handler.Every > 0 {
			config.PeriodicJobs = append(config.PeriodicJobs, river.NewPeriodicJob(
				river.PeriodicInterval(handler.Every),
				func() (river.JobArgs, *river.InsertOpts) { return wakeUp{}, options(kind) },
				&river.PeriodicJobOpts{RunOnStart: true},
			))
		}
	}
	return config
}

// work is one row. It has no error to give: the row is done with as soon as
// it is here.
func (w *worker) work(ctx context.Context, row *river.Job[wakeUp]) error {
	w.takeOff(ctx, row)
	job := queue.Job{Kind: queue.Kind(row.Queue), Key: row.Args.Key}
	for w.begin(job) {
		w.handlers[job.Kind].Call(ctx, w.queue.log, job)
		if !w.end(job) {
			break
		}
	}
	return nil
}

// takeOff takes a wake-up off before its job begins. River would do it a
// quarter of a second after the job's end, and refuse all others until then.
func (w *worker) takeOff(ctx context.Context, row *river.Job[wakeUp]) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := pgx.BeginFunc(ctx, w.queue.pool, func(tx pgx.Tx) error {
		_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, row)
		return err
	})
	if err != nil && w.until.Err() == nil {
		w.queue.quiet.Warn("a wake-up could not be taken off: it stands in the way of the next", "error", err)
	}
}

// begin reports whether a job may begin: not while it runs, since it is then
// run once more afterwards, and not when Run has ended.
func (w *worker) begin(job queue.Job) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.until.Err() != nil {
		return false
	}
	if _, runs := w.running[job]; runs {
		w.running[job] = true
		return false
	}
	w.running[job] = false
	return true
}

// end reports whether the job was woken again while it ran.
func (w *worker) end(job queue.Job) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	again := w.running[job]
	delete(w.running, job)
	w.ended.Broadcast()
	return again
}

// wait returns when the last handler has let go. The context has ended by
// then, so that no other begins.
func (w *worker) wait() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.running) > 0 {
		w.ended.Wait()
	}
}
