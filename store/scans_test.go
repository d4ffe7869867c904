package store_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend"
	"amend/store"
)

// scan starts a scan and takes its first page.
func (f *world) scan(kind string) store.Page {
	f.t.Helper()
	_, id, err := f.StartScan(f.t.Context(), kind, "ada")
	require.NoError(f.t, err)
	return f.page(id)
}

func (f *world) page(id string) store.Page {
	f.t.Helper()
	page, claimed, err := f.ClaimPage(f.t.Context(), id, time.Minute)
	require.NoError(f.t, err)
	require.True(f.t, claimed)
	return page
}

func (f *world) pages() []string {
	f.t.Helper()
	all, err := f.ReadyPages(f.t.Context(), 100)
	require.NoError(f.t, err)
	return all
}

func (f *world) finish(p store.Page, c store.Counted) store.Scan {
	f.t.Helper()
	scan, err := f.FinishPage(f.t.Context(), p, c)
	require.NoError(f.t, err)
	return scan
}

func TestScan(t *testing.T) { onEach(t, testScan) }

func testScan(t *testing.T, on engine) {
	t.Parallel()
	t.Run("NeverTwoOfAKind", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		page := f.scan(store.FullScan)
		_, _, err := f.StartScan(t.Context(), store.FullScan, "bo")
		require.Equal(t, amend.Conflict, amend.CodeOf(err))
		f.scan(store.FreshScan)
		f.finish(page, store.Counted{})
		f.scan(store.FullScan)
	})
	t.Run("AtTheSameTimeOneWins", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		var group sync.WaitGroup
		var won atomic.Int32
		for range 8 {
			group.Go(func() {
				_, _, err := f.StartScan(t.Context(), store.FullScan, "ada")
				if err == nil {
					won.Add(1)
					return
				}
				assert.Equal(t, amend.Conflict, amend.CodeOf(err), "%v", err)
			})
		}
		group.Wait()
		require.EqualValues(t, 1, won.Load())
	})
	t.Run("PagesAddUp", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		one := f.scan(store.FullScan)
		next, err := f.Listed(t.Context(), one, "cus_000100", []byte(`{"after":"cus_000100"}`))
		require.NoError(t, err)
		require.Equal(t, []string{next}, f.pages(), "the first is held")
		two := f.page(next)
		require.Equal(t, 1, two.Number)
		require.JSONEq(t, `{"after":"cus_000100"}`, string(two.Position))
		scan := f.finish(two, store.Counted{Customers: 20, Coherent: 19, Opened: 1, States: map[string]int{"active": 19, "wrong": 1}})
		require.True(t, scan.Open(), "a page is left")
		scan = f.finish(one, store.Counted{Customers: 100, Coherent: 100, Unseen: 3, States: map[string]int{"active": 100}})
		require.Equal(t, store.ScanDone, scan.Status)
		kept, _, err := f.LastScan(t.Context(), store.FullScan, true)
		require.NoError(t, err)
		require.Equal(t, 120, kept.Customers)
		require.Equal(t, 119, kept.Coherent)
		require.Equal(t, map[string]int{"active": 119, "wrong": 1}, kept.States)
		require.Equal(t, "ada", kept.StartedBy)
		require.Empty(t, f.pages())
	})
	t.Run("APageIsCountedOnce", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		stale := f.scan(store.FullScan)
		f.clock.pass(2 * time.Minute)
		require.Equal(t, []string{stale.ID}, f.pages(), "whose holder died is found")
		fresh := f.page(stale.ID)
		_, err := f.FinishPage(t.Context(), stale, store.Counted{Customers: 1})
		require.ErrorIs(t, err, store.ErrLost)
		_, err = f.Listed(t.Context(), stale, "x", []byte("{}"))
		require.ErrorIs(t, err, store.ErrLost)
		require.Equal(t, 1, f.finish(fresh, store.Counted{Customers: 1}).Customers)
		_, err = f.FinishPage(t.Context(), fresh, store.Counted{Customers: 1})
		require.ErrorIs(t, err, store.ErrLost)
	})
	t.Run("ListedPagesRemember", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		page := f.scan(store.FullScan)
		_, err := f.Listed(t.Context(), page, "cus_000100", []byte("{}"))
		require.NoError(t, err)
		require.NoError(t, f.ReleasePage(t.Context(), page))
		again := f.page(page.ID)
		require.True(t, again.Listed)
		require.Equal(t, "cus_000100", again.Until)
	})
	t.Run("LastPagesAtTheSameTime", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		for range 10 {
			one := f.scan(store.FullScan)
			next, err := f.Listed(t.Context(), one, "x", []byte("{}"))
			require.NoError(t, err)
			two := f.page(next)
			var group sync.WaitGroup
			for _, p := range []store.Page{one, two} {
				group.Go(func() {
					_, err := f.FinishPage(t.Context(), p, store.Counted{Customers: 1, States: map[string]int{"a": 1}})
					assert.NoError(t, err)
				})
			}
			group.Wait()
			scan, _, err := f.Scan(t.Context(), one.Scan.ID)
			require.NoError(t, err)
			require.Equal(t, store.ScanDone, scan.Status)
			require.Equal(t, map[string]int{"a": 2}, scan.States)
		}
	})
	t.Run("Staged", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		one := f.scan(store.FullScan)
		next, err := f.Listed(t.Context(), one, "x", []byte(`{"after":"x"}`))
		require.NoError(t, err)
		f.finish(one, store.Counted{Customers: 5, States: map[string]int{"a": 5}})
		two := f.page(next)
		anew, err := f.StageScan(t.Context(), two, "ledger")
		require.NoError(t, err)
		require.Equal(t, []string{anew}, f.pages())
		page := f.page(anew)
		require.Equal(t, []string{"ledger"}, page.Scan.Staged)
		require.Equal(t, 7, f.finish(page, store.Counted{Customers: 7}).Customers, "counted afresh")
	})
	t.Run("Partial", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		scan := f.finish(f.scan(store.FullScan), store.Counted{Error: "list ledger: no"})
		require.Equal(t, store.ScanPartial, scan.Status)
		_, any, err := f.LastScan(t.Context(), store.FullScan, true)
		require.NoError(t, err)
		require.False(t, any)
	})
}

func TestSteerScan(t *testing.T) { onEach(t, testSteerScan) }

func testSteerScan(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	page := f.scan(store.FullScan)
	steer := func(act string) error { return f.SteerScan(t.Context(), page.Scan.ID, act, "bo") }
	running := func() bool {
		is, err := f.RenewPage(t.Context(), page, time.Minute)
		require.NoError(t, err)
		return is
	}
	require.Equal(t, amend.Conflict, amend.CodeOf(steer("resume")))
	require.Equal(t, amend.Invalid, amend.CodeOf(steer("stop")))
	require.Equal(t, amend.NotFound, amend.CodeOf(f.SteerScan(t.Context(), "scan_none", "pause", "bo")))
	require.True(t, running())
	require.NoError(t, steer("pause"))
	require.False(t, running(), "its holder is told")
	require.NoError(t, f.ReleasePage(t.Context(), page))
	require.Empty(t, f.pages(), "a paused scan has no work")
	_, _, err := f.StartScan(t.Context(), store.FullScan, "bo")
	require.Equal(t, amend.Conflict, amend.CodeOf(err), "a paused one is under way")
	require.NoError(t, steer("resume"))
	require.Equal(t, []string{page.ID}, f.pages())
	page = f.page(page.ID)
	require.NoError(t, steer("cancel"))
	_, err = f.FinishPage(t.Context(), page, store.Counted{Customers: 1})
	require.ErrorIs(t, err, store.ErrLost)
	scan, _, err := f.Scan(t.Context(), page.Scan.ID)
	require.NoError(t, err)
	require.Equal(t, store.ScanCancelled, scan.Status)
	require.Equal(t, "bo", scan.ChangedBy)
	require.False(t, scan.Open())
	require.Equal(t, amend.Conflict, amend.CodeOf(steer("resume")))
	f.scan(store.FullScan)
}
