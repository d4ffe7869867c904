// Package river is the queue of any number of processes on one PostgreSQL
// database: River carries the wake-ups and chooses whose turn it is to tick.
//
// A row of River's is a wake-up and nothing else: no lock, no record of what
// was done. It is taken off before its job begins, so that one that comes in
// the middle of the job is a row of its own, and a process that dies leaves
// nothing behind that stands in the way.
package river

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"amend"
	"amend/queue"
)

const (
	// connections of one process; one of them listens. More don't make it
	// faster: what is slow is the jobs.
	connections = 5
	// patience is how long a job or a caller of Wake waits for the database.
	patience = time.Second
	// near is how far ahead a wake-up is kept here instead of by the sweep.
	near = time.Second
	// period is how long a row can stand in its own way. River can't leave
	// running jobs out of its uniqueness, and a process that dies between
	// fetching a row and taking it off leaves it running for an hour.
	period = 10 * time.Second
)

// Queue is a queue in a PostgreSQL database. Wake-ups for later than a second
// are left to the sweep: a row that waits for its time would swallow earlier
// ones.
type Queue struct {
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx] // inserts only; each Run has one of its own
	now    func() time.Time
	log    *slog.Logger
	quiet  *slog.Logger // for River and for what recurs while the database is away

	open  context.Context // ends with Close
	close context.CancelFunc
}

var _ queue.Queue = (*Queue)(nil)

// New connects to a database that Migrate has prepared. The times given to
// Wake are by now, which is best the database's own clock. It fails with
// Unavailable where the database can't be reached, and with Conflict where it
// has no tables for this version.
func New(ctx context.Context, url string, now func() time.Time, log *slog.Logger) (*Queue, error) {
	// Losing the last wake-ups in a crash is cheaper than waiting for the disk.
	pool, err := dial(ctx, url, map[string]string{"synchronous_commit": "off"})
	if err != nil {
		return nil, err
	}
	q := &Queue{pool: pool, now: now, log: log, quiet: slog.New(newQuiet(log.Handler()))}
	if err := q.check(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	q.client, err = river.NewClient(riverpgxv5.New(pool), &river.Config{
		// How often this client may notify: the default would leave wake-ups
		// that follow each other quickly to polling.
		FetchCooldown: river.FetchCooldownMin,
		Logger:        q.quiet,
		MaxAttempts:   1,
	})
	if err != nil {
		pool.Close()
		return nil, err
	}
	q.open, q.close = context.WithCancel(context.Background())
	return q, nil
}

// dial opens a small pool. It connects when it is used.
func dial(ctx context.Context, url string, settings map[string]string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, &amend.Error{Code: amend.Invalid, Text: "the queue's address is not one of PostgreSQL", Err: err, Next: "write postgres://USER@HOST/DATABASE"}
	}
	config.MaxConns = connections
	config.ConnConfig.RuntimeParams["application_name"] = "amend queue"
	// A process that stands still must not hold up the wake-ups of all others.
	config.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = "10s"
	for name, value := range settings {
		config.ConnConfig.RuntimeParams[name] = value
	}
	return pgxpool.NewWithConfig(ctx, config)
}

// Close lets go of the database. What still waits for its second is left to
// the sweep.
func (q *Queue) Close() {
	q.close()
	q.pool.Close()
}

// Wake has jobs run at a time. It waits for the database, at most a second.
func (q *Queue) Wake(at time.Time, jobs ...queue.Job) {
	wait := at.Sub(q.now())
	if len(jobs) == 0 || wait > near {
		return
	}
	// In one order everywhere: processes that insert the same rows wait for
	// each other instead of in a circle. And each once, which River can't do.
	jobs = slices.Clone(jobs)
	slices.SortFunc(jobs, compare)
	jobs = slices.Compact(jobs)
	if wait > 0 {
		time.AfterFunc(wait, func() { q.insert(jobs) })
		return
	}
	q.insert(jobs)
}

func compare(a, b queue.Job) int {
	if order := strings.Compare(string(a.Kind), string(b.Kind)); order != 0 {
		return order
	}
	return strings.Compare(a.Key, b.Key)
}

func (q *Queue) insert(jobs []queue.Job) {
	ctx, cancel := context.WithTimeout(q.open, patience)
	defer cancel()
	rows := make([]river.InsertManyParams, len(jobs))
	for i, job := range jobs {
		rows[i] = river.InsertManyParams{Args: wakeUp{Key: job.Key}, InsertOpts: options(job.Kind)}
	}
	if _, err := q.client.InsertMany(ctx, rows); err != nil && q.open.Err() == nil {
		q.quiet.Warn("wake-ups are left to the sweep", "jobs", len(jobs), "error", err)
	}
}

// wakeUp is what a row says of its job beside the kind, which is its queue.
type wakeUp struct {
	Key string `json:"key"`
}

// Kind is River's name for these rows, which are all alike to it.
func (wakeUp) Kind() string { return "wake_up" }

// options of a kind's rows: the same job waits once.
func options(kind queue.Kind) *river.InsertOpts {
	return &river.InsertOpts{Queue: string(kind), UniqueOpts: river.UniqueOpts{
		ByArgs:   true,
		ByQueue:  true,
		ByPeriod: period,
		ByState: []rivertype.JobState{rivertype.JobStateAvailable, rivertype.JobStatePending,
			rivertype.JobStateRunning, rivertype.JobStateScheduled},
	}}
}
