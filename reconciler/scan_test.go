package reconciler_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend/bank"
	"amend/connectors"
	"amend/reconciler"
	"amend/store"
)

// twoServices is a world of services in memory, without a bank.
func twoServices(t *testing.T, crm, shop *memory) *world {
	t.Helper()
	w := &world{T: t, clock: &clock{now: time.Now()}, path: filepath.Join(t.TempDir(), "amend.db")}
	w.address = "sqlite:" + w.path
	crm.now, shop.now = w.clock, w.clock
	w.cfg = load(t, memoryConfiguration, nil, w.clock, options{kinds: []connectors.Kind{inMemory(map[string]*memory{"crm": crm, "shop": shop})}})
	w.open()
	t.Cleanup(func() { require.NoError(t, w.store.Close()) })
	return w
}

// rows counts the rows of all tables but that of the scans themselves.
func (w *world) rows() map[string]int {
	w.Helper()
	db, err := sql.Open("sqlite", "file:"+w.path+"?mode=ro")
	require.NoError(w, err)
	defer db.Close()
	counts := map[string]int{}
	for _, table := range []string{"cases", "repairs", "steps", "timeline", "requests", "incidents", "outbox"} {
		var n int
		require.NoError(w, db.QueryRow("select count(*) from "+table).Scan(&n))
		counts[table] = n
	}
	return counts
}

// TestCoherentCostsNoWrite: ten times the customers write the same.
func TestCoherentCostsNoWrite(t *testing.T) {
	t.Parallel()
	var grown []int64
	for _, count := range []int{300, 3000} {
		w := twoServices(t, &memory{count: count}, &memory{count: count})
		before := size(t, w.path+"-wal")
		scan := w.scan()
		require.Equal(t, count, scan.Customers)
		require.Equal(t, count, scan.Coherent)
		require.Equal(t, map[string]int{"fine": count}, scan.States)
		for table, n := range w.rows() {
			require.Zero(t, n, table)
		}
		grown = append(grown, size(t, w.path+"-wal")-before)
	}
	require.Equal(t, grown[0], grown[1])
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Size()
}

// TestMemoryDoesNotGrowWithCoherentCustomers looks at the heap while the last
// batches are in work.
func TestMemoryDoesNotGrowWithCoherentCustomers(t *testing.T) {
	// Not parallel: it measures the heap of the whole process.
	inUse := func(count int) uint64 {
		w := twoServices(t, &memory{count: count}, &memory{count: count})
		// The least of what is in use late in the scan: what others allocate
		// between the collection and the reading isn't what the scan keeps.
		least := uint64(math.MaxUint64)
		seen := 0
		require.NoError(t, w.engine.Survey(t.Context(), func() func([]reconciler.Found) error {
			return func(found []reconciler.Found) error {
				if seen += len(found); seen > count/2 && seen%(count/20) < len(found) {
					runtime.GC()
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					least = min(least, m.HeapAlloc)
				}
				return nil
			}
		}))
		require.Equal(t, count, seen)
		return least
	}
	small, large := inUse(3_000), inUse(30_000)
	require.Less(t, large, small+6<<20, "27,000 more customers")
}

// TestScan holds what a scan makes of lists that aren't as they should be.
func TestScan(t *testing.T) {
	t.Parallel()
	t.Run("OutOfOrderIsStaged", func(t *testing.T) {
		t.Parallel()
		reverse := func(ids []string) []string { slices.Reverse(ids); return ids }
		wrong := func(n int) string {
			if n == 777 {
				return "wrong"
			}
			return "fine"
		}
		w := twoServices(t, &memory{count: 1200, order: reverse}, &memory{count: 1200, status: wrong})
		scan := w.scan()
		require.Equal(t, 1200, scan.Customers)
		require.Equal(t, map[string]int{"fine": 1199, "wrong": 1}, scan.States)
		require.Equal(t, 1, scan.Opened)
		require.Equal(t, "wrong", w.lastCase(customerID(777)).State)
	})
	t.Run("BreakingOffMakesItPartial", func(t *testing.T) {
		t.Parallel()
		w := twoServices(t, &memory{count: 1200, failAt: 600}, &memory{count: 1200})
		scan, err := w.engine.Scan(t.Context(), store.FullScan, "test")
		require.ErrorContains(t, err, "the list broke off")
		require.Equal(t, store.ScanPartial, scan.Status)
		require.Equal(t, 1200, scan.Customers, "the other source knows them")
		require.Equal(t, 700, scan.Unseen, "from the page that failed on")
		require.Zero(t, scan.Opened)
		_, any, err := w.store.LastScan(t.Context(), store.FullScan, true)
		require.NoError(t, err)
		require.False(t, any, "it was no full pass")
	})
	t.Run("TwiceIsAskedAgain", func(t *testing.T) {
		t.Parallel()
		twice := func(ids []string) []string { return slices.Insert(ids, 7, ids[7], ids[7]) }
		crm := &memory{count: 300, order: twice}
		w := twoServices(t, crm, &memory{count: 300})
		scan := w.scan()
		require.Equal(t, 300, scan.Customers)
		require.Equal(t, map[string]int{"fine": 300}, scan.States)
		require.Equal(t, int64(1), crm.singles.Load(), "nobody else is asked for singly")
	})
	t.Run("TwiceOnAPageIsAskedAgain", func(t *testing.T) {
		t.Parallel()
		often := func(ids []string) []string {
			for i := 0; i < len(ids); i += 10 {
				ids = slices.Insert(ids, i, ids[i])
			}
			return ids
		}
		w, o, _ := shopWorld(t, &memory{count: 1500}, &memory{count: 1500, order: often}, withSingles)
		i, _ := w.cfg.Schema.Service("shop")
		w.cfg.Connectors[i] = collected{o, w}
		w.engine = w.another()
		scan := w.scan()
		require.Equal(t, map[string]int{"fine": 1500}, scan.States)
		require.Equal(t, []string{"shop"}, scan.Staged, "a list that does it often is left aside")
	})
	t.Run("AbsencesAreAskedAgain", func(t *testing.T) {
		t.Parallel()
		shop := &memory{count: 300, onlyOne: func(n int) bool { return n == 5 }, status: func(n int) string {
			if n == 6 {
				return ""
			}
			return "fine"
		}}
		w := twoServices(t, &memory{count: 300}, shop)
		scan := w.scan()
		require.Equal(t, map[string]int{"fine": 299, "missing": 1}, scan.States)
		require.Equal(t, int64(2), shop.singles.Load(), "nobody else is asked for singly")
		require.Equal(t, "missing", w.lastCase(customerID(6)).State)
	})
	t.Run("InterruptedGoesOnWhereItWas", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		crm := &memory{count: 3000}
		crm.order = func(ids []string) []string {
			if ids[0] == customerID(2500) {
				cancel()
			}
			return ids
		}
		w := twoServices(t, crm, &memory{count: 3000})
		w.engine.PageSize = 1000
		_, err := w.engine.Scan(ctx, store.FullScan, "ada")
		require.ErrorIs(t, err, context.Canceled)
		last, any, err := w.store.LastScan(t.Context(), store.FullScan, false)
		require.NoError(t, err)
		require.True(t, any)
		require.Equal(t, store.ScanRunning, last.Status)
		require.Equal(t, 1000, last.Customers, "of the part that was done")

		crm.order = func(ids []string) []string {
			assert.GreaterOrEqual(t, ids[0], customerID(1000), "what was done isn't read again")
			return ids
		}
		w.restart()
		w.engine.PageSize = 1000
		scan := w.scan()
		require.Equal(t, last.ID, scan.ID)
		require.Equal(t, 3000, scan.Customers)
		require.Equal(t, map[string]int{"fine": 3000}, scan.States)
	})
	t.Run("GoesOnWhereTheStoreWasAway", func(t *testing.T) {
		t.Parallel()
		var away atomic.Bool
		crm := &memory{count: 3000}
		crm.order = func(ids []string) []string {
			if ids[0] == customerID(500) && crm.lists.Load() == 2 {
				away.Store(true)
			}
			return ids
		}
		w := twoServices(t, crm, &memory{count: 3000})
		require.NoError(t, w.store.Close())
		var err error
		w.store, err = store.Open(t.Context(), w.address, store.Options{Now: w.clock.Now, Log: slog.New(slog.DiscardHandler), Before: func(context.Context) error {
			if away.Swap(false) { // the next part is written down then: of coherent customers nothing else is
				return errors.New("the store is away for a moment")
			}
			return nil
		}})
		require.NoError(t, err)
		log := &logged{}
		w.engine = w.another()
		w.engine.PageSize, w.engine.Log = 500, slog.New(slog.NewTextHandler(log, nil))
		scan := w.scan()
		require.Equal(t, store.ScanDone, scan.Status)
		require.Equal(t, map[string]int{"fine": 3000}, scan.States)
		require.Equal(t, 1, log.count("a part of a scan failed"))
	})
	t.Run("FreshGoesOnWhereOneServiceFails", func(t *testing.T) {
		t.Parallel()
		status := "wrong"
		shop := &memory{count: 300, changed: []int{3}, status: func(n int) string {
			if n == 9 || n == 3 {
				return status
			}
			return "fine"
		}}
		w := twoServices(t, &memory{count: 300, changed: []int{}, order: func(ids []string) []string { return ids }}, shop)
		w.scan()
		status = "fine"
		i, _ := w.cfg.Schema.Service("crm")
		w.cfg.Connectors[i] = listless{w.cfg.Connectors[i]}
		w.clock.pass(time.Minute)
		scan, err := w.engine.Scan(t.Context(), store.FreshScan, "test")
		require.ErrorContains(t, err, "list what changed in crm")
		require.Equal(t, store.ScanPartial, scan.Status)
		require.Equal(t, 2, scan.Customers, "whoever has a case is looked at all the same")
		ready, err := w.store.Ready(t.Context(), 10)
		require.NoError(t, err)
		require.ElementsMatch(t, []string{customerID(3), customerID(9)}, ready)
	})
}

// listless can't list.
type listless struct{ connectors.Connector }

func (listless) List(context.Context, connectors.PageRequest) (connectors.Page, error) {
	return connectors.Page{}, &connectors.Unseen{Reason: "no list today"}
}

// TestScanOfTheBank holds what a scan sees against the bank's own truth.
func TestScanOfTheBank(t *testing.T) {
	t.Parallel()
	w := setup(t, options{customers: 300})
	want := map[string]int{}
	for id, state := range w.bank.Planted() {
		if state == "signing_up_overdue" {
			state = "signing_up (overdue)"
		}
		if id != "cus_000001" { // a sentinel is no customer
			want[state]++
		}
	}
	scan := w.scan()
	require.Equal(t, want, scan.States)
	for id := range w.bank.Planted() {
		_, any, err := w.store.OpenCase(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, !w.bank.Coherent(id), any, id)
	}
	require.Empty(t, w.bank.Journal().Entries(), "a scan repairs nothing")

	t.Run("TwiceOpensNothingNew", func(t *testing.T) {
		before := w.rows()
		require.Zero(t, w.scan().Opened)
		require.Equal(t, before, w.rows())
	})
	t.Run("UnseenOpensNone", func(t *testing.T) {
		before := w.rows()
		w.fault("billing", bank.Fault{Outage: bank.OutageUnavailable})
		scan := w.scan()
		require.Greater(t, scan.Unseen, 200)
		require.Zero(t, scan.Opened)
		require.Equal(t, before, w.rows())
		w.fault("billing", bank.Fault{})
	})
}

// TestFresh sees what changed where a service can tell, and whoever has a case.
func TestFresh(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	w.scan()
	w.clock.pass(24 * time.Hour) // whatever was planted is long ago
	w.fresh()
	open := w.rows()["cases"]
	scan := w.fresh()
	require.Zero(t, scan.Opened)
	require.Equal(t, open, scan.Customers, "nobody but those with a case")

	customer := w.planted("email_differs")
	w.human(http.MethodPatch, "BILLING_URL", "/subscriptions/"+customer, fmt.Sprintf(`{"email":%q}`, w.email(customer)), "")
	before := w.lastCase(customer)
	w.fresh()
	require.True(t, w.lastCase(customer).WakeAt.After(before.WakeAt) || w.lastCase(customer).WakeAt.Before(w.clock.Now()))
	require.True(t, before.EndedAt.IsZero(), "a scan closes nothing")
	w.heal(customer)
	require.Equal(t, "healed", w.lastCase(customer).Reason)
}

// email is what identity knows.
func (w *world) email(customer string) string {
	look := w.engine.Look(w.Context(), customer)
	i, service := w.cfg.Schema.Service("identity")
	f, _ := service.Field("email")
	return look.View.Records[i].Value(f).Text()
}

// TestListInCircles: a list whose cursors lead back to each other ends the scan,
// instead of going on for ever.
func TestListInCircles(t *testing.T) {
	t.Parallel()
	w := setup(t, options{wrap: map[string]func(connectors.Connector) connectors.Connector{
		"identity": func(c connectors.Connector) connectors.Connector { return circling{c} }}})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	scan, err := w.engine.Scan(ctx, store.FullScan, "test")
	require.ErrorContains(t, err, "round in circles")
	require.NoError(t, ctx.Err())
	require.Equal(t, store.ScanPartial, scan.Status)
}

// circling gives three pages again and again.
type circling struct{ connectors.Connector }

// List is part of connectors.Connector.
func (c circling) List(ctx context.Context, r connectors.PageRequest) (connectors.Page, error) {
	next := map[string]string{"": "1", "1": "2", "2": "3", "3": "1"}[r.Cursor]
	page, err := c.Connector.List(ctx, connectors.PageRequest{})
	page.Next = next
	return page, err
}
