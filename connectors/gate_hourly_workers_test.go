package connectors_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
	"amend/internal/testpg"
	"amend/store"
)

// metered is a service that counts its calls by hours, and whom workers on one
// store call as much as they may.
type metered struct {
	*testing.T
	perHour int
	address string // of the store; empty for book
	book    *book
	now     func() time.Time

	mu    sync.Mutex
	calls map[time.Time]int // by the hour's beginning
	by    [3]int            // by priority
}

func (m *metered) count(ctx context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls[m.now().UTC().Truncate(time.Hour)]++
	m.by[connectors.PriorityOf(ctx)]++
}

// in is how many calls came in an hour.
func (m *metered) in(hour time.Time) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls[hour.UTC().Truncate(time.Hour)]
}

func (m *metered) made(p connectors.Priority) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.by[p]
}

// laborer is a worker that calls the service all the time.
type laborer struct {
	store   *store.Store
	refused atomic.Int64
	end     func()
}

// start begins a worker: two of its callers scan, others look and repair with
// pauses between.
func (m *metered) start(looking, repairing time.Duration) *laborer {
	m.Helper()
	w, reserve, now := &laborer{}, m.book.reserve, m.now
	if m.address != "" {
		s, err := store.Open(m.Context(), m.address, store.Options{Now: m.now})
		require.NoError(m, err)
		w.store, now = s, s.Now
		reserve = func(ctx context.Context, r connectors.Reservation) (connectors.Reserved, error) {
			c, err := s.ReserveCalls(ctx, r.Service, r.Calls, r.Limit)
			return connectors.Reserved{Calls: c.Given, Until: c.Until}, err
		}
	}
	f := &fake{can: connectors.Abilities{PerHour: m.perHour, AtOnce: 8}, one: func(ctx context.Context, _ string) (amend.Record, error) {
		m.count(ctx)
		return present(), nil
	}}
	g := connectors.Guard(f, connectors.GuardOptions{Name: "ledger", Now: now, Reserve: reserve})
	ctx, cancel := context.WithCancel(m.Context())
	var group sync.WaitGroup
	for p, pause := range map[connectors.Priority]time.Duration{connectors.Scanning: 0, connectors.Looking: looking, connectors.Repairing: repairing} {
		for range 2 {
			group.Go(func() {
				for ctx.Err() == nil {
					if _, err := g.One(connectors.WithPriority(ctx, p), "cus_1"); err != nil {
						w.refused.Add(1)
					}
					rest(ctx, pause)
				}
			})
		}
	}
	w.end = sync.OnceFunc(func() { cancel(); group.Wait() })
	m.Cleanup(func() { w.stop() })
	return w
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// stop ends a worker in order.
func (w *laborer) stop() {
	w.end()
	if w.store != nil {
		w.store.Close()
	}
}

// Three workers together never make more calls in an hour than the service
// allows, counted by the service: also where one is gone with what it had
// reserved, and all begin anew. What was reserved is used but for the blocks of
// who died.
func TestAnHourHoldsForAllWorkersTogether(t *testing.T) {
	t.Parallel()
	const perHour = 600
	for name, address := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "amend.db") },
		"postgres": func(t *testing.T) string { return testpg.New(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ahead atomic.Int64 // by which the clock was put forward: it stands else
			begun := time.Date(2026, 3, 1, 9, 20, 0, 0, time.UTC)
			m := &metered{T: t, perHour: perHour, address: address(t), calls: map[time.Time]int{}}
			m.now = func() time.Time { return begun.Add(time.Duration(ahead.Load())) }
			const busy = time.Millisecond
			workers := []*laborer{m.start(busy, busy), m.start(busy, busy), m.start(busy, busy)}
			require.Eventually(t, func() bool { return m.in(begun) > perHour/4 }, sharedLimit, time.Millisecond)
			workers[2].end() // what it had reserved is lost, and its store knows nothing of it

			allRefused := func() {
				t.Helper()
				for _, w := range workers[:2] {
					want := w.refused.Load() + 20
					require.Eventually(t, func() bool { return w.refused.Load() >= want }, sharedLimit, time.Millisecond)
				}
			}
			spent := func() bool { return taken(t, workers[0].store) == perHour }
			require.Eventually(t, spent, sharedLimit, 10*time.Millisecond)
			allRefused()
			require.LessOrEqual(t, m.in(begun), perHour)
			require.Greater(t, m.in(begun), perHour*9/10)

			workers[0].stop()
			workers[1].stop()
			workers = []*laborer{m.start(busy, busy), m.start(busy, busy)}
			before := m.in(begun)
			allRefused()
			require.Equal(t, before, m.in(begun), "who begins anew knows what was made before")

			ahead.Store(int64(time.Hour))
			require.Eventually(t, func() bool { return m.in(m.now()) > 0 && spent() }, sharedLimit, 10*time.Millisecond)
			allRefused()
			require.LessOrEqual(t, m.in(m.now()), perHour)
			require.Greater(t, m.in(m.now()), perHour*9/10)
			require.Equal(t, before, m.in(begun))
		})
	}
}

// taken is how many calls the store has given of this hour.
func taken(t *testing.T, s *store.Store) int {
	t.Helper()
	all, err := s.CallsTaken(t.Context())
	require.NoError(t, err)
	if len(all) == 0 {
		return 0
	}
	return all[0].Calls
}

// While time goes on scans use nine tenths of each hour, and looks and repairs go
// on all the time.
func TestHoursFollowEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const perHour = 2000
		m := &metered{T: t, perHour: perHour, book: &book{taken: map[time.Time]int{}}, calls: map[time.Time]int{}, now: time.Now}
		workers := []*laborer{m.start(5*time.Minute, 10*time.Minute), m.start(5*time.Minute, 10*time.Minute)}
		time.Sleep(3*time.Hour + 30*time.Minute)
		for _, w := range workers {
			w.stop()
		}
		for h := range 4 {
			calls := m.in(midnight().Add(time.Duration(h) * time.Hour))
			require.LessOrEqual(t, calls, perHour, fmt.Sprint("hour ", h))
			require.GreaterOrEqual(t, calls, perHour*88/100, fmt.Sprint("hour ", h))
		}
		require.InDelta(t, 2*2*3.5*60/5, m.made(connectors.Looking), 5)
		require.InDelta(t, 2*2*3.5*60/10, m.made(connectors.Repairing), 5)
	})
}
