package rehearsal

import (
	"fmt"
	"strings"
	"time"
)

// doom is a death to come: at the n-th moment of a kind.
type doom struct {
	event Event
	left  int
}

// dies reports whether this is the moment of the first death to come.
func (r *run) dies(t *turn) bool {
	if len(r.doomed) == 0 || r.worker == nil || !t.is(r.doomed[0].event.On) {
		return false
	}
	r.doomed[0].left--
	return r.doomed[0].left <= 0
}

// is reports whether a turn is a moment of a kind.
func (t *turn) is(m Moment) bool {
	return strings.HasPrefix(t.label, string(m))
}

// crash kills the worker, and starts another one later. Whoever has the turn
// goes on if it isn't the worker: what is on the wire is still worked on.
func (r *run) crash(e Event, t *turn) error {
	w := r.worker
	r.line("%s dies", w.name)
	r.trace.Moved[e.Kind]++
	err := w.kill()
	r.worker = nil
	if t.owner != nil {
		t.granted <- errKilled // it was the worker's own
	}
	if err != nil {
		return fmt.Errorf("kill %s: %w", w.name, err)
	}
	<-w.done
	if err := w.bury(); err != nil {
		return fmt.Errorf("bury %s: %w", w.name, err)
	}
	if t.owner == nil {
		r.surroundings.Wait() // until the service has noticed: else it would be chance whether it does in time
		t.granted <- nil
	}
	r.after(e.For, r.resurrect)
	return nil
}

// resurrect starts a worker where none runs.
func (r *run) resurrect() error {
	if r.worker != nil {
		return nil
	}
	r.checker.recovering = true
	if err := r.startWorker(); err != nil {
		return err
	}
	r.line("%s starts", r.worker.name)
	return nil
}

// restart asks the worker to end, as a deployment does, and starts the next one
// when it has.
func (r *run) restart(e Event) error {
	w := r.worker
	if w == nil || w.stopping {
		return nil
	}
	r.trace.Moved[e.Kind]++
	w.stopping = true
	w.cancel()
	var wait func() error
	wait = func() error {
		switch {
		case r.worker != w:
			return nil // it has died meanwhile
		case !w.ended():
			r.after(50*time.Millisecond, wait)
			return nil
		}
		r.line("%s has ended", w.name)
		r.worker = nil
		w.dead.Store(true)
		if err := w.bury(); err != nil {
			return fmt.Errorf("close %s: %w", w.name, err)
		}
		r.after(e.For, r.resurrect)
		return nil
	}
	r.after(time.Millisecond, wait)
	return nil
}
