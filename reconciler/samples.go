package reconciler

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"amend"
	"amend/rules"
	"amend/store"
)

// samples are how many customers scans have read of each service of late, and
// how many of them could not be. A service of which much can't be read may be
// wrong about the rest, too, so rules that need it wait (invariant I3). Readings
// of heals don't count: they come back to the same customers again and again.
type samples struct {
	mu      sync.Mutex
	counted []store.Sample // by Schema.Services index; not written yet
	written time.Time
	known   []store.Sample // what all workers have counted
	read    time.Time
}

const (
	// samplesEvery is how often what was counted is written, and read.
	samplesEvery = 2 * time.Second
	// samplesOf is how far back they count.
	samplesOf = 5 * time.Minute
)

// sample counts a batch of a scan.
func (e *Engine) sample(ctx context.Context, found []Found) {
	s := &e.samples
	s.mu.Lock()
	if s.counted == nil {
		s.counted = make([]store.Sample, len(e.Schema.Services))
		s.written = e.Now() // from now on something is to be written
	}
	for service := range s.counted {
		s.counted[service].Read += len(found)
		for i := range found {
			if found[i].View.Records[service].Presence == amend.Unseen {
				s.counted[service].Unseen++
			}
		}
	}
	due := !fresh(s.written, e.Now(), samplesEvery)
	s.mu.Unlock()
	if due {
		e.writeSamples(ctx)
	}
}

// writeSamples writes what was counted. Where it can't be, less is known: that
// holds nothing up.
func (e *Engine) writeSamples(ctx context.Context) {
	s := &e.samples
	s.mu.Lock()
	var counted []store.Sample
	for service, one := range s.counted {
		if one.Read > 0 {
			one.Service = e.Schema.Services[service].Name
			counted = append(counted, one)
		}
	}
	s.counted, s.written = nil, e.Now()
	s.mu.Unlock()
	if len(counted) == 0 {
		return
	}
	slices.SortFunc(counted, func(a, b store.Sample) int { return strings.Compare(a.Service, b.Service) })
	if err := e.Store.AddSamples(ctx, counted); err != nil && ctx.Err() == nil {
		e.Log.Warn("samples of services could not be written", "error", err)
	}
}

// readSamples reads what all workers have counted, unless that is known.
func (e *Engine) readSamples(ctx context.Context) error {
	s, now := &e.samples, e.Now()
	s.mu.Lock()
	due := !fresh(s.read, now, samplesEvery)
	s.mu.Unlock()
	if !due {
		return nil
	}
	known, err := e.Store.Samples(ctx, now.Add(-samplesOf))
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known, s.read = known, now
	return nil
}

// blind says of which service too little could be read; empty where of none.
func (e *Engine) blind(services []int) string {
	s := &e.samples
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.known {
		index, _ := e.Schema.Service(one.Service)
		if slices.Contains(services, index) && rules.Blind(one.Read, one.Unseen) {
			return fmt.Sprintf("%s could not be read for %d of %d customers in the last minutes", one.Service, one.Unseen, one.Read)
		}
	}
	return ""
}
