package faults

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/internal/testpg"
	"amend/internal/testproxy"
)

// databaseGoal bounds, in 95 of 100 kills of the database, the time from its
// restart until work goes on.
const databaseGoal = 10 * time.Second

// TestDatabaseKilled kills PostgreSQL under two workers, again and again: they
// go on by themselves, and nothing that was committed is lost (T23).
func TestDatabaseKilled(t *testing.T) {
	t.Parallel()
	server := testpg.Start(t)
	w := setup(t, options{store: server.URL(), faults: late(200 * time.Millisecond)})
	w.startLeader()
	w.start().ready()
	stop := w.drift(100)
	var goesOn, released []moved
	for range times(2, 50) {
		w.awaitSends(w.bank.Journal().Len(), 10)
		held := w.held()
		server.Kill()
		<-within(time.Second)
		server.Restart()
		back := time.Now()
		w.await(workLimit, "work goes on", func() bool {
			return w.count(fmt.Sprintf(`select count(*) from steps where sent_at > %d`, back.UnixMicro())) > 0
		})
		goesOn = append(goesOn, moved{after: time.Since(back)})
		released = append(released, w.movedOn(held, back)...)
	}
	stop()
	text, p95 := spread(goesOn)
	t.Logf("something was sent after the restart: %s", text)
	require.LessOrEqual(t, p95, databaseGoal)
	text, p95 = spread(released)
	t.Logf("what was under way at the kill went on: %s", text)
	require.LessOrEqual(t, p95, recoveryGoal)
	w.awaitCalm()
	w.requireNothingWrong()
}

// TestCommitLost cuts connections in the middle of commits: some have happened
// when the answer is lost, and some never arrive. Nobody can tell the two apart
// by the error, so that amend has to ask (T24, I25).
func TestCommitLost(t *testing.T) {
	t.Parallel()
	server := testpg.Start(t)
	proxy := testproxy.Start(t, server.Address())
	w := setup(t, options{store: server.URLVia(proxy.Address()), direct: server.URL(), faults: late(50 * time.Millisecond)})
	w.startLeader()
	w.start().ready()
	stop := w.drift(100)
	wanted := times(25, 500)
	deadline := time.After(workLimit * time.Duration(times(1, 20)))
	for {
		replies, commits := proxy.Lost()
		if replies >= wanted && commits >= wanted {
			break
		}
		if replies <= commits {
			proxy.LoseReplies(1)
		} else {
			proxy.LoseCommits(1)
		}
		select {
		case <-within(40 * time.Millisecond):
		case <-deadline:
			require.FailNow(t, "too few commits were lost", "%d replies, %d commits", replies, commits)
		}
	}
	proxy.LoseReplies(0)
	proxy.LoseCommits(0)
	stop()
	w.awaitCalm()
	replies, commits := proxy.Lost()
	t.Logf("lost the replies of %d commits, and %d commits themselves", replies, commits)
	w.requireNothingWrong()
	require.Zero(t, w.interrupted(), "a commit was taken for what it wasn't")
}
