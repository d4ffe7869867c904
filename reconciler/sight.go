package reconciler

import (
	"context"
	"slices"
	"strings"

	"amend/connectors"
	"amend/internal/crash"
	"amend/queue"
	"amend/rules"
	"amend/states"
	"amend/store"
)

// Examine looks at given customers now, whatever the schedule says, and opens a
// case for each who is out of coherence. The error says that not all of them
// were looked at.
func (e *Engine) Examine(ctx context.Context, ids []string) (store.Counted, error) {
	s := newSighter(e)
	ctx = connectors.WithPriority(ctx, connectors.Scanning)
	err := e.LookAt(ctx, ids, func(found []Found) error { return s.visit(ctx, found) })
	e.writeSamples(ctx)
	return s.found, err
}

// sighter counts what was found of customers, and writes down what is worth it.
type sighter struct {
	e     *Engine
	found store.Counted
}

func newSighter(e *Engine) sighter { return sighter{e, store.Counted{States: map[string]int{}}} }

// visit counts a batch, opens cases, and wakes the open cases of customers
// that look coherent again, or gone: only a heal closes them.
func (s *sighter) visit(ctx context.Context, found []Found) error {
	s.e.sample(ctx, found)
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
		if worth {
			if err := s.e.await(ctx, &sighting); err != nil {
				return err
			}
		}
		switch {
		case f.Verdict.Name == states.Unseen && !hasCase[f.Customer]:
			s.remember(f)
		case f.Verdict.Name == states.Unseen:
		case worth:
			sightings = append(sightings, sighting)
		case hasCase[f.Customer]:
			wake = append(wake, f.Customer)
		}
	}
	return s.record(ctx, sightings, wake)
}

func (s *sighter) count(f *Found) {
	if f.Verdict.Name == states.Nobody {
		return
	}
	s.found.Customers++
	name := f.Verdict.Name
	if f.Verdict.State != nil && f.Verdict.State.Coherent && !f.Coherent {
		name += " (overdue)"
	}
	s.found.States[name]++
	if f.Coherent {
		s.found.Coherent++
	}
	if f.Verdict.Name == states.Unseen {
		s.found.Unseen++
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

// await puts the first look off where a rule would act that has to wait for a
// full scan: to look before it has ended costs calls, and nothing comes of it.
func (e *Engine) await(ctx context.Context, s *store.Sighting) error {
	rule := e.Rules.For(s.State)
	if rule == nil || rule.Mode != rules.Auto {
		return nil
	}
	passed, err := e.passed(ctx, rule)
	if err != nil || passed {
		return err
	}
	if later := e.Now().Add(rules.Passing); s.Wake.Before(later) {
		s.Wake, s.Awaits = later, true
	}
	return nil
}

func (s *sighter) record(ctx context.Context, sightings []store.Sighting, wake []string) error {
	if len(sightings) > 0 {
		opened, err := s.e.Store.Sight(ctx, sightings)
		if err != nil {
			return err
		}
		crash.At(crash.CasesOpened)
		s.found.Opened += len(opened)
		for _, one := range sightings {
			if slices.Contains(opened, one.Customer) {
				s.e.Queue.Wake(one.Wake, queue.Job{Kind: queue.Heal, Key: one.Customer})
			}
		}
	}
	if len(wake) > 0 {
		if err := s.e.Store.Wake(ctx, wake); err != nil {
			return err
		}
		jobs := make([]queue.Job, len(wake))
		for i, customer := range wake {
			jobs[i] = queue.Job{Kind: queue.Heal, Key: customer}
		}
		s.e.Queue.Wake(s.e.Now(), jobs...)
	}
	return nil
}
