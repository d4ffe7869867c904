package reconciler_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
	"amend/internal/testpg"
	"amend/store"
)

// teller is a service that says what has changed there.
type teller struct {
	*memory
	mu       sync.Mutex
	statuses map[int]string    // of those who aren't fine
	at       map[int]time.Time // when customers changed
	asked    []time.Time       // since when it was asked, newest last
	down     error             // of single reads
	listless error             // of lists
	circles  bool              // the list of changes never ends
	again    bool              // it has two pages that are the same
}

func newTeller(count int) *teller {
	s := &teller{memory: &memory{count: count, changed: []int{}}, statuses: map[int]string{}, at: map[int]time.Time{}}
	s.status = func(n int) string {
		if status, is := s.statuses[n]; is {
			return status
		}
		return "fine"
	}
	return s
}

// change gives a customer a status at a time.
func (s *teller) change(n int, status string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.statuses[n], s.at[n] = status, at
}

// break breaks the lists, or the single reads; nil mends them.
func (s *teller) breaks(lists, singles error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listless, s.down = lists, singles
}

func (s *teller) lastAsked() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[len(s.asked)-1]
}

// One is part of connectors.Connector.
func (s *teller) One(ctx context.Context, id string) (r amend.Record, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return r, s.down
	}
	return s.memory.One(ctx, id)
}

// List is part of connectors.Connector.
func (s *teller) List(ctx context.Context, r connectors.PageRequest) (connectors.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Since.IsZero() {
		if s.listless != nil && r.Cursor != "" {
			return connectors.Page{}, s.listless
		}
		return s.memory.List(ctx, r)
	}
	if r.Cursor == "" {
		s.asked = append(s.asked, r.Since)
	}
	if s.listless != nil {
		return connectors.Page{}, s.listless
	}
	var page connectors.Page
	for n, at := range s.at {
		if !at.Before(r.Since) {
			page.Records = append(page.Records, connectors.Keyed{ID: customerID(n), Record: s.record(n)})
		}
	}
	switch {
	case s.circles:
		page.Next = map[string]string{"": "1", "1": "2", "2": "3", "3": "1"}[r.Cursor]
	case s.again && r.Cursor == "":
		page.Next = "1"
	}
	return page, ctx.Err()
}

// outage is how a service fails.
var outage = &connectors.Unseen{Cause: amend.Unreachable, Reason: "nobody answers"}

// tellers are a world of two services that say what has changed; crm alone says
// which customers there are.
type tellers struct {
	*world
	crm, shop *teller
}

func telling(t *testing.T, o options, count int) *tellers {
	t.Helper()
	w := &tellers{world: &world{T: t, options: o, clock: &clock{now: time.Now()}, path: filepath.Join(t.TempDir(), "amend.db")}, crm: newTeller(count), shop: newTeller(count)}
	w.address = "sqlite:" + w.path
	if o.postgres {
		w.address = testpg.New(t)
	}
	w.crm.now, w.shop.now = w.clock, w.clock
	w.declare(func(text string) string { return text })
	w.open()
	t.Cleanup(func() { require.NoError(t, w.store.Close()) })
	return w
}

// declare reads the configuration, changed. Whichever service isn't crm is shop.
func (w *tellers) declare(change func(string) string) {
	w.Helper()
	services := map[string]*memory{"crm": w.crm.memory, "shop": w.shop.memory, "store": w.shop.memory}
	w.cfg = load(w.T, memoryConfiguration, nil, w.clock, options{kinds: []connectors.Kind{inMemory(services)},
		yaml: func(text string) string { return change(strings.Replace(text, "[crm, shop]", "[crm]", 1)) }})
	for i := range w.cfg.Connectors {
		w.cfg.Connectors[i] = w.shop
		if w.cfg.Schema.Services[i].Name == "crm" {
			w.cfg.Connectors[i] = w.crm
		}
	}
}

// began scans what changed, whatever comes of it, and says when that began.
func (w *tellers) began() time.Time {
	w.Helper()
	w.clock.pass(10 * time.Minute)
	scan, _ := w.engine.Scan(w.Context(), store.FreshScan, "test")
	require.False(w, scan.Open())
	return scan.StartedAt
}

// changes are the times since when services would be asked now, as if there were
// no overlap.
func (w *tellers) changes() map[string]time.Time {
	w.Helper()
	all, err := w.engine.Changes(w.Context())
	require.NoError(w, err)
	times := map[string]time.Time{}
	for _, one := range all {
		times[one.Service] = one.Since.Add(store.ClockSlack)
	}
	return times
}

func (w *tellers) why(service string) string {
	w.Helper()
	all, err := w.engine.Changes(w.Context())
	require.NoError(w, err)
	for _, one := range all {
		if one.Service == service {
			return one.Why
		}
	}
	return "it isn't asked"
}

// requireCase holds that a customer's case is open.
func (w *tellers) requireCase(n int) {
	w.Helper()
	c := w.lastCase(customerID(n))
	require.True(w, c.Open())
}

// TestChanges: from when a service is asked what has changed follows from when
// that service was last read whole and well.
func TestChanges(t *testing.T) { onEach(t, testChanges) }

func testChanges(t *testing.T, o options) {
	t.Run("EachFromWhereItWas", func(t *testing.T) {
		t.Parallel()
		w := telling(t, o, 1200)
		full := w.scan().StartedAt
		require.Equal(t, map[string]time.Time{"crm": full, "shop": full}, w.changes())
		require.Empty(t, w.why("crm"))

		w.shop.breaks(outage, nil)
		w.shop.change(7, "wrong", w.clock.Now())
		first := w.began()
		require.Equal(t, map[string]time.Time{"crm": first, "shop": full}, w.changes())
		w.requireNoCase(customerID(7))
		second := w.began()
		w.shop.breaks(nil, nil)
		require.Equal(t, map[string]time.Time{"crm": second, "shop": full}, w.changes())
		third := w.began()
		require.Equal(t, full.Add(-store.ClockSlack), w.shop.lastAsked().UTC(), "a service whose clock is behind tells it, too")
		require.Equal(t, second.Add(-store.ClockSlack), w.crm.lastAsked().UTC())
		w.requireCase(7)
		require.Equal(t, map[string]time.Time{"crm": third, "shop": third}, w.changes())
	})
	t.Run("AListThatBrokeOffInAFullScan", func(t *testing.T) {
		t.Parallel()
		w := telling(t, o, 1200)
		full := w.scan().StartedAt
		w.clock.pass(10 * time.Minute)
		w.shop.change(1100, "wrong", w.clock.Now())
		w.shop.breaks(outage, nil)
		w.clock.pass(10 * time.Minute)
		scan := w.scan()
		require.Equal(t, store.ScanDone, scan.Status)
		require.Equal(t, 700, scan.Unseen)
		require.Equal(t, map[string]time.Time{"crm": full, "shop": full}, w.changes(), "customers of crm's could not be judged, either")
		w.shop.breaks(nil, nil)
		w.began()
		w.requireCase(1100)
	})
	t.Run("InOnePartOfMany", func(t *testing.T) {
		t.Parallel()
		w := telling(t, o, 2500)
		w.engine.PageSize = 1000
		full := w.scan().StartedAt
		w.clock.pass(10 * time.Minute)
		w.shop.failAt = 1700
		scan := w.scan()
		require.Equal(t, store.ScanDone, scan.Status)
		require.Equal(t, full, w.changes()["shop"])
		w.shop.failAt = 0
		w.clock.pass(10 * time.Minute)
		require.Equal(t, w.scan().StartedAt, w.changes()["shop"])
	})
	t.Run("APartialFullScan", func(t *testing.T) {
		t.Parallel()
		w := telling(t, o, 1200)
		full := w.scan().StartedAt
		w.clock.pass(10 * time.Minute)
		w.crm.breaks(outage, nil)
		_, err := w.engine.Scan(t.Context(), store.FullScan, "test")
		require.Error(t, err)
		require.Equal(t, map[string]time.Time{"crm": full, "shop": full}, w.changes())
	})
	t.Run("ACancelledScan", func(t *testing.T) {
		t.Parallel()
		w := telling(t, o, 300)
		full := w.scan().StartedAt
		w.clock.pass(10 * time.Minute)
		scan, _, err := w.store.StartScan(t.Context(), store.FreshScan, "ada")
		require.NoError(t, err)
		require.NoError(t, w.store.SteerScan(t.Context(), scan.ID, "cancel", "ada"))
		require.Equal(t, map[string]time.Time{"crm": full, "shop": full}, w.changes())
	})
	t.Run("AScanThatCrashed", func(t *testing.T) {
		t.Parallel()
		w := telling(t, o, 300)
		full := w.scan().StartedAt
		w.clock.pass(10 * time.Minute)
		_, page, err := w.store.StartScan(t.Context(), store.FreshScan, "ada")
		require.NoError(t, err)
		_, claimed, err := w.store.ClaimPage(t.Context(), page, time.Second)
		require.NoError(t, err)
		require.True(t, claimed)
		w.shop.change(7, "wrong", w.clock.Now())
		w.restart()
		require.Equal(t, map[string]time.Time{"crm": full, "shop": full}, w.changes())
		began := w.fresh().StartedAt
		w.requireCase(7)
		require.Equal(t, map[string]time.Time{"crm": began, "shop": began}, w.changes(), "it is the same scan")
	})
	t.Run("AFullScanBesideFreshOnes", func(t *testing.T) {
		t.Parallel()
		w := telling(t, o, 300)
		w.scan()
		w.clock.pass(10 * time.Minute)
		_, _, err := w.store.StartScan(t.Context(), store.FullScan, "ada")
		require.NoError(t, err)
		fresh := w.began()
		w.scan()
		require.Equal(t, map[string]time.Time{"crm": fresh, "shop": fresh}, w.changes(), "the one that began last counts")
	})
	t.Run("ANewService", func(t *testing.T) {
		t.Parallel()
		w := telling(t, o, 300)
		full := w.scan().StartedAt
		fresh := w.began()
		w.declare(func(text string) string { return strings.ReplaceAll(text, "shop", "store") })
		w.engine = w.another()
		require.Equal(t, map[string]time.Time{"crm": fresh, "store": full}, w.changes())
		require.Contains(t, w.why("store"), "no scan has read it whole")
		again := w.began()
		require.Equal(t, map[string]time.Time{"crm": again, "store": again}, w.changes())
	})
	t.Run("DeclaredInAnotherWay", func(t *testing.T) {
		t.Parallel()
		w := telling(t, o, 300)
		full := w.scan().StartedAt
		fresh := w.began()
		w.declare(func(text string) string {
			return strings.Replace(text, "shop: {memory: {}, fields: {status: {type: string}}}", "shop: {memory: {}, fields: {status: {type: string, values: [fine, wrong]}}}", 1)
		})
		w.engine = w.another()
		require.Equal(t, map[string]time.Time{"crm": fresh, "shop": full}, w.changes(), "what it said while it was declared otherwise isn't believed")
		require.Contains(t, w.why("shop"), "declared in another way")
		again := w.began()
		require.Equal(t, map[string]time.Time{"crm": again, "shop": again}, w.changes())
	})
	t.Run("AListThatRepeats", func(t *testing.T) {
		t.Parallel()
		w := telling(t, o, 300)
		full := w.scan().StartedAt
		w.clock.pass(10 * time.Minute)
		w.crm.order = func(ids []string) []string {
			for i := range 20 {
				ids = slices.Insert(ids, 2*i, ids[2*i])
			}
			return ids
		}
		require.Equal(t, map[string]time.Time{"crm": full, "shop": w.scan().StartedAt}, w.changes())
	})
	t.Run("RoundInCircles", func(t *testing.T) {
		t.Parallel()
		w := telling(t, o, 300)
		full := w.scan().StartedAt
		w.shop.circles = true
		w.clock.pass(10 * time.Minute)
		scan, err := w.engine.Scan(t.Context(), store.FreshScan, "test")
		require.ErrorContains(t, err, "round in circles")
		require.Equal(t, map[string]time.Time{"crm": scan.StartedAt, "shop": full}, w.changes())
	})
}

// TestClockOfChanges: a clock that ran ahead and was put back leaves out nothing
// that changed since (T31).
func TestClockOfChanges(t *testing.T) { onEach(t, testClockOfChanges) }

func testClockOfChanges(t *testing.T, o options) {
	ahead := func(t *testing.T) (w *tellers, full time.Time) {
		w = telling(t, o, 700)
		full = w.scan().StartedAt
		w.clock.pass(10 * time.Minute)
		w.shop.breaks(outage, nil)
		w.scan() // which reads nothing whole
		w.shop.breaks(nil, nil)
		w.clock.pass(3 * time.Hour) // it runs ahead
		w.began()
		w.clock.pass(-3 * time.Hour)
		return w, full
	}
	t.Run("NotNoticed", func(t *testing.T) {
		t.Parallel()
		w, full := ahead(t)
		require.Equal(t, map[string]time.Time{"crm": full, "shop": full}, w.changes())
		require.Contains(t, w.why("crm"), "clock was put back")
		began := w.began()
		require.Equal(t, map[string]time.Time{"crm": began, "shop": began}, w.changes())
	})
	t.Run("UntilItIsAsLateAgain", func(t *testing.T) {
		t.Parallel()
		w, full := ahead(t)
		require.NoError(t, w.store.PutBack(t.Context()))
		w.clock.pass(4 * time.Hour)
		require.Equal(t, map[string]time.Time{"crm": full, "shop": full}, w.changes())
	})
	t.Run("DuringAScan", func(t *testing.T) {
		t.Parallel()
		w := telling(t, o, 300)
		full := w.scan().StartedAt
		w.clock.pass(3 * time.Hour)
		_, _, err := w.store.StartScan(t.Context(), store.FreshScan, "ada")
		require.NoError(t, err)
		w.clock.pass(-3 * time.Hour)
		require.NoError(t, w.store.PutBack(t.Context()))
		w.clock.pass(4 * time.Hour)
		w.fresh()
		require.Equal(t, map[string]time.Time{"crm": full, "shop": full}, w.changes(), "nobody knows when it began")
	})
}

// TestUnjudged: whoever changed and could not be judged is looked at again,
// although no service says so a second time.
func TestUnjudged(t *testing.T) { onEach(t, testUnjudged) }

func testUnjudged(t *testing.T, o options) {
	t.Run("ByAFreshScan", func(t *testing.T) {
		t.Parallel()
		w := telling(t, o, 300)
		w.scan()
		w.shop.breaks(nil, outage)
		w.crm.change(7, "wrong", w.clock.Now())
		began := w.began()
		require.Equal(t, map[string]time.Time{"crm": began, "shop": began}, w.changes())
		w.began()
		w.requireNoCase(customerID(7))
		w.shop.breaks(nil, nil)
		w.began()
		w.requireCase(7)
		noted, err := w.store.Unjudged(t.Context())
		require.NoError(t, err)
		require.Empty(t, noted)
	})
	t.Run("ByAFullScan", func(t *testing.T) {
		t.Parallel()
		w := telling(t, o, 300)
		w.scan()
		w.shop.change(7, "", w.clock.Now())
		w.shop.breaks(nil, outage) // whom the list leaves out is asked for singly
		w.clock.pass(10 * time.Minute)
		require.Equal(t, 1, w.scan().Unseen)
		w.shop.breaks(nil, nil)
		w.began()
		w.requireCase(7)
	})
	t.Run("TooMany", func(t *testing.T) {
		t.Parallel()
		w := telling(t, o, 1200)
		full := w.scan().StartedAt
		w.shop.breaks(nil, outage)
		at := w.clock.Now()
		for n := range store.MostUnjudged + 1 {
			w.crm.change(n, "wrong", at)
		}
		w.began()
		require.Equal(t, map[string]time.Time{"crm": full, "shop": full}, w.changes())
		noted, err := w.store.Unjudged(t.Context())
		require.NoError(t, err)
		require.Empty(t, noted)
		w.shop.breaks(nil, nil)
		w.began()
		w.requireCase(store.MostUnjudged)
	})
	t.Run("WhoeverMendsARecordChangesIt", func(t *testing.T) {
		t.Parallel()
		w := telling(t, o, 300)
		w.scan()
		w.shop.breaks(nil, &connectors.Unseen{Cause: amend.Malformed, Reason: "no status"})
		w.crm.change(7, "wrong", w.clock.Now())
		w.began()
		noted, err := w.store.Unjudged(t.Context())
		require.NoError(t, err)
		require.Empty(t, noted)
	})
	t.Run("Forgotten", func(t *testing.T) {
		t.Parallel()
		w := telling(t, o, 300)
		w.scan()
		w.shop.breaks(nil, outage)
		w.crm.change(7, "wrong", w.clock.Now())
		w.began()
		done, err := w.store.Forget(t.Context(), store.Forgetting{Customer: customerID(7), Actor: "ada", Window: func(string, string) time.Duration { return 0 }})
		require.NoError(t, err)
		require.Equal(t, 1, done.Rows)
		noted, err := w.store.Unjudged(t.Context())
		require.NoError(t, err)
		require.Empty(t, noted)
	})
}

// TestGivenRecords: what a list of changes gives isn't asked for again, unless
// nobody knows which of two is newer.
func TestGivenRecords(t *testing.T) { onEach(t, testGivenRecords) }

func testGivenRecords(t *testing.T, o options) {
	asked := func(t *testing.T, change func(w *tellers)) (crm, shop int64) {
		w := telling(t, o, 300)
		w.scan()
		change(w)
		w.began()
		w.requireCase(7)
		return w.crm.singles.Load(), w.shop.singles.Load()
	}
	t.Run("ByBoth", func(t *testing.T) {
		t.Parallel()
		crm, shop := asked(t, func(w *tellers) {
			w.crm.change(7, "wrong", w.clock.Now())
			w.shop.change(7, "wronger", w.clock.Now())
		})
		require.Equal(t, []int64{0, 0}, []int64{crm, shop})
	})
	t.Run("ByOne", func(t *testing.T) {
		t.Parallel()
		crm, shop := asked(t, func(w *tellers) {
			w.crm.change(7, "wrong", w.clock.Now())
			w.crm.change(8, "wrong", w.clock.Now())
			w.shop.change(8, "wrong", w.clock.Now())
		})
		require.Equal(t, []int64{0, 1}, []int64{crm, shop})
	})
	t.Run("Twice", func(t *testing.T) {
		t.Parallel()
		crm, shop := asked(t, func(w *tellers) {
			w.crm.again = true
			w.crm.change(7, "wrong", w.clock.Now())
		})
		require.Equal(t, []int64{1, 1}, []int64{crm, shop})
	})
	t.Run("ByAListThatIsWrong", func(t *testing.T) {
		t.Parallel()
		crm, shop := asked(t, func(w *tellers) {
			w.crm.circles = true
			w.crm.change(7, "wrong", w.clock.Now())
		})
		require.Equal(t, []int64{1, 1}, []int64{crm, shop})
	})
	t.Run("Many", func(t *testing.T) {
		t.Parallel()
		crm, shop := asked(t, func(w *tellers) {
			w.crm.count, w.shop.count = 13_000, 13_000
			for n := range 13_000 {
				w.crm.change(n, "fine", w.clock.Now())
			}
			w.crm.change(7, "wrong", w.clock.Now())
		})
		require.Equal(t, []int64{500, 13_000}, []int64{crm, shop}, "memory doesn't grow with what changed")
	})
}
