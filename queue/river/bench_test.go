package river_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"amend/queue"
)

// run works on heals until the benchmark ends.
func run(b *testing.B, q queue.Queue, workers int, do func(key string)) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- q.Run(ctx, handlers{queue.Heal: {Workers: workers, Do: func(_ context.Context, key string) { do(key) }}})
	}()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
}

// BenchmarkLatency is the time from Wake to the job's begin, with a pause after
// each: wake-ups that follow each other wait for River's cooldown.
func BenchmarkLatency(b *testing.B) {
	q := open(b, database(b), slog.Default())
	begun := make(chan time.Time)
	run(b, q, 16, func(string) { begun <- time.Now() })
	var woken, took []time.Duration
	wake := func(i int) {
		begin := time.Now()
		q.Wake(begin, queue.Job{Kind: queue.Heal, Key: fmt.Sprint(i)})
		woken = append(woken, time.Since(begin))
		took = append(took, (<-begun).Sub(begin))
		<-time.After(rand.N(50 * time.Millisecond))
	}
	wake(-1) // connects
	woken, took = nil, nil
	for i := 0; b.Loop(); i++ {
		wake(i)
	}
	slices.Sort(woken)
	slices.Sort(took)
	for _, percentile := range []int{50, 99} {
		at := len(took) * percentile / 100
		b.ReportMetric(float64(woken[at].Microseconds())/1000, fmt.Sprintf("ms/wake-p%d", percentile))
		b.ReportMetric(float64(took[at].Microseconds())/1000, fmt.Sprintf("ms/begin-p%d", percentile))
	}
}

// BenchmarkThroughput is 1,000 jobs that do nothing, woken at once.
func BenchmarkThroughput(b *testing.B) {
	const jobs = 1000
	q := open(b, database(b), slog.Default())
	var begun atomic.Int64
	done := make(chan struct{})
	run(b, q, 16, func(string) {
		if begun.Add(1)%jobs == 0 {
			done <- struct{}{}
		}
	})
	batch := make([]queue.Job, jobs)
	for round := 0; b.Loop(); round++ {
		for i := range batch {
			batch[i] = queue.Job{Kind: queue.Heal, Key: fmt.Sprint(round, "/", i)}
		}
		q.Wake(time.Now(), batch...)
		<-done
	}
	b.ReportMetric(float64(jobs*b.N)/b.Elapsed().Seconds(), "jobs/s")
}
