package river_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"amend"
	"amend/internal/testpg"
	"amend/queue"
	"amend/queue/queuetest"
	"amend/queue/river"
)

type handlers = map[queue.Kind]queue.Handler

// database is an empty one with the queue's tables.
func database(t testing.TB) (address string) {
	t.Helper()
	address = testpg.New(t)
	require.NoError(t, river.Migrate(t.Context(), address))
	return address
}

func open(t testing.TB, address string, log *slog.Logger) *river.Queue {
	t.Helper()
	q, err := river.New(t.Context(), address, time.Now, log)
	require.NoError(t, err)
	t.Cleanup(q.Close)
	return q
}

// record is a log that tests can read while it is written.
type record struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.String()
}

func (r *record) logger() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }

// session is a connection of its own to the database.
func session(t testing.TB, address string) *pgx.Conn {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	t.Cleanup(func() { connection.Close(context.Background()) })
	return connection
}

func exec(t testing.TB, connection *pgx.Conn, statement string, values ...any) {
	t.Helper()
	_, err := connection.Exec(t.Context(), statement, values...)
	require.NoError(t, err)
}

func count(t testing.TB, connection *pgx.Conn, query string) (n int) {
	t.Helper()
	require.NoError(t, connection.QueryRow(t.Context(), query).Scan(&n))
	return n
}

// poll is how often the queue looks for rows, and a bit.
const poll = 600 * time.Millisecond

// withinAPeriod waits until there is some time to the end of the period in
// which River tells duplicates.
func withinAPeriod() {
	const period = 10 * time.Second
	if left := time.Until(time.Now().Truncate(period).Add(period)); left < 2*time.Second {
		<-time.After(left)
	}
}

func TestQueue(t *testing.T) {
	t.Parallel()
	queuetest.Test(t, func(t *testing.T) queue.Queue {
		var log record
		t.Cleanup(func() {
			for line := range strings.Lines(log.String()) {
				require.Contains(t, line, "a job panicked", "nothing else is to be logged")
			}
		})
		return open(t, database(t), log.logger())
	})
}

func TestNew(t *testing.T) {
	t.Parallel()
	t.Run("WithoutTablesItSaysWhatToDo", func(t *testing.T) {
		t.Parallel()
		_, err := river.New(t.Context(), testpg.New(t), time.Now, slog.Default())
		require.Equal(t, amend.Conflict, amend.CodeOf(err))
		require.ErrorContains(t, err, "run: amend migrate")
	})
	t.Run("WithOldTablesItSaysWhatToDo", func(t *testing.T) {
		t.Parallel()
		address := database(t)
		exec(t, session(t, address), "delete from river_migration where version = (select max(version) from river_migration)")
		_, err := river.New(t.Context(), address, time.Now, slog.Default())
		require.Equal(t, amend.Conflict, amend.CodeOf(err))
	})
	t.Run("WithTablesOfANewerVersionItRuns", func(t *testing.T) { // T35
		t.Parallel()
		address := database(t)
		exec(t, session(t, address), "insert into river_migration (line, version) values ('main', 1000)")
		open(t, address, slog.Default())
	})
	t.Run("UnreachableIsUnavailableAndKeepsThePassword", func(t *testing.T) {
		t.Parallel()
		_, err := river.New(t.Context(), "postgres://amend:canary@127.0.0.1:1/amend", time.Now, slog.Default())
		require.Equal(t, amend.Unavailable, amend.CodeOf(err))
		require.NotContains(t, err.Error(), "canary")
		require.Equal(t, amend.Unavailable, amend.CodeOf(river.Migrate(t.Context(), "postgres://amend:canary@127.0.0.1:1/amend")))
	})
	t.Run("NoAddressIsInvalidAndKeepsThePassword", func(t *testing.T) {
		t.Parallel()
		_, err := river.New(t.Context(), "postgres://amend:canary@localhost:port/amend", time.Now, slog.Default())
		require.Equal(t, amend.Invalid, amend.CodeOf(err))
		require.NotContains(t, err.Error(), "canary")
	})
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	address := testpg.New(t)
	var group sync.WaitGroup
	failed := make(chan error, 4)
	for range cap(failed) {
		group.Go(func() { failed <- river.Migrate(t.Context(), address) })
	}
	group.Wait()
	for range cap(failed) {
		require.NoError(t, <-failed)
	}
	require.NoError(t, river.Migrate(t.Context(), address), "a second time")
	open(t, address, slog.Default())
	locks := session(t, address)
	// The server ends a session a moment after it was closed, and knows the locks of
	// other databases, too.
	queuetest.Eventually(t, func() bool {
		return count(t, locks, "select count(*) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())") == 0
	}, "the lock is given back")
}

func TestTwoProcessesShareWork(t *testing.T) {
	t.Parallel()
	const jobs = 500
	address := database(t)
	one, other := open(t, address, slog.Default()), open(t, address, slog.Default())
	var all, ofOne, ofOther queuetest.Record
	work := func(of *queuetest.Record) handlers {
		return handlers{queue.Heal: of.Handler(4, func(ctx context.Context, key string) {
			all.Handler(0, nil).Do(ctx, key)
			<-time.After(time.Millisecond)
		})}
	}
	queuetest.Start(t, one, work(&ofOne))
	queuetest.Start(t, other, work(&ofOther))

	one.Wake(time.Now(), queuetest.Jobs(queue.Heal, jobs)...)

	queuetest.Eventually(t, func() bool { keys, _ := all.All(); return keys == jobs }, "a wake-up was lost")
	_, runs := all.All()
	require.Equal(t, jobs, runs, "a job ran twice")
	_, left := ofOne.All()
	_, right := ofOther.All()
	require.Greater(t, min(left, right), jobs/10, "one did it all")
}

// T33: the same jobs five times at once, from two processes.
func TestDuplicatesRunOnce(t *testing.T) {
	t.Parallel()
	const jobs = 100
	address := database(t)
	one, other := open(t, address, slog.Default()), open(t, address, slog.Default())
	withinAPeriod()
	var group sync.WaitGroup
	for i := range 5 {
		group.Go(func() {
			[]*river.Queue{one, other}[i%2].Wake(time.Now(), queuetest.Jobs(queue.Heal, jobs)...)
		})
	}
	group.Wait()
	require.Equal(t, jobs, count(t, session(t, address), "select count(*) from river_job"))

	var seen queuetest.Record
	queuetest.Start(t, one, handlers{queue.Heal: seen.Handler(4, nil)})
	queuetest.Start(t, other, handlers{queue.Heal: seen.Handler(4, nil)})

	queuetest.Eventually(t, func() bool { keys, _ := seen.All(); return keys == jobs }, "a wake-up was lost")
	_, runs := seen.All()
	require.Equal(t, jobs, runs)
}

// A wake-up for later would swallow earlier ones, if it waited in the table,
// and use up memory, if it waited in the process.
func TestLaterIsLeftToTheSweep(t *testing.T) {
	t.Parallel()
	address := database(t)
	q := open(t, address, slog.Default())
	var seen queuetest.Record
	queuetest.Start(t, q, handlers{queue.Heal: seen.Handler(1, nil)})

	due := time.Now().Add(1500 * time.Millisecond)
	q.Wake(due, queue.Job{Kind: queue.Heal, Key: "later"}, queue.Job{Kind: queue.Heal, Key: "now"})
	require.Zero(t, count(t, session(t, address), "select count(*) from river_job"))
	q.Wake(time.Now(), queue.Job{Kind: queue.Heal, Key: "now"})

	queuetest.Eventually(t, func() bool { return seen.Runs("now") == 1 }, "it was not run")
	<-time.After(time.Until(due) + poll)
	require.Zero(t, seen.Runs("later"))
}

// T31: times are by the clock that the queue was given, which may be far from
// the process's.
func TestTimesAreByTheGivenClock(t *testing.T) {
	t.Parallel()
	fast := func() time.Time { return time.Now().Add(time.Hour) }
	q, err := river.New(t.Context(), database(t), fast, slog.Default())
	require.NoError(t, err)
	t.Cleanup(q.Close)
	var seen queuetest.Record
	queuetest.Start(t, q, handlers{queue.Heal: seen.Handler(1, nil)})

	q.Wake(fast(), queue.Job{Kind: queue.Heal, Key: "a"})

	queuetest.Eventually(t, func() bool { return seen.Runs("a") == 1 }, "it was not run")
}

func TestTicksAtTheStartWhoeverLeads(t *testing.T) {
	t.Parallel()
	address := database(t)
	exec(t, session(t, address), "insert into river_leader (elected_at, expires_at, leader_id) values (now(), now() + interval '1 day', 'somebody who never ticks')")
	var seen queuetest.Record
	tick := seen.Handler(1, nil)
	tick.Every = time.Second
	queuetest.Start(t, open(t, address, slog.Default()), handlers{queue.Tick: tick})

	queuetest.Eventually(t, func() bool { return seen.Runs("") == 1 }, "it does not tick")
}

// T31: what a process with a fast clock ticks would wait until then.
func TestTicksAreDueByTheDatabasesClock(t *testing.T) {
	t.Parallel()
	address := database(t)
	var seen queuetest.Record
	tick := seen.Handler(1, nil)
	tick.Every = time.Second
	queuetest.Start(t, open(t, address, slog.Default()), handlers{queue.Tick: tick})
	queuetest.Eventually(t, func() bool { return seen.Runs("") >= 3 }, "it does not tick")

	require.Zero(t, count(t, session(t, address), "select count(*) from river_job where scheduled_at <> created_at"))
}

// What a wake-up leaves in the table while its job runs stands in nobody's way.
func TestRunningIsTakenOff(t *testing.T) {
	t.Parallel()
	address := database(t)
	q := open(t, address, slog.Default())
	var seen queuetest.Record
	queuetest.Start(t, q, handlers{queue.Heal: seen.Handler(1, func(ctx context.Context, _ string) { <-ctx.Done() })})
	q.Wake(time.Now(), queue.Job{Kind: queue.Heal, Key: "a"})
	queuetest.Eventually(t, func() bool { return seen.Runs("a") == 1 }, "it was not run")

	rows := session(t, address)
	require.Zero(t, count(t, rows, "select count(*) from river_job where state = 'running'"))
	q.Wake(time.Now(), queue.Job{Kind: queue.Heal, Key: "a"})
	require.Equal(t, 2, count(t, rows, "select count(*) from river_job"))
}

// administration is a session beside the database, which outlives its own.
func administration(t testing.TB, address string) (connection *pgx.Conn, name string) {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	name = strings.TrimPrefix(u.Path, "/")
	u.Path = "/postgres"
	return session(t, u.String()), name
}
