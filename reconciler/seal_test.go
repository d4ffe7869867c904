package reconciler_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver named "pgx"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend/bank"
	"amend/connectors"
	"amend/lifecycle"
	"amend/store"
)

// raw says something to the store past amend.
func (w *world) raw(text string) {
	w.Helper()
	driver, source := "pgx", w.address
	if path, isFile := strings.CutPrefix(w.address, "sqlite:"); isFile {
		driver, source = "sqlite", "file:"+path
	}
	db, err := sql.Open(driver, source)
	require.NoError(w, err)
	defer db.Close()
	_, err = db.ExecContext(w.Context(), text)
	require.NoError(w, err)
}

// Invariant I21: each request that a service received has an entry in the audit
// that was written before it, one for each time it was sent.
func TestEachSendingIsInTheAudit(t *testing.T) { onEach(t, testEachSendingIsInTheAudit) }

func testEachSendingIsInTheAudit(t *testing.T, o options) {
	t.Parallel()
	o.customers = 800
	var w *world
	sends := 0
	watched := sending(func(_ context.Context, _ connectors.Request, next func() connectors.Answer) connectors.Answer {
		sends++
		all, err := w.store.Audit(t.Context(), store.AuditFilter{Limit: 1000})
		assert.NoError(t, err)
		written := 0
		for _, e := range all {
			if e.Act == "sent" {
				written++
			}
		}
		assert.Equal(t, sends, written, "something is sent without its entry")
		return next()
	})
	o.wrap = map[string]func(connectors.Connector) connectors.Connector{"ledger": watched, "cards": watched, "billing": watched}
	w = setup(t, o)
	w.scan()
	customers := w.allPlanted("ledger_missing")
	require.Greater(t, len(customers), 2)
	for i, customer := range customers {
		w.fault("ledger", []bank.Fault{{}, {Outage: "503", Only: bank.OnlyOperations}, {LostRate: 1, Only: bank.OnlyOperations}}[i%3])
		w.heal(customer)
		w.clock.passTo(w.lastCase(customer).WakeAt)
		w.heal(customer)
		w.fault("ledger", bank.Fault{})
		w.healOn(customer)
	}
	received := map[string][]bank.Entry{}
	for _, e := range w.bank.Journal().Entries() {
		received[e.Customer] = append(received[e.Customer], e)
	}
	again := 0
	for customer, entries := range received {
		sent, err := w.store.Audit(t.Context(), store.AuditFilter{Customer: customer, Limit: 1000})
		require.NoError(t, err)
		require.Len(t, sent, len(entries), customer)
		for i, e := range entries {
			s := sent[len(sent)-1-i] // the newest is the first
			require.Equal(t, "sent", s.Act)
			require.Equal(t, store.Amend, s.Actor)
			require.NotEmpty(t, s.Plan)
			if e.Key != "" {
				require.Equal(t, e.Key, s.Key)
			}
			if i > 0 && s.Key == sent[len(sent)-i].Key {
				again++
			}
		}
	}
	require.Positive(t, again, "nothing was sent twice")
	require.Equal(t, w.bank.Journal().Len(), sends)
	w.requireNothingWrong()
}

// Fault T44: where the audit can't be written, nothing is sent.
func TestAuditBlocked(t *testing.T) { onEach(t, testAuditBlocked) }

func testAuditBlocked(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, o)
	w.scan()
	customer := w.planted("ledger_missing")
	w.raw(`alter table audit rename to away`)
	for range 5 {
		if w.engine.Heal(t.Context(), customer) == nil {
			w.clock.passTo(w.lastCase(customer).WakeAt)
		} else {
			w.clock.pass(time.Minute)
		}
	}
	require.Zero(t, w.bank.Journal().Len(), "something was sent without an entry in the audit")
	require.Empty(t, w.repairs(customer), "no intent is left behind, either")
	w.requireEscalated(w.lastCase(customer), "failed")

	w.raw(`alter table away rename to audit`)
	w.ask(customer, "open-ledger", "")
	require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
	require.Positive(t, w.bank.Journal().Len())
	w.requireNothingWrong()
}

// A worker links what is new and has it signed, at the latest when it ends. What
// hinders it is said once, and nobody waits for it.
func TestRunSealsTheAudit(t *testing.T) { onEach(t, testRunSealsTheAudit) }

func testRunSealsTheAudit(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, o)
	require.NoError(t, w.store.Close())
	home := t.TempDir()
	folder, real, file := filepath.Join(home, "audit"), filepath.Join(home, "real"), filepath.Join(home, "file")
	require.NoError(t, os.Mkdir(real, 0o700))
	require.NoError(t, os.WriteFile(file, []byte("a file stands in the way"), 0o600))
	lead := func(to string) { // in one moment
		require.NoError(t, os.Symlink(to, folder+".new"))
		require.NoError(t, os.Rename(folder+".new", folder))
	}
	lead(real)
	var err error
	w.store, err = store.Open(t.Context(), w.address, store.Options{Now: w.clock.Now, Audit: folder})
	require.NoError(t, err)
	var log lines
	w.engine = w.another()
	w.engine.Sweep, w.engine.Log = 5*time.Millisecond, slog.New(slog.NewTextHandler(&log, nil))
	asked := 0
	ask := func() {
		asked++
		_, err := w.store.Ask(t.Context(), store.Request{ID: w.store.NewID("ask"), Customer: w.planted("ledger_missing"), Kind: store.AskLook, Actor: "ada"})
		require.NoError(t, err)
	}
	verify := func() store.Verification {
		v, err := w.store.VerifyAudit(t.Context())
		require.NoError(t, err)
		return v
	}

	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { assert.NoError(t, w.engine.Run(ctx, nil)) })
	ask()
	require.Eventually(t, func() bool { w.clock.pass(time.Second); return verify().Newest.Links >= 1 }, 20*time.Second, 5*time.Millisecond)
	lead(file)
	ask()
	failures := func() int { return log.count("the audit could not be sealed") }
	require.Eventually(t, func() bool { w.clock.pass(time.Second); return failures() > 0 }, 20*time.Second, 5*time.Millisecond)
	said := 0
	for i := range 20 {
		w.clock.pass(3 * time.Second)
		<-time.After(5 * time.Millisecond)
		if i == 4 { // the first can have been another, of the moment in which the folder went
			said = failures()
		}
	}
	require.Equal(t, said, failures(), "%s", log.String())
	lead(real)
	require.Eventually(t, func() bool { w.clock.pass(time.Second); return verify().Newest.Links >= 2 }, 20*time.Second, 5*time.Millisecond)

	ask() // less than five minutes later
	cancel()
	group.Wait()
	v := verify()
	require.Empty(t, v.Problems)
	require.Zero(t, v.Waiting)
	require.GreaterOrEqual(t, v.Links, int64(asked))
	require.Equal(t, v.Links, v.Newest.Links, "the end is signed")
}

// A worker cuts off the audit what was kept as long as is configured.
func TestRunCutsTheAudit(t *testing.T) { onEach(t, testRunCutsTheAudit) }

func testRunCutsTheAudit(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, o)
	require.NoError(t, w.store.Close())
	var err error
	w.store, err = store.Open(t.Context(), w.address, store.Options{Now: w.clock.Now, Audit: filepath.Join(t.TempDir(), "audit")})
	require.NoError(t, err)
	const year = 365 * 24 * time.Hour
	for name, age := range map[string]time.Duration{"oldest": 9 * year, "old": 8 * year, "young": 6 * year, "new": 0} {
		at := w.clock.Now().Add(-age).UnixMicro()
		w.raw(fmt.Sprintf(`insert into audit (id, at, actor, act, what, result, subject, case_id, repair, step, key, rule, rule_version, plan, bytes, reason)
			values ('%s', %d, 'ada', 'scan', 'full', 'start', '', '', '', 0, '', '', '', '', '', '')`, name, at))
		w.raw(`insert into audit_unsealed (entry) values ('` + name + `')`)
	}
	var log lines
	run := func(keep time.Duration, until func(store.Verification) bool) {
		w.engine = w.another()
		w.engine.Sweep, w.engine.KeepAudit, w.engine.Log = 5*time.Millisecond, keep, slog.New(slog.NewTextHandler(&log, nil))
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { assert.NoError(t, w.engine.Run(ctx, nil)) })
		require.Eventually(t, func() bool {
			w.clock.pass(time.Hour)
			v, err := w.store.VerifyAudit(t.Context())
			assert.NoError(t, err)
			assert.Empty(t, slices.DeleteFunc(v.Problems, func(p store.Problem) bool { return strings.Contains(p.Text, "There is no checkpoint") }))
			return until(v)
		}, 30*time.Second, 20*time.Millisecond)
		cancel()
		group.Wait()
	}
	days := 0
	run(0, func(v store.Verification) bool { days++; return v.Newest.Links >= 4 && days > 50 })
	v, err := w.store.VerifyAudit(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(1), v.First, "nobody has said how long it is kept")
	later := sync.OnceFunc(func() { w.clock.pass(400 * 24 * time.Hour) })
	run(7*year, func(v store.Verification) bool {
		if v.Gone == 2 {
			later()
		}
		return v.Gone == 3
	})
	require.Equal(t, 2, log.count("cut off entries of the audit that were kept long enough"), "%s", log.String())
	require.Equal(t, []int{1, 1}, []int{log.count("entries=2"), log.count("entries=1")}, "%s", log.String())
	require.Zero(t, log.count("could not be cut off"), "%s", log.String())
}

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write is part of io.Writer.
func (l *lines) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(text)
}

// String is all of it.
func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) count(what string) int { return strings.Count(l.String(), what) }
