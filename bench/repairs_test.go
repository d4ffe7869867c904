package bench

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver named "pgx"
	_ "modernc.org/sqlite"             // the driver named "sqlite"

	"amend/config"
	"amend/connectors"
	kindhttp "amend/connectors/http"
	"amend/internal/testpg"
	"amend/queue"
	"amend/reconciler"
	"amend/rules"
	"amend/store"
)

const (
	lanes = 16 // heals at once, here and in the hand-written loop
	size  = 1000
)

func customers(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("cus_%06d", i)
	}
	return all
}

var engines = map[string]func(b *testing.B) string{
	"sqlite":   func(b *testing.B) string { return "sqlite:" + filepath.Join(b.TempDir(), "amend.db") },
	"postgres": func(b *testing.B) string { return testpg.New(b) },
}

// BenchmarkRepairs heals customers who are all inconsistent: two reads, an
// intent, one PUT, its outcome, two reads that prove it. "hand" is the same by
// a loop written for the purpose, with its writes committed in groups.
func BenchmarkRepairs(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		b.Run(engine+"/hand", func(b *testing.B) {
			var cost work
			for range b.N {
				cost = cost.plus(byHand(b, engine))
			}
			report(b, size, cost)
		})
		b.Run(engine+"/amend", func(b *testing.B) {
			var cost work
			for range b.N {
				cost = cost.plus(byAmend(b, engines[engine](b), load{workers: 1, lanes: lanes, size: size}))
			}
			report(b, size, cost)
		})
	}
}

// work is computing time.
type work struct {
	here     time.Duration // of this process, the services included
	database time.Duration // of PostgreSQL
}

func (w work) plus(o work) work  { return work{w.here + o.here, w.database + o.database} }
func (w work) minus(o work) work { return work{w.here - o.here, w.database - o.database} }

// report gives repairs per second, and what one costs, which says more where
// others use the machine.
func report(b *testing.B, size int, cost work) {
	b.Helper()
	repairs := float64(size * b.N)
	b.ReportMetric(repairs/b.Elapsed().Seconds(), "repairs/s")
	b.ReportMetric(float64(cost.here.Microseconds())/repairs, "cpu-µs/repair")
	if cost.database > 0 {
		b.ReportMetric(float64(cost.database.Microseconds())/repairs, "pg-µs/repair")
	}
}

// spent is what was computed until now: by this process, and by the processes of
// a PostgreSQL on this machine that are still there.
func spent(b *testing.B, address string) (w work) {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	w.here = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	if !store.IsPostgres(address) {
		return w
	}
	connection, err := pgx.Connect(b.Context(), address)
	if err != nil {
		b.Fatal(err)
	}
	defer connection.Close(b.Context())
	rows, _ := connection.Query(b.Context(), `select pid from pg_stat_activity`) // the error comes with the rows
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		b.Fatal(err)
	}
	for _, pid := range pids {
		w.database += computed(pid)
	}
	return w
}

// computed is the time of one process, which Linux counts in hundredths of a
// second; none where it has gone.
func computed(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// BenchmarkWorkers shares the work among workers on one PostgreSQL, where
// services take 20 ms to answer. Each heals four customers at once, so that it
// is the services that they wait for, and not this machine.
func BenchmarkWorkers(b *testing.B) {
	const size = 300
	for _, workers := range []int{1, 2, 4} {
		b.Run(fmt.Sprint(workers), func(b *testing.B) {
			for range b.N {
				byAmend(b, testpg.New(b), load{workers: workers, lanes: 4, size: size, latency: 20 * time.Millisecond})
			}
			b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "repairs/s")
		})
	}
}

// load is who heals how many customers, of services that answer how fast.
type load struct {
	workers, lanes, size int
	latency              time.Duration
}

func byAmend(b *testing.B, address string, l load) work {
	b.Helper()
	b.StopTimer()
	workers := l.workers
	s, all := serve(b, l.latency), customers(rules.CanarySize+l.size)
	engines := make([]*reconciler.Engine, workers)
	for i := range engines {
		engines[i] = engine(b, address, s.URL)
		engines[i].Workers = l.lanes
	}
	sightings := make([]store.Sighting, len(all))
	for i, id := range all {
		sightings[i] = store.Sighting{Customer: id, State: "missing", Wake: time.Now()}
	}
	if err := engines[0].Begin(b.Context()); err != nil {
		b.Fatal(err)
	}
	fullPass(b, engines[0].Store)
	if _, err := engines[0].Store.Sight(b.Context(), sightings); err != nil {
		b.Fatal(err)
	}
	// A new version of a rule begins with one repair, and is no more than that.
	for _, id := range all[:rules.CanarySize] {
		if err := engines[0].Heal(b.Context(), id); err != nil {
			b.Fatal(err)
		}
	}
	healed := len(all)
	all = all[rules.CanarySize:]
	ctx, cancel := context.WithCancel(b.Context())
	var group sync.WaitGroup
	begun := spent(b, address)
	b.StartTimer()
	for i, e := range engines {
		share := all[i*len(all)/workers : (i+1)*len(all)/workers]
		jobs := make([]queue.Job, len(share))
		for k, id := range share {
			jobs[k] = queue.Job{Kind: queue.Heal, Key: id}
		}
		e.Queue.Wake(time.Now(), jobs...)
		group.Go(func() {
			if err := e.Run(ctx, nil); err != nil {
				b.Error(err)
			}
		})
	}
	for idle := 0; idle < len(engines); {
		<-time.After(5 * time.Millisecond)
		idle = 0
		for _, e := range engines {
			if e.Queue.(*queue.Local).Len() == 0 {
				idle++
			}
		}
	}
	b.StopTimer()
	cost := spent(b, address).minus(begun)
	counts, err := engines[0].Store.CountCases(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if counts.ByRule != healed {
		b.Fatalf("%d of %d are healed", counts.ByRule, healed)
	}
	cancel()
	group.Wait()
	s.judge(b, all)
	b.StartTimer()
	return cost
}

// fullPass writes down that one was made: no rule acts before it.
func fullPass(b *testing.B, s *store.Store) {
	b.Helper()
	_, id, err := s.StartScan(b.Context(), store.FullScan, "bench")
	if err != nil {
		b.Fatal(err)
	}
	page, _, err := s.ClaimPage(b.Context(), id, time.Minute)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.FinishPage(b.Context(), page, store.Counted{Customers: 2 * size}); err != nil {
		b.Fatal(err)
	}
}

func engine(b *testing.B, address, url string) *reconciler.Engine {
	b.Helper()
	path := filepath.Join(b.TempDir(), "amend.yaml")
	if err := os.WriteFile(path, []byte(configuration), 0o600); err != nil {
		b.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	cfg, err := config.Load(config.Options{Path: path, Kinds: []connectors.Kind{kindhttp.Kind()},
		Getenv:       func(string) (string, bool) { return url, true },
		Surroundings: connectors.Surroundings{Now: time.Now, Loopback: true}})
	if err != nil {
		b.Fatal(err)
	}
	s, err := store.Open(b.Context(), address, store.Options{Log: log})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return &reconciler.Engine{Schema: cfg.Schema, Environment: cfg.Environment, Machine: cfg.Machine, Rules: cfg.Rules, Connectors: cfg.Connectors,
		Source: cfg.Scans.Source, Store: s, Queue: queue.NewLocal(s.Now, log), Now: s.Now, Log: log, Workers: lanes}
}

// byHand is the limit: the same reads and the same durable rows, and nothing
// that makes them safe.
func byHand(b *testing.B, engine string) work {
	b.Helper()
	b.StopTimer()
	s, all := serve(b, 0), customers(size)
	address := engines[engine](b)
	w := newGroups(b, engine, address)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: lanes}}
	defer client.CloseIdleConnections()
	work := make(chan string, len(all))
	for _, id := range all {
		work <- id
	}
	close(work)
	var group sync.WaitGroup
	begun := spent(b, address)
	b.StartTimer()
	for range lanes {
		group.Go(func() {
			for id := range work {
				if err := w.repair(client, s.URL, id); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
	b.StopTimer()
	cost := spent(b, address).minus(begun)
	w.close()
	s.judge(b, all)
	b.StartTimer()
	return cost
}

// groups commits the rows of many lanes together.
type groups struct {
	db   *sql.DB
	rows chan row
	done chan struct{}
}

type row struct {
	id, text string
	written  chan error
}

func newGroups(b *testing.B, engine, address string) *groups {
	b.Helper()
	driver := "pgx"
	if path, isFile := strings.CutPrefix(address, "sqlite:"); isFile {
		driver, address = "sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"
	}
	db, err := sql.Open(driver, address)
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`create table steps (id text, at bigint, text text)`); err != nil {
		b.Fatal(err)
	}
	g := &groups{db: db, rows: make(chan row, 128), done: make(chan struct{})}
	go g.run()
	b.Cleanup(func() { db.Close() })
	return g
}

func (g *groups) run() {
	defer close(g.done)
	for first := range g.rows {
		all := []row{first}
		for more := true; more && len(all) < 128; {
			select {
			case r, open := <-g.rows:
				if more = open; open {
					all = append(all, r)
				}
			default:
				more = false
			}
		}
		err := g.insert(all)
		for _, r := range all {
			r.written <- err
		}
	}
}

func (g *groups) insert(all []row) error {
	var text strings.Builder
	var args []any
	for i, r := range all {
		if i > 0 {
			text.WriteString(", ")
		}
		fmt.Fprintf(&text, "($%d, $%d, $%d)", 3*i+1, 3*i+2, 3*i+3)
		args = append(args, r.id, time.Now().UnixMicro(), r.text)
	}
	_, err := g.db.Exec(`insert into steps values `+text.String(), args...)
	return err
}

func (g *groups) write(id, text string) error {
	r := row{id, text, make(chan error, 1)}
	g.rows <- r
	return <-r.written
}

func (g *groups) close() { close(g.rows); <-g.done }

func (g *groups) repair(client *http.Client, url, id string) error {
	if missing, err := look(client, url, id); err != nil || !missing {
		return fmt.Errorf("before: missing %v: %w", missing, err)
	}
	if err := g.write(id, "intent: PUT /ledger/"+id); err != nil {
		return err
	}
	status, _, err := call(client, http.MethodPut, url+"/ledger/"+id)
	if err != nil {
		return err
	}
	if err := g.write(id, fmt.Sprint("outcome: ", status)); err != nil {
		return err
	}
	if missing, err := look(client, url, id); err != nil || missing {
		return fmt.Errorf("after: missing %v: %w", missing, err)
	}
	return g.write(id, "proved")
}

// look reads both services and says whether the ledger misses the customer.
func look(client *http.Client, url, id string) (missing bool, err error) {
	_, identity, err := call(client, http.MethodGet, url+"/identity/"+id)
	if err != nil {
		return false, err
	}
	status, ledger, err := call(client, http.MethodGet, url+"/ledger/"+id)
	if err != nil {
		return false, err
	}
	if !strings.Contains(identity, `"status":"approved"`) {
		return false, fmt.Errorf("%s isn't approved", id)
	}
	return status == http.StatusNotFound && strings.Contains(ledger, "no_such_account"), nil
}

func call(client *http.Client, method, url string) (status int, body string, err error) {
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		return 0, "", err
	}
	answer, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	read, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(read), err
}
