package rehearsal

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"amend"
	"amend/bank"
	"amend/store"
)

const (
	// thinking is the longest that anybody takes before it goes on.
	thinking = 200 * time.Microsecond
	// calmEvery is how often it is asked whether all is over.
	calmEvery = 5 * time.Second
	// calmLimit is how long what is open may take to end after everything was put
	// right.
	calmLimit = 45 * time.Minute
)

// task is something that the scheduler does at a time.
type task struct {
	at time.Duration
	do func() error
}

// pausing is a pause that a person has set: until when, by the worker's clock.
type pausing struct {
	scope, target string
	until         time.Time
}

// after has something done later.
func (r *run) after(d time.Duration, do func() error) {
	r.due = append(r.due, task{r.elapsed() + d, do})
	slices.SortStableFunc(r.due, func(a, b task) int { return cmp.Compare(a.at, b.at) })
}

// schedule writes down what the plan has to come.
func (r *run) schedule() {
	for _, e := range r.plan.Events {
		r.after(e.At-r.elapsed(), func() error { return r.begin(e) })
	}
	r.after(r.plan.Lasts-r.elapsed(), r.putRight)
	var polite func() error
	polite = func() error {
		r.checker.checkPolite()
		r.after(politePeriod, polite)
		return nil
	}
	r.after(politePeriod, polite)
}

// play lets one after another go on, until all is over or a promise is broken.
func (r *run) play() error {
	for {
		r.settle()
		if err := r.checker.check(); err != nil {
			return err
		}
		if err := r.violation(); err != nil {
			return err
		}
		if r.checker.over {
			return nil
		}
		if done, err := r.doDue(); err != nil {
			return err
		} else if done {
			continue
		}
		next := r.bus.pick(r.random, r.held)
		if next == nil {
			r.idle()
			continue
		}
		time.Sleep(time.Duration(1+r.random.Int64N(int64(thinking/time.Microsecond))) * time.Microsecond)
		r.settle()
		if err := r.grant(next); err != nil {
			return err
		}
	}
}

// settle returns when nothing moves any more.
func (r *run) settle() {
	r.surroundings.Wait()
	for {
		w, some := r.bus.wakeUp()
		if !some {
			return
		}
		w.queue.Wake(w.at, w.jobs...)
		r.surroundings.Wait()
	}
}

// idle lets time pass until somebody comes, or something is to be done.
func (r *run) idle() {
	timer := time.NewTimer(max(0, r.due[0].at-r.elapsed()))
	defer timer.Stop()
	select {
	case <-r.bus.came:
	case <-timer.C:
	}
}

// doDue does what is to be done now, one thing at a time.
func (r *run) doDue() (done bool, err error) {
	if len(r.due) == 0 || r.due[0].at > r.elapsed() {
		return false, nil
	}
	first := r.due[0]
	r.due = r.due[1:]
	return true, first.do()
}

// grant lets one go on, unless the worker dies at this moment.
func (r *run) grant(t *turn) error {
	r.turns++
	name := "service"
	if t.owner != nil {
		name = t.owner.name
	}
	r.line("%s %s", name, t.label)
	if r.dies(t) {
		first := r.doomed[0]
		r.doomed = r.doomed[1:]
		return r.crash(first.event, t)
	}
	t.granted <- nil
	return nil
}

// putRight ends everything that goes wrong.
func (r *run) putRight() error {
	r.line("everything is put right")
	r.doomed, r.stalled = nil, ""
	r.hear()
	for _, service := range []string{"identity", "ledger", "cards", "billing"} {
		if err := r.bank.Fault(service, bank.Fault{}); err != nil {
			return err
		}
		r.odd.set(service, "")
	}
	for key, p := range r.pauses {
		delete(r.pauses, key)
		if err := r.resume(p.scope, p.target); err != nil {
			return err
		}
	}
	if !r.plan.ClockStays {
		r.clock.right()
	}
	if err := r.resurrect(); err != nil {
		return err
	}
	var until = r.elapsed() + calmLimit
	var calm func() error
	calm = func() error {
		if err := r.release(); err != nil {
			return err
		}
		restless, err := r.checker.restless()
		switch {
		case err != nil:
			return err
		case len(restless) == 0:
			r.line("all is calm")
			r.checker.over = true
		case r.elapsed() > until:
			return &Violation{Promise: NothingLost, Turn: r.turns, At: r.elapsed(), Text: strings.Join(restless, "; ")}
		default:
			r.after(calmEvery, calm)
		}
		return nil
	}
	r.after(calmEvery, calm)
	return nil
}

// release has a person resume what a brake has stopped.
func (r *run) release() error {
	pauses, err := r.people.Pauses(context.Background())
	if err != nil {
		return err
	}
	for _, p := range pauses {
		r.line("a person releases %s: %s", p.Target, p.Why)
		if err := r.people.Resume(context.Background(), p.Scope, p.Target, "kim"); err != nil {
			return err
		}
	}
	return nil
}

// resume ends a pause that must still be in force.
func (r *run) resume(scope, target string) error {
	err := r.people.Resume(context.Background(), scope, target, "kim")
	if amend.CodeOf(err) == amend.NotFound {
		return &Violation{Promise: PausedMeansNow, Turn: r.turns, At: r.elapsed(), Text: "a pause ended, and nobody has ended it"}
	}
	return err
}

// openPeople opens the store as the dashboard's process would.
func openPeople(r *run) (*store.Store, error) {
	s, err := store.Open(context.Background(), "sqlite:"+r.file, store.Options{Now: r.clock.now, Rand: stream(r.plan.Seed, "ids/people"), Log: quiet()})
	if err != nil {
		return nil, fmt.Errorf("open the store for people: %w", err)
	}
	return s, nil
}
