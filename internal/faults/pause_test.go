package faults

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	// pauseGoal bounds how long after its acknowledgement a pause may still let
	// through what was begun before.
	pauseGoal = time.Second
	// pauseHeld is how long nothing must be sent; others have taken over from the
	// dead by then, and found work.
	pauseHeld = 3 * time.Second
)

// TestPause has a person stop all repairs in the middle of the work, and the
// worker die at about the same time: it holds for whoever comes next, too, until
// a person resumes (T22, I16).
func TestPause(t *testing.T) {
	t.Parallel()
	for name, store := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, options{store: store(t), customers: times(300, 2000), faults: late(200 * time.Millisecond)})
			stop := w.drift(100)
			p := w.start().ready()
			var latest time.Duration
			pauses := times(2, 25)
			for range pauses {
				w.awaitSends(w.bank.Journal().Len(), 1+rand.N(10))
				w.say("pause", "--why", "to see whether it holds")
				since := time.Now()
				<-within(75 * time.Millisecond)
				p.kill()
				w.passTime()
				p = w.start().ready()
				<-time.After(pauseHeld)
				latest = max(latest, w.lastSend().Sub(since))
				require.LessOrEqual(t, latest, pauseGoal, "sent although all repairs were paused")
				sent := w.bank.Journal().Len()
				w.say("resume")
				w.awaitSends(sent, 1)
			}
			stop()
			w.awaitCalm()
			t.Logf("%d pauses; the last mutation came %v after a pause was acknowledged, at most", pauses, max(0, latest))
			w.requireNothingWrong()
		})
	}
}

// lastSend is when the bank received the last mutation.
func (w *world) lastSend() time.Time {
	w.Helper()
	entries := w.bank.Journal().Entries()
	require.NotEmpty(w, entries)
	return entries[len(entries)-1].Time
}
