package rehearsal

import (
	"context"
	"fmt"
	"strings"

	"amend"
	"amend/bank"
	"amend/store"
)

// begin has an event happen.
func (r *run) begin(e Event) error {
	r.line("event: %s", strings.TrimSpace(e.String()))
	switch e.Kind {
	case Crash:
		r.doomed = append(r.doomed, doom{e, e.N})
		return nil
	case Restart:
		return r.restart(e)
	case Stall:
		r.stall(e)
	case Break:
		if err := r.bank.Fault(e.Service, e.Fault); err != nil {
			return err
		}
		r.after(e.For, func() error { return r.bank.Fault(e.Service, bank.Fault{}) })
	case Oddity:
		r.odd.set(e.Service, e.Odd)
		r.after(e.For, func() error { r.odd.set(e.Service, ""); return nil })
	case Jump:
		r.clock.jump(e.By)
		r.checker.jumped = true
	case Pause:
		if err := r.pause(e); err != nil {
			return err
		}
	case Human:
		r.human(e)
	case Drift:
		r.drift(e)
	case Ask:
		if err := r.ask(e); err != nil {
			return err
		}
	case Visit:
		r.visit(e)
	case Silence:
		r.silence(e)
	}
	r.trace.Moved[e.Kind]++
	return nil
}

// stall has one engine stand still, wherever it is: it gets no turn, while time
// goes on.
func (r *run) stall(e Event) {
	r.stalled = e.Target
	r.after(e.For, func() error {
		if r.stalled == e.Target {
			r.stalled = ""
		}
		return nil
	})
}

// held reports whether whoever wants a turn belongs to an engine that stands
// still. Writes in nobody's name are those with which a worker begins: the second
// engine is one only once the first has taken over what was left.
func (r *run) held(t *turn) bool {
	if r.stalled == "" || t.owner == nil || t.label == beginning {
		return false
	}
	engine := First
	if strings.Contains(t.label, "["+secondName) {
		engine = Second
	}
	return engine == r.stalled
}

// beginning is the label of a worker's first writes.
const beginning = "write []"

// pause has a person stop repairs, and resume them later.
func (r *run) pause(e Event) error {
	key := e.Scope + " " + e.Target
	p, err := r.people.Pause(context.Background(), store.Pause{Scope: e.Scope, Target: e.Target, Why: "a rehearsal", By: "kim"})
	if amend.CodeOf(err) == amend.Conflict {
		return nil // a brake has stopped it already
	}
	if err != nil {
		return fmt.Errorf("pause: %w", err)
	}
	r.pauses[key] = pausing{e.Scope, e.Target, p.Until}
	r.after(e.For, func() error {
		if _, on := r.pauses[key]; !on {
			return nil
		}
		delete(r.pauses, key)
		return r.resume(e.Scope, e.Target)
	})
	return nil
}

// ask has a person ask for a look.
func (r *run) ask(e Event) error {
	all := r.customers()
	_, err := r.people.AskLooks(context.Background(), []string{all[e.N%len(all)]}, "kim")
	return err
}

// drift lets the bank drift for a while.
func (r *run) drift(e Event) {
	ctx, cancel := context.WithTimeout(context.Background(), e.For)
	go func() {
		defer cancel()
		if err := r.bank.Drift(ctx, bank.DriftOptions{PerSecond: e.Rate}); err != nil {
			r.broken(SetupFailed, "drift: %s", err)
		}
	}()
}
