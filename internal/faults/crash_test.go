package faults

import (
	"database/sql"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/bank"
	"amend/internal/crash"
)

const (
	// crashLimit is until a worker passes a point for the last time. The audit's
	// is the slowest: it is passed every two seconds.
	crashLimit = 60 * time.Second
	// crashesAtOnce bounds how many workers run at a time.
	crashesAtOnce = 6
)

// TestCrashPoints kills a worker at every point that package crash names, in a
// soak also at its second passing and its third, and lets another go on (T02). It
// runs by itself, and more workers at a time than other tests do: they mostly
// wait.
func TestCrashPoints(t *testing.T) {
	program := withCrashPoints(t)
	var group sync.WaitGroup
	defer group.Wait()
	free := make(chan struct{}, crashesAtOnce)
	for name, store := range stores {
		for _, point := range crash.Points() {
			for n := range times(1, 3) {
				free <- struct{}{}
				group.Go(func() {
					defer func() { <-free }()
					t.Run(fmt.Sprintf("%s/%s/%d", name, point, n+1), func(t *testing.T) {
						crashAt(t, options{store: store(t)}, program, death{point, n + 1})
					})
				})
			}
		}
	}
}

// withCrashPoints builds this test binary once more, with the points in it.
func withCrashPoints(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "amend-crashpoints")
	built, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags", "crashpoints", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", built)
	return program
}

// death is where a worker dies.
type death struct {
	point   crash.Point
	passing int
}

// crashAt has one worker die at a point, and the next one put in order whatever
// that left behind.
func crashAt(t *testing.T, o options, program string, d death) {
	o.customers = 200
	switch d.point {
	case crash.Resending, crash.OutcomeCommitted: // an outcome that is no yes is written before anything is read
		o.faults = bank.Fault{ErrorRate: 1, Only: bank.OnlyOperations}
	default:
	}
	w := setup(t, o)
	stop := w.drift(100) // what only people can end is rare, and some points need three of it
	p := w.launch(launch{program: program, store: w.store, config: w.config, env: fmt.Sprintf("CRASH_AT=%s:%d", d.point, d.passing)})
	p.awaitCrash(d)
	stop()
	w.fault(bank.Fault{})
	w.passTime()
	w.start()
	w.awaitCalm()
	w.requireNothingWrong()
	switch d.point {
	case crash.LetterFound, crash.LetterHeld, crash.LetterPosted, crash.ProposalWritten, crash.EscalationWritten:
		w.requireTold() // which takes a second for each message
	default:
	}
}

// awaitCrash waits until the worker has killed itself where it was told to.
func (p *worker) awaitCrash(d death) {
	p.w.Helper()
	words := fmt.Sprintf("crash: %s, passing %d\n", d.point, d.passing)
	p.over = true
	select {
	case <-p.done:
	case <-time.After(crashLimit):
		require.FailNow(p.w, "the point is never passed", "%s in %v\n%s", words, crashLimit, p.tail())
	}
	status, _ := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(p.w, status.Signaled() && status.Signal() == syscall.SIGKILL, "it ended by itself: %v\n%s", p.err, p.tail())
	require.Contains(p.w, p.said(), words)
}

// passTime ends what others would wait for before they take over from a worker
// that is dead: its leases, its place as the one that ticks, and its hold on
// letters. How long that takes by itself is shown by TestKillOneOfThree.
func (w *world) passTime() {
	w.Helper()
	name, source := driver(w.store)
	source = strings.TrimSuffix(source, readOnly)
	statements := []string{`update outbox set not_before = 0 where sent_at = 0`}
	if name != "sqlite" { // where the next worker takes all over at once
		statements = append(statements,
			fmt.Sprintf(`update cases set lease_until = 0, wake_at = %d where lease_until > 0 and ended_at = 0`, time.Now().UnixMicro()),
			`update scan_pages set lease_until = 0`,
			`do $$ begin if to_regclass('river_leader') is not null then delete from river_leader; end if; end $$`)
	}
	db, err := sql.Open(name, source)
	require.NoError(w, err)
	defer db.Close()
	for _, s := range statements {
		_, err := db.ExecContext(w.Context(), s)
		require.NoError(w, err)
	}
}

// requireTold waits until people were told of all that they have to know, and
// looks whether they were told once (I19).
func (w *world) requireTold() {
	w.Helper()
	w.await(calmLimit, "everything is told", func() bool { return w.count(`select count(*) from outbox where sent_at = 0`) == 0 })
	roots := 0
	for _, m := range w.slack.Messages() {
		if m.Thread == "" {
			roots++
		}
	}
	require.Equal(w, w.count(`select count(*) from incidents`), roots, "messages in Slack, and incidents")
}
