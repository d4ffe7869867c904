package reconciler

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"amend"
	"amend/conditions"
	"amend/connectors"
)

// batch is a number of customers who are read and classified together. Its
// memory is used again for the next ones, so that customers who are in order
// cost none.
type batch struct {
	plan   *ReadPlan
	room   []amend.View // each with room for its records
	views  []amend.View // of the customers of now
	all    []*amend.View
	given  given // records that needn't be asked for
	found  []Found
	scope  *conditions.Scope
	doubts []errList // what speaks against lists, each as often as it was seen
}

func newBatch(plan *ReadPlan, customers int) *batch {
	services := len(plan.Readings)
	b := &batch{plan: plan, room: make([]amend.View, customers), found: make([]Found, 0, customers)}
	records := make([]amend.Record, customers*services)
	for i := range b.room {
		b.room[i].Records = records[i*services : (i+1)*services : (i+1)*services]
		b.all = append(b.all, &b.room[i])
	}
	return b
}

// given are records that a list has given already, by service and customer.
type given []map[string]amend.Record

// unread are the views that a service has to be asked for. The others get what
// was given.
func (b *batch) unread(service int) []*amend.View {
	all := b.all[:len(b.views)]
	if b.given == nil || b.given[service] == nil {
		return all
	}
	var unread []*amend.View
	for _, view := range all {
		record, is := b.given[service][view.ID]
		if !is {
			unread = append(unread, view)
			continue
		}
		view.Records[service] = record
	}
	return unread
}

// fill takes the next customers of the lists; more is false at the end of the
// part.
func (b *batch) fill(ctx context.Context, m *merge, size int, until string) (more bool, err error) {
	n := 0
	for more = true; n < size && more; n++ {
		view := &b.room[n]
		if view.ID, more, err = m.next(ctx, view.Records); err != nil {
			return false, err
		}
		if !more || until != "" && view.ID > until {
			more = false
			break
		}
	}
	b.views, b.doubts = b.room[:n], b.doubts[:0]
	for _, s := range m.streams {
		for ; s.twice > 0; s.twice-- {
			b.doubts = append(b.doubts, errList{s.service, repeating})
		}
	}
	return more, nil
}

// ask takes given customers.
func (b *batch) ask(ids []string) {
	b.views, b.doubts = b.room[:len(ids)], b.doubts[:0]
	for i, id := range ids {
		b.views[i].ID = id
	}
}

// lookAt completes the views of a batch, classifies them, and asks again where
// what a list or a batch doesn't hold would matter.
func (e *Engine) lookAt(ctx context.Context, b *batch, r readers) {
	var group sync.WaitGroup
	for i, c := range e.Connectors {
		switch b.plan.Readings[i].Way {
		case ByList, ByWholeList:
			e.proveAbsences(ctx, c, i, b.views)
		case ByBatch:
			group.Go(func() { e.readBatches(ctx, b, i) })
		case BySingle:
			group.Go(func() { r.read(i, b.unread(i)) })
		}
	}
	group.Wait()
	now := e.Now()
	if b.scope == nil {
		b.scope = e.Environment.Scope(nil, now)
	}
	b.found = b.found[:len(b.views)]
	for i := range b.views {
		b.judge(e, i, now)
	}
	again := e.confirm(ctx, b)
	now = e.Now()
	for _, i := range again {
		b.judge(e, i, now)
	}
}

// judge classifies one customer of the batch.
func (b *batch) judge(e *Engine, i int, now time.Time) {
	b.scope.Reset(&b.views[i], now)
	b.found[i] = e.judge(b.scope)
}

// judge says where the records put a customer.
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
	if !can || !anyAbsent(views, service) {
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

func anyAbsent(views []amend.View, service int) bool {
	for i := range views {
		if views[i].Records[service].Presence == amend.Absent {
			return true
		}
	}
	return false
}

// readBatches reads customers in calls of as many as the service allows.
func (e *Engine) readBatches(ctx context.Context, b *batch, service int) {
	reading := &b.plan.Readings[service]
	var group errgroup.Group
	group.SetLimit(reading.AtOnce)
	for chunk := range slices.Chunk(b.unread(service), reading.PerCall) {
		group.Go(func() error { e.readBatch(ctx, service, chunk); return nil })
	}
	group.Wait() //nolint:errcheck // no lane fails
}

func (e *Engine) readBatch(ctx context.Context, service int, views []*amend.View) {
	ids := make([]string, len(views))
	for i := range views {
		ids[i] = views[i].ID
	}
	records, err := e.Connectors[service].Many(ctx, ids)
	for i, view := range views {
		if err != nil {
			view.Records[service] = connectors.AsUnseen(err).Record(e.Now())
		} else {
			view.Records[service] = records[i]
		}
	}
}

// readers read one customer after another from each service that has no other way
// to, for as long as a survey lasts: goroutines for a single read each would spend
// a tenth of the processor's time on growing their stacks.
type readers []chan single // by service; nil where it is read in another way

// single is one customer to be read.
type single struct {
	view *amend.View
	done *sync.WaitGroup
}

func (e *Engine) readers(ctx context.Context, plan *ReadPlan) readers {
	r := make(readers, len(plan.Readings))
	for i := range plan.Readings {
		if plan.Readings[i].Way != BySingle {
			continue
		}
		r[i] = make(chan single)
		for range plan.Readings[i].AtOnce {
			go func() {
				for next := range r[i] {
					next.view.Records[i] = e.one(ctx, e.Connectors[i], next.view.ID)
					next.done.Done()
				}
			}()
		}
	}
	return r
}

// read reads customers from one service.
func (r readers) read(service int, views []*amend.View) {
	var done sync.WaitGroup
	done.Add(len(views))
	for _, view := range views {
		r[service] <- single{view, &done}
	}
	done.Wait()
}

// stop ends them, once nobody reads any more.
func (r readers) stop() {
	for _, service := range r {
		if service != nil {
			close(service)
		}
	}
}

// confirmsAtOnce is how many customers of a batch are asked for again at once;
// each service has its own limit beside it.
const confirmsAtOnce = 8

// confirm asks again, singly, for those out of coherence whom a list or a batch
// didn't hold, or held twice: what speaks against a list is noted. It says who
// was asked for.
func (e *Engine) confirm(ctx context.Context, b *batch) (again []int) {
	var group errgroup.Group
	group.SetLimit(confirmsAtOnce)
	var mu sync.Mutex
	for i := range b.found {
		if b.found[i].Coherent || !e.doubtful(b, i) {
			continue
		}
		again = append(again, i)
		group.Go(func() error {
			doubts := e.askAgain(ctx, b, i)
			mu.Lock()
			defer mu.Unlock()
			b.doubts = append(b.doubts, doubts...)
			return nil
		})
	}
	group.Wait() //nolint:errcheck // no lane fails
	return again
}

// doubtful reports whether a customer should be asked for again somewhere.
func (e *Engine) doubtful(b *batch, i int) bool {
	for service := range e.Connectors {
		if e.doubtfulIn(b, i, service) {
			return true
		}
	}
	return false
}

func (e *Engine) doubtfulIn(b *batch, i, service int) bool {
	record := &b.views[i].Records[service]
	return (record.Presence == amend.Absent || record.Reason == connectors.ListedTwice) && b.plan.Readings[service].Way != BySingle && e.Connectors[service].Can().One
}

func (e *Engine) askAgain(ctx context.Context, b *batch, i int) (doubts []errList) {
	view := &b.views[i]
	for service, c := range e.Connectors {
		if !e.doubtfulIn(b, i, service) {
			continue
		}
		missing := view.Records[service].Presence == amend.Absent
		view.Records[service] = e.one(ctx, c, view.ID)
		if missing && view.Records[service].Presence == amend.Present && b.plan.Readings[service].Way.listed() {
			doubts = append(doubts, errList{service, skipping})
		}
	}
	return doubts
}

// one reads one customer.
func (e *Engine) one(ctx context.Context, c connectors.Connector, id string) amend.Record {
	record, err := c.One(ctx, id)
	if err != nil {
		return connectors.AsUnseen(err).Record(e.Now())
	}
	return record
}
