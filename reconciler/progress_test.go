package reconciler_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend/reconciler"
	"amend/store"
)

// told keeps what a scan said of its progress.
type told struct {
	mu  sync.Mutex
	all []reconciler.Progress
}

func (p *told) tell(s reconciler.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, s)
}

func (p *told) last() reconciler.Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.all) == 0 {
		return reconciler.Progress{}
	}
	return p.all[len(p.all)-1]
}

// requireSound holds what is so of every progress.
func (p *told) requireSound(t *testing.T) {
	t.Helper()
	before := reconciler.Progress{}
	for i, s := range p.all {
		require.GreaterOrEqual(t, s.Customers, before.Customers, "it never goes back")
		require.GreaterOrEqual(t, s.Took, before.Took)
		require.LessOrEqual(t, s.Counted, s.Customers)
		require.Equal(t, i == len(p.all)-1, s.Done, "the end is told once, and last")
		before = s
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	t.Run("CountsAll", func(t *testing.T) {
		t.Parallel()
		w := twoServices(t, &memory{count: 3000}, &memory{count: 3000})
		for _, expected := range []int{0, 3000} {
			var p told
			w.engine = w.another()
			w.engine.PageSize, w.engine.Progress = 700, p.tell
			w.scan()
			p.requireSound(t)
			require.Equal(t, expected, p.all[0].Expected)
			end := p.last()
			require.Equal(t, 3000, end.Customers)
			require.Equal(t, 3000, end.Counted)
			require.Equal(t, store.ScanDone, end.Status)
		}
	})
	t.Run("ResumedCountsWhatIsDoneNow", func(t *testing.T) {
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
		w.clock.pass(3 * time.Hour)
		w.restart()
		var p told
		w.engine.PageSize, w.engine.Progress = 1000, p.tell
		w.scan()
		p.requireSound(t)
		require.GreaterOrEqual(t, p.all[0].Customers, 1000, "what was done before is no longer to be done")
		require.Less(t, p.all[0].Counted, 1000)
		end := p.last()
		require.Equal(t, 3000, end.Customers)
		require.Equal(t, 2000, end.Counted)
		require.Less(t, end.Took, time.Minute, "nor did it take three hours")
	})
	t.Run("PausedStandsStill", func(t *testing.T) {
		t.Parallel()
		reached, goOn := make(chan struct{}), make(chan struct{})
		var once sync.Once
		crm := &memory{count: 3000}
		crm.order = func(ids []string) []string {
			if ids[0] == customerID(1500) {
				once.Do(func() { close(reached); <-goOn })
			}
			return ids
		}
		w := twoServices(t, crm, &memory{count: 3000})
		var p told
		w.engine.PageSize, w.engine.Progress, w.engine.LeaseFor = 2000, p.tell, 2*time.Second // whose holder asks twice in a second
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, err := w.engine.Scan(t.Context(), store.FullScan, "ada")
			assert.NoError(t, err)
		}()
		<-reached
		scan, _, err := w.store.OpenScan(t.Context(), store.FullScan)
		require.NoError(t, err)
		other := &told{}
		watcher := w.another()
		watcher.Progress = other.tell
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			_, err := watcher.Scan(t.Context(), store.FullScan, "bo")
			assert.NoError(t, err)
		}()
		require.NoError(t, w.store.SteerScan(t.Context(), scan.ID, "pause", "bo"))
		eventually(t, func() bool { s := other.last(); return s.Status == store.ScanPaused && s.Held == 1 && s.By == "bo" }, "pausing: 1 part is still looked at")
		eventually(t, func() bool { s := p.last(); return s.Status == store.ScanPaused && s.Held == 0 }, "paused")
		close(goOn)
		w.clock.pass(2 * time.Hour)
		eventually(t, func() bool { return other.last().Held == 0 }, "paused")
		require.NoError(t, w.store.SteerScan(t.Context(), scan.ID, "resume", "ada"))
		<-done
		<-watched
		for _, p := range []*told{&p, other} {
			p.requireSound(t)
			require.Equal(t, 3000, p.last().Customers)
			require.Less(t, p.last().Took, time.Minute, "the time of a pause isn't work")
		}
	})
	t.Run("CancelledIsTold", func(t *testing.T) {
		t.Parallel()
		w := twoServices(t, &memory{count: 300}, &memory{count: 300})
		page := w.held()
		var p told
		w.engine.Progress = p.tell
		done := make(chan error, 1)
		go func() { _, err := w.engine.Scan(t.Context(), store.FullScan, "ada"); done <- err }()
		eventually(t, func() bool { return p.last().Status == store.ScanRunning }, "it waits")
		require.NoError(t, w.store.SteerScan(t.Context(), page.Scan.ID, "cancel", "bo"))
		require.ErrorContains(t, <-done, "bo cancelled it")
		p.requireSound(t)
		require.Equal(t, store.ScanCancelled, p.last().Status)
	})
	t.Run("StagedBeginsAnew", func(t *testing.T) {
		t.Parallel()
		late := func(ids []string) []string { // out of order on its last page
			if ids[0] == customerID(1000) {
				ids[7], ids[8] = ids[8], ids[7]
			}
			return ids
		}
		w := twoServices(t, &memory{count: 1200, order: late}, &memory{count: 1200})
		var p told
		w.engine.PageSize, w.engine.Progress = 300, p.tell
		w.scan()
		back := 0
		for i := range p.all[1:] {
			require.LessOrEqual(t, p.all[i].Customers, 1200)
			if p.all[i+1].Customers < p.all[i].Customers {
				back++
			}
		}
		require.Equal(t, 1, back, "what was counted before is counted again")
		require.Equal(t, 1200, p.last().Customers)
		require.Equal(t, 1200, p.last().Counted)
	})
	t.Run("FreshKnowsHowMany", func(t *testing.T) {
		t.Parallel()
		w := twoServices(t, &memory{count: 300, changed: []int{1, 2, 3}}, &memory{count: 300})
		w.scan()
		var p told
		w.engine.Progress = p.tell
		w.fresh()
		p.requireSound(t)
		require.Equal(t, 3, p.last().Expected)
		require.Equal(t, 3, p.last().Customers)
	})
}

// held begins a full scan whose only page somebody holds.
func (w *world) held() store.Page {
	w.Helper()
	_, id, err := w.store.StartScan(w.Context(), store.FullScan, "cy")
	require.NoError(w, err)
	page, claimed, err := w.store.ClaimPage(w.Context(), id, time.Hour)
	require.NoError(w, err)
	require.True(w, claimed)
	return page
}

func eventually(t *testing.T, so func() bool, what string) {
	t.Helper()
	require.Eventually(t, so, 20*time.Second, 5*time.Millisecond, what)
}

// TestExamine looks at those who were named and at nobody else.
func TestExamine(t *testing.T) {
	t.Parallel()
	status := func(n int) string {
		switch n {
		case 3:
			return "wrong"
		case 4:
			return ""
		}
		return "fine"
	}
	w := twoServices(t, &memory{count: 300}, &memory{count: 300, status: status})
	found, err := w.engine.Examine(t.Context(), []string{customerID(1), customerID(2), customerID(3), customerID(4), customerID(999)})
	require.NoError(t, err)
	require.Equal(t, store.Counted{Customers: 4, Coherent: 2, Opened: 2, States: map[string]int{"fine": 2, "wrong": 1, "missing": 1}}, found)
	require.Equal(t, "wrong", w.lastCase(customerID(3)).State)
	w.requireNoCase(customerID(1))
	w.requireNoCase(customerID(999))
	all, err := w.store.Scans(t.Context(), 10)
	require.NoError(t, err)
	require.Empty(t, all, "it is no scan: nothing counts from it")

	t.Run("TheirOpenCasesAreWoken", func(t *testing.T) {
		before := w.lastCase(customerID(3))
		i, _ := w.cfg.Schema.Service("shop")
		w.cfg.Connectors[i] = &memory{count: 300, now: w.clock}
		w.clock.pass(time.Minute)
		_, err := w.engine.Examine(t.Context(), []string{customerID(3)})
		require.NoError(t, err)
		after := w.lastCase(customerID(3))
		require.True(t, after.WakeAt.After(before.WakeAt))
		require.True(t, after.Open(), "only a heal closes it")
	})
}
