package reconciler_test

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/bank"
	"amend/config"
	"amend/connectors"
	"amend/connectors/http"
	"amend/connectors/sql"
	"amend/internal/testpg"
	"amend/lifecycle"
	"amend/queue"
	"amend/reconciler"
	"amend/store"
)

// The short times that bank.yaml is loaded with.
const (
	settle = 400 * time.Millisecond
	within = 5 * time.Second
)

// clock is put forward by hand, so that no test waits. Each reading is a little
// later than the one before, as with a real clock.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Microsecond)
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *clock) passTo(at time.Time) {
	if d := at.Sub(c.Now()); d > 0 {
		c.pass(d)
	}
}

// options change the bank, the configuration, or what stands between.
type options struct {
	postgres  bool // the store is there, and not in a file
	customers int
	bank      func(*bank.Options)
	yaml      func(string) string
	kinds     []connectors.Kind
	wrap      map[string]func(connectors.Connector) connectors.Connector // by service
	getenv    map[string]string
	reserve   func(context.Context, connectors.Reservation) (connectors.Reserved, error) // nil: no service limits calls in an hour
}

// world is a bank and an engine that heals it, without workers: the test says
// who is healed when.
type world struct {
	*testing.T
	options options
	bank    *bank.Bank
	clock   *clock
	cfg     *config.Config
	path    string
	address string // of the store
	store   *store.Store
	engine  *reconciler.Engine
}

// onEach runs a test with the store in a file, and in PostgreSQL.
func onEach(t *testing.T, test func(t *testing.T, o options)) {
	t.Helper()
	t.Parallel()
	for name, o := range map[string]options{"sqlite": {}, "postgres": {postgres: true}} {
		t.Run(name, func(t *testing.T) { test(t, o) })
	}
}

func setup(t *testing.T, o options) *world {
	t.Helper()
	w := &world{T: t, options: o, clock: &clock{now: time.Now()}, path: filepath.Join(t.TempDir(), "amend.db")}
	w.address = "sqlite:" + w.path
	if o.postgres {
		w.address = testpg.New(t)
	}
	b := bank.Options{Customers: max(60, o.customers), Seed: 11, Now: w.clock.Now, CardDelay: 300 * time.Millisecond}
	if o.bank != nil {
		o.bank(&b)
	}
	var err error
	w.bank, err = bank.New(b)
	require.NoError(t, err)
	require.NoError(t, w.bank.Start())
	t.Cleanup(func() { require.NoError(t, w.bank.Close()) })
	w.cfg = load(t, string(bank.Configuration), w.bank.Env(), w.clock, o)
	w.open()
	t.Cleanup(func() { require.NoError(t, w.store.Close()) })
	return w
}

// load reads a configuration, and puts what the test wants around its
// connectors.
func load(t testing.TB, text string, env map[string]string, c *clock, o options) *config.Config {
	t.Helper()
	if o.yaml != nil {
		changed := o.yaml(text)
		require.NotEqual(t, text, changed, "the change changes nothing")
		text = changed
	}
	path := filepath.Join(t.TempDir(), "amend.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	all := map[string]string{"SETTLE": settle.String(), "CARD_WITHIN": within.String()}
	maps.Copy(all, env)
	maps.Copy(all, o.getenv)
	cfg, err := config.Load(config.Options{Path: path, Kinds: append([]connectors.Kind{http.Kind(), sql.Kind()}, o.kinds...),
		Getenv:       func(name string) (string, bool) { v, set := all[name]; return v, set },
		Surroundings: connectors.Surroundings{Now: c.Now, Loopback: true, Reserve: o.reserve}})
	require.NoError(t, err)
	for name, wrap := range o.wrap {
		i, service := cfg.Schema.Service(name)
		require.NotNil(t, service, name)
		cfg.Connectors[i] = wrap(cfg.Connectors[i])
	}
	return cfg
}

// open opens the store and puts an engine before it.
func (w *world) open() {
	w.Helper()
	var err error
	w.store, err = store.Open(w.Context(), w.address, store.Options{Now: w.clock.Now, Log: slog.New(slog.DiscardHandler)})
	require.NoError(w, err)
	w.engine = w.another()
	require.NoError(w, w.engine.Begin(w.Context()))
}

// another is one more engine on the same store.
func (w *world) another() *reconciler.Engine {
	return &reconciler.Engine{Schema: w.cfg.Schema, Environment: w.cfg.Environment, Machine: w.cfg.Machine, Rules: w.cfg.Rules, Connectors: w.cfg.Connectors,
		Windows: w.cfg.Windows, Source: w.cfg.Scans.Source, Store: w.store, Queue: queue.NewLocal(w.clock.Now, slog.New(slog.DiscardHandler)), Now: w.clock.Now, Log: slog.New(slog.DiscardHandler)}
}

// restart ends the process and begins another on the same file.
func (w *world) restart() {
	w.Helper()
	require.NoError(w, w.store.Close())
	w.open()
	require.NoError(w, w.store.LockWorker())
	if w.store.Shared() {
		w.clock.pass(20 * time.Second) // nobody can know but by the lease that its holder is gone
	}
}

// reload runs the engine with another configuration.
func (w *world) reload(yaml func(string) string) {
	w.Helper()
	w.options.yaml = yaml
	w.cfg = load(w.T, string(bank.Configuration), w.bank.Env(), w.clock, w.options)
	w.engine = w.another()
	require.NoError(w, w.engine.Begin(w.Context()))
}

func (w *world) scan() store.Scan {
	w.Helper()
	scan, err := w.engine.Scan(w.Context(), store.FullScan, "test")
	require.NoError(w, err)
	return scan
}

func (w *world) fresh() store.Scan {
	w.Helper()
	scan, err := w.engine.Scan(w.Context(), store.FreshScan, "test")
	require.NoError(w, err)
	return scan
}

// planted finds a customer whom the bank planted in a state.
func (w *world) planted(state string) string {
	w.Helper()
	all := w.allPlanted(state)
	require.NotEmpty(w, all, "the bank has nobody who is %s", state)
	return all[0]
}

func (w *world) allPlanted(state string) []string {
	var all []string
	for id, planted := range w.bank.Planted() {
		if planted == state && id != "cus_000001" {
			all = append(all, id)
		}
	}
	slices.Sort(all)
	return all
}

func (w *world) heal(customer string) {
	w.Helper()
	require.NoError(w, w.engine.Heal(w.Context(), customer))
}

// healOn heals a customer whenever their time has come, until the case has
// ended or is with people.
func (w *world) healOn(customer string) store.Case {
	w.Helper()
	for range 100 {
		w.heal(customer)
		c := w.lastCase(customer)
		if !c.Open() || c.Status == lifecycle.Escalated || c.Status == lifecycle.Proposed {
			return c
		}
		w.requireConsistent(c)
		w.clock.passTo(c.WakeAt)
	}
	require.Fail(w, "the case doesn't end", "%+v", w.lastCase(customer))
	return store.Case{}
}

// healUntil heals a customer until the case waits for a reason.
func (w *world) healUntil(customer, reason string) store.Case {
	w.Helper()
	for range 100 {
		w.heal(customer)
		c := w.lastCase(customer)
		require.True(w, c.Open(), "it ended: %s", c.Why)
		if c.Reason == reason {
			return c
		}
		require.NotEqual(w, lifecycle.Escalated, c.Status, c.Why)
		w.clock.passTo(c.WakeAt)
	}
	require.Fail(w, "the case never waits for "+reason, "%+v", w.lastCase(customer))
	return store.Case{}
}

// requireConsistent holds what must be so of every open case that was let go.
func (w *world) requireConsistent(c store.Case) {
	w.Helper()
	switch c.Status {
	case lifecycle.Waiting:
		require.False(w, c.WakeAt.IsZero(), "it waits without a time: %s", c.Why)
		require.NotEmpty(w, c.Reason)
		require.NotEmpty(w, c.Why)
	case lifecycle.Escalated, lifecycle.Proposed:
		require.NotEmpty(w, c.Incident)
	case lifecycle.Watching:
		require.False(w, c.WakeAt.IsZero())
	default:
		require.Fail(w, "a case that nobody holds is "+string(c.Status))
	}
}

func (w *world) lastCase(customer string) store.Case {
	w.Helper()
	c, any, err := w.store.LastCase(w.Context(), customer)
	require.NoError(w, err)
	require.True(w, any, "%s has no case", customer)
	return c
}

func (w *world) requireNoCase(customer string) {
	w.Helper()
	_, any, err := w.store.LastCase(w.Context(), customer)
	require.NoError(w, err)
	require.False(w, any)
}

// repairs are all repairs of the customer's last case.
func (w *world) repairs(customer string) []store.Repair {
	w.Helper()
	all, err := w.store.Repairs(w.Context(), w.lastCase(customer).ID)
	require.NoError(w, err)
	return all
}

// step is the first step of the last repair.
func (w *world) step(customer string) store.Step {
	w.Helper()
	all := w.repairs(customer)
	require.NotEmpty(w, all)
	steps, err := w.store.Steps(w.Context(), all[len(all)-1].ID)
	require.NoError(w, err)
	require.NotEmpty(w, steps)
	return steps[0]
}

func (w *world) incident(c store.Case) store.Incident {
	w.Helper()
	i, found, err := w.store.Incident(w.Context(), c.Incident)
	require.NoError(w, err)
	require.True(w, found, "no incident for %s", c.Why)
	return i
}

// requireEscalated holds that people have the case, with the reason.
func (w *world) requireEscalated(c store.Case, reason string) {
	w.Helper()
	require.Equal(w, lifecycle.Escalated, c.Status, c.Why)
	require.Equal(w, reason, c.Reason, c.Why)
	i := w.incident(c)
	require.Equal(w, "open", i.Status)
	require.Equal(w, c.Why, i.Why)
	require.Positive(w, w.letters(i.ID))
}

// letters counts what the outbox holds about an incident.
func (w *world) letters(incident string) int {
	w.Helper()
	all, err := w.store.Letters(w.Context(), 1000)
	require.NoError(w, err)
	n := 0
	for _, l := range all {
		if l.Incident == incident {
			n++
		}
	}
	return n
}

// fault switches a service's fault.
func (w *world) fault(service string, f bank.Fault) {
	w.Helper()
	require.NoError(w, w.bank.Fault(service, f))
}

// requireNothingWrong is the bank's own verdict.
func (w *world) requireNothingWrong() {
	w.Helper()
	counts := w.bank.Count()
	require.Zero(w, counts.WrongSends, "wrong sends")
	require.Zero(w, counts.DoubleEffects, "double effects")
	require.Zero(w, counts.SecondKeys, "second keys")
	require.Zero(w, counts.OutOfOrder, "out of order")
}

// between stands between the engine and a connector.
type between struct {
	connectors.Connector
	send func(ctx context.Context, r connectors.Request, next func() connectors.Answer) connectors.Answer
}

// Send is part of connectors.Connector.
func (b between) Send(ctx context.Context, r connectors.Request) connectors.Answer {
	return b.send(ctx, r, func() connectors.Answer { return b.Connector.Send(ctx, r) })
}

// sending puts a function around every sending to a service.
func sending(send func(ctx context.Context, r connectors.Request, next func() connectors.Answer) connectors.Answer) func(connectors.Connector) connectors.Connector {
	return func(c connectors.Connector) connectors.Connector { return between{c, send} }
}
