package rehearsal_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"amend/bank"
	"amend/connectors"
	"amend/rehearsal"
)

const (
	// firstSeed is where a run begins that isn't told otherwise.
	firstSeed = 1
	// seedsFor is how long a normal run goes on with the next seed.
	seedsFor = 45 * time.Second
	// soakSeeds is how many a soak runs.
	soakSeeds = 10_000
	// shrinkFor bounds how long a failure is made smaller.
	shrinkFor = 30 * time.Second
	// shown is how many of a trace's last lines stand in a failure.
	shown = 60
)

// wrap is put around connectors, below what amend itself puts there.
type wrap = func(service string, c connectors.Connector) connectors.Connector

// play runs a plan in a bubble of its own.
func play(t *testing.T, plan rehearsal.Plan, around wrap) (trace rehearsal.Trace, err error) {
	t.Helper()
	folder := scratch(t)
	synctest.Test(t, func(*testing.T) {
		trace, err = rehearsal.Run(plan, rehearsal.Surroundings{Wait: synctest.Wait, Folder: folder, Wrap: around})
	})
	return trace, err
}

// scratch is an empty folder in memory where there is one: no run waits for a
// disk, thousands of times.
func scratch(t *testing.T) string {
	t.Helper()
	const memory = "/dev/shm"
	folder, err := os.MkdirTemp(memory, "rehearsal-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	return folder
}

// TestSeeds plays as many random plans as there is time for, and a soak (make
// soak) ten thousand: I1, I4, I5, I6, I9, I10, I11, I12, I13, I14, I16, I19, I21
// and I27 under T01, T04, T06, T09, T10, T11, T12, T17, T19, T31, T33 and T35.
//
// AMEND_FROM begins with another seed. AMEND_SEED plays one plan, AMEND_EVENTS
// some of its events, and AMEND_TRACE names a file for the trace.
func TestSeeds(t *testing.T) {
	t.Parallel()
	if seed, some := number(t, "AMEND_SEED"); some {
		playSeed(t, chosen(t, rehearsal.NewPlan(seed)))
		return
	}
	from := uint64(firstSeed)
	if other, some := number(t, "AMEND_FROM"); some {
		from = other
	}
	progress := soakProgress()
	from += progress.played(t)
	began, total := time.Now(), map[rehearsal.Kind]int{}
	seeds, sent, virtual := 0, 0, time.Duration(0)
	for seed := from; progress.more(t, seed, began); seed++ {
		trace := playSeed(t, rehearsal.NewPlan(seed))
		seeds, sent, virtual = seeds+1, sent+trace.Sent, virtual+trace.Took
		for kind, n := range trace.Moved {
			total[kind] += n
		}
		if t.Failed() {
			return
		}
		progress.write(t, seed)
	}
	t.Logf("%d seeds from %d on in %s: %s of virtual time, %d requests to change something, events %v", seeds, from, time.Since(began).Round(time.Second), virtual.Round(time.Minute), sent, total)
}

// number is what the environment says.
func number(t *testing.T, name string) (n uint64, some bool) {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, "%s is a number", name)
	return n, true
}

// TestSeedsThatFoundSomething plays again what has shown a fault of the engine
// once.
func TestSeedsThatFoundSomething(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{50, 179, 242, 1005, 1022, 4100} {
		plan := rehearsal.NewPlan(seed)
		// When they were found no engine stood still, and people weren't there.
		plan.Events = slices.DeleteFunc(plan.Events, func(e rehearsal.Event) bool {
			return e.Kind == rehearsal.Stall || e.Kind == rehearsal.Visit || e.Kind == rehearsal.Silence || e.On == rehearsal.AtPost || e.On == rehearsal.AtTold
		})
		playSeed(t, plan)
	}
	playSeed(t, rehearsal.NewPlan(338))
}

// progress is the file in which a soak keeps how many seeds were played; empty
// outside of a soak.
type progress string

func soakProgress() progress {
	if folder := os.Getenv("AMEND_SOAK"); folder != "" {
		return progress(filepath.Join(folder, "seeds"))
	}
	return ""
}

// played is how many seeds an earlier run has come to.
func (p progress) played(t *testing.T) uint64 {
	t.Helper()
	text, err := os.ReadFile(string(p))
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	require.NoError(t, err)
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	require.NoError(t, err)
	return n
}

// write notes that all seeds up to one were played.
func (p progress) write(t *testing.T, seed uint64) {
	t.Helper()
	if p != "" {
		require.NoError(t, os.WriteFile(string(p), fmt.Appendln(nil, seed), 0o600))
	}
}

// more reports whether another seed is to be played: as long as there is time,
// and in a soak up to the last.
func (p progress) more(t *testing.T, seed uint64, began time.Time) bool {
	t.Helper()
	if p == "" {
		return time.Since(began) < seedsFor
	}
	end, bounded := t.Deadline()
	return seed <= soakSeeds && (!bounded || time.Until(end) > shrinkFor+time.Minute)
}

// chosen is the plan with the events that AMEND_EVENTS names by their places.
func chosen(t *testing.T, plan rehearsal.Plan) rehearsal.Plan {
	t.Helper()
	text, some := os.LookupEnv("AMEND_EVENTS")
	if !some {
		return plan
	}
	var places []int
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		place, err := strconv.Atoi(word)
		require.NoError(t, err, "AMEND_EVENTS are numbers with commas between")
		places = append(places, place)
	}
	return plan.Keep(places)
}

// playSeed plays a plan. One that fails is made smaller and shown.
func playSeed(t *testing.T, plan rehearsal.Plan) rehearsal.Trace {
	t.Helper()
	var trace rehearsal.Trace
	var err error
	t.Run(fmt.Sprint("seed ", plan.Seed), func(t *testing.T) {
		trace, err = play(t, plan, nil)
		if path := os.Getenv("AMEND_TRACE"); path != "" {
			require.NoError(t, os.WriteFile(path, []byte(strings.Join(trace.Lines, "\n")+"\n"), 0o600))
		}
		if err != nil {
			explain(t, plan, err)
		}
	})
	return trace
}

// explain fails the test with the smallest plan that fails in the same way.
func explain(t *testing.T, plan rehearsal.Plan, err error) {
	t.Helper()
	broken, is := errors.AsType[*rehearsal.Violation](err)
	require.True(t, is, "%v", err)
	until := time.Now().Add(shrinkFor)
	kept := rehearsal.Shrink(plan, func(smaller rehearsal.Plan) bool {
		if time.Now().After(until) {
			return false
		}
		_, err := play(t, smaller, nil)
		again, is := errors.AsType[*rehearsal.Violation](err)
		return is && again.Promise == broken.Promise
	})
	smaller := plan.Keep(kept)
	trace, err := play(t, smaller, nil)
	lines := trace.Lines[max(0, len(trace.Lines)-shown):]
	places := strings.Trim(strings.ReplaceAll(fmt.Sprint(kept), " ", ","), "[]")
	require.Fail(t, "a promise is broken: "+string(broken.Promise), "%v\n\n%s\nTo play it again: AMEND_SEED=%d AMEND_EVENTS=%s go test ./rehearsal -run TestSeeds\n\nThe end of its trace:\n%s",
		err, smaller, plan.Seed, places, strings.Join(lines, "\n"))
}

// TestTheSamePlanGivesTheSameTrace: whatever goroutines do side by side, and
// whichever of several is first, is the plan's alone.
func TestTheSamePlanGivesTheSameTrace(t *testing.T) {
	t.Parallel()
	times := 20
	if os.Getenv("AMEND_SOAK") != "" {
		times = 100
	}
	plan := simple(
		rehearsal.Event{Kind: rehearsal.Drift, Rate: 1, For: 8 * time.Second},
		rehearsal.Event{At: time.Second, Kind: rehearsal.Break, Service: "billing", For: 5 * time.Second, Fault: bank.Fault{LostRate: 0.5, HangRate: 0.3, Jitter: time.Second}},
		rehearsal.Event{At: time.Second, Kind: rehearsal.Crash, On: rehearsal.AtWire, N: 1, For: time.Second},
		rehearsal.Event{At: 4 * time.Second, Kind: rehearsal.Human, N: 7},
		rehearsal.Event{At: 5 * time.Second, Kind: rehearsal.Restart, For: time.Second},
		rehearsal.Event{At: 7 * time.Second, Kind: rehearsal.Jump, By: -time.Hour})
	plan.Customers, plan.Workers, plan.Second, plan.Lasts, plan.CardDelay = 24, 4, true, 8*time.Second, time.Second
	first, err := play(t, plan, nil)
	require.NoError(t, err)
	require.Equal(t, 1, first.Moved[rehearsal.Crash])
	t.Logf("%d turns, %d sent, %s", first.Turns, first.Sent, first.Took)
	require.Positive(t, first.Sent)
	for range times - 1 {
		again, err := play(t, plan, nil)
		require.NoError(t, err)
		if again.Hash() != first.Hash() {
			require.Equal(t, first.Lines, again.Lines)
		}
	}
	plan.Seed++
	other, err := play(t, plan, nil)
	require.NoError(t, err)
	require.NotEqual(t, first.Hash(), other.Hash(), "another seed has others go first")
}
