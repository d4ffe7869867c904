package queuetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/queue"
)

type handlers = map[queue.Kind]queue.Handler

// hold is a handler's doing that lasts until release is called, at the latest
// until the test ends or the handler's context does.
func hold(t *testing.T) (do func(context.Context, string), release func()) {
	t.Helper()
	released := make(chan struct{})
	release = sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	return func(ctx context.Context, _ string) {
		select {
		case <-released:
		case <-ctx.Done():
		}
	}, release
}

// letPass returns when other jobs have been through the queue: what was woken
// before has been, too, as far as it ever will.
func letPass(t *testing.T, q queue.Queue, seen *Record, kind queue.Kind) {
	t.Helper()
	for _, key := range []string{"passes", "passes after it"} {
		q.Wake(time.Now(), queue.Job{Kind: kind, Key: key})
		Eventually(t, func() bool { return seen.Runs(key) == 1 }, "it was not run")
	}
}

func wokenRunsOnce(t *testing.T, q queue.Queue) {
	var seen Record
	Start(t, q, handlers{queue.Heal: seen.Handler(4, nil)})
	odd := []string{"", " ", "a b", `"quoted"\`, "ключ/😀?&=%", "<script>", strings.Repeat("long", 1000)}
	jobs := Jobs(queue.Heal, 100)
	for _, key := range odd {
		jobs = append(jobs, queue.Job{Kind: queue.Heal, Key: key})
	}

	q.Wake(time.Now(), jobs[:50]...)
	for _, job := range jobs[50:] {
		q.Wake(time.Now(), job)
	}

	Eventually(t, func() bool { keys, _ := seen.All(); return keys == len(jobs) }, "a wake-up was lost")
	for _, job := range jobs {
		require.Equal(t, 1, seen.Runs(job.Key), job.Key)
	}
}

func wokenBeforeRun(t *testing.T, q queue.Queue) {
	var seen Record
	q.Wake(time.Now().Add(-time.Hour), queue.Job{Kind: queue.Heal, Key: "a"})

	Start(t, q, handlers{queue.Heal: seen.Handler(1, nil)})

	Eventually(t, func() bool { return seen.Runs("a") == 1 }, "it was not run")
}

func neverBeforeItsTime(t *testing.T, q queue.Queue) {
	var seen Record
	Start(t, q, handlers{queue.Heal: seen.Handler(4, nil)})
	due := time.Now().Add(300 * time.Millisecond)

	q.Wake(due, queue.Job{Kind: queue.Heal, Key: "later"})
	q.Wake(time.Now(), queue.Job{Kind: queue.Heal, Key: "now"})
	q.Wake(due, queue.Job{Kind: queue.Heal, Key: "earlier wins"})
	q.Wake(time.Now(), queue.Job{Kind: queue.Heal, Key: "earlier wins"})

	Eventually(t, func() bool { return seen.Runs("later") == 1 }, "it was not run")
	require.False(t, seen.Begins("later")[0].Before(due), "it ran before its time")
	require.Equal(t, 1, seen.Runs("now"))
	require.NotZero(t, seen.Runs("earlier wins"))
	require.True(t, seen.Begins("earlier wins")[0].Before(due), "the later time won")
}

func idleRunsAgain(t *testing.T, q queue.Queue) {
	var seen Record
	Start(t, q, handlers{queue.Heal: seen.Handler(2, nil)})
	for i := range 20 {
		q.Wake(time.Now(), queue.Job{Kind: queue.Heal, Key: "a"})
		Eventually(t, func() bool { return seen.Runs("a") > i }, "a wake-up was lost")
	}
}

// T33: a wake-up that comes five times runs once. Where a queue tells
// duplicates by periods, one may end between them.
func duplicatesCollapse(t *testing.T, q queue.Queue) {
	var seen Record
	held, release := hold(t)
	Start(t, q, handlers{queue.Heal: seen.Handler(1, held)})
	q.Wake(time.Now(), queue.Job{Kind: queue.Heal, Key: "first"})
	Eventually(t, func() bool { return seen.Runs("first") == 1 }, "it was not run")

	jobs := Jobs(queue.Heal, 10)
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() { q.Wake(time.Now(), append(jobs, jobs...)...) })
	}
	group.Wait()
	q.Wake(time.Now(), queue.Job{Kind: queue.Heal, Key: "last"})
	release()

	Eventually(t, func() bool { keys, _ := seen.All(); return keys == len(jobs)+2 }, "a wake-up was lost")
	for _, job := range jobs {
		require.LessOrEqual(t, seen.Runs(job.Key), 2, "duplicates were run")
	}
}

func wokenInMidRun(t *testing.T, q queue.Queue) {
	var seen Record
	held, release := hold(t)
	Start(t, q, handlers{queue.Heal: seen.Handler(4, held)})
	a := queue.Job{Kind: queue.Heal, Key: "a"}
	q.Wake(time.Now(), a)
	Eventually(t, func() bool { return seen.Runs("a") == 1 }, "it was not run")

	for range 5 {
		q.Wake(time.Now(), a)
	}
	letPass(t, q, &seen, queue.Heal)
	require.Equal(t, 1, seen.Runs("a"), "it ran beside itself")
	release()

	Eventually(t, func() bool { return seen.Runs("a") >= 2 }, "it was not run once more")
	ofAKey, _ := seen.Most()
	require.Equal(t, 1, ofAKey)
}

func oneWorkerAtATime(t *testing.T, q queue.Queue) {
	var seen Record
	Start(t, q, handlers{queue.Heal: seen.Handler(8, func(ctx context.Context, _ string) {
		select {
		case <-time.After(rand.N(2 * time.Millisecond)):
		case <-ctx.Done():
		}
	})})

	for i := range 300 {
		q.Wake(time.Now(), queue.Job{Kind: queue.Heal, Key: fmt.Sprint(i % 7)})
	}
	q.Wake(time.Now(), queue.Job{Kind: queue.Heal, Key: "last"})

	Eventually(t, func() bool { return seen.Runs("last") == 1 }, "it was not run")
	ofAKey, inAll := seen.Most()
	require.Equal(t, 1, ofAKey)
	require.Greater(t, inAll, 1, "nothing ran side by side: this shows nothing")
}

func workersAreALimit(t *testing.T, q queue.Queue) {
	var seen, others Record
	held, release := hold(t)
	Start(t, q, handlers{queue.Heal: seen.Handler(3, held), queue.Page: others.Handler(1, nil)})

	q.Wake(time.Now(), Jobs(queue.Heal, 12)...)
	Eventually(t, func() bool { _, inAll := seen.Most(); return inAll == 3 }, "not all workers work")
	letPass(t, q, &others, queue.Page)
	release()

	Eventually(t, func() bool { keys, _ := seen.All(); return keys == 12 }, "a wake-up was lost")
	_, inAll := seen.Most()
	require.Equal(t, 3, inAll)
}

func kindsAreSeparate(t *testing.T, q queue.Queue) {
	var pages, heals Record
	held, _ := hold(t)
	Start(t, q, handlers{queue.Page: pages.Handler(2, held), queue.Heal: heals.Handler(2, nil)})
	q.Wake(time.Now(), Jobs(queue.Page, 200)...)
	Eventually(t, func() bool { _, inAll := pages.Most(); return inAll == 2 }, "not all workers work")

	q.Wake(time.Now(), Jobs(queue.Heal, 20)...)

	Eventually(t, func() bool { keys, _ := heals.All(); return keys == 20 }, "pages keep heals waiting")
	keys, _ := pages.All()
	require.Equal(t, 2, keys)
}

func kindWithoutAHandler(t *testing.T, q queue.Queue) {
	var heals, tells Record
	stop := Start(t, q, handlers{queue.Heal: heals.Handler(1, nil)})
	q.Wake(time.Now(), queue.Job{Kind: queue.Tell}, queue.Job{Kind: queue.Heal, Key: "a"})
	Eventually(t, func() bool { return heals.Runs("a") == 1 }, "it was not run")
	stop()

	Start(t, q, handlers{queue.Tell: tells.Handler(1, nil)})

	Eventually(t, func() bool { return tells.Runs("") == 1 }, "it was not run")
}

// T34: a handler that panics.
func panicHarmsNoOther(t *testing.T, q queue.Queue) {
	var seen Record
	Start(t, q, handlers{queue.Heal: seen.Handler(2, func(_ context.Context, key string) {
		if key == "bad" {
			panic("on purpose")
		}
	})})
	for i := range 5 { // more often than there are workers
		q.Wake(time.Now(), queue.Job{Kind: queue.Heal, Key: "bad"})
		Eventually(t, func() bool { return seen.Runs("bad") == i+1 }, "it was not run")
	}

	q.Wake(time.Now(), Jobs(queue.Heal, 10)...)

	Eventually(t, func() bool { keys, _ := seen.All(); return keys == 11 }, "a wake-up was lost")
}

func everyComesByItself(t *testing.T, q queue.Queue) {
	var seen Record
	tick := seen.Handler(1, nil)
	tick.Every = time.Second
	start := time.Now()
	Start(t, q, handlers{queue.Tick: tick})

	Eventually(t, func() bool { return seen.Runs("") >= 5 }, "it does not come at intervals")

	// The first comes at once, one more may come with it, and a second each
	// lies between the others: half of it is left to whoever is late.
	require.Greater(t, seen.Begins("")[4].Sub(start), 2500*time.Millisecond, "it comes more often")
}

func endsWithItsHandlers(t *testing.T, q queue.Queue) {
	var seen Record
	var letGo time.Time
	begun := make(chan struct{})
	stop := Start(t, q, handlers{queue.Heal: seen.Handler(1, func(ctx context.Context, _ string) {
		close(begun) // panics where another one begins
		<-ctx.Done()
		// Run waits for what a handler still has to do.
		<-time.After(100 * time.Millisecond)
		letGo = time.Now()
	})})
	q.Wake(time.Now(), Jobs(queue.Heal, 50)...)
	<-begun

	stop()

	require.False(t, letGo.IsZero(), "Run did not wait for its handler")
	_, runs := seen.All()
	require.Equal(t, 1, runs, "a handler began after the end")
}

func endedContext(t *testing.T, q queue.Queue) {
	var seen Record
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	q.Wake(time.Now(), Jobs(queue.Heal, 10)...)

	require.NoError(t, q.Run(ctx, handlers{queue.Heal: seen.Handler(4, nil)}))

	_, runs := seen.All()
	require.Zero(t, runs)
}
