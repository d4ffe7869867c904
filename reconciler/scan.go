package reconciler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"amend"
	"amend/connectors"
	"amend/internal/crash"
	"amend/queue"
	"amend/store"
)

// Scan looks at all customers, or at those that changed, and opens a case for
// each that is out of coherence. A coherent customer without a case costs no
// write. Where a scan of the kind is under way it takes part in that one. It
// returns when the scan has ended, whoever ended it; the error says why it is
// partial. A scan that is interrupted goes on where it was, by whoever comes.
func (e *Engine) Scan(ctx context.Context, kind, by string) (store.Scan, error) {
	e.setDefaults()
	if err := e.introduce(ctx); err != nil {
		return store.Scan{}, err
	}
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
		}
		if err := e.watch(ctx, scan); err != nil {
			return scan, err
		}
		if !scan.Open() {
			return scan, howItEnded(scan)
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

// howItEnded is why a scan that has ended didn't end well.
func howItEnded(scan store.Scan) error {
	switch scan.Status {
	case store.ScanPartial, store.ScanFailed:
		return errors.New(scan.Error)
	case store.ScanCancelled:
		return amend.Errorf(amend.Conflict, "%s cancelled it", scan.ChangedBy)
	}
	return nil
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

// errUnwritten is an error of the store, which says nothing of the services: the
// part is looked at again.
type errUnwritten struct{ error }

// lookThrough holds a page and looks at its customers.
func (e *Engine) lookThrough(ctx context.Context, id string) error {
	page, claimed, err := e.Store.ClaimPage(ctx, id, e.LeaseFor)
	if err != nil || !claimed {
		return err
	}
	crash.At(crash.PageClaimed)
	m, _ := e.meters.of(page.Scan)
	kept, stop := e.keep(ctx, func(ctx context.Context) error {
		running, err := e.Store.RenewPage(ctx, page, e.LeaseFor)
		if err == nil && !running {
			return store.ErrLost
		}
		e.tellWaits(ctx, m)
		return err
	})
	defer stop()
	s := &scanning{sighter: newSighter(e), page: page, meter: m, wrong: map[int]bool{}}
	s.meter.begin(page, e.Now())
	defer s.meter.leave(page)
	err = s.run(connectors.WithPriority(kept, connectors.Scanning))
	var unwritten errUnwritten
	if kept.Err() != nil || errors.As(err, &unwritten) {
		// Whoever comes next need not wait for the lease.
		return errors.Join(e.Store.ReleasePage(context.WithoutCancel(ctx), page), context.Cause(kept), unwritten.error)
	}
	if found, again := e.leftAside(err, s.doubts); again {
		return e.leaveAside(ctx, page, e.Schema.Services[found.service].Name)
	}
	if err != nil {
		s.found.Error = err.Error()
	}
	crash.At(crash.PageLooked)
	e.writeSamples(context.WithoutCancel(ctx))
	scan, err := e.Store.FinishPage(context.WithoutCancel(ctx), page, s.found)
	if err != nil {
		return err
	}
	crash.At(crash.PageFinished)
	s.meter.finish(page, scan)
	if !scan.Open() {
		e.over(scan)
		e.sweep(ctx) // whoever waited for it
	}
	return nil
}

// leaveAside begins the scan anew, without the list of a service.
func (e *Engine) leaveAside(ctx context.Context, page store.Page, service string) error {
	next, err := e.Store.StageScan(ctx, page, service)
	if err == nil {
		e.Queue.Wake(e.Now(), queue.Job{Kind: queue.Page, Key: next})
	}
	return err
}

// scanning is one part of a scan under way.
type scanning struct {
	sighter
	page   store.Page
	meter  *meter
	doubts map[string]string // why lists of services aren't merged
	broke  bool              // a list broke off
	wrong  map[int]bool      // services whose lists aren't as they should be
}

func (s *scanning) run(ctx context.Context) error {
	visit := func(found []Found) error {
		if err := s.visit(ctx, found); err != nil {
			return errUnwritten{err}
		}
		s.meter.count(s.page, s.found)
		s.e.Progress(s.meter.progress(s.e.Now()))
		return nil
	}
	if s.page.Scan.Kind == store.FreshScan {
		return s.fresh(ctx, visit)
	}
	last, _, err := s.e.Store.LastScan(ctx, store.FullScan, true)
	if err != nil {
		return errUnwritten{err}
	}
	s.meter.expect(last.Customers)
	if s.doubts, err = s.e.doubts(ctx, s.page.Scan); err != nil {
		return errUnwritten{err}
	}
	p := part{plan: readPlan(s.e.offers(s.doubts), last.Customers), until: s.page.Until, tell: s.tell, broke: func() { s.broke = true },
		listed: func(until string, next position) error { return s.listed(ctx, until, next) }}
	p.limit = s.e.pageSize(s.page, p.plan)
	if err := json.Unmarshal(s.page.Position, &p.from); err != nil {
		return fmt.Errorf("read where a page begins: %w", err)
	}
	if err = s.e.survey(ctx, p, visit); err == nil {
		s.found.Whole = s.whole()
	}
	return err
}

// pageSize is how many customers the part has; 0 for all that are left: where
// its end is known, and where a list can only be read whole.
func (e *Engine) pageSize(page store.Page, plan ReadPlan) int {
	if page.Listed || plan.Part == 0 {
		return 0
	}
	if e.PageSize > 0 {
		return e.PageSize
	}
	return plan.Part
}

// tell logs what is wrong with a list, once in a scan.
func (s *scanning) tell(found errList) {
	s.wrong[found.service] = true
	if s.meter.first(found) {
		s.e.tell(found)
	}
}

// listed writes the next part down, which others can begin with meanwhile.
func (s *scanning) listed(ctx context.Context, until string, next position) error {
	text, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("write where a page begins: %w", err)
	}
	page, err := s.e.Store.Listed(ctx, s.page, until, text)
	if err != nil {
		return errUnwritten{err}
	}
	crash.At(crash.PageListed)
	s.e.Queue.Wake(s.e.Now(), queue.Job{Kind: queue.Page, Key: page})
	return nil
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
