package faults

import (
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/bank"
	"amend/internal/testpg"
)

// late has operations take a while before their effect, and up to three times as
// long after it, so that a fault mostly falls between an intent and its outcome,
// which is where it hurts.
func late(most time.Duration) bank.Fault {
	return bank.Fault{Latency: most / 3, AckDelay: most, Only: bank.OnlyOperations}
}

// file is a store's address in a file of the test's own.
func file(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "amend.db") }

// TestKill kills workers in the middle of their work, one after another, and
// lets the last one finish (T01).
func TestKill(t *testing.T) {
	t.Parallel()

	// On a file there is one worker at a time, and the next goes on at once.
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		w := setup(t, options{store: file(t), customers: times(300, 4000), faults: late(60 * time.Millisecond)})
		kills := times(20, 1500)
		w.killing(kills, func(time.Time) { w.awaitSends(w.bank.Journal().Len(), 1+rand.N(times(10, 100))) })
		w.start()
		w.requireSurvived(kills)
	})

	// On PostgreSQL others work beside it, and the one that ticks is spared: what
	// its death costs is shown by TestKillOneOfThree.
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		w := setup(t, options{store: testpg.New(t), customers: times(600, 4000), faults: late(400 * time.Millisecond)})
		w.startLeader()
		kills := times(5, 500)
		w.killing(kills, func(since time.Time) {
			w.await(workLimit, "both workers wait for services", func() bool { return w.inFlight(since) >= 4 && w.fetched(since) >= 4 })
		})
		w.requireSurvived(kills)
	})
}

// killing starts workers and kills each soon after it is busy, while the bank
// drifts.
func (w *world) killing(kills int, awaitBusy func(since time.Time)) {
	w.Helper()
	stop := w.drift(100)
	defer stop()
	for range kills {
		p := w.start().ready()
		awaitBusy(time.Now())
		<-within(75 * time.Millisecond)
		p.kill()
	}
}

// within is a random time, up to a limit.
func within(limit time.Duration) <-chan time.Time { return time.After(rand.N(limit)) }

// requireSurvived waits until all is calm after some kills, and holds the result
// against the bank's ledger.
func (w *world) requireSurvived(kills int) {
	w.Helper()
	w.awaitCalm()
	w.Logf("%d kills", kills)
	w.requireNothingWrong()
	require.GreaterOrEqual(w, w.interrupted(), kills/2, "most kills have to fall between an intent and its outcome")
}
