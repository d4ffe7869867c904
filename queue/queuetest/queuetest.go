// Package queuetest is what every queue has to keep, whatever carries its
// wake-ups: the promises of queue.Queue, one test each.
package queuetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend/queue"
)

// patience is how long a test waits for what is promised soon.
const patience = 20 * time.Second

// Test holds queues to their contract. open gives an empty queue to one test
// and closes it at the test's end.
func Test(t *testing.T, open func(t *testing.T) queue.Queue) {
	t.Helper()
	for _, promise := range []struct {
		name string
		keep func(t *testing.T, q queue.Queue)
	}{
		{"WokenRunsOnce", wokenRunsOnce},
		{"WokenBeforeRunIsKept", wokenBeforeRun},
		{"NeverBeforeItsTime", neverBeforeItsTime},
		{"IdleRunsAgainAtOnce", idleRunsAgain},
		{"WaitingIsNotPutBesideItself", duplicatesCollapse},
		{"WokenInMidRunRunsOnceMore", wokenInMidRun},
		{"OneWorkerAtATime", oneWorkerAtATime},
		{"WorkersAreALimit", workersAreALimit},
		{"KindsDoNotKeepEachOtherWaiting", kindsAreSeparate},
		{"KindWithoutAHandlerWaits", kindWithoutAHandler},
		{"PanicHarmsNoOther", panicHarmsNoOther},
		{"EveryComesByItself", everyComesByItself},
		{"EndsWithItsHandlers", endsWithItsHandlers},
		{"EndedContextBeginsNothing", endedContext},
	} {
		t.Run(promise.name, func(t *testing.T) { promise.keep(t, open(t)) })
	}
}

// Start runs a queue until stop is called, at the latest at the test's end. A
// Run that fails, or doesn't return, fails the test.
func Start(t *testing.T, q queue.Queue, handlers map[queue.Kind]queue.Handler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	failed := make(chan error, 1)
	go func() { failed <- q.Run(ctx, handlers) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-failed:
			assert.NoError(t, err)
		case <-time.After(patience):
			t.Error("Run did not return")
		}
	})
	t.Cleanup(stop)
	return stop
}

// Eventually waits for a condition.
func Eventually(t *testing.T, met func() bool, what string) {
	t.Helper()
	require.Eventually(t, met, patience, 2*time.Millisecond, what)
}

// Record is what handlers were seen to do. Its zero value is ready.
type Record struct {
	mu      sync.Mutex
	runs    map[string][]time.Time // begins, by key
	running map[string]int
	most    map[string]int // at once, by key; "" is of all keys together
}

// Handler notes each run and then does what is given, if anything.
func (r *Record) Handler(workers int, do func(ctx context.Context, key string)) queue.Handler {
	return queue.Handler{Workers: workers, Do: func(ctx context.Context, key string) {
		r.note(key, 1)
		defer r.note(key, -1)
		if do != nil {
			do(ctx, key)
		}
	}}
}

func (r *Record) note(key string, change int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.runs == nil {
		r.runs, r.running, r.most = map[string][]time.Time{}, map[string]int{}, map[string]int{}
	}
	if change > 0 {
		r.runs[key] = append(r.runs[key], time.Now())
	}
	for _, of := range []string{"key " + key, "all"} {
		r.running[of] += change
		r.most[of] = max(r.most[of], r.running[of])
	}
}

// Runs is how often a key was run.
func (r *Record) Runs(key string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.runs[key])
}

// Begins is when a key's runs began.
func (r *Record) Begins(key string) []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.runs[key])
}

// All is how many keys were run, and how often in all.
func (r *Record) All() (keys, runs int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, begins := range r.runs {
		runs += len(begins)
	}
	return len(r.runs), runs
}

// Most is how many runs there were at once: of the key that had the most, and
// in all.
func (r *Record) Most() (ofAKey, inAll int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for of, n := range r.most {
		if strings.HasPrefix(of, "key ") {
			ofAKey = max(ofAKey, n)
		}
	}
	return ofAKey, r.most["all"]
}

// Jobs are n jobs of a kind, with the keys 0 to n-1.
func Jobs(kind queue.Kind, n int) []queue.Job {
	jobs := make([]queue.Job, n)
	for i := range jobs {
		jobs[i] = queue.Job{Kind: kind, Key: fmt.Sprint(i)}
	}
	return jobs
}
