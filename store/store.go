// Package store is the durable truth: cases, repairs, steps, incidents, what
// is still to be told, and what people asked for. One writer, many readers.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver named "sqlite"

	"amend"
	"amend/internal/ids"
	"amend/migrations"
)

// Options are the store's surroundings.
type Options struct {
	Now  func() time.Time // default time.Now
	Rand rand.Source      // for identifiers; default unpredictable
	Log  *slog.Logger     // default slog.Default()
}

// Store is an open store. It is safe for concurrent use.
type Store struct {
	db           *sql.DB // readers
	writer       *writer
	now          func() time.Time
	ids          *ids.Maker
	path         string
	lock         *flock.Flock
	installation string
}

// Open opens or creates a store: sqlite:FILE. The file is readable by its
// owner only, since it holds what customers are.
func Open(ctx context.Context, address string, o Options) (*Store, error) {
	o = o.withDefaults()
	path, isFile := strings.CutPrefix(address, "sqlite:")
	if !isFile || path == "" {
		return nil, &amend.Error{Code: amend.Invalid, Text: fmt.Sprintf("the store %q is not one that this version knows", address), Next: "write sqlite:FILE"}
	}
	if err := create(path); err != nil {
		return nil, err
	}
	if err := migrate(ctx, path); err != nil {
		return nil, err
	}
	s := &Store{now: o.Now, ids: ids.NewMaker(o.Now, o.Rand), path: path, lock: flock.New(path + ".lock")}
	var err error
	if s.db, err = connect(path, "query_only(1)"); err != nil {
		return nil, err
	}
	if s.writer, err = newWriter(path, o.Log); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	if err := s.install(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.NewPCG(rand.Uint64(), rand.Uint64())
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

// create makes the file with narrow rights before SQLite makes it with wide
// ones.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return &amend.Error{Code: amend.Unavailable, Text: "the store can't be opened", Err: err, Next: "check store.url and the folder's rights"}
	}
	return f.Close()
}

// connect opens a pool. synchronous=FULL: an intent that power loss could take
// back is no intent.
func connect(path string, pragmas ...string) (*sql.DB, error) {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": append([]string{"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"}, pragmas...)}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	db.SetMaxIdleConns(4)
	return db, nil
}

// migrate brings the schema up to date, and refuses one that a newer program
// made.
func migrate(ctx context.Context, path string) (err error) {
	db, err := connect(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, migrations.FS)
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	has, knows, err := provider.GetVersions(ctx)
	if err != nil {
		return &amend.Error{Code: amend.Unavailable, Text: "the store can't be read", Err: err, Next: "is " + path + " an amend store?"}
	}
	if has > knows {
		return &amend.Error{Code: amend.Conflict, Text: fmt.Sprintf("the store has schema %d, this program knows %d", has, knows), Next: "use a newer amend"}
	}
	if has == knows {
		return nil
	}
	return up(ctx, provider, path)
}

// up migrates, one process at a time: whoever comes second finds nothing to do.
func up(ctx context.Context, provider *goose.Provider, path string) (err error) {
	turn := flock.New(path + ".migrate")
	if err := turn.Lock(); err != nil {
		return fmt.Errorf("migrate the store: %w", err)
	}
	defer func() {
		if gone := os.Remove(turn.Path()); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		err = errors.Join(err, turn.Unlock())
	}()
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate the store: %w", err)
	}
	return nil
}

// install gives a new store the identity that idempotency keys are derived
// from.
func (s *Store) install(ctx context.Context) error {
	err := s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec(`insert into installation (id, created_at) select $1, $2 where not exists (select 1 from installation)`, s.ids.New("inst"), micros(s.now()))
		return err
	})
	if err != nil {
		return fmt.Errorf("set up the store: %w", err)
	}
	return s.db.QueryRowContext(ctx, `select id from installation`).Scan(&s.installation)
}

// Installation tells this store's repairs from any other's.
func (s *Store) Installation() string { return s.installation }

// NewID makes an identifier that sorts by time.
func (s *Store) NewID(prefix string) string { return s.ids.New(prefix) }

// LockWorker makes this process the store's only worker. Other processes may
// read, and write down what they ask for.
func (s *Store) LockWorker() error {
	locked, err := s.lock.TryLock()
	if err != nil {
		return fmt.Errorf("lock the store: %w", err)
	}
	if !locked {
		return &amend.Error{Code: amend.Conflict, Text: fmt.Sprintf("another worker is running on %s", s.path), Next: "stop it first; the other commands work beside it"}
	}
	return nil
}

// Close ends the writer after what it has, and gives the worker's lock back.
func (s *Store) Close() error {
	var err error
	if s.writer != nil {
		err = s.writer.close()
	}
	return errors.Join(err, s.db.Close(), s.lock.Unlock())
}

// micros is a time as it is stored; 0 is no time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
