package store_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend/store"
)

// reserve takes calls of the ledger and gives how many there were, and until
// when what was said holds.
func (w *world) reserve(wanted, limit int) (given int, until time.Time) {
	w.t.Helper()
	c, err := w.ReserveCalls(w.t.Context(), "ledger", wanted, limit)
	require.NoError(w.t, err)
	return c.Given, c.Until
}

// at puts the clock to a time of the first day.
func (w *world) at(day string) {
	w.t.Helper()
	at, err := time.Parse("2006-01-02 15:04:05", "2026-03-01 "+day)
	require.NoError(w.t, err)
	w.clock.mu.Lock()
	defer w.clock.mu.Unlock()
	w.clock.now = at
}

// hour is a time of the first day.
func hour(h, m, s int) time.Time { return time.Date(2026, 3, 1, h, m, s, 0, time.UTC) }

// requireReserved takes as many as it can get.
func (w *world) requireReserved(wanted, limit, given int, until time.Time) {
	w.t.Helper()
	got, ends := w.reserve(wanted, limit)
	require.Equal(w.t, given, got)
	require.WithinDuration(w.t, until, ends, time.Second/2)
}

// Calls are taken by clock hours, each up to its own limit of what all have
// taken, and none in an hour's last second.
func TestCallsOfAnHour(t *testing.T) { onEach(t, testCallsOfAnHour) }

func testCallsOfAnHour(t *testing.T, on engine) {
	t.Parallel()
	w := on.setup(t)
	w.at("09:10:00")
	end := hour(9, 59, 59)
	w.requireReserved(60, 90, 60, end)
	w.requireReserved(60, 90, 30, end)
	w.requireReserved(1, 90, 0, hour(10, 0, 0))
	w.requireReserved(3, 95, 3, end)
	w.requireReserved(1000, 100, 7, end)
	w.requireReserved(1, 100, 0, hour(10, 0, 0))
	w.at("09:59:58")
	w.requireReserved(1, 101, 1, end)
	w.at("09:59:59")
	w.requireReserved(1, 1000, 0, hour(10, 0, 0))
	w.at("10:00:00")
	w.requireReserved(1000, 100, 100, hour(10, 59, 59))
	c, err := w.ReserveCalls(t.Context(), "cards", 1, 100)
	require.NoError(t, err)
	require.Equal(t, 1, c.Given, "each service has its own")
	taken, err := w.CallsTaken(t.Context())
	require.NoError(t, err)
	require.Equal(t, []store.TakenCalls{{Service: "cards", Calls: 1, Until: hour(11, 0, 0)}, {Service: "ledger", Calls: 100, Until: hour(11, 0, 0)}}, taken)
}

// What ended long ago is deleted.
func TestOldHoursAreDeleted(t *testing.T) { onEach(t, testOldHoursAreDeleted) }

func testOldHoursAreDeleted(t *testing.T, on engine) {
	t.Parallel()
	w := on.setup(t)
	for range 30 {
		w.reserve(1, 100)
		w.clock.pass(30 * time.Minute)
	}
	var rows int
	require.NoError(t, w.raw().QueryRowContext(t.Context(), `select count(*) from service_calls`).Scan(&rows))
	require.LessOrEqual(t, rows, 2)
}

// An hour that the clock shows twice is spent once; nobody waits for more than
// an hour, however far the clock was put back; and one that is put forward
// begins a new hour (I26, T31).
func TestHoursOfAClockThatJumps(t *testing.T) { onEach(t, testHoursOfAClockThatJumps) }

func testHoursOfAClockThatJumps(t *testing.T, on engine) {
	t.Parallel()
	t.Run("BackByMoments", func(t *testing.T) {
		t.Parallel()
		w := on.setup(t)
		w.at("09:30:00")
		w.reserve(40, 100)
		w.at("10:00:03")
		w.reserve(70, 100)
		w.at("09:59:50")
		w.requireReserved(1, 100, 0, hour(10, 0, 0))
		w.at("10:00:01")
		w.requireReserved(100, 100, 30, hour(10, 59, 59))
		w.requireReserved(1, 100, 0, hour(10, 59, 50))
		w.at("10:59:52")
		w.requireReserved(100, 100, 70, hour(10, 59, 59))
	})
	t.Run("BackByDays", func(t *testing.T) {
		t.Parallel()
		w := on.setup(t)
		w.at("09:30:00")
		w.clock.pass(72 * time.Hour)
		w.reserve(60, 100)
		w.clock.pass(time.Hour)
		w.reserve(100, 100)
		w.at("09:30:00")
		w.requireReserved(1, 100, 0, hour(10, 30, 0))
		w.at("10:29:59")
		w.requireReserved(1, 100, 0, hour(10, 30, 0))
		taken, err := w.CallsTaken(t.Context())
		require.NoError(t, err)
		require.Equal(t, 160, taken[0].Calls)
		w.at("10:30:01")
		w.requireReserved(1000, 100, 100, hour(10, 59, 59))
	})
	t.Run("Forward", func(t *testing.T) {
		t.Parallel()
		w := on.setup(t)
		w.at("09:30:00")
		w.reserve(100, 100)
		w.at("10:10:00")
		w.requireReserved(100, 100, 100, hour(10, 59, 59))
		w.at("09:30:00")
		w.requireReserved(1, 100, 0, hour(10, 0, 0))
		w.at("10:00:01")
		w.requireReserved(1, 100, 0, hour(10, 30, 0))
	})
}

// However many ask at once, no more is given than there is; the answer doesn't
// change when the store is closed, opened again, or moved.
func TestCallsAreGivenOnce(t *testing.T) { onEach(t, testCallsAreGivenOnce) }

func testCallsAreGivenOnce(t *testing.T, on engine) {
	t.Parallel()
	w := on.setup(t)
	other := w.open()
	var given atomic.Int64
	var group sync.WaitGroup
	for i := range 8 {
		s := []*store.Store{w.Store, other}[i%2]
		group.Go(func() {
			for range 30 {
				c, err := s.ReserveCalls(t.Context(), "ledger", 7, 1000)
				if !assert.NoError(t, err) {
					return
				}
				given.Add(int64(c.Given))
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 1000, given.Load())
	require.NoError(t, w.Close())
	require.NoError(t, other.Close())
	w.Store = w.open()
	got, _ := w.reserve(1, 1000)
	require.Zero(t, got)
	moved := on.setup(t)
	_, err := w.CopyTo(t.Context(), moved.Store)
	require.NoError(t, err)
	got, _ = moved.reserve(1, 1000)
	require.Zero(t, got)
}
