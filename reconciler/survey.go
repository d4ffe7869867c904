package reconciler

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"amend"
	"amend/connectors"
	"amend/states"
)

// Found is one customer as a survey saw them. It and its View are the visitor's
// until it returns; what they hold is written over then.
type Found struct {
	Customer string
	View     *amend.View
	Verdict  states.Verdict
	Since    time.Time // from when the state counts, where it says so itself
	Coherent bool
}

// surveyLanes is how many batches are in work at once.
const surveyLanes = 4

// Survey looks at every customer of the sources, in the cheapest way that each
// service offers: lists are merged page by page, what has no list is read in
// batches, else one by one. begin gives the visitor, which is called with one
// batch after another, in no particular order; where a list turns out not to be
// what can be merged the survey begins again, with a new visitor. The error says
// that not every customer may have been seen.
func (e *Engine) Survey(ctx context.Context, begin func() func([]Found) error) error {
	ctx = connectors.WithPriority(ctx, connectors.Scanning)
	doubts, told := map[string]string{}, map[errList]bool{}
	tell := func(found errList) {
		if !told[found] {
			told[found] = true
			e.tell(found)
		}
	}
	for {
		err := e.survey(ctx, part{plan: readPlan(e.offers(doubts), 0), tell: tell}, begin())
		found, again := e.leftAside(err, doubts)
		if !again {
			return err
		}
		doubts[e.Schema.Services[found.service].Name] = "its list " + found.problem
	}
}

// part is what one survey looks at: everybody, or the customers between two.
type part struct {
	plan  ReadPlan
	from  position
	until string // the last customer; empty for no bound
	limit int    // customers; 0 for no limit
	// listed is told where the next part begins, once the limit is reached.
	listed func(until string, next position) error
	// tell is told, often, what is wrong with a list that has to be merged all the
	// same.
	tell func(errList)
	// broke is told where a list could not be read as far as this part goes.
	broke func()
}

func (e *Engine) survey(ctx context.Context, p part, visit func([]Found) error) error {
	group, ctx := errgroup.WithContext(ctx)
	s := &surveying{e: e, part: p, lists: e.merge(ctx, p), filled: make(chan *batch), looked: make(chan *batch),
		used:    make(chan *batch, surveyLanes+2), // one is filled, one visited
		readers: e.readers(ctx, &p.plan)}
	defer s.readers.stop()
	group.Go(func() error { return s.fill(ctx) })
	var lanes sync.WaitGroup
	for range surveyLanes {
		lanes.Add(1)
		group.Go(func() error {
			defer lanes.Done()
			return s.look(ctx)
		})
	}
	go func() { lanes.Wait(); close(s.looked) }()
	group.Go(func() error { return s.visit(visit) })
	if err := group.Wait(); err != nil {
		return err
	}
	if p.broke != nil && s.lists.brokeOff() {
		p.broke()
	}
	return s.lists.failed(e.Schema)
}

// surveying is one survey under way: batches go round from hand to hand, so that
// a few are enough for any number of customers.
type surveying struct {
	e *Engine
	part
	lists                *merge
	readers              readers
	filled, looked, used chan *batch
}

// hand passes a batch on.
func hand(ctx context.Context, to chan<- *batch, b *batch) error {
	select {
	case to <- b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fill cuts the merged lists into batches.
func (s *surveying) fill(ctx context.Context) error {
	defer close(s.filled)
	seen := 0
	for more := true; more; {
		size := s.plan.Together
		if s.limit > 0 {
			size = min(size, s.limit-seen)
		}
		b := s.empty()
		var err error
		if more, err = b.fill(ctx, s.lists, size, s.until); err != nil {
			return err
		}
		last := ""
		if n := len(b.views); n > 0 {
			seen, last = seen+n, b.views[n-1].ID
			if err := hand(ctx, s.filled, b); err != nil {
				return err
			}
		}
		if more && s.limit > 0 && seen >= s.limit {
			return s.handOver(ctx, last)
		}
	}
	return nil
}

// empty is a batch that was used, or a new one while all are in use.
func (s *surveying) empty() *batch {
	select {
	case b := <-s.used:
		return b
	default:
		return newBatch(&s.plan, s.plan.Together)
	}
}

// handOver ends a part that is full.
func (s *surveying) handOver(ctx context.Context, last string) error {
	next, more, err := s.lists.position(ctx, s.e.Schema, last)
	if err != nil || !more {
		return err
	}
	return s.listed(last, next)
}

// look looks at batches, beside others who do.
func (s *surveying) look(ctx context.Context) error {
	for b := range s.filled {
		s.e.lookAt(ctx, b, s.readers)
		if err := hand(ctx, s.looked, b); err != nil {
			return err
		}
	}
	return nil
}

func (s *surveying) visit(visit func([]Found) error) error {
	t := trust{against: map[errList]int{}}
	for b := range s.looked {
		if err := visit(b.found); err != nil {
			return err
		}
		if err := t.weigh(b, s.tell); err != nil {
			return err
		}
		s.used <- b
	}
	return nil
}

// merge begins to read the lists.
func (e *Engine) merge(ctx context.Context, p part) *merge {
	m := &merge{}
	for i, c := range e.Connectors {
		reading := &p.plan.Readings[i]
		if !reading.Way.listed() {
			continue
		}
		s := &stream{service: i, source: slices.Contains(e.Source, i), pages: make(chan fetched), from: p.from.Cursors[reading.Service], after: p.from.After,
			missing: amend.Record{Presence: amend.Absent, ReadAt: e.Now()}}
		m.streams = append(m.streams, s)
		if slices.Contains(p.from.Ended, reading.Service) {
			s.ended = true
			continue
		}
		go s.read(ctx, c, reading.Way == ByWholeList, e.Now)
	}
	return m
}

// LookAt looks at given customers, in batches. The visitor is as Survey's.
func (e *Engine) LookAt(ctx context.Context, ids []string, visit func([]Found) error) error {
	return e.lookAtGiven(ctx, ids, nil, visit)
}

// lookAtGiven looks at given customers, of whom some records are known.
func (e *Engine) lookAtGiven(ctx context.Context, ids []string, records given, visit func([]Found) error) error {
	plan := readPlanOfGiven(e.offers(nil), len(ids))
	b, r := newBatch(&plan, min(plan.Together, len(ids))), e.readers(ctx, &plan)
	b.given = records
	defer r.stop()
	for chunk := range slices.Chunk(ids, plan.Together) {
		b.ask(chunk)
		e.lookAt(ctx, b, r)
		if err := visit(b.found); err != nil {
			return err
		}
	}
	return ctx.Err()
}
