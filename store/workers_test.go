package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/store"
)

// peer is one worker whose beats the test makes itself.
type peer struct {
	*world
	id       string
	turn     int64
	rank, of int
	waiting  int
}

func (p *peer) beat() {
	p.t.Helper()
	var err error
	p.turn, p.rank, p.of, p.waiting, err = p.Beat(p.t.Context(), p.id, p.turn)
	require.NoError(p.t, err)
}

func (p *peer) require(rank, of, waiting int) {
	p.t.Helper()
	require.Equal(p.t, [3]int{rank, of, waiting}, [3]int{p.rank, p.of, p.waiting}, "rank, of, waiting for")
}

// silent has a worker's last beat lie so long ago.
func (w *world) silent(id string, d time.Duration) {
	w.t.Helper()
	_, err := w.raw().ExecContext(w.t.Context(), `update workers set beat_at = beat_at - $2 where id = $1`, id, d.Microseconds())
	require.NoError(w.t, err)
}

func peers(t *testing.T, ids ...string) []*peer {
	t.Helper()
	w := onPostgres.setup(t)
	var all []*peer
	for _, id := range ids {
		all = append(all, &peer{world: w, id: id})
	}
	return all
}

// Who joins waits until the others have gone by a beat that shows the newcomer.
func TestAWorkerThatJoinsWaitsForTheOthers(t *testing.T) {
	t.Parallel()
	p := peers(t, "a", "b")
	a, b := p[0], p[1]
	a.beat()
	a.require(0, 1, 0)
	b.beat()
	b.require(1, 2, 1)
	a.beat() // it learns of b only now
	a.require(0, 2, 0)
	b.beat()
	b.require(1, 2, 1)
	a.beat() // and goes by it from then on
	b.beat()
	b.require(1, 2, 0)
	a.beat()
	a.require(0, 2, 0)
}

// Two who come at the same time don't wait for each other.
func TestWorkersThatJoinTogether(t *testing.T) {
	t.Parallel()
	p := peers(t, "b", "a")
	one, two := p[0], p[1]
	one.beat()
	two.beat()
	one.beat()
	one.require(1, 2, 0)
	two.beat()
	two.require(0, 2, 1)
	one.beat()
	two.beat()
	two.require(0, 2, 0)
}

// One who is silent for ten seconds is dead; one who comes back after that has
// to wait as a newcomer does, whatever it had seen before.
func TestAWorkerThatWasSilentJoinsAnew(t *testing.T) {
	t.Parallel()
	p := peers(t, "a", "b")
	a, b := p[0], p[1]
	for range 3 {
		a.beat()
		b.beat()
	}
	a.silent("a", 9*time.Second)
	b.beat()
	b.require(1, 2, 0)
	a.beat()
	a.require(0, 2, 0)
	a.silent("a", 11*time.Second)
	b.beat()
	b.require(0, 1, 0)
	a.beat()
	a.require(0, 2, 1)
	b.beat()
	b.beat()
	a.beat()
	a.require(0, 2, 0)
}

// Turns go on where all rows have gone: an old one that is said again, since the
// answer was lost, is never taken for one that a newcomer waits for.
func TestTurnsGoOnAfterEverybodyDied(t *testing.T) {
	t.Parallel()
	p := peers(t, "a", "b")
	a, b := p[0], p[1]
	for range 5 {
		a.beat()
	}
	last := a.turn
	a.silent("a", time.Minute)
	a.beat()
	a.require(0, 1, 0)
	a.turn = last // its answer didn't come
	b.beat()
	a.beat()
	b.beat()
	b.require(1, 2, 1)
}

// A database whose clock is put back doesn't keep the dead alive (I26).
func TestTheDeadDieWhereTheClockWasPutBack(t *testing.T) {
	t.Parallel()
	p := peers(t, "a", "b")
	a, b := p[0], p[1]
	a.beat()
	b.beat()
	a.silent("a", -time.Hour)
	b.beat()
	b.require(1, 2, 1)
	a.silent("a", 11*time.Second)
	b.beat()
	b.require(0, 1, 0)
}

func TestAWorkerLeaves(t *testing.T) {
	t.Parallel()
	w := onPostgres.setup(t)
	rows := func() (n int) {
		require.NoError(t, w.raw().QueryRowContext(t.Context(), `select count(*) from workers`).Scan(&n))
		return n
	}
	s, err := store.Open(t.Context(), w.address, store.Options{})
	require.NoError(t, err)
	require.Zero(t, rows(), "who calls nobody is no worker")
	require.Eventually(t, func() bool { rank, of := s.Share(); return rank == 0 && of == 1 }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, 1, rows())
	require.NoError(t, s.Close())
	require.Zero(t, rows())
}

// On a file there is one worker, who has all and writes nothing.
func TestAFileHasOneWorker(t *testing.T) {
	t.Parallel()
	w := onSQLite.setup(t)
	rank, of := w.Share()
	require.Equal(t, [2]int{0, 1}, [2]int{rank, of})
	var n int
	require.NoError(t, w.raw().QueryRowContext(t.Context(), `select count(*) from workers`).Scan(&n))
	require.Zero(t, n)
}
