package store_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend"
	"amend/store"
)

func TestAskLooks(t *testing.T) { onEach(t, testAskLooks) }

func testAskLooks(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	ask := func(customers ...string) int {
		n, err := f.AskLooks(t.Context(), customers, "observe")
		require.NoError(t, err)
		return n
	}
	open := func(customer string) []store.Request {
		all, err := f.OpenRequests(t.Context(), customer)
		require.NoError(t, err)
		return all
	}
	require.Zero(t, ask())
	require.Equal(t, 2, ask("cus_000001", "cus_000002"))
	require.Equal(t, 1, ask("cus_000002", "cus_000003"), "an open one is as good as two")
	require.Len(t, open("cus_000002"), 1)
	require.Equal(t, "observe", open("cus_000002")[0].Actor)
	require.Equal(t, store.AskLook, open("cus_000002")[0].Kind)
	require.False(t, open("cus_000002")[0].CreatedAt.IsZero())
	ready, err := f.Ready(t.Context(), 10)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"cus_000001", "cus_000002", "cus_000003"}, ready)

	require.NoError(t, f.TakeRequest(t.Context(), open("cus_000001")[0].ID, "looked: active"))
	require.Equal(t, 1, ask("cus_000001"), "after it was carried out it is another")
	_, err = f.Ask(t.Context(), store.Request{ID: "ask_rule", Customer: "cus_000009", Kind: store.AskStart, Rule: "reissue-card", Actor: "ada"})
	require.NoError(t, err)
	require.Equal(t, 1, ask("cus_000009"), "a wish of another kind is no look")

	var many []string
	for i := range 1000 { // no multiple of what one statement holds
		many = append(many, fmt.Sprintf("cus_1%05d", i))
	}
	require.Equal(t, 777, ask(many[:777]...))
	require.Equal(t, 223, ask(many...))

	t.Run("AtTheSameTime", func(t *testing.T) {
		for round := range 10 {
			same := make([]string, 200)
			for i := range same {
				same[i] = fmt.Sprintf("cus_2%02d%03d", round, i)
			}
			var group sync.WaitGroup
			var added atomic.Int64
			for range 6 {
				group.Go(func() {
					n, err := f.AskLooks(t.Context(), same, "observe")
					assert.NoError(t, err)
					added.Add(int64(n))
				})
			}
			group.Wait()
			require.EqualValues(t, 200, added.Load())
			require.Len(t, open(same[0]), 1)
		}
	})
}

func TestHeldPages(t *testing.T) { onEach(t, testHeldPages) }

func testHeldPages(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	held := func(scan string) int {
		n, err := f.HeldPages(t.Context(), scan)
		require.NoError(t, err)
		return n
	}
	one := f.scan(store.FullScan)
	other := f.scan(store.FreshScan)
	next, err := f.Listed(t.Context(), one, "x", []byte("{}"))
	require.NoError(t, err)
	require.Equal(t, 1, held(one.Scan.ID))
	two := f.page(next)
	require.Equal(t, 2, held(one.Scan.ID))
	require.NoError(t, f.SteerScan(t.Context(), one.Scan.ID, "pause", "ada"))
	require.Equal(t, 2, held(one.Scan.ID), "whoever looks doesn't know yet")
	require.NoError(t, f.ReleasePage(t.Context(), two))
	require.Equal(t, 1, held(one.Scan.ID))
	f.clock.pass(2 * time.Minute)
	require.Zero(t, held(one.Scan.ID), "a hold that ran out is none")
	require.Zero(t, held("scan_none"))

	scans, err := f.OpenScans(t.Context())
	require.NoError(t, err)
	require.Len(t, scans, 2)
	require.Equal(t, []string{one.Scan.ID, other.Scan.ID}, []string{scans[0].ID, scans[1].ID}, "the oldest first")
	require.NoError(t, f.SteerScan(t.Context(), one.Scan.ID, "cancel", "ada"))
	scans, err = f.OpenScans(t.Context())
	require.NoError(t, err)
	require.Len(t, scans, 1)
	scans, err = f.ScansOf(t.Context(), store.FullScan, 10)
	require.NoError(t, err)
	require.Len(t, scans, 1)
	require.Equal(t, one.Scan.ID, scans[0].ID)
}

func TestStartDue(t *testing.T) { onEach(t, testStartDue) }

func testStartDue(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	_, id, err := f.StartDue(t.Context(), store.FullScan, store.Scan{})
	require.NoError(t, err)
	first := f.finish(f.page(id), store.Counted{})
	require.Equal(t, store.Amend, first.StartedBy)
	_, _, err = f.StartDue(t.Context(), store.FullScan, store.Scan{})
	require.Equal(t, amend.Conflict, amend.CodeOf(err), "there is one now")
	_, id, err = f.StartDue(t.Context(), store.FreshScan, store.Scan{})
	require.NoError(t, err, "another kind is another")
	f.finish(f.page(id), store.Counted{})
	f.clock.pass(time.Hour)
	f.finish(f.scan(store.FullScan), store.Counted{})
	_, _, err = f.StartDue(t.Context(), store.FullScan, first)
	require.Equal(t, amend.Conflict, amend.CodeOf(err), "somebody has begun one by hand")

	f.clock.pass(-30 * time.Minute)
	last, any, err := f.LastScanAt(t.Context(), store.FullScan, true, f.Now())
	require.NoError(t, err)
	require.True(t, any)
	require.Equal(t, first.ID, last.ID, "what began while the clock was ahead isn't there")
	_, _, err = f.StartDue(t.Context(), store.FullScan, last)
	require.NoError(t, err)
}
