// Package store is the durable truth: cases, repairs, steps, incidents, what
// is still to be told, and what people asked for: in a file, or in PostgreSQL,
// where any number of workers share it.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"amend"
	"amend/internal/ids"
)

// Options are the store's surroundings.
type Options struct {
	Now  func() time.Time // default: time.Now, and on PostgreSQL the database's clock
	Rand rand.Source      // for identifiers; default unpredictable
	Log  *slog.Logger     // default slog.Default()
	// Before is asked before each transaction that writes, whose error it
	// becomes: so that a rehearsal decides who goes first, and who has died.
	Before func(context.Context) error
	// Audit is the folder in which checkpoints of the audit are signed and kept,
	// best where who can change the store can't; empty: nowhere.
	Audit string
}

// Store is an open store. It is safe for concurrent use.
type Store struct {
	db           *sql.DB // readers
	texts        *texts  // of the readers; nil where the driver remembers them itself
	engine       engine
	now          func() time.Time
	before       func(context.Context) error // nil: nobody is asked
	ids          *ids.Maker
	installation string
	sealer       sealer
	workers      workers
}

// engine is what differs between SQLite and PostgreSQL.
type engine interface {
	// write carries out one transaction, all of it or nothing. do can be called
	// again where the engine had to give a try up: it must begin afresh then.
	write(ctx context.Context, do func(*tx) error) error
	// lock makes this process the only worker, where there can be only one.
	lock() error
	shared() bool
	// scrub takes what was deleted out of the store's files; false where that
	// would hold up others for too long.
	scrub(ctx context.Context) (rewritten bool, err error)
	close() error
}

// Open opens a store: sqlite:FILE, which is made where there is none and
// brought up to date, or postgres://…. A file is readable by its owner only,
// since it holds what customers are. A new PostgreSQL database is set up; one
// of an older version is refused with Conflict until it was migrated, since
// workers of that version may be running.
func Open(ctx context.Context, address string, o Options) (*Store, error) {
	s, err := open(ctx, address, o)
	if err != nil {
		return nil, err
	}
	if err := s.install(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func open(ctx context.Context, address string, o Options) (*Store, error) {
	if o.Rand == nil {
		o.Rand = rand.NewPCG(rand.Uint64(), rand.Uint64())
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if path, isFile := strings.CutPrefix(address, "sqlite:"); isFile && path != "" {
		return openSQLite(ctx, path, o)
	}
	if IsPostgres(address) {
		return openPostgres(ctx, address, o)
	}
	return nil, &amend.Error{Code: amend.Invalid, Text: "the store's address is not one that this version knows", Next: "write sqlite:FILE or postgres://…"}
}

func newStore(db *sql.DB, e engine, o Options) *Store {
	s := &Store{db: db, engine: e, now: o.Now, before: o.Before, ids: ids.NewMaker(o.Now, o.Rand)}
	if o.Audit != "" {
		s.sealer.notary = &notary{folder: o.Audit}
	}
	return s
}

// IsPostgres reports whether an address is that of a PostgreSQL database.
func IsPostgres(address string) bool {
	return strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://")
}

func (s *Store) write(ctx context.Context, do func(*tx) error) error {
	if s.before != nil {
		if err := s.before(ctx); err != nil {
			return err
		}
	}
	return s.engine.write(ctx, do)
}

// install gives a new store the identity that idempotency keys are derived
// from.
func (s *Store) install(ctx context.Context) error {
	err := s.write(ctx, func(tx *tx) error {
		err := tx.Later(`insert into installation (id, created_at) select $1, $2 where not exists (select 1 from installation)`, s.ids.New("inst"), micros(s.now()))
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

// LockWorker makes this process the store's only worker where there can be
// only one: on a file. Other processes may read, and write down what they ask
// for. On PostgreSQL any number of workers share the store.
func (s *Store) LockWorker() error { return s.engine.lock() }

// Shared reports whether other workers may be running on the store.
func (s *Store) Shared() bool { return s.engine.shared() }

// locked takes a row that was read for the rest of the transaction. A file has
// one writer, which needs no such thing.
func (s *Store) locked() string {
	if s.Shared() {
		return " for update"
	}
	return ""
}

// alone makes transactions that decide about the same thing wait for each
// other.
func (s *Store) alone(tx *tx, about string) error {
	if !s.Shared() {
		return nil
	}
	if err := tx.Later(`select pg_advisory_xact_lock(hashtextextended($1, 0))`, about); err != nil {
		return fmt.Errorf("wait for others: %w", err)
	}
	return nil
}

// Now is the store's time: the one that all workers of a shared store have in
// common.
func (s *Store) Now() time.Time { return s.now() }

// Close ends what is being written, and gives the worker's lock and its share
// back.
func (s *Store) Close() error {
	s.workers.leave()
	return errors.Join(s.engine.close(), s.db.Close())
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
