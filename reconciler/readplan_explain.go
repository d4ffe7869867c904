package reconciler

import (
	"context"
	"fmt"
	"sync"
	"time"

	"amend/connectors"
	"amend/store"
)

// Explanation is how scans would read the services now.
type Explanation struct {
	Full  ReadPlan      // of everybody
	Given ReadPlan      // of given customers: who changed, who has a case, amend scan --ids
	Every time.Duration // between the next two full scans of the schedule; 0 where it has none
}

// Explain says how scans would read the services. It asks each list for its
// first page, since nothing else tells how many customers a page has, and
// expects as many customers as the last full scan has seen. A list that can't be
// read now has a Problem.
func (e *Engine) Explain(ctx context.Context) (Explanation, error) {
	last, _, err := e.Store.LastScan(ctx, store.FullScan, true)
	if err != nil {
		return Explanation{}, err
	}
	doubts, err := e.doubts(ctx, store.Scan{StartedAt: e.Now()})
	if err != nil {
		return Explanation{}, err
	}
	offers, pages := e.offers(doubts), e.firstPages(ctx)
	for i := range offers {
		offers[i].look(pages[i])
	}
	customers := last.Customers
	if customers == 0 {
		customers = few(offers, pages)
	}
	x := Explanation{Full: readPlan(offers, customers), Given: readPlanOfGiven(offers, 0)}
	if first := next(e.Full, e.Now()); !first.IsZero() {
		x.Every = next(e.Full, first).Sub(first)
	}
	for i, p := range pages {
		if p.err != nil {
			x.Full.Readings[i].Problem = fmt.Sprintf("its list could not be read: %v", connectors.AsUnseen(p.err))
		}
	}
	return x, ctx.Err()
}

// firstPages reads the first page of every list.
func (e *Engine) firstPages(ctx context.Context) []fetched {
	pages := make([]fetched, len(e.Connectors))
	var group sync.WaitGroup
	for i, c := range e.Connectors {
		if c.Can().List {
			group.Go(func() { pages[i].page, pages[i].err = c.List(ctx, connectors.PageRequest{}) })
		}
	}
	group.Wait()
	return pages
}

// look learns from the first page of a list.
func (o *offer) look(first fetched) {
	if !o.can.List || first.err != nil {
		return
	}
	o.page, o.whole = len(first.page.Records)+first.page.Skipped, first.page.Next == ""
	for i := 1; i < len(first.page.Records); i++ {
		if o.doubt == "" && first.page.Records[i].ID < first.page.Records[i-1].ID {
			o.doubt = "its list " + unordered
		}
	}
}

// few counts the customers where every source's list has one page only.
func few(offers []offer, pages []fetched) int {
	ids := map[string]bool{}
	for i, o := range offers {
		if !o.source {
			continue
		}
		if !o.whole {
			return 0
		}
		for _, k := range pages[i].page.Records {
			ids[k.ID] = true
		}
	}
	return len(ids)
}
