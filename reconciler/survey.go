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
	staged := map[int]bool{}
	for {
		err := e.survey(ctx, staged, begin())
		var unordered errUnordered
		if !errors.As(err, &unordered) || staged[unordered.service] {
			return err
		}
		staged[unordered.service] = true
		e.Log.Warn("a list is not in key order: it is read whole and sorted", "service", e.Schema.Services[unordered.service].Name)
	}
}

func (e *Engine) survey(ctx context.Context, staged map[int]bool, visit func([]Found) error) error {
	group, ctx := errgroup.WithContext(ctx)
	m := &merge{now: e.Now}
	for i, c := range e.Connectors {
		if c.Can().List {
			s := &stream{service: i, source: slices.Contains(e.Source, i), pages: make(chan fetched, 1)}
			m.streams = append(m.streams, s)
			go s.read(ctx, c, staged[i])
		}
	}
	batches, looked := make(chan []amend.View), make(chan []Found)
	group.Go(func() error {
		defer close(batches)
		return e.produce(ctx, m, batches)
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

// produce cuts the merged lists into batches.
func (e *Engine) produce(ctx context.Context, m *merge, batches chan<- []amend.View) error {
	for {
		views := make([]amend.View, 0, batchSize)
		records := make([]amend.Record, batchSize*len(e.Connectors))
		for len(views) < batchSize {
			at := len(views) * len(e.Connectors)
			own := records[at : at+len(e.Connectors) : at+len(e.Connectors)]
			id, more, err := m.next(ctx, own)
			if err != nil {
				return err
			}
			if !more {
				break
			}
			views = append(views, amend.View{ID: id, Records: own})
		}
		if len(views) == 0 {
			return nil
		}
		select {
		case batches <- views:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
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
