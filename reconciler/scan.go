package reconciler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"amend"
	"amend/connectors"
	"amend/states"
	"amend/store"
)

// freshOverlap is how far a fresh scan looks back beyond the last one's start:
// a service may write down what changed a little late.
const freshOverlap = 30 * time.Second

// Scan looks at all customers, or at those that changed, and opens a case for
// each that is out of coherence. A coherent customer without a case costs no
// write. The scan is saved whatever becomes of it; the error says why it is
// partial.
func (e *Engine) Scan(ctx context.Context, kind string) (store.Scan, error) {
	e.setDefaults()
	s := &scanning{e: e, scan: store.Scan{ID: e.Store.NewID("scan"), Kind: kind, Status: store.ScanRunning, StartedAt: e.Now(), States: map[string]int{}}}
	if last, any, err := e.Store.LastScan(ctx, store.FullScan, true); err != nil {
		return s.scan, err
	} else if any && kind == store.FullScan {
		s.expected = last.Customers
	}
	if err := e.Store.SaveScan(ctx, s.scan); err != nil {
		return s.scan, err
	}
	err := s.run(ctx)
	s.scan.Status, s.scan.EndedAt = store.ScanDone, e.Now()
	if err != nil {
		s.scan.Status, s.scan.Error = store.ScanPartial, err.Error()
	}
	// The end is written even where the context has ended: nobody else will.
	if saved := e.Store.SaveScan(context.WithoutCancel(ctx), s.scan); saved != nil {
		return s.scan, saved
	}
	s.tell(true)
	return s.scan, err
}

// scanning is one scan under way.
type scanning struct {
	e        *Engine
	scan     store.Scan
	expected int
}

func (s *scanning) run(ctx context.Context) error {
	visit := func(found []Found) error { return s.visit(ctx, found) }
	if s.scan.Kind == store.FullScan {
		return s.e.Survey(ctx, func() func([]Found) error {
			s.scan.Customers, s.scan.Coherent, s.scan.Unseen, s.scan.States = 0, 0, 0, map[string]int{}
			return visit
		})
	}
	ids, partial, err := s.e.changed(ctx)
	if err != nil {
		return err
	}
	return errors.Join(s.e.LookAt(ctx, ids, visit), partial)
}

// visit counts a batch, opens cases, and wakes the open cases of customers
// that look coherent again, or gone: only a heal closes them.
func (s *scanning) visit(ctx context.Context, found []Found) error {
	slices.SortFunc(found, func(a, b Found) int { return strings.Compare(a.Customer, b.Customer) })
	open, err := s.e.Store.OpenBetween(ctx, found[0].Customer, found[len(found)-1].Customer)
	if err != nil {
		return err
	}
	hasCase := map[string]bool{}
	for _, c := range open {
		hasCase[c.Customer] = true
	}
	var sightings []store.Sighting
	var wake []string
	for i := range found {
		f := &found[i]
		s.count(f)
		sighting, worth := s.e.sighting(f)
		switch {
		case f.Verdict.Name == states.Unseen:
		case worth:
			sightings = append(sightings, sighting)
		case hasCase[f.Customer]:
			wake = append(wake, f.Customer)
		}
	}
	return s.record(ctx, sightings, wake)
}

func (s *scanning) count(f *Found) {
	if f.Verdict.Name == states.Nobody {
		return
	}
	s.scan.Customers++
	name := f.Verdict.Name
	if f.Verdict.State != nil && f.Verdict.State.Coherent && !f.Coherent {
		name += " (overdue)"
	}
	s.scan.States[name]++
	if f.Coherent {
		s.scan.Coherent++
	}
	if f.Verdict.Name == states.Unseen {
		s.scan.Unseen++
	}
}

// sighting says what to write down of a customer, if anything: whoever is out
// of coherence, and whoever is coherent for a time only that has to be counted
// from a first look.
func (e *Engine) sighting(f *Found) (store.Sighting, bool) {
	state, now := f.Verdict.State, e.Now()
	sighting := store.Sighting{Customer: f.Customer, State: f.Verdict.Name, Since: f.Since, Wake: now}
	if state == nil {
		return sighting, f.Verdict.Name == states.Unknown
	}
	since := f.Since
	if since.IsZero() {
		since = now
	}
	if state.Promise > 0 {
		sighting.DueAt = since.Add(state.Promise)
	}
	switch {
	case f.Coherent && counts(state):
		sighting.Wake = now.Add(state.For)
		return sighting, true
	case f.Coherent:
		return sighting, false
	case state.Settle > 0 && since.Add(state.Settle).After(now):
		sighting.Wake = since.Add(state.Settle)
	}
	return sighting, true
}

func (s *scanning) record(ctx context.Context, sightings []store.Sighting, wake []string) error {
	if len(sightings) > 0 {
		opened, err := s.e.Store.Sight(ctx, sightings)
		if err != nil {
			return err
		}
		s.scan.Opened += len(opened)
		for _, one := range sightings {
			if slices.Contains(opened, one.Customer) {
				s.e.Queue.Wake(one.Customer, one.Wake)
			}
		}
	}
	if len(wake) > 0 {
		if err := s.e.Store.Wake(ctx, wake); err != nil {
			return err
		}
		for _, customer := range wake {
			s.e.Queue.Wake(customer, s.e.Now())
		}
	}
	s.tell(false)
	return nil
}

func (s *scanning) tell(done bool) {
	s.e.Progress(Progress{Scan: s.scan.Kind, Customers: s.scan.Customers, Expected: s.expected, Opened: s.scan.Opened,
		Took: s.e.Now().Sub(s.scan.StartedAt), Done: done})
}

// changed lists who changed since the last scan, where a source can tell, and
// whoever has an open case. What a service can't tell is found by the next
// full scan. partial says which services could not be asked.
func (e *Engine) changed(ctx context.Context) (all []string, partial, err error) {
	since := e.Now().Add(-freshOverlap)
	for _, kind := range []string{store.FullScan, store.FreshScan} {
		if last, any, err := e.Store.LastScan(ctx, kind, true); err != nil {
			return nil, nil, err
		} else if at := last.StartedAt.Add(-freshOverlap); any && (kind == store.FullScan || at.After(since)) {
			since = at
		}
	}
	ids := map[string]bool{}
	for i, c := range e.Connectors {
		if !c.Can().List || !c.Can().Since {
			continue
		}
		if err := e.changedIn(ctx, c, since, ids); err != nil {
			partial = errors.Join(partial, fmt.Errorf("list what changed in %s: %w", e.Schema.Services[i].Name, err))
		}
	}
	open, err := e.Store.OpenBetween(ctx, "", "\U0010ffff")
	for _, c := range open {
		ids[c.Customer] = true
	}
	return slices.Sorted(maps.Keys(ids)), partial, err
}

func (e *Engine) changedIn(ctx context.Context, c connectors.Connector, since time.Time, ids map[string]bool) error {
	for cursor := ""; ; {
		page, err := c.List(ctx, connectors.PageRequest{Cursor: cursor, Since: since})
		if err != nil {
			return err
		}
		for _, k := range page.Records {
			ids[k.ID] = true
		}
		if page.Next == cursor && cursor != "" {
			return errCircle
		}
		if page.Next == "" {
			return nil
		}
		cursor = page.Next
	}
}

// reason shows why a record could not be read, for sentences.
func (e *Engine) reason(view *amend.View, services []int) string {
	for _, i := range services {
		if r := view.Records[i]; r.Presence == amend.Unseen {
			return fmt.Sprintf("%s could not be read (%s)", e.Schema.Services[i].Name, r.Cause)
		}
	}
	return "a service could not be read"
}
