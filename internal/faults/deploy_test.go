package faults

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/internal/testpg"
)

// drainGoal is how long a worker may take to end that is asked to: it lets the
// calls go on that it has begun, and their services answer within seconds.
const drainGoal = 10 * time.Second

// TestDeploy ends workers in order and starts new ones, as a deployment does
// (T35).
func TestDeploy(t *testing.T) {
	t.Parallel()

	// On a file the old one ends before the new one starts.
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		w := setup(t, options{store: file(t), customers: times(300, 4000), faults: late(200 * time.Millisecond)})
		stop := w.drift(100)
		var longest time.Duration
		for range times(5, 300) {
			before := w.bank.Journal().Len()
			p := w.start().ready()
			w.awaitSends(before, 1+rand.N(10))
			longest = max(longest, p.terminate())
		}
		w.start()
		stop()
		w.requireDeployed(longest)
	})

	// On PostgreSQL the new one starts before the old one ends, and the one that
	// ticks is replaced as any other.
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		w := setup(t, options{store: testpg.New(t), customers: times(600, 4000), faults: late(200 * time.Millisecond)})
		stop := w.drift(100)
		running := []*worker{w.start().ready(), w.start().ready()}
		var longest time.Duration
		for range times(5, 300) {
			w.awaitSends(w.bank.Journal().Len(), 1+rand.N(10))
			running = append(running[1:], running[0])
			running = append(running, w.start().ready())
			longest = max(longest, running[0].terminate())
			running = running[1:]
		}
		stop()
		w.requireDeployed(longest)
	})
}

// requireDeployed holds the end of a deployment against the ledger: who ends in
// order leaves no step without an outcome.
func (w *world) requireDeployed(longest time.Duration) {
	w.Helper()
	w.awaitCalm()
	w.Logf("%d workers; the slowest took %v to end", len(w.workers), longest)
	w.requireNothingWrong()
	require.Zero(w, w.interrupted(), "steps whose outcome nobody wrote down, or that were sent again")
	require.LessOrEqual(w, longest, drainGoal)
}

// TestTwoRuleVersions runs workers side by side whose rules differ: what one has
// begun the other ends as it was written, and what one has proposed isn't
// proposed again and again (T35).
func TestTwoRuleVersions(t *testing.T) {
	t.Parallel()
	w := setup(t, options{store: testpg.New(t), faults: late(200 * time.Millisecond)})
	other := t.TempDir()
	w.configure(other, func(text string) string {
		changed := strings.ReplaceAll(text, "    mode: auto\n", "    mode: auto\n    attempts: 7\n")
		changed = strings.ReplaceAll(changed, "    approvers: 2", "    approvers: 3")
		changed = strings.ReplaceAll(changed, "    attempts: 5\n", "")
		require.NotContains(t, changed, "approvers: 2", "bank.yaml isn't what it was")
		return changed
	})
	w.startLeader()
	w.startOn(w.store, other).ready()
	stop := w.drift(100)
	w.awaitSends(w.bank.Journal().Len(), times(60, 5000))
	stop()
	w.awaitCalm()
	// Whoever looks again at what the other has proposed has to leave it.
	scans := w.count(`select count(*) from scans`)
	w.await(workLimit, "both have looked at everybody again", func() bool { return w.count(`select count(*) from scans`) > scans+6 })
	w.requireNothingWrong()
	require.Positive(t, w.count(`select count(*) from (select rule from repairs group by rule having count(distinct rule_version) > 1) mixed`), "both versions have to take part")
	most := w.count(`select coalesce(max(n), 0) from (select count(*) n from repairs where rule = 'close-account' group by case_id) proposals`)
	t.Logf("an account was proposed for closing %d times at most", most)
	require.LessOrEqual(t, most, 2, "workers void each other's proposals")
}
