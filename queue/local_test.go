package queue_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"amend/queue"
	"amend/queue/queuetest"
)

func newLocal() *queue.Local {
	return queue.NewLocal(time.Now, slog.New(slog.DiscardHandler))
}

// heal runs a queue of heals alone.
func heal(t *testing.T, q *queue.Local, workers int, do func(customer string)) (stop func()) {
	t.Helper()
	return queuetest.Start(t, q, map[queue.Kind]queue.Handler{queue.Heal: {
		Workers: workers, Do: func(_ context.Context, customer string) { do(customer) },
	}})
}

func wake(q *queue.Local, at time.Time, customers ...string) {
	for _, customer := range customers {
		q.Wake(at, queue.Job{Kind: queue.Heal, Key: customer})
	}
}

func TestLocal(t *testing.T) {
	t.Parallel()
	queuetest.Test(t, func(*testing.T) queue.Queue { return newLocal() })
}

func TestWake(t *testing.T) {
	t.Run("AtItsTimeAndInOrder", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q, start := newLocal(), time.Now()
			var got []string
			stop := heal(t, q, 1, func(c string) { got = append(got, fmt.Sprint(c, " after ", time.Since(start))) })
			wake(q, start.Add(2*time.Second), "b")
			wake(q, start.Add(time.Second), "a")
			wake(q, start.Add(3*time.Second), "a") // later than known: no second run
			time.Sleep(10 * time.Second)
			stop()
			require.Equal(t, []string{"a after 1s", "b after 2s"}, got)
			require.Zero(t, q.Len())
		})
	})
	t.Run("EarlierWins", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q, start := newLocal(), time.Now()
			var got []string
			stop := heal(t, q, 1, func(c string) { got = append(got, fmt.Sprint(c, " after ", time.Since(start))) })
			wake(q, start.Add(time.Minute), "b")
			wake(q, start.Add(time.Hour), "a")
			wake(q, start.Add(time.Second), "a")
			time.Sleep(2 * time.Hour)
			stop()
			require.Equal(t, []string{"a after 1s", "b after 1m0s"}, got)
		})
	})
	t.Run("DueByAClockThatWasChanged", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var behind atomic.Int64
			behind.Store(int64(time.Hour))
			now := func() time.Time { return time.Now().Add(-time.Duration(behind.Load())) }
			q, start := queue.NewLocal(now, slog.New(slog.DiscardHandler)), time.Now()
			var got []string
			stop := heal(t, q, 1, func(c string) { got = append(got, fmt.Sprint(c, " after ", time.Since(start))) })
			wake(q, start, "a") // in an hour, by the clock as it is
			time.Sleep(time.Second)
			behind.Store(0)
			wake(q, start, "a") // the sweep finds it due
			time.Sleep(2 * time.Second)
			stop()
			require.Equal(t, []string{"a after 1s"}, got)
		})
	})
	t.Run("ManyAtOnceReachAllWorkers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q, start := newLocal(), time.Now()
			var mu sync.Mutex
			var got []time.Duration
			stop := heal(t, q, 3, func(string) {
				mu.Lock()
				got = append(got, time.Since(start))
				mu.Unlock()
				time.Sleep(time.Minute)
			})
			synctest.Wait() // all of them sleep
			q.Wake(start, queuetest.Jobs(queue.Heal, 3)...)
			q.Wake(start.Add(time.Second), queue.Job{Kind: queue.Heal, Key: "waits for a worker"})
			time.Sleep(10 * time.Minute)
			stop()
			require.Equal(t, []time.Duration{0, 0, 0, time.Minute}, got)
		})
	})
	t.Run("DuplicatesRunOnce", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q, runs := newLocal(), 0
			for range 5 {
				wake(q, time.Now(), "a", "a")
			}
			require.Equal(t, 1, q.Len())
			stop := heal(t, q, 4, func(string) { runs++ })
			time.Sleep(time.Minute)
			stop()
			require.Equal(t, 1, runs)
		})
	})
	t.Run("WhileRunningRunsOnceMore", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := newLocal()
			runs := 0
			stop := heal(t, q, 4, func(string) {
				runs++
				if runs == 1 {
					for range 5 {
						wake(q, time.Now(), "a")
					}
					time.Sleep(time.Second)
				}
			})
			wake(q, time.Now(), "a")
			time.Sleep(time.Minute)
			stop()
			require.Equal(t, 2, runs)
		})
	})
	t.Run("WhileRunningForTheEarliestTime", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q, start := newLocal(), time.Now()
			var got []time.Duration
			stop := heal(t, q, 4, func(string) {
				got = append(got, time.Since(start))
				if len(got) == 1 {
					wake(q, start.Add(time.Hour), "a")
					wake(q, start.Add(time.Minute), "a")
					wake(q, start.Add(2*time.Hour), "a")
				}
			})
			wake(q, start, "a")
			time.Sleep(10 * time.Hour)
			stop()
			require.Equal(t, []time.Duration{0, time.Minute}, got)
		})
	})
	t.Run("SameKeyOfOtherKindsIsAnotherJob", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q, got := newLocal(), make(chan queue.Kind, 10)
			handlers := map[queue.Kind]queue.Handler{}
			for _, kind := range []queue.Kind{queue.Heal, queue.Page} {
				handlers[kind] = queue.Handler{Do: func(context.Context, string) { got <- kind }}
				q.Wake(time.Now(), queue.Job{Kind: kind, Key: "a"})
			}
			queuetest.Start(t, q, handlers)
			synctest.Wait()
			require.Len(t, got, 2)
			require.NotEqual(t, <-got, <-got)
		})
	})
}

func TestEvery(t *testing.T) {
	t.Run("AtOnceAndAtIntervals", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q, start := newLocal(), time.Now()
			var got []string
			stop := queuetest.Start(t, q, map[queue.Kind]queue.Handler{queue.Tick: {
				Every: time.Minute, Do: func(_ context.Context, key string) { got = append(got, fmt.Sprint(key, time.Since(start))) },
			}})
			time.Sleep(150 * time.Second)
			stop()
			require.Equal(t, []string{"0s", "1m0s", "2m0s"}, got)
		})
	})
	t.Run("ASlowOneIsNotRunBesideItself", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q, start := newLocal(), time.Now()
			var got []time.Duration
			stop := queuetest.Start(t, q, map[queue.Kind]queue.Handler{queue.Tick: {
				Workers: 4, Every: time.Minute, Do: func(ctx context.Context, _ string) {
					got = append(got, time.Since(start))
					select {
					case <-time.After(150 * time.Second):
					case <-ctx.Done():
					}
				},
			}})
			time.Sleep(4 * time.Minute)
			stop()
			require.Equal(t, []time.Duration{0, 150 * time.Second}, got)
		})
	})
}

func TestOneWorkerPerCustomer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newLocal()
		var mu sync.Mutex
		running, most, runs := map[string]int{}, 0, 0
		stop := heal(t, q, 8, func(c string) {
			mu.Lock()
			running[c]++
			runs++
			most = max(most, running[c])
			mu.Unlock()
			time.Sleep(time.Millisecond)
			mu.Lock()
			running[c]--
			mu.Unlock()
		})
		for i := range 300 {
			wake(q, time.Now().Add(time.Duration(i)*time.Millisecond/2), fmt.Sprint(i%7))
			time.Sleep(100 * time.Microsecond)
		}
		time.Sleep(time.Minute)
		stop()
		require.Equal(t, 1, most)
		require.Greater(t, runs, 7)
	})
}

// T34: what panicked is found in the log.
func TestCallLogsAPanic(t *testing.T) {
	var out bytes.Buffer
	handler := queue.Handler{Do: func(context.Context, string) { panic("on purpose") }}

	handler.Call(t.Context(), slog.New(slog.NewJSONHandler(&out, nil)), queue.Job{Kind: queue.Heal, Key: "kim"})

	for _, want := range []string{`"job":"heal"`, `"key":"kim"`, `"error":"on purpose"`, "TestCallLogsAPanic", `"level":"ERROR"`} {
		require.Contains(t, out.String(), want)
	}
}
