package reconciler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"amend/store"
)

const (
	// doubtsBefore is how often something must speak against a list before it is
	// left aside, and doubtsOf of how many customers at least one: what changes
	// while lists are read looks the same.
	doubtsBefore = 10
	doubtsOf     = 1000

	// doubtFor is how long a list that couldn't be merged is left aside by the
	// scans that follow. Then it may have been mended.
	doubtFor = 24 * time.Hour
	// doubtScans is how many scans before are asked for their doubts.
	doubtScans = 50
)

// trust counts what speaks against lists while they are merged.
type trust struct {
	customers int
	against   map[errList]int
}

// weigh adds a batch. Where a list is wrong too often it fails, so that its
// service is read in another way; where there is none that helps tell is called.
func (t *trust) weigh(b *batch, tell func(errList)) error {
	t.customers += len(b.views)
	for _, found := range b.doubts {
		t.against[found]++
		if n := t.against[found]; n < doubtsBefore || n*doubtsOf < t.customers {
			continue
		}
		if way := b.plan.Readings[found.service].Instead; way == ByBatch || way == BySingle {
			return found
		}
		tell(found)
	}
	return nil
}

// leftAside finds out why a survey has to begin again: a list can't be merged,
// and nobody knew.
func (e *Engine) leftAside(err error, doubts map[string]string) (found errList, is bool) {
	if !errors.As(err, &found) || doubts[e.Schema.Services[found.service].Name] != "" {
		return found, false
	}
	o := e.offers(nil)[found.service]
	o.doubt = found.problem
	way, _ := o.way()
	e.Log.Warn("a list can't be merged", "service", o.name, "problem", found.problem, "way", string(way))
	return found, true
}

// tell logs what is wrong with a list that has to be merged all the same.
func (e *Engine) tell(found errList) {
	e.Log.Warn("a list is not as it should be, and is merged all the same", "service", e.Schema.Services[found.service].Name, "problem", found.problem)
}

// doubts are the services whose lists a scan leaves aside, with why: it has found
// out itself that they can't be merged, or another full scan on the day before it
// began.
func (e *Engine) doubts(ctx context.Context, scan store.Scan) (map[string]string, error) {
	recent, err := e.Store.ScansOf(ctx, store.FullScan, doubtScans)
	if err != nil {
		return nil, fmt.Errorf("read the last scans: %w", err)
	}
	doubts := map[string]string{}
	for _, other := range recent {
		if scan.StartedAt.Sub(other.StartedAt) >= doubtFor {
			continue
		}
		for _, service := range other.Staged {
			doubts[service] = "the full scan of " + other.StartedAt.UTC().Format("2006-01-02 15:04 UTC") + " found that its list can't be merged"
		}
	}
	for _, service := range scan.Staged {
		doubts[service] = "its list can't be merged"
	}
	return doubts, nil
}
