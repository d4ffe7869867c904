package reconciler

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"amend"
	"amend/conditions"
	"amend/connectors"
	"amend/states"
)

// Found is one customer as a survey saw them.
type Found struct {
	Customer string
	View     *amend.View
	Verdict  states.Verdict
	Since    time.Time // from when the state counts, where it says so itself
	Coherent bool
}

// batchSize is how many customers are read and classified together.
const batchSize = 100

// surveyLanes is how many batches are in work at once.
const surveyLanes = 4

// Survey looks at every customer of the sources, in the cheapest way that each
// service offers: lists are merged page by page, what has no list is read in
// batches, else one by one. begin gives the visitor, which is called with one
// batch after another, in no particular order; where a list turns out not to be
// in key order the survey begins again, with a new visitor. The error says that
// not every customer may have been seen.
func (e *Engine) Survey(ctx context.Context, begin func() func([]Found) error) error {
	var staged []string
	for {
		err := e.survey(ctx, part{staged: staged}, begin())
		service, unordered := e.unordered(err)
		if !unordered || slices.Contains(staged, service) {
			return err
		}
		staged = append(staged, service)
	}
}

// unordered names the service whose list doesn't come in key order.
func (e *Engine) unordered(err error) (service string, is bool) {
	var found errUnordered
	if !errors.As(err, &found) {
		return "", false
	}
	service = e.Schema.Services[found.service].Name
	e.Log.Warn("a list is not in key order: it is read whole and sorted", "service", service)
	return service, true
}

// part is what one survey looks at: everybody, or the customers between two.
type part struct {
	from   position
	until  string   // the last customer; empty for no bound
	limit  int      // customers; 0 for no limit
	staged []string // services whose lists are read whole, because they don't come in order
	// listed is told where the next part begins, once the limit is reached.
	listed func(until string, next position) error
}

func (e *Engine) survey(ctx context.Context, p part, visit func([]Found) error) error {
	group, ctx := errgroup.WithContext(ctx)
	m := e.merge(ctx, p)
	batches, looked := make(chan []amend.View), make(chan []Found)
	group.Go(func() error {
		defer close(batches)
		return e.produce(ctx, m, p, batches)
	})
	var lanes sync.WaitGroup
	for range surveyLanes {
		lanes.Add(1)
		group.Go(func() error {
			defer lanes.Done()
			for views := range batches {
				found := e.lookAt(ctx, views, func(i int) bool { return e.Connectors[i].Can().List })
				select {
				case looked <- found:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	}
	go func() { lanes.Wait(); close(looked) }()
	group.Go(func() error {
		for found := range looked {
			if err := visit(found); err != nil {
				return err
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return m.failed(e.Schema)
}

// merge begins to read the lists.
func (e *Engine) merge(ctx context.Context, p part) *merge {
	m := &merge{now: e.Now}
	for i, c := range e.Connectors {
		if !c.Can().List {
			continue
		}
		name := e.Schema.Services[i].Name
		s := &stream{service: i, source: slices.Contains(e.Source, i), pages: make(chan fetched, 1), from: p.from.Cursors[name], after: p.from.After}
		m.streams = append(m.streams, s)
		if slices.Contains(p.from.Ended, name) {
			s.ended = true
			continue
		}
		go s.read(ctx, c, slices.Contains(p.staged, name))
	}
	return m
}

// produce cuts the merged lists into batches.
func (e *Engine) produce(ctx context.Context, m *merge, p part, batches chan<- []amend.View) error {
	seen, last := 0, ""
	for more := true; more; {
		size := batchSize
		if p.limit > 0 {
			size = min(size, p.limit-seen)
		}
		var views []amend.View
		var err error
		if views, more, err = e.batch(ctx, m, size, p.until); err != nil {
			return err
		}
		if len(views) > 0 {
			seen, last = seen+len(views), views[len(views)-1].ID
			select {
			case batches <- views:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if more && p.limit > 0 && seen >= p.limit {
			return e.handOver(ctx, m, p, last)
		}
	}
	return nil
}

// handOver ends a part that is full.
func (e *Engine) handOver(ctx context.Context, m *merge, p part, last string) error {
	next, more := m.position(ctx, e.Schema, last)
	if err := ctx.Err(); err != nil || !more {
		return err
	}
	return p.listed(last, next)
}

// batch gives the next customers; more is false at the end of the part.
func (e *Engine) batch(ctx context.Context, m *merge, size int, until string) (views []amend.View, more bool, err error) {
	views = make([]amend.View, 0, size)
	records := make([]amend.Record, size*len(e.Connectors))
	for len(views) < size {
		at := len(views) * len(e.Connectors)
		own := records[at : at+len(e.Connectors) : at+len(e.Connectors)]
		id, more, err := m.next(ctx, own)
		if err != nil || !more || until != "" && id > until {
			return views, false, err
		}
		views = append(views, amend.View{ID: id, Records: own})
	}
	return views, true, nil
}

// lookAt completes views that come from lists, classifies them, and asks again
// where an absence that was only missing from a list or a batch would matter.
func (e *Engine) lookAt(ctx context.Context, views []amend.View, listed func(service int) bool) []Found {
	var group sync.WaitGroup
	for i, c := range e.Connectors {
		if listed(i) {
			e.proveAbsences(ctx, c, i, views)
			continue
		}
		group.Go(func() { e.fill(ctx, c, i, views) })
	}
	group.Wait()
	found := make([]Found, len(views))
	var scope *conditions.Scope
	for i := range views {
		if scope == nil {
			scope = e.Environment.Scope(&views[i], e.Now())
		}
		scope.Reset(&views[i], e.Now())
		found[i] = e.judge(scope)
		if !found[i].Coherent && e.confirm(ctx, &views[i]) {
			scope.Reset(&views[i], e.Now())
			found[i] = e.judge(scope)
		}
	}
	return found
}

func (e *Engine) judge(scope *conditions.Scope) Found {
	verdict := e.Machine.Classify(scope)
	since := verdict.Since(scope, time.Time{})
	counted := since
	if counted.IsZero() {
		counted = scope.Now()
	}
	return Found{Customer: scope.View().ID, View: scope.View(), Verdict: verdict, Since: since, Coherent: verdict.Coherent(counted, scope.Now())}
}

// proveAbsences makes who is missing from a list unseen where the service
// can't prove just now that missing means absent.
func (e *Engine) proveAbsences(ctx context.Context, c connectors.Connector, service int, views []amend.View) {
	prover, can := c.(connectors.Prover)
	if !can || !slices.ContainsFunc(views, func(v amend.View) bool { return v.Records[service].Presence == amend.Absent }) {
		return
	}
	err := prover.Proof(ctx, time.Time{})
	if err == nil {
		return
	}
	for i := range views {
		if record := &views[i].Records[service]; record.Presence == amend.Absent {
			*record = connectors.AsUnseen(err).Record(record.ReadAt)
		}
	}
}

// fill reads a service that has no list: in batches, else one by one.
func (e *Engine) fill(ctx context.Context, c connectors.Connector, service int, views []amend.View) {
	can := c.Can()
	if can.Many == 0 {
		e.fillSingly(ctx, service, views)
		return
	}
	for chunk := range slices.Chunk(views, can.Many) {
		ids := make([]string, len(chunk))
		for i := range chunk {
			ids[i] = chunk[i].ID
		}
		records, err := c.Many(ctx, ids)
		for i := range chunk {
			if err != nil {
				chunk[i].Records[service] = connectors.AsUnseen(err).Record(e.Now())
			} else {
				chunk[i].Records[service] = records[i]
			}
		}
	}
}

func (e *Engine) fillSingly(ctx context.Context, service int, views []amend.View) {
	c := e.Connectors[service]
	var group errgroup.Group
	group.SetLimit(max(1, c.Can().AtOnce))
	for i := range views {
		group.Go(func() error {
			views[i].Records[service] = e.one(ctx, c, views[i].ID)
			return nil
		})
	}
	group.Wait() //nolint:errcheck // no lane fails
}

func (e *Engine) one(ctx context.Context, c connectors.Connector, id string) amend.Record {
	record, err := c.One(ctx, id)
	if err != nil {
		return connectors.AsUnseen(err).Record(e.Now())
	}
	return record
}

// confirm asks again, singly, for every record that was absent only because a
// list or a batch didn't hold it; it says whether anything was asked.
func (e *Engine) confirm(ctx context.Context, view *amend.View) bool {
	asked := false
	for i, c := range e.Connectors {
		if can := c.Can(); view.Records[i].Presence == amend.Absent && can.One && (can.List || can.Many > 0) {
			view.Records[i] = e.one(ctx, c, view.ID)
			asked = true
		}
	}
	return asked
}

// LookAt looks at given customers, in batches.
func (e *Engine) LookAt(ctx context.Context, ids []string, visit func([]Found) error) error {
	for chunk := range slices.Chunk(ids, batchSize) {
		views := make([]amend.View, len(chunk))
		for i, id := range chunk {
			views[i] = amend.View{ID: id, Records: make([]amend.Record, len(e.Connectors))}
		}
		if err := visit(e.lookAt(ctx, views, func(int) bool { return false })); err != nil {
			return err
		}
	}
	return ctx.Err()
}
