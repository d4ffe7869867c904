// Command river repairs customers with one River job for each of them.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"peers.example/customer"
)

func main() { customer.Main(prepare) }

// job is one customer.
type job struct {
	ID string `json:"id"`
}

// Kind is part of river.JobArgs.
func (job) Kind() string { return "heal" }

// worker heals one customer at a time.
type worker struct {
	river.WorkerDefaults[job]
	work     *customer.Work
	finished atomic.Int64
}

// Work is part of river.Worker.
func (w *worker) Work(ctx context.Context, j *river.Job[job]) error {
	state, err := w.work.Bank.Heal(ctx, j.Args.ID)
	if err == nil {
		w.work.Found(state)
		w.finished.Add(1)
	}
	return err
}

func prepare(ctx context.Context, work *customer.Work) (func(context.Context) error, error) {
	pool, err := pgxpool.New(ctx, work.Postgres)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	driver := riverpgxv5.New(pool)
	log := slog.New(slog.DiscardHandler)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: log})
	if err != nil {
		return nil, fmt.Errorf("set the database up: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, fmt.Errorf("set the database up: %w", err)
	}
	if _, err := pool.Exec(ctx, "truncate river_job"); err != nil {
		return nil, fmt.Errorf("empty the queue: %w", err)
	}
	w := &worker{work: work}
	workers := river.NewWorkers()
	river.AddWorker(workers, w)
	// Jobs are fetched as soon as a worker is free: the default of every 100 ms
	// would let the workers wait.
	client, err := river.NewClient(driver, &river.Config{Logger: log, Workers: workers, FetchCooldown: 5 * time.Millisecond,
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 2 * customer.Lanes}}})
	if err != nil {
		return nil, fmt.Errorf("make the client: %w", err)
	}
	return func(ctx context.Context) error {
		defer pool.Close()
		return w.run(ctx, client)
	}, nil
}

// run inserts a job for each customer while others are worked on, and ends
// when all are.
func (w *worker) run(ctx context.Context, client *river.Client[pgx.Tx]) error {
	if err := client.Start(ctx); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	all := int64(0)
	err := w.work.Bank.Each(ctx, func(ids []string) error {
		jobs := make([]river.InsertManyParams, len(ids))
		for i, id := range ids {
			jobs[i] = river.InsertManyParams{Args: job{id}}
		}
		all += int64(len(ids))
		_, err := client.InsertManyFast(ctx, jobs)
		return err
	})
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for err == nil && w.finished.Load() < all {
		<-ticker.C
	}
	return errors.Join(err, client.Stop(ctx))
}
