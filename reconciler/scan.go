package reconciler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"amend"
	"amend/connectors"
	"amend/queue"
	"amend/states"
	"amend/store"
)

// freshOverlap is how far a fresh scan looks back beyond the last one's start:
// a service may write down what changed a little late.
const freshOverlap = 30 * time.Second

// Scan looks at all customers, or at those that changed, and opens a case for
// each that is out of coherence. A coherent customer without a case costs no
// write. Where a scan of the kind is under way it takes part in that one. It
// returns when the scan has ended, whoever ended it; the error says why it is
// partial. A scan that is interrupted goes on where it was, by whoever comes.
func (e *Engine) Scan(ctx context.Context, kind, by string) (store.Scan, error) {
	e.setDefaults()
	scan, page, err := e.Store.StartScan(ctx, kind, by)
	if amend.CodeOf(err) == amend.Conflict {
		var open bool
		if scan, open, err = e.Store.OpenScan(ctx, kind); err == nil && !open {
			return e.Scan(ctx, kind, by)
		}
	}
	if err != nil {
		return scan, err
	}
	if page != "" {
		e.page(ctx, page)
	}
	return e.takePart(ctx, scan.ID)
}

// takePartEvery is how often somebody who waits for a scan looks for work.
const takePartEvery = 50 * time.Millisecond

// takePart works on the pages of scans until one of them has ended.
func (e *Engine) takePart(ctx context.Context, id string) (store.Scan, error) {
	for {
		scan, found, err := e.Store.Scan(ctx, id)
		switch {
		case err != nil:
			return scan, err
		case !found:
			return scan, amend.Errorf(amend.NotFound, "the scan is gone")
		case scan.Status == store.ScanPartial:
			return scan, errors.New(scan.Error)
		case scan.Status == store.ScanCancelled:
			return scan, amend.Errorf(amend.Conflict, "%s cancelled it", scan.ChangedBy)
		case !scan.Open():
			return scan, nil
		}
		pages, err := e.Store.ReadyPages(ctx, pageWorkers)
		if err != nil {
			return scan, err
		}
		var group sync.WaitGroup
		for _, page := range pages {
			group.Go(func() { e.page(ctx, page) })
		}
		group.Wait()
		if len(pages) == 0 && !sleep(ctx, takePartEvery) || ctx.Err() != nil {
			return scan, ctx.Err()
		}
	}
}

// sleep waits, and is false where the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// page is one part of a scan. Its error is logged here and nowhere else; the
// page stays, and is found again when its lease ends.
func (e *Engine) page(ctx context.Context, id string) {
	if err := e.lookThrough(ctx, id); err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrLost) {
		e.Log.Error("a part of a scan failed", "error", err)
	}
}

// errUnwritten is an error of the store: what was found is looked at again.
type errUnwritten struct{ error }

// lookThrough holds a page and looks at its customers.
func (e *Engine) lookThrough(ctx context.Context, id string) error {
	page, claimed, err := e.Store.ClaimPage(ctx, id, e.LeaseFor)
	if err != nil || !claimed {
		return err
	}
	kept, stop := e.keep(ctx, func(ctx context.Context) error {
		running, err := e.Store.RenewPage(ctx, page, e.LeaseFor)
		if err == nil && !running {
			return store.ErrLost
		}
		return err
	})
	defer stop()
	s := &scanning{e: e, page: page}
	err = s.run(kept)
	var unwritten errUnwritten
	if kept.Err() != nil || errors.As(err, &unwritten) {
		// Whoever comes next need not wait for the lease.
		return errors.Join(e.Store.ReleasePage(context.WithoutCancel(ctx), page), context.Cause(kept), unwritten.error)
	}
	if service, unordered := e.unordered(err); unordered && !slices.Contains(page.Scan.Staged, service) {
		return e.stage(ctx, page, service)
	}
	if err != nil {
		s.found.Error = err.Error()
	}
	scan, err := e.Store.FinishPage(context.WithoutCancel(ctx), page, s.found)
	if err != nil {
		return err
	}
	if !scan.Open() {
		s.told(scan, true)
	}
	return nil
}

func (e *Engine) stage(ctx context.Context, page store.Page, service string) error {
	next, err := e.Store.StageScan(ctx, page, service)
	if err == nil {
		e.Queue.Wake(e.Now(), queue.Job{Kind: queue.Page, Key: next})
	}
	return err
}

// scanning is one part of a scan under way.
type scanning struct {
	e        *Engine
	page     store.Page
	found    store.Counted
	expected int
}

func (s *scanning) run(ctx context.Context) error {
	s.found.States = map[string]int{}
	visit := func(found []Found) error {
		if err := s.visit(ctx, found); err != nil {
			return errUnwritten{err}
		}
		return nil
	}
	if s.page.Scan.Kind == store.FreshScan {
		ids, partial, err := s.e.changed(ctx)
		if err != nil {
			return err
		}
		return errors.Join(s.e.LookAt(ctx, ids, visit), partial)
	}
	last, _, err := s.e.Store.LastScan(ctx, store.FullScan, true)
	if err != nil {
		return err
	}
	s.expected = last.Customers
	p := part{until: s.page.Until, limit: s.e.pageSize(s.page), staged: s.page.Scan.Staged, listed: func(until string, next position) error { return s.listed(ctx, until, next) }}
	if err := json.Unmarshal(s.page.Position, &p.from); err != nil {
		return fmt.Errorf("read where a page begins: %w", err)
	}
	return s.e.survey(ctx, p, visit)
}

const (
	// pageOfLists is how many customers a part of a scan has where every
	// service lists them: at its end the pages of the lists that it has begun are
	// read once more by the next.
	pageOfLists = 20_000
	// pageOfReads is the same where they are read one by one or in batches, so
	// that several workers have something to do.
	pageOfReads = 1_000
)

// pageSize is how many customers the part has; 0 for all that are left: where
// its end is known, and where a list can only be read whole.
func (e *Engine) pageSize(page store.Page) int {
	if page.Listed || len(page.Scan.Staged) > 0 {
		return 0
	}
	if e.PageSize > 0 {
		return e.PageSize
	}
	if slices.ContainsFunc(e.Connectors, func(c connectors.Connector) bool { return !c.Can().List }) {
		return pageOfReads
	}
	return pageOfLists
}

// listed writes the next part down, which others can begin with meanwhile.
func (s *scanning) listed(ctx context.Context, until string, next position) error {
	text, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("write where a page begins: %w", err)
	}
	page, err := s.e.Store.Listed(ctx, s.page, until, text)
	if err == nil {
		s.e.Queue.Wake(s.e.Now(), queue.Job{Kind: queue.Page, Key: page})
	}
	return err
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

func (s *scanning) record(ctx context.Context, sightings []store.Sighting, wake []string) error {
	if len(sightings) > 0 {
		opened, err := s.e.Store.Sight(ctx, sightings)
		if err != nil {
			return err
		}
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
	scan := s.page.Scan // as it was when this part began
	scan.Customers, scan.Opened = scan.Customers+s.found.Customers, scan.Opened+s.found.Opened
	s.told(scan, false)
	return nil
}

func (s *scanning) told(scan store.Scan, done bool) {
	s.e.Progress(Progress{Scan: scan.Kind, Customers: scan.Customers, Expected: s.expected, Opened: scan.Opened, Took: s.e.Now().Sub(scan.StartedAt), Done: done})
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
