package reconciler_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
	"amend/reconciler"
	"amend/store"
)

// offering is a service in memory that offers batches, or nothing but what is
// said.
type offering struct {
	*memory
	can connectors.Abilities

	mu    sync.Mutex
	calls []int // of batches, with how many were asked for
}

// Can is part of connectors.Connector.
func (o *offering) Can() connectors.Abilities { return o.can }

// Many is part of connectors.Connector.
func (o *offering) Many(ctx context.Context, ids []string) ([]amend.Record, error) {
	o.mu.Lock()
	o.calls = append(o.calls, len(ids))
	o.mu.Unlock()
	records := make([]amend.Record, len(ids))
	for i, id := range ids {
		var err error
		if records[i], err = o.memory.One(ctx, id); err != nil {
			return nil, err
		}
	}
	o.singles.Add(-int64(len(ids)))
	return records, nil
}

// batchesAsked is how many customers were asked for in each batch.
func (o *offering) batchesAsked() []int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(slices.Values(o.calls))
}

// shopWorld is a world whose customers crm lists; shop offers what is said. What
// is logged goes to the buffer.
func shopWorld(t *testing.T, crm, shop *memory, can connectors.Abilities) (*world, *offering, *logged) {
	t.Helper()
	w := twoServices(t, crm, shop)
	log := &logged{}
	o := &offering{memory: shop, can: can}
	i, _ := w.cfg.Schema.Service("shop")
	w.cfg.Connectors[i] = o
	w.cfg.Scans.Source = []int{1 - i}
	w.engine = w.another()
	w.engine.Log = slog.New(slog.NewTextHandler(log, nil))
	return w, o, log
}

// logged is a log that several goroutines write.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write is part of io.Writer.
func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count is how often something was logged.
func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// swapped has whole pages out of order.
func swapped(ids []string) []string {
	switch ids[0] {
	case customerID(500):
		return idsFrom(1000, 500)
	case customerID(1000):
		return idsFrom(500, 500)
	}
	return ids
}

func backwards(ids []string) []string { slices.Reverse(ids); return ids }

// everyTenth are customers whom a list leaves out.
func everyTenth(n int) bool { return n%10 == 0 }

var (
	withBatches = connectors.Abilities{One: true, Many: 98, List: true, AtOnce: 8}
	withSingles = connectors.Abilities{One: true, List: true, AtOnce: 8}
	listOnly    = connectors.Abilities{List: true}
)

// TestListsThatDisappoint are noticed, reported once, and read in another way,
// with the same verdicts.
func TestListsThatDisappoint(t *testing.T) {
	t.Parallel()
	const customers = 1500
	twice := func(ids []string) []string {
		for i := 0; i < len(ids); i += 10 {
			ids = slices.Insert(ids, i, ids[i])
		}
		return ids
	}
	for _, test := range []struct {
		name    string
		order   func([]string) []string
		onlyOne func(int) bool
		can     connectors.Abilities
		problem string
		batches bool
	}{
		{"UnorderedGoesToBatches", backwards, nil, withBatches, "is not in key order", true},
		{"UnorderedPagesGoToBatches", swapped, nil, withBatches, "is not in key order", true},
		{"UnorderedGoesToSingles", backwards, nil, withSingles, "is not in key order", false},
		{"SkippingGoesToBatches", nil, everyTenth, withBatches, "leaves out customers", true},
		{"SkippingGoesToSingles", nil, everyTenth, withSingles, "leaves out customers", false},
		{"RepeatingGoesToBatches", twice, nil, withBatches, "holds customers more than once", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			shop := &memory{count: customers, order: test.order, onlyOne: test.onlyOne, status: func(n int) string {
				if n == 777 {
					return "wrong"
				}
				return "fine"
			}}
			w, o, log := shopWorld(t, &memory{count: customers}, shop, test.can)
			scan := w.scan()
			require.Equal(t, map[string]int{"fine": customers - 1, "wrong": 1}, scan.States)
			require.Equal(t, "wrong", w.lastCase(customerID(777)).State)
			require.Equal(t, 1, w.rows()["cases"])
			require.Equal(t, []string{"shop"}, scan.Staged)
			require.Equal(t, 1, log.count("can't be merged"))
			require.Equal(t, 1, log.count(test.problem))
			if test.batches {
				require.GreaterOrEqual(t, len(o.batchesAsked()), customers/98)
			} else {
				require.GreaterOrEqual(t, shop.singles.Load(), int64(customers))
			}

			lists := shop.lists.Load()
			w.clock.pass(time.Hour)
			require.Equal(t, customers, w.scan().Customers)
			require.Equal(t, lists, shop.lists.Load(), "what the scan before has found still holds")
			require.Equal(t, 1, log.count("can't be merged"))

			w.clock.pass(24 * time.Hour)
			shop.order, shop.onlyOne = nil, nil
			require.Empty(t, w.scan().Staged, "it was mended meanwhile")
			require.Greater(t, shop.lists.Load(), lists, "it gets another chance")

			t.Run("Survey", func(t *testing.T) {
				shop.order, shop.onlyOne = test.order, test.onlyOne
				seen := map[string]int{}
				require.NoError(t, w.engine.Survey(t.Context(), func() func([]reconciler.Found) error {
					clear(seen)
					return func(found []reconciler.Found) error {
						for _, f := range found {
							seen[f.Verdict.Name]++
						}
						return nil
					}
				}))
				require.Equal(t, map[string]int{"fine": customers - 1, "wrong": 1}, seen)
				require.Equal(t, 2, log.count("can't be merged"))
			})
		})
	}
}

// TestListsWithoutAnotherWay are reported once, and read all the same.
func TestListsWithoutAnotherWay(t *testing.T) {
	t.Parallel()
	t.Run("ASourceThatSkips", func(t *testing.T) {
		t.Parallel()
		crm := &memory{count: 3000, onlyOne: everyTenth}
		w, _, log := shopWorld(t, crm, &memory{count: 3000}, withBatches)
		w.cfg.Scans.Source = []int{0, 1}
		engine := w.another()
		engine.Log, engine.PageSize = w.engine.Log, 1000
		w.engine = engine
		scan := w.scan()
		require.Equal(t, map[string]int{"fine": 3000}, scan.States, "the other source knows whom it leaves out")
		require.Empty(t, scan.Staged)
		require.Equal(t, int64(300), crm.singles.Load())
		require.Equal(t, 1, log.count("merged all the same"), "once, for three parts")
	})
	t.Run("ASourceThatRepeats", func(t *testing.T) {
		t.Parallel()
		crm := &memory{count: 1500, order: func(ids []string) []string {
			for i := 0; i < len(ids); i += 10 {
				ids = slices.Insert(ids, i, ids[i])
			}
			return ids
		}}
		w, _, log := shopWorld(t, crm, &memory{count: 1500}, withBatches)
		scan := w.scan()
		require.Equal(t, map[string]int{"fine": 1500}, scan.States)
		require.Empty(t, scan.Staged)
		require.Equal(t, 1, log.count("holds customers more than once"))
		require.Zero(t, log.count("leaves out"))
	})
	t.Run("OutOfOrderBetweenParts", func(t *testing.T) {
		t.Parallel()
		w, _, log := shopWorld(t, &memory{count: 2000}, &memory{count: 2000, order: swapped}, listOnly)
		w.engine.PageSize = 1500 // the next part would begin with the page that comes too late
		scan := w.scan()
		require.Equal(t, map[string]int{"fine": 2000}, scan.States)
		require.Equal(t, []string{"shop"}, scan.Staged)
		require.Equal(t, 1, log.count(`way="whole list"`))
	})
	t.Run("UnorderedIsSorted", func(t *testing.T) {
		t.Parallel()
		once := func(ids []string) []string { // but for one, who is there twice
			if i := slices.Index(ids, customerID(7)); i >= 0 {
				ids = append(ids, ids[i])
			}
			return backwards(ids)
		}
		w, o, log := shopWorld(t, &memory{count: 1500}, &memory{count: 1500, order: once}, listOnly)
		w.engine.PageSize = 100
		scan := w.scan()
		require.LessOrEqual(t, o.lists.Load(), int64(2*3), "once, and once more to sort it: not for every part")
		require.Equal(t, map[string]int{"fine": 1499, "unseen": 1}, scan.States)
		require.Equal(t, []string{"shop"}, scan.Staged)
		require.Equal(t, 1, log.count(`way="whole list"`))
	})
}

// TestSeldomIsFine: a list isn't left aside for what a few customers do while it
// is read.
func TestSeldomIsFine(t *testing.T) {
	t.Parallel()
	w, o, log := shopWorld(t, &memory{count: 6000}, &memory{count: 6000, onlyOne: func(n int) bool { return n < 9 }}, withSingles)
	scan := w.scan()
	require.Equal(t, map[string]int{"fine": 6000}, scan.States)
	require.Equal(t, int64(9), o.singles.Load())
	require.Empty(t, scan.Staged)
	require.Zero(t, log.count("WARN"))
}

// TestAListThatEndsEarly says of whoever comes after it that they are absent, in
// the parts that follow too.
func TestAListThatEndsEarly(t *testing.T) {
	t.Parallel()
	w, o, _ := shopWorld(t, &memory{count: 3000}, &memory{count: 800}, listOnly)
	w.engine.PageSize = 1000
	require.Equal(t, map[string]int{"fine": 800, "missing": 2200}, w.scan().States)
	require.Equal(t, int64(2), o.lists.Load(), "it isn't read again")
}

// TestMissingWithoutProofIsUnseen: who isn't in a list is absent only where the
// service proves just now that missing means absent (I1).
func TestMissingWithoutProofIsUnseen(t *testing.T) {
	t.Parallel()
	w, o, _ := shopWorld(t, &memory{count: 1500}, &memory{count: 1400}, withBatches)
	i, _ := w.cfg.Schema.Service("shop")
	w.cfg.Connectors[i] = unproven{o}
	scan := w.scan()
	require.Equal(t, map[string]int{"fine": 1400, "unseen": 100}, scan.States)
	require.Zero(t, scan.Opened)
}

// unproven can't prove that anybody is absent.
type unproven struct{ connectors.Connector }

// Proof is part of connectors.Prover.
func (unproven) Proof(context.Context, time.Time) error {
	return &connectors.Unseen{Cause: amend.Unproven, Reason: "the sentinels are gone"}
}

// TestPagesThatOverlap: where customers move on while pages are read the last of
// one page is the first of the next.
func TestPagesThatOverlap(t *testing.T) {
	t.Parallel()
	shop := &memory{count: 1500, order: func(ids []string) []string {
		if n := slices.Index(ids, customerID(500)) + slices.Index(ids, customerID(1000)); n == -1 { // one of the two, and first
			return slices.Insert(ids, 0, before(ids[0]))
		}
		return ids
	}}
	w, o, log := shopWorld(t, &memory{count: 1500}, shop, withSingles)
	scan := w.scan()
	require.Equal(t, map[string]int{"fine": 1500}, scan.States)
	require.Equal(t, int64(2), o.singles.Load())
	require.Empty(t, scan.Staged)
	require.Zero(t, log.count("WARN"))
}

// before is the customer before one.
func before(id string) string {
	n, err := strconv.Atoi(strings.TrimPrefix(id, "cus_"))
	if err != nil {
		panic(err)
	}
	return customerID(n - firstNumber - 1)
}

// TestBatchesAreFull: no more calls than batches of the service's size.
func TestBatchesAreFull(t *testing.T) {
	t.Parallel()
	can := withBatches
	can.List = false
	w, o, _ := shopWorld(t, &memory{count: 980}, &memory{count: 980}, can)
	require.Equal(t, map[string]int{"fine": 980}, w.scan().States)
	require.Equal(t, slices.Repeat([]int{98}, 10), o.batchesAsked())
	require.Zero(t, o.singles.Load())
	require.Zero(t, o.lists.Load())
}

// TestGivenCustomersAreNotListed: a fresh scan reads those it is about, and a
// single read that found nobody is not repeated.
func TestGivenCustomersAreNotListed(t *testing.T) {
	t.Parallel()
	t.Run("Batches", func(t *testing.T) {
		t.Parallel()
		w, o, _ := shopWorld(t, &memory{count: 900}, &memory{count: 900}, withBatches)
		found, err := w.engine.Examine(t.Context(), idsFrom(0, 300))
		require.NoError(t, err)
		require.Equal(t, map[string]int{"fine": 300}, found.States)
		require.Equal(t, []int{6, 98, 98, 98}, o.batchesAsked())
		require.Zero(t, o.lists.Load())
	})
	t.Run("Singles", func(t *testing.T) {
		t.Parallel()
		w, o, _ := shopWorld(t, &memory{count: 900}, &memory{count: 900, status: func(int) string { return "" }}, withSingles)
		found, err := w.engine.Examine(t.Context(), idsFrom(0, 150))
		require.NoError(t, err)
		require.Equal(t, map[string]int{"missing": 150}, found.States)
		require.Equal(t, int64(150), o.singles.Load())
		require.Zero(t, o.lists.Load())
	})
}

// idsFrom are customers, one after another.
func idsFrom(first, count int) []string {
	var all []string
	for n := range count {
		all = append(all, customerID(first+n))
	}
	return all
}

// TestFoundIsWhole: batches use the same memory again, and nobody is seen with
// what belongs to somebody else.
func TestFoundIsWhole(t *testing.T) {
	t.Parallel()
	status := func(n int) string { return []string{"fine", "wrong", "", "odd"}[n*7%4] }
	crm := &memory{count: 5000, status: func(int) string { return "fine" }}
	w := twoServices(t, crm, &memory{count: 5000, status: status})
	seen := map[string]bool{}
	require.NoError(t, w.engine.Survey(t.Context(), func() func([]reconciler.Found) error {
		return func(found []reconciler.Found) error {
			for _, f := range found {
				n, err := strconv.Atoi(strings.TrimPrefix(f.Customer, "cus_"))
				require.NoError(t, err)
				requireFound(t, f, status(n-firstNumber))
				require.False(t, seen[f.Customer])
				seen[f.Customer] = true
			}
			return nil
		}
	}))
	require.Len(t, seen, 5000)
}

// TestAbsentSince: who isn't in a list is absent since its page was read.
func TestAbsentSince(t *testing.T) {
	t.Parallel()
	shop := &memory{count: 1500, status: func(n int) string {
		if n%3 == 0 || n > 1200 {
			return ""
		}
		return "fine"
	}}
	w, _, _ := shopWorld(t, &memory{count: 1500}, shop, listOnly)
	begun, absent := w.clock.Now(), 0
	require.NoError(t, w.engine.Survey(t.Context(), func() func([]reconciler.Found) error {
		return func(found []reconciler.Found) error {
			for _, f := range found {
				if record := f.View.Records[1]; record.Presence == amend.Absent {
					absent++
					require.True(t, record.ReadAt.After(begun) && record.ReadAt.Before(w.clock.Now()), f.Customer)
				}
			}
			return nil
		}
	}))
	require.Equal(t, 401+299, absent)
}

// requireFound holds what a survey says of a customer against what shop has.
func requireFound(t *testing.T, f reconciler.Found, status string) {
	t.Helper()
	shop := &f.View.Records[1]
	require.Equal(t, f.Customer, f.View.ID)
	require.Equal(t, status != "", shop.Presence == amend.Present)
	want := map[string]string{"": "missing", "fine": "fine"}[status]
	if want == "" {
		want = "wrong"
	}
	if shop.Presence == amend.Present {
		require.Equal(t, status, shop.Values[0].Text())
	}
	require.Equal(t, want, f.Verdict.Name)
	require.False(t, shop.ReadAt.IsZero())
}

// TestExplain says how scans would read the services, and asks for no more than
// the first page of each list.
func TestExplain(t *testing.T) {
	t.Parallel()
	explain := func(w *world) reconciler.Explanation {
		w.Helper()
		x, err := w.engine.Explain(w.Context())
		require.NoError(w, err)
		return x
	}
	t.Run("BeforeTheFirstScan", func(t *testing.T) {
		t.Parallel()
		w, o, _ := shopWorld(t, &memory{count: 3000}, &memory{count: 3000}, withBatches)
		x := explain(w)
		require.Zero(t, x.Full.Customers)
		require.Zero(t, x.Full.Readings[1].Calls)
		require.Equal(t, int64(1), o.lists.Load())
		require.Zero(t, o.singles.Load())
	})
	t.Run("AfterOne", func(t *testing.T) {
		t.Parallel()
		w, _, _ := shopWorld(t, &memory{count: 3000}, &memory{count: 3000}, withBatches)
		w.scan()
		x := explain(w)
		require.Equal(t, 3000, x.Full.Customers)
		require.Equal(t, 6, x.Full.Readings[1].Calls)
		require.Equal(t, reconciler.ByBatch, x.Given.Readings[1].Way)
	})
	t.Run("OnePageIsAll", func(t *testing.T) {
		t.Parallel()
		w, _, _ := shopWorld(t, &memory{count: 300}, &memory{count: 300}, withBatches)
		x := explain(w)
		require.Equal(t, 300, x.Full.Customers)
		require.Equal(t, 1, x.Full.Readings[0].Calls)
	})
	t.Run("AListThatAScanFoundUnordered", func(t *testing.T) {
		t.Parallel()
		shop := &memory{count: 1500, onlyOne: everyTenth}
		w, _, _ := shopWorld(t, &memory{count: 1500}, shop, withBatches)
		w.scan()
		r := explain(w).Full.Readings[1]
		require.Equal(t, reconciler.ByBatch, r.Way)
		require.Contains(t, r.Why, "the full scan of 20")
		w.clock.pass(25 * time.Hour)
		require.Equal(t, reconciler.ByList, explain(w).Full.Readings[1].Way)
	})
	t.Run("AFirstPageOutOfOrder", func(t *testing.T) {
		t.Parallel()
		w, _, _ := shopWorld(t, &memory{count: 1500}, &memory{count: 1500, order: backwards}, withBatches)
		require.Equal(t, "its list is not in key order; a batch gives 98 for a call", explain(w).Full.Readings[1].Why)
	})
	t.Run("AListThatCannotBeRead", func(t *testing.T) {
		t.Parallel()
		w, _, _ := shopWorld(t, &memory{count: 1500}, &memory{count: 1500, failAt: 1}, withBatches)
		r := explain(w).Full.Readings[1]
		require.Equal(t, "its list could not be read: forbidden: the list broke off", r.Problem)
		require.Zero(t, r.Calls)
	})
}

// TestDoubtsOfAnUnfinishedScan: whoever goes on with a scan that was interrupted
// knows what it has found out.
func TestDoubtsOfAnUnfinishedScan(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	crm, shop := &memory{count: 3000}, &memory{count: 3000, order: backwards}
	w, o, _ := shopWorld(t, crm, shop, withBatches)
	crm.order = func(ids []string) []string {
		if len(o.batchesAsked()) > 0 && ids[0] == customerID(2500) {
			cancel()
		}
		return ids
	}
	w.engine.PageSize = 1000
	_, err := w.engine.Scan(ctx, store.FullScan, "ada")
	require.ErrorIs(t, err, context.Canceled)
	crm.order = nil
	lists := shop.lists.Load()
	require.Equal(t, 3000, w.scan().Customers)
	require.Equal(t, lists, shop.lists.Load())
}
