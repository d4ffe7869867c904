package river_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	osexec "os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"amend"
	"amend/queue"
	"amend/queue/queuetest"
	"amend/queue/river"
)

// T32: wake-ups that get lost are no error, and stand in nobody's way.
func TestDeletedRowsAreForgotten(t *testing.T) {
	t.Parallel()
	address := database(t)
	var log record
	q := open(t, address, log.logger())
	jobs := queuetest.Jobs(queue.Heal, 200)
	q.Wake(time.Now(), jobs...)
	exec(t, session(t, address), "delete from river_job")
	var seen queuetest.Record
	queuetest.Start(t, q, handlers{queue.Heal: seen.Handler(4, nil)})
	q.Wake(time.Now(), queue.Job{Kind: queue.Heal, Key: "other"})
	queuetest.Eventually(t, func() bool { return seen.Runs("other") == 1 }, "it was not run")
	_, runs := seen.All()
	require.Equal(t, 1, runs)

	q.Wake(time.Now(), jobs...) // what the sweep does

	queuetest.Eventually(t, func() bool { keys, _ := seen.All(); return keys == len(jobs)+1 }, "a wake-up was lost")
	require.Empty(t, log.String())
}

// T25: polling finds what no notification announces.
func TestPollingFindsWork(t *testing.T) {
	t.Parallel()
	address := database(t)
	var seen queuetest.Record
	queuetest.Start(t, open(t, address, slog.Default()), handlers{queue.Heal: seen.Handler(4, nil)})
	rows := session(t, address)
	var slowest time.Duration
	for i := range 5 {
		key := fmt.Sprint(i)
		begin := time.Now()
		exec(t, rows, `insert into river_job (args, kind, queue, max_attempts) values (jsonb_build_object('key', $1::text), 'wake_up', 'heal', 1)`, key)
		queuetest.Eventually(t, func() bool { return seen.Runs(key) == 1 }, "it was not found")
		slowest = max(slowest, time.Since(begin))
	}
	t.Logf("the slowest of 5 was found after %v", slowest)
	require.Less(t, slowest, 1500*time.Millisecond)
}

// Whoever wakes doesn't wait for the database for long.
func TestWakeDoesNotWaitForALock(t *testing.T) {
	t.Parallel()
	address := database(t)
	var log record
	q := open(t, address, log.logger())
	other := session(t, address)
	exec(t, other, "begin")
	exec(t, other, "lock table river_job in access exclusive mode")

	begin := time.Now()
	q.Wake(time.Now(), queue.Job{Kind: queue.Heal, Key: "a"})
	q.Wake(time.Now(), queue.Job{Kind: queue.Heal, Key: "b"})

	require.Less(t, time.Since(begin), 4*time.Second)
	require.Equal(t, 1, strings.Count(log.String(), "wake-ups are left to the sweep"), log.String())
}

// A process of T23: all connections are cut, again and again, while it works.
func TestCutConnections(t *testing.T) {
	t.Parallel()
	address := database(t)
	var log record
	q := open(t, address, log.logger())
	var seen, ticks queuetest.Record
	tick := ticks.Handler(1, nil)
	tick.Every = time.Second
	queuetest.Start(t, q, handlers{queue.Heal: seen.Handler(4, nil), queue.Tick: tick})
	queuetest.Eventually(t, func() bool { return ticks.Runs("") > 0 }, "it does not tick")
	killer := session(t, address)

	for i := range 5 {
		exec(t, killer, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")
		begin, ticked, key := time.Now(), ticks.Runs(""), fmt.Sprint(i)
		// The sweep wakes again until it was run.
		queuetest.Eventually(t, func() bool {
			q.Wake(time.Now(), queue.Job{Kind: queue.Heal, Key: key})
			return seen.Runs(key) > 0
		}, "it did not recover")
		t.Logf("works again after %v", time.Since(begin))
		queuetest.Eventually(t, func() bool { return ticks.Runs("") > ticked }, "it ticks no more")
		t.Logf("ticks again after %v", time.Since(begin))
	}
	requireQuiet(t, log.String())
}

// cut has a database cut all its connections and take no others.
func cut(t *testing.T, admin *pgx.Conn, database string) {
	t.Helper()
	exec(t, admin, fmt.Sprintf("alter database %q with allow_connections false", database))
	exec(t, admin, "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", database)
}

// T23: PostgreSQL is away for a while, and comes back.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	address := database(t)
	admin, name := administration(t, address)
	var log record
	q := open(t, address, log.logger())
	var seen, ticks queuetest.Record
	tick := ticks.Handler(1, nil)
	tick.Every = time.Second
	stop := queuetest.Start(t, q, handlers{queue.Heal: seen.Handler(4, nil), queue.Tick: tick})
	queuetest.Eventually(t, func() bool { return ticks.Runs("") > 0 }, "it does not tick")

	cut(t, admin, name)
	for i := range 30 {
		begin := time.Now()
		q.Wake(begin, queue.Job{Kind: queue.Heal, Key: fmt.Sprint("away ", i)})
		require.Less(t, time.Since(begin), 3*time.Second, "it waits for the database")
		<-time.After(100 * time.Millisecond)
	}
	exec(t, admin, fmt.Sprintf("alter database %q with allow_connections true", name))

	begin, ticked := time.Now(), ticks.Runs("")
	queuetest.Eventually(t, func() bool {
		q.Wake(time.Now(), queue.Job{Kind: queue.Heal, Key: "back"})
		return seen.Runs("back") > 0
	}, "it did not recover")
	t.Logf("works again after %v", time.Since(begin))
	queuetest.Eventually(t, func() bool { return ticks.Runs("") > ticked+2 }, "it ticks no more")
	t.Logf("ticks again after %v", time.Since(begin))

	cut(t, admin, name)
	begin = time.Now()
	stop()
	t.Logf("ended after %v", time.Since(begin))
	require.Less(t, time.Since(begin), 5*time.Second, "the end waits for the database")
	requireQuiet(t, log.String())
}

// Run waits for its handlers longer than for the database.
func TestEndWaitsForAHandlerHoweverLong(t *testing.T) {
	t.Parallel()
	q := open(t, database(t), slog.Default())
	begun, letGo := make(chan struct{}), time.Time{}
	stop := queuetest.Start(t, q, handlers{queue.Heal: {Do: func(ctx context.Context, _ string) {
		close(begun)
		<-ctx.Done()
		<-time.After(4 * time.Second)
		letGo = time.Now()
	}}})
	q.Wake(time.Now(), queue.Job{Kind: queue.Heal, Key: "a"})
	<-begun

	stop()

	require.False(t, letGo.IsZero())
}

// requireQuiet allows each message once, and none of a job.
func requireQuiet(t *testing.T, log string) {
	t.Helper()
	said := map[string]int{}
	for line := range strings.Lines(log) {
		_, rest, _ := strings.Cut(line, "msg=")
		if message, _, quoted := strings.Cut(strings.TrimPrefix(rest, `"`), `"`); quoted {
			rest = message
		}
		said[rest]++
		require.Equal(t, 1, said[rest], line)
	}
	t.Logf("logged: %v", said)
}

func TestRunSaysThatTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	address := database(t)
	admin, name := administration(t, address)
	q := open(t, address, slog.New(slog.DiscardHandler))
	cut(t, admin, name)

	err := q.Run(t.Context(), handlers{queue.Heal: {Do: func(context.Context, string) {}}})

	require.Equal(t, amend.Unavailable, amend.CodeOf(err))
}

func TestCloseForgetsWhatIsNear(t *testing.T) {
	t.Parallel()
	var log record
	q, err := river.New(t.Context(), database(t), time.Now, log.logger())
	require.NoError(t, err)
	q.Wake(time.Now().Add(100*time.Millisecond), queue.Job{Kind: queue.Heal, Key: "near"})
	q.Close()
	q.Wake(time.Now(), queue.Job{Kind: queue.Heal, Key: "now"})
	<-time.After(200 * time.Millisecond)
	require.Empty(t, log.String())
}

func TestTicksGoOnElsewhere(t *testing.T) {
	t.Parallel()
	address := database(t)
	var log record
	one, other := open(t, address, log.logger()), open(t, address, log.logger())
	var seen, atOther queuetest.Record
	tick := seen.Handler(1, nil)
	tick.Every = time.Second
	stop := queuetest.Start(t, one, handlers{queue.Tick: tick})
	queuetest.Eventually(t, func() bool { return seen.Runs("") > 0 }, "it does not tick")
	tick = seen.Handler(1, atOther.Handler(1, nil).Do)
	tick.Every = time.Second
	queuetest.Start(t, other, handlers{queue.Tick: tick})

	// Two processes tick no more often than one.
	before := seen.Runs("")
	queuetest.Eventually(t, func() bool { return seen.Runs("") >= before+4 }, "it does not tick")
	begins := seen.Begins("")[before:]
	require.Greater(t, begins[3].Sub(begins[0]), 2*time.Second, "both tick")

	stop()
	stopped, before := time.Now(), atOther.Runs("")
	queuetest.Eventually(t, func() bool { return atOther.Runs("") >= before+3 }, "the other doesn't tick")
	t.Logf("the other ticked %v after the leader's end", atOther.Begins("")[before].Sub(stopped))
	require.Empty(t, log.String())
}

// A process that dies in the moment between fetching a wake-up and taking it
// off leaves a row that River takes for a running job for an hour.
func TestDiedWhileTakingOff(t *testing.T) {
	t.Parallel()
	address := database(t)
	q := open(t, address, slog.Default())
	a := queue.Job{Kind: queue.Heal, Key: "a"}
	q.Wake(time.Now(), a)
	exec(t, session(t, address), "update river_job set state = 'running', attempt = 1, attempted_at = now(), attempted_by = '{dead}'")
	died := time.Now()
	var seen queuetest.Record
	queuetest.Start(t, q, handlers{queue.Heal: seen.Handler(1, nil)})

	queuetest.Eventually(t, func() bool {
		q.Wake(time.Now(), a) // what the sweep does
		return seen.Runs("a") > 0
	}, "the dead stand in the way")

	t.Logf("ran after %v", time.Since(died))
	require.Less(t, time.Since(died), 12*time.Second)
}

// child is the variable that makes a process of this test's program work on a
// queue until it is killed.
const child = "AMEND_TEST_QUEUE"

func TestMain(m *testing.M) {
	if address := os.Getenv(child); address != "" {
		workUntilKilled(address)
	}
	os.Exit(m.Run())
}

// workUntilKilled says what it begins, and never ends it.
func workUntilKilled(address string) {
	say := func(ctx context.Context, key string) {
		fmt.Println("began", key)
		<-ctx.Done()
	}
	q, err := river.New(context.Background(), address, time.Now, slog.Default())
	if err == nil {
		err = q.Run(context.Background(), handlers{
			queue.Heal: {Workers: 2, Do: say},
			queue.Tick: {Every: time.Second, Do: func(context.Context, string) { fmt.Println("ticked") }},
		})
	}
	fmt.Println(err)
	os.Exit(1)
}

// T32: the leader is killed. Its ticks go on elsewhere, and what it worked on
// can be woken at once.
func TestKilledProcess(t *testing.T) {
	t.Parallel()
	address := database(t)
	q := open(t, address, slog.Default())
	process := osexec.CommandContext(t.Context(), os.Args[0])
	process.Env = append(os.Environ(), child+"="+address)
	out, err := process.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, process.Start())
	lines := bufio.NewScanner(out)
	await := func(want string) {
		for lines.Scan() {
			if lines.Text() == want {
				return
			}
		}
		require.Fail(t, "the process ended", lines.Text())
	}
	for range 3 {
		await("ticked") // the third only where it leads
	}
	q.Wake(time.Now(), queue.Job{Kind: queue.Heal, Key: "a"})
	await("began a")
	var seen, ticks queuetest.Record
	tick := ticks.Handler(1, nil)
	tick.Every = time.Second

	require.NoError(t, process.Process.Kill())
	killed := time.Now()
	require.Error(t, process.Wait())
	queuetest.Start(t, q, handlers{queue.Heal: seen.Handler(1, nil), queue.Tick: tick})
	q.Wake(time.Now(), queue.Job{Kind: queue.Heal, Key: "a"})

	queuetest.Eventually(t, func() bool { return seen.Runs("a") == 1 }, "the dead stand in the way")
	t.Logf("what it worked on ran again after %v", time.Since(killed))
	require.Less(t, time.Since(killed), 5*time.Second)
	// Its first tick comes with its start; the others, when it leads.
	require.Eventually(t, func() bool { return ticks.Runs("") >= 3 }, 40*time.Second, 10*time.Millisecond, "nobody ticks")
	t.Logf("the ticks went on after %v", ticks.Begins("")[1].Sub(killed))
	require.Less(t, ticks.Begins("")[1].Sub(killed), 30*time.Second)
}
