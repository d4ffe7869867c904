package store_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver named "pgx"
	"github.com/stretchr/testify/require"

	"amend/internal/testpg"
	"amend/store"
)

// engine is what a store runs on.
type engine string

const (
	onSQLite   engine = "sqlite"
	onPostgres engine = "postgres"
)

// onEach runs a test on both engines: what it asserts holds for every store.
func onEach(t *testing.T, test func(t *testing.T, on engine)) {
	t.Helper()
	t.Parallel()
	for _, on := range []engine{onSQLite, onPostgres} {
		t.Run(string(on), func(t *testing.T) { test(t, on) })
	}
}

// clock is put forward by hand.
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

// world is a store with its clock and where it is.
type world struct {
	*store.Store
	t       *testing.T
	clock   *clock
	address string
	audit   string // the folder of the audit's checkpoints
	db      *sql.DB
}

func (on engine) setup(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}, address: on.address(t), audit: filepath.Join(t.TempDir(), "audit")}
	w.Store = w.open()
	return w
}

// address is that of an empty store.
func (on engine) address(t *testing.T) string {
	t.Helper()
	if on == onPostgres {
		return testpg.New(t)
	}
	return "sqlite:" + filepath.Join(t.TempDir(), "amend.db")
}

func (w *world) open() *store.Store {
	w.t.Helper()
	s, err := store.Open(w.t.Context(), w.address, store.Options{Now: w.clock.Now, Audit: w.audit})
	require.NoError(w.t, err)
	w.t.Cleanup(func() { s.Close() })
	return s
}

// path is the store's file.
func (w *world) path() string { return strings.TrimPrefix(w.address, "sqlite:") }

// raw is the store as another program sees it.
func (w *world) raw() *sql.DB {
	w.t.Helper()
	if w.db != nil {
		return w.db
	}
	driver, address := "pgx", w.address
	if path, isFile := strings.CutPrefix(w.address, "sqlite:"); isFile {
		driver, address = "sqlite", "file:"+path
	}
	db, err := sql.Open(driver, address)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { require.NoError(w.t, db.Close()) })
	w.db = db
	return db
}

// recoverAll takes over what another process left behind.
func (w *world) recoverAll() {
	w.t.Helper()
	older, err := w.Recover(w.t.Context())
	require.NoError(w.t, errors.Join(older, err))
}
