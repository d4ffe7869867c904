package reconciler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"amend"
	"amend/connectors"
	"amend/states"
	"amend/store"
)

// freshOverlap is how far a fresh scan looks back beyond where the last one
// began: a service may write down a little late what changed, and by a clock
// that is behind ours.
const freshOverlap = store.ClockSlack

// Changes says from when a fresh scan asks a service what has changed there.
type Changes struct {
	Service string
	Since   time.Time
	Why     string // a sentence where that isn't when it was last read whole
}

// Changes says from when a fresh scan that began now would ask each service that
// can tell what has changed there.
func (e *Engine) Changes(ctx context.Context) ([]Changes, error) {
	known, err := e.Store.Cursors(ctx)
	if err != nil {
		return nil, err
	}
	full, err := e.Store.ScansOf(ctx, store.FullScan, doubtScans)
	if err != nil {
		return nil, err
	}
	began := e.Now()
	full = slices.DeleteFunc(full, func(s store.Scan) bool { return s.Status != store.ScanDone || s.StartedAt.After(began) })
	var all []Changes
	for i, c := range e.Connectors {
		if !c.Can().List || !c.Can().Since {
			continue
		}
		service := &e.Schema.Services[i]
		one := changesFrom(known[service.Name], service.Version, began)
		if one.Since.IsZero() {
			one.Since = lastWhole(full, service.Name, began)
		}
		one.Service, one.Since = service.Name, one.Since.Add(-freshOverlap)
		all = append(all, one)
	}
	return all, nil
}

// changesFrom is from when a service is asked, by where its cursor is; zero, with the
// reason, where that can't be believed.
func changesFrom(c store.Cursor, version string, began time.Time) Changes {
	const rest = "; the next full scan finds what changed before"
	switch {
	case c.At.IsZero():
		return Changes{Why: "no scan has read it whole since it was declared, or since the clock was put back" + rest}
	case c.Version != version:
		return Changes{Why: "it was declared in another way since" + rest}
	case c.At.After(began):
		return Changes{Why: "the clock was put back since it was read"}
	}
	return Changes{Since: c.At}
}

// lastWhole is when the last full scan began that has read a service whole, as
// far as anybody knows, and else the last one that ended well: whoever is looked
// at in vain does no harm.
func lastWhole(full []store.Scan, service string, began time.Time) time.Time {
	for i := range full {
		if _, is := full[i].Whole[service]; is || full[i].Whole == nil { // an older version didn't write it down
			return full[i].StartedAt
		}
	}
	if len(full) > 0 {
		return full[0].StartedAt
	}
	return began
}

// changed lists whom a fresh scan looks at.
type changed struct {
	ids      []string
	seen     map[string]bool   // the same, while they are collected
	records  given             // of them, as far as the lists gave them and there is room
	room     int               // for records of each list
	again    []string          // of them, those whom a scan before could not judge
	whole    map[string]string // services that told all that changed, with the versions of their declarations
	problems error             // of services that could not
}

// changed lists who changed since the services were last read whole, where they
// can tell, whoever has an open case, and who could not be judged. What a service
// can't tell is found by the next full scan. The error is the store's.
func (e *Engine) changed(ctx context.Context) (found changed, err error) {
	all, err := e.Changes(ctx)
	if err != nil {
		return found, err
	}
	found.seen, found.whole, found.records = map[string]bool{}, map[string]string{}, make(given, len(e.Connectors))
	found.room = mostGiven / max(1, len(all))
	for _, one := range all {
		i, service := e.Schema.Service(one.Service)
		found.records[i] = map[string]amend.Record{}
		if err := found.read(ctx, e.Connectors[i], one.Since, found.records[i]); err != nil {
			found.records[i] = nil
			found.problems = errors.Join(found.problems, fmt.Errorf("list what changed in %s: %w", one.Service, err))
		} else {
			found.whole[one.Service] = service.Version
		}
	}
	open, err := e.Store.OpenBetween(ctx, "", "\U0010ffff")
	if err != nil {
		return found, err
	}
	for _, c := range open {
		found.seen[c.Customer] = true
	}
	if found.again, err = e.Store.Unjudged(ctx); err != nil {
		return found, err
	}
	for _, id := range found.again {
		found.seen[id] = true
	}
	found.ids = slices.Sorted(maps.Keys(found.seen))
	return found, nil
}

// mostGiven is how many records lists of changes may have kept until the
// customers are looked at, each list as many as the others: memory of some 10 MiB.
// Whoever comes after them is asked for.
const mostGiven = 25_000

// read reads one list of changes, and keeps its records: they needn't be asked
// for again. One that comes twice isn't kept, since a list of changes needs
// no order and nobody knows which is newer.
func (f *changed) read(ctx context.Context, c connectors.Connector, since time.Time, records map[string]amend.Record) error {
	var used []connectors.Keyed
	turns := circle{}
	for cursor := ""; ; {
		page, err := c.List(ctx, connectors.PageRequest{Cursor: cursor, Since: since, Into: used})
		if err != nil {
			return err
		}
		for _, k := range page.Records {
			f.seen[k.ID] = true
			if _, twice := records[k.ID]; twice {
				records[k.ID] = amend.Record{}
			} else if len(records) < f.room {
				records[k.ID] = k.Record
			}
		}
		if page.Next == "" {
			maps.DeleteFunc(records, func(_ string, r amend.Record) bool { return r.Presence != amend.Present })
			return nil
		}
		if turns.closes(page.Next) {
			return errCircle
		}
		cursor, used = page.Next, page.Records
	}
}

// fresh looks at who changed.
func (s *scanning) fresh(ctx context.Context, visit func([]Found) error) error {
	found, err := s.e.changed(ctx)
	if err != nil {
		return errUnwritten{err}
	}
	s.meter.expect(len(found.ids))
	if err := s.e.lookAtGiven(ctx, found.ids, found.records, visit); err != nil {
		return err
	}
	s.found.Whole = found.whole
	s.found.Unjudged, s.found.Judged = moved(found.again, s.found.Unjudged)
	return found.problems
}

// moved says who can no longer be judged, and who can be again.
func moved(before, now []string) (more, fewer []string) {
	for _, id := range now {
		if _, known := slices.BinarySearch(before, id); !known {
			more = append(more, id)
		}
	}
	for _, id := range before {
		if !slices.Contains(now, id) {
			fewer = append(fewer, id)
		}
	}
	return more, fewer
}

// remember notes a customer without a case who could not be judged: services say
// once that they changed, and it isn't seen yet. A record that can't be believed
// as it stands is left out: whoever mends it changes it.
func (s *sighter) remember(f *Found) {
	waits := func(r amend.Record) bool { return r.Presence == amend.Unseen && r.Cause != amend.Malformed }
	if f.Verdict.Name == states.Unseen && len(s.found.Unjudged) <= store.MostUnjudged && slices.ContainsFunc(f.View.Records, waits) {
		s.found.Unjudged = append(s.found.Unjudged, strings.Clone(f.Customer)) // it shares its memory with others, who aren't kept
	}
}

// whole are the services that a part of a full scan has read whole, with the
// versions of their declarations. Where a list broke off, customers whom another
// service knows may have been left out.
func (s *scanning) whole() map[string]string {
	all := map[string]string{}
	for i := range s.e.Schema.Services {
		if service := &s.e.Schema.Services[i]; !s.broke && !s.wrong[i] {
			all[service.Name] = service.Version
		}
	}
	return all
}
