// Package reconciler holds the loops. Scan finds customers out of coherence
// and opens cases for them; heal works on one case at a time, reads everything
// again, and repairs. A scan never repairs, and a heal never trusts a scan.
package reconciler

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/robfig/cron/v3"

	"amend"
	"amend/conditions"
	"amend/connectors"
	"amend/internal/crash"
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

	Workers   int           // heals at once; default 16
	LeaseFor  time.Duration // default 20 s
	Sweep     time.Duration // how often the store is asked whose time has come; default 1 s
	Keep      time.Duration // how long cases that have ended are kept; default for ever
	KeepAudit time.Duration // how long entries of the audit are; default for ever
	PageSize  int           // customers in a part of a scan; default by what the services offer
	Progress  func(Progress)

	defaults sync.Once // heals begin at the same time
	samples  samples
	crowds   crowds
	ticked   time.Time // the last time
	swept    time.Time // when what is old was last deleted
	sealed   time.Time // when the audit was last sealed
	unsealed string    // the last failure to, so that its repeats aren't logged
	cut      time.Time // when nothing more of the audit was old enough to be cut off
	meters   meters    // of the scans in which this process takes part
}

const (
	defaultWorkers = 16
	// pageWorkers is how many parts of scans a process works on at once: while
	// one is read, the lists of the next are.
	pageWorkers = 2
	// defaultLease bounds how long the case of a dead worker waits for another.
	// A live one renews its leases, so that it has as long as it needs.
	defaultLease = 20 * time.Second
	// leaseMargin lies between a call's deadline and the lease's end, so that
	// a call in flight has ended before somebody else may begin.
	leaseMargin  = 2 * time.Second
	defaultSweep = time.Second
	sweepLimit   = 1000
)

// Begin makes ready for heals: it takes over what a stopped process has left,
// and writes down which versions of the rules are worked with. Run does it.
func (e *Engine) Begin(ctx context.Context) error {
	e.setDefaults()
	older, err := e.Store.Recover(ctx)
	if err != nil {
		return err
	}
	if older != nil {
		e.Log.Error("all repairs are paused", "error", older)
	}
	if err := e.Store.PutBack(ctx); err != nil {
		return err
	}
	return e.introduce(ctx)
}

// introduce writes down which versions of the rules are worked with from now
// on: only scans that begin after it count for them.
func (e *Engine) introduce(ctx context.Context) error {
	versions := map[string]string{}
	for i := range e.Rules.Rules {
		versions[e.Rules.Rules[i].Name] = e.Rules.Rules[i].Version
	}
	return e.Store.Introduce(ctx, versions)
}

// Run works until the context ends: heals, sweeps and scans by their
// schedules, beside whatever else is to be done when it is woken. It returns
// when the last heal has let go of its case.
func (e *Engine) Run(ctx context.Context, more map[queue.Kind]queue.Handler) error {
	if err := e.Begin(ctx); err != nil {
		return err
	}
	handlers := map[queue.Kind]queue.Handler{
		queue.Heal: {Workers: e.Workers, Do: e.heal},
		queue.Page: {Workers: pageWorkers, Do: e.page},
		queue.Tick: {Every: e.Sweep, Do: e.tick},
	}
	maps.Copy(handlers, more)
	defer e.sealLast(ctx)
	return e.Queue.Run(ctx, handlers)
}

// tick is what one worker of all does all the time: it finds whose time has
// come, and begins scans that are due.
func (e *Engine) tick(ctx context.Context, _ string) {
	before := e.ticked
	if e.ticked = e.Now(); e.ticked.Before(before) {
		if err := e.Store.PutBack(ctx); err != nil && ctx.Err() == nil {
			e.Log.Error("the clock was put back, and who waits by the old one could not be woken", "error", err)
		}
	}
	e.sweep(ctx)
	if err := e.beginDue(ctx); err != nil && ctx.Err() == nil {
		e.Log.Error("no scan could be begun", "error", err)
	}
	if err := e.tidy(ctx); err != nil && ctx.Err() == nil {
		e.Log.Error("what is old could not be deleted", "error", err)
	}
	e.seal(ctx)
	if err := e.cutAudit(ctx); err != nil && ctx.Err() == nil {
		e.Log.Error("what is old in the audit could not be cut off", "error", err)
	}
}

// tidyEvery is how often what is old is looked for.
const tidyEvery = time.Hour

// tidy deletes what ended long ago: one batch at a tick, so that nobody waits.
func (e *Engine) tidy(ctx context.Context) error {
	if e.Keep == 0 || e.Now().Sub(e.swept) < tidyEvery {
		return nil
	}
	gone, more, err := e.Store.Delete(ctx, e.Now().Add(-e.Keep))
	if err != nil {
		return err
	}
	if gone > 0 {
		e.Log.Info("deleted cases that ended long ago", "cases", gone)
	}
	if !more {
		e.swept = e.Now()
	}
	return nil
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
	if e.PageSize == 0 {
		e.PageSize = crash.PartSize()
	}
	if e.Progress == nil {
		e.Progress = func(Progress) {}
	}
}

// sweep wakes whoever's time has come: waits that are over, leases that ran
// out, what people asked for, pages of scans that nobody holds. It is what makes
// losing every wake-up harmless.
func (e *Engine) sweep(ctx context.Context) {
	ready, err := e.Store.Ready(ctx, sweepLimit)
	pages, failed := e.Store.ReadyPages(ctx, sweepLimit)
	if err := errors.Join(err, failed); err != nil && ctx.Err() == nil {
		e.Log.Error("the sweep could not read the store", "error", err)
	}
	crash.At(crash.Swept)
	jobs := make([]queue.Job, 0, len(ready)+len(pages))
	for _, customer := range ready {
		jobs = append(jobs, queue.Job{Kind: queue.Heal, Key: customer})
	}
	for _, page := range pages {
		jobs = append(jobs, queue.Job{Kind: queue.Page, Key: page})
	}
	if len(jobs) > 0 {
		e.Queue.Wake(e.Now(), jobs...)
	}
}

// heal is one wake-up. Its error is logged here and nowhere else; the case
// stays open, and is found again when its lease ends.
func (e *Engine) heal(ctx context.Context, customer string) {
	crash.At(crash.Woken)
	if err := e.Heal(ctx, customer); err != nil && ctx.Err() == nil {
		e.Log.Error("a heal failed", "customer", customer, "error", err)
	}
}

// keep renews a hold until stop is called, so that it lasts as long as its
// holder works. The context that it gives ends where the hold is lost: whatever
// is decided after that is no longer ours to decide.
func (e *Engine) keep(ctx context.Context, renew func(context.Context) error) (kept context.Context, stop func()) {
	kept, lose := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(e.LeaseFor / 4)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-kept.Done():
				return
			}
			if err := renew(kept); errors.Is(err, store.ErrLost) {
				lose(err)
				return
			} else if err != nil && kept.Err() == nil {
				e.Log.Warn("a lease could not be renewed", "error", err)
			}
		}
	}()
	return kept, func() { lose(nil); <-done }
}

// Look reads one customer from every service, now, and says where that puts
// them.
func (e *Engine) Look(ctx context.Context, customer string) states.Look {
	view := connectors.Read(ctx, e.Connectors, customer, e.Now)
	scope := e.Environment.Scope(&view, e.Now())
	return states.Look{View: &view, Scope: scope, Verdict: e.Machine.Classify(scope)}
}
