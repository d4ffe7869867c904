package faults

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver named "pgx"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the driver named "sqlite"

	"amend/bank"
	"amend/escalation/slacktest"
	"amend/internal/testpg"
)

const (
	startLimit = 30 * time.Second  // until a worker works
	endLimit   = 30 * time.Second  // until it has ended
	workLimit  = 90 * time.Second  // until it does something
	calmLimit  = 120 * time.Second // until everything is healed or with people
)

// world is a bank in this process, which nothing is ever done to, a played
// Slack, a store, and workers between them. Its methods fail the test.
type world struct {
	*testing.T
	bank    *bank.Bank
	slack   *slacktest.Server
	store   string   // store.url
	config  string   // the folder of the configuration
	home    string   // where workers run, and what they say
	env     []string // what workers are started with
	unable  []string // why people may have what a rule leads out of
	db      *sql.DB  // the store, past amend
	workers []*worker
	kills   int
}

// stores are the two kinds of store, each made anew for a test.
var stores = map[string]func(*testing.T) string{
	"SQLite":   file,
	"Postgres": func(t *testing.T) string { return testpg.New(t) },
}

// options say what differs from world to world.
type options struct {
	store     string              // store.url
	direct    string              // the same past what stands before it; default store
	customers int                 // default 600
	faults    bank.Fault          // of all services that take operations
	keyWindow time.Duration       // for which they keep keys; default 24 h
	contract  func(string) string // what bank.yaml says of those services; default what it says
	unable    []string            // why people may have what a rule leads out of; default nobody may
}

// setup starts everything but workers.
func setup(t *testing.T, o options) *world {
	t.Helper()
	if o.customers == 0 {
		o.customers = 600
	}
	if o.direct == "" {
		o.direct = o.store
	}
	if o.contract == nil {
		o.contract = func(text string) string { return text }
	}
	w := &world{T: t, store: o.store, config: t.TempDir(), home: t.TempDir(), unable: o.unable}
	t.Cleanup(w.end)
	var err error
	w.bank, err = bank.New(bank.Options{Customers: o.customers, Seed: 1, CardDelay: 50 * time.Millisecond, KeyWindow: o.keyWindow})
	require.NoError(t, err)
	require.NoError(t, w.bank.Start())
	t.Cleanup(func() { assert.NoError(t, w.bank.Close()) })
	w.fault(o.faults)
	w.slack, err = slacktest.Start(slacktest.Options{Channels: []string{"account-repairs", "compliance"}})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, w.slack.Close()) })
	w.configure(w.config, o.contract)
	w.env = []string{"SETTLE=50ms", "CARD_WITHIN=1s"}
	for name, value := range w.bank.Env() {
		w.env = append(w.env, name+"="+value)
	}
	w.db, err = sql.Open(driver(o.direct))
	require.NoError(t, err)
	w.db.SetMaxIdleConns(-1) // one that was kept would be dead after the database was
	t.Cleanup(func() { assert.NoError(t, w.db.Close()) })
	return w
}

// fault switches what goes wrong with the services that take operations.
func (w *world) fault(f bank.Fault) {
	w.Helper()
	for _, service := range []string{"ledger", "cards", "billing"} {
		require.NoError(w, w.bank.Fault(service, f))
	}
}

// readOnly ends the source of a store in a file that is only read.
const readOnly = "&_pragma=query_only(1)"

// driver says how a store is read past amend.
func driver(store string) (name, source string) {
	if path, isFile := strings.CutPrefix(store, "sqlite:"); isFile {
		return "sqlite", "file:" + path + "?mode=rw&_pragma=busy_timeout(10000)" + readOnly
	}
	return "pgx", store
}

// deployment is what stands beside bank.yaml.
const deployment = `version: 1
store: {url: "${AMEND_STORE}"}
dashboard: {listen: "127.0.0.1:0"}
slack: {token: "` + slacktest.DefaultToken + `", channel: "#account-repairs", api_url: "SLACK"}
`

// hurry makes the reference example's times short, and its hourly limits wide:
// a test does in a minute what takes others days.
var hurry = strings.NewReplacer(
	"    limits: {per_hour: 500, at_once: 8, share: 2%}", "    #",
	"    mode: auto\n", "    mode: auto\n    limits: {per_hour: 1000000, at_once: 64}\n    backoff: {first: 200ms, max: 1s}\n",
	`{cron: "0 2 * * *", zone: Europe/Berlin}`, "{every: 1s}",
)

// configure writes a folder that `amend run --config` takes. change changes the
// rules.
func (w *world) configure(folder string, change func(string) string) {
	w.Helper()
	text := hurry.Replace(string(bank.Configuration))
	for _, short := range []string{"per_hour: 1000000", "{every: 1s}"} {
		require.Contains(w, text, short, "bank.yaml isn't what it was")
	}
	deployment := strings.ReplaceAll(deployment, "SLACK", w.slack.URL())
	for name, text := range map[string]string{"bank.yaml": change(text), "deploy.yaml": deployment} {
		require.NoError(w, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
}

// end kills all workers, and shows what they said where the test has failed.
func (w *world) end() {
	for _, p := range w.workers {
		assert.NoError(w, p.end())
		if w.Failed() {
			w.Logf("%s:\n%s", p.name, p.tail())
		}
	}
}

// drift lets the bank's services drift apart, so many things each second, until
// the function it gives is called. Whoever was repaired is left alone until amend
// has had time to see it, even where the worker that repaired them is dead.
func (w *world) drift(perSecond float64) (stop func()) {
	ctx, cancel := context.WithCancel(w.Context())
	var group sync.WaitGroup
	group.Go(func() {
		assert.NoError(w, w.bank.Drift(ctx, bank.DriftOptions{PerSecond: perSecond, Quiet: leaseFor + lookBack}))
	})
	return func() { cancel(); group.Wait() }
}

// await waits for a condition that costs little to ask.
func (w *world) await(limit time.Duration, what string, condition func() bool) {
	w.Helper()
	if !w.poll(5*time.Millisecond, limit, condition) {
		require.FailNow(w, "it took too long", "%v until %s", limit, what)
	}
}

// poll asks for a condition until it holds, or until the time is over. A worker
// that ends by itself meanwhile fails the test.
func (w *world) poll(every, limit time.Duration, condition func() bool) bool {
	w.Helper()
	deadline := time.After(limit)
	for tick := time.Tick(every); !condition(); {
		for _, p := range w.workers {
			if p.ended() {
				require.FailNow(w, "a worker ended by itself", "%s: %v", p.name, p.err)
			}
		}
		select {
		case <-tick:
		case <-deadline:
			return false
		}
	}
	return true
}

// awaitSends waits until the bank has received so many more mutations than
// before.
func (w *world) awaitSends(before, more int) {
	w.Helper()
	limit := workLimit + time.Duration(more)*100*time.Millisecond
	w.await(limit, "the bank is asked to do something", func() bool { return w.bank.Journal().Len() >= before+more })
}
