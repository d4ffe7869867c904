package queue_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"amend/queue"
)

func run(t *testing.T, q *queue.Local, workers int, work func(string)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		q.Run(ctx, workers, func(_ context.Context, c string) { work(c) })
	}()
	return func() { cancel(); <-done }
}

func TestWake(t *testing.T) {
	t.Run("AtItsTimeAndInOrder", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q, start := queue.NewLocal(time.Now), time.Now()
			var got []string
			stop := run(t, q, 1, func(c string) { got = append(got, fmt.Sprint(c, " after ", time.Since(start))) })
			q.Wake("b", start.Add(2*time.Second))
			q.Wake("a", start.Add(time.Second))
			q.Wake("a", start.Add(3*time.Second)) // later than known: no second run
			time.Sleep(10 * time.Second)
			stop()
			require.Equal(t, []string{"a after 1s", "b after 2s"}, got)
			require.Zero(t, q.Len())
		})
	})
	t.Run("EarlierWins", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q, start := queue.NewLocal(time.Now), time.Now()
			var got []time.Duration
			stop := run(t, q, 1, func(string) { got = append(got, time.Since(start)) })
			q.Wake("a", start.Add(time.Hour))
			q.Wake("a", start.Add(time.Second))
			time.Sleep(2 * time.Hour)
			stop()
			require.Equal(t, []time.Duration{time.Second}, got)
		})
	})
	t.Run("WhileRunningRunsOnceMore", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := queue.NewLocal(time.Now)
			runs := 0
			stop := run(t, q, 4, func(string) {
				runs++
				if runs == 1 {
					for range 5 {
						q.Wake("a", time.Now())
					}
					time.Sleep(time.Second)
				}
			})
			q.Wake("a", time.Now())
			time.Sleep(time.Minute)
			stop()
			require.Equal(t, 2, runs)
		})
	})
}

func TestOneWorkerPerCustomer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue.NewLocal(time.Now)
		var mu sync.Mutex
		running, most, runs := map[string]int{}, 0, 0
		stop := run(t, q, 8, func(c string) {
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
			q.Wake(fmt.Sprint(i%7), time.Now().Add(time.Duration(i)*time.Millisecond/2))
			time.Sleep(100 * time.Microsecond)
		}
		time.Sleep(time.Minute)
		stop()
		require.Equal(t, 1, most)
		require.Greater(t, runs, 7)
	})
}
