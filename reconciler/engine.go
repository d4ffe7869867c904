// Package reconciler holds the loops. Scan finds customers out of coherence
// and opens cases for them; heal works on one case at a time, reads everything
// again, and repairs. A scan never repairs, and a heal never trusts a scan.
package reconciler

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/robfig/cron/v3"

	"amend"
	"amend/conditions"
	"amend/connectors"
	"amend/queue"
	"amend/rules"
	"amend/states"
	"amend/store"
)

// Engine is everything that the loops work with. All fields but those with a
// default must be set; none may change while it runs.
type Engine struct {
	Schema      *amend.Schema
	Environment *conditions.Environment
	Machine     *states.Machine
	Rules       *rules.Set
	Connectors  []connectors.Connector // by Schema.Services index
	Windows     []rules.Window
	Source      []int // services that list all customers
	Full        cron.Schedule
	Fresh       cron.Schedule

	Store *store.Store
	Queue queue.Queue
	Now   func() time.Time
	Log   *slog.Logger

	Workers  int           // heals at once; default 16
	LeaseFor time.Duration // default 60 s
	Sweep    time.Duration // how often the store is asked whose time has come; default 1 s
	Progress func(Progress)

	defaults sync.Once // heals begin at the same time
}

const (
	defaultWorkers = 16
	// defaultLease leaves room for a slow round of reads and one call; a
	// worker that dies is succeeded after it.
	defaultLease = 60 * time.Second
	// leaseMargin lies between a call's deadline and the lease's end, so that
	// a call in flight has ended before somebody else may begin.
	leaseMargin  = 2 * time.Second
	defaultSweep = time.Second
	sweepLimit   = 1000
	// scanRetry is when a full scan that didn't end well is begun again.
	scanRetry = 30 * time.Second
)

// Progress is how far a scan has come.
type Progress struct {
	Scan      string // full or fresh
	Customers int
	Expected  int // of the last full scan; 0 where unknown
	Opened    int
	Took      time.Duration
	Done      bool
}

// Run works until the context ends: heals, sweeps and scans by their
// schedules. It returns when the last heal has let go of its case.
func (e *Engine) Run(ctx context.Context) error {
	e.setDefaults()
	if err := e.Store.Recover(ctx); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Work(ctx)
	}()
	err := e.schedule(ctx)
	<-done
	return err
}

// Work heals whoever's time has come, without scanning, until the context
// ends.
func (e *Engine) Work(ctx context.Context) {
	e.setDefaults()
	var sweeper sync.WaitGroup
	sweeper.Go(func() { e.repeat(ctx, e.Sweep, e.sweep) })
	e.Queue.Run(ctx, e.Workers, e.heal)
	sweeper.Wait()
}

func (e *Engine) setDefaults() { e.defaults.Do(e.fillIn) }

func (e *Engine) fillIn() {
	if e.Workers == 0 {
		e.Workers = defaultWorkers
	}
	if e.LeaseFor == 0 {
		e.LeaseFor = defaultLease
	}
	if e.Sweep == 0 {
		e.Sweep = defaultSweep
	}
	if e.Progress == nil {
		e.Progress = func(Progress) {}
	}
}

func (e *Engine) repeat(ctx context.Context, every time.Duration, do func(context.Context)) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		do(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// sweep wakes whoever's time has come: waits that are over, leases that ran
// out, what people asked for. It is what makes losing every wake-up harmless.
func (e *Engine) sweep(ctx context.Context) {
	ready, err := e.Store.Ready(ctx, sweepLimit)
	if err != nil && ctx.Err() == nil {
		e.Log.Error("the sweep could not read the store", "error", err)
	}
	for _, customer := range ready {
		e.Queue.Wake(customer, e.Now())
	}
}

// heal is one wake-up. Its error is logged here and nowhere else; the case
// stays open, and is found again when its lease ends.
func (e *Engine) heal(ctx context.Context, customer string) {
	defer func() {
		if p := recover(); p != nil {
			e.Log.Error("a heal panicked", "customer", customer, "error", fmt.Sprint(p))
		}
	}()
	if err := e.Heal(ctx, customer); err != nil && ctx.Err() == nil {
		e.Log.Error("a heal failed", "customer", customer, "error", err)
	}
}

// schedule runs scans by their schedules until the context ends. Scans never
// overlap; one that is late is caught up once. Where no full scan has ever
// ended, one begins at once: no automatic repair starts before it.
func (e *Engine) schedule(ctx context.Context) error {
	full, fresh := e.next(ctx, e.Full, store.FullScan), e.next(ctx, e.Fresh, store.FreshScan)
	if _, any, err := e.Store.LastScan(ctx, store.FullScan, true); err != nil {
		return err
	} else if !any {
		full = e.Now()
	}
	for {
		kind, at := store.FullScan, full
		if at.IsZero() || !fresh.IsZero() && fresh.Before(at) {
			kind, at = store.FreshScan, fresh
		}
		if !sleep(ctx, e.until(at)) {
			return nil
		}
		_, err := e.Scan(ctx, kind)
		if err != nil && ctx.Err() == nil {
			e.Log.Error("a scan failed", "scan", kind, "error", err)
		}
		if kind == store.FullScan {
			full = e.after(e.Full)
			if soon := e.Now().Add(scanRetry); err != nil && (full.IsZero() || full.After(soon)) {
				full = soon
			}
		}
		// Every full scan has looked at what changed, too.
		fresh = e.after(e.Fresh)
	}
}

// next is when a scan is due: at once where one was missed.
func (e *Engine) next(ctx context.Context, s cron.Schedule, kind string) time.Time {
	if s == nil {
		return time.Time{}
	}
	last, any, err := e.Store.LastScan(ctx, kind, false)
	if err != nil || !any {
		return s.Next(e.Now())
	}
	return s.Next(last.StartedAt)
}

func (e *Engine) after(s cron.Schedule) time.Time {
	if s == nil {
		return time.Time{}
	}
	return s.Next(e.Now())
}

// until is the wait for a time; a year where there is none.
func (e *Engine) until(at time.Time) time.Duration {
	if at.IsZero() {
		return 365 * 24 * time.Hour
	}
	return max(0, at.Sub(e.Now()))
}

// sleep waits, and is false where the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// Look reads one customer from every service, now, and says where that puts
// them.
func (e *Engine) Look(ctx context.Context, customer string) states.Look {
	view := connectors.Read(ctx, e.Connectors, customer, e.Now)
	scope := e.Environment.Scope(&view, e.Now())
	return states.Look{View: &view, Scope: scope, Verdict: e.Machine.Classify(scope)}
}
