package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"amend"
	"amend/internal/crash"
	"amend/migrations"
)

// database is the engine of a store in PostgreSQL, which any number of workers
// share.
type database struct {
	writers *pgxpool.Pool
	clock   *clock
}

const (
	// writersLimit and readersLimit bound the connections of one process, so
	// that several share a server's usual hundred. They are two pools: a write
	// that also reads would wait for itself otherwise.
	writersLimit = 8
	readersLimit = 4
	// patience bounds how long a write waits for a database that is away. It
	// lies below a lease's end, by which it would be too late.
	patience = 10 * time.Second
	// tryLimit bounds one transaction, also where the network swallows it: it is
	// above what the session's own limits allow.
	tryLimit = 40 * time.Second
)

// sessionSettings hold for every connection. A commit is on disk when it is
// answered: an intent that a crash could take back is no intent. A process that
// stands still in the middle of a transaction must not hold up all others.
var sessionSettings = map[string]string{
	"application_name":                    "amend",
	"synchronous_commit":                  "on",
	"default_transaction_isolation":       "read committed",
	"timezone":                            "UTC",
	"lock_timeout":                        "15s", // longer than a process that stands still can hold one
	"statement_timeout":                   "30s",
	"idle_in_transaction_session_timeout": "10s",
}

func openPostgres(ctx context.Context, address string, o Options) (*Store, error) {
	if err := setUp(ctx, address); err != nil {
		return nil, err
	}
	readers, err := dial(address, sessionSettings)
	if err != nil {
		return nil, err
	}
	writers, err := pool(ctx, address)
	if err != nil {
		return nil, errors.Join(err, readers.Close())
	}
	d := &database{writers: writers}
	if o.Now == nil {
		if d.clock, err = startClock(ctx, readers); err != nil {
			writers.Close()
			return nil, errors.Join(err, readers.Close())
		}
		o.Now = d.clock.now
	}
	return newStore(readers, d, o), nil
}

// dial opens the readers' pool; it doesn't connect yet.
func dial(address string, settings map[string]string) (*sql.DB, error) {
	cfg, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, badAddress(err)
	}
	maps.Copy(cfg.RuntimeParams, settings)
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(readersLimit)
	db.SetMaxIdleConns(readersLimit)
	return db, nil
}

// pool opens the writers' pool. It speaks PostgreSQL's own protocol, in which
// several statements share a journey.
func pool(ctx context.Context, address string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, badAddress(err)
	}
	maps.Copy(cfg.ConnConfig.RuntimeParams, sessionSettings)
	cfg.MaxConns = writersLimit
	cfg.MaxConnLifetime = connectionLife
	cfg.AfterConnect = takePlace
	p, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	return p, nil
}

func badAddress(err error) error {
	return &amend.Error{Code: amend.Invalid, Text: "store.url is not a PostgreSQL address", Err: err, Next: "write postgres://USER@HOST/DATABASE"}
}

// setUp gives a new database its schema. One of an older version is left as it
// is.
func setUp(ctx context.Context, address string) error {
	return migrating(ctx, address, func(m *migrator, has int64) error {
		switch {
		case has == m.knows:
			return nil
		case has == 0:
			return m.up(ctx)
		case has > m.knows:
			return m.newer(has)
		}
		return &amend.Error{Code: amend.Conflict, Text: "the store has the schema of an older version", Next: "stop the older workers and run: amend migrate"}
	})
}

// Migrate brings a store's schema up to date. It fails with Conflict where a
// newer program made it.
func Migrate(ctx context.Context, address string) error {
	if IsPostgres(address) {
		return migrating(ctx, address, func(m *migrator, _ int64) error { return m.up(ctx) })
	}
	s, err := open(ctx, address, Options{})
	if err != nil {
		return err
	}
	return s.Close()
}

// migrating looks at the schema's version while nobody else changes it. Its
// connections have no time limits: a large table takes as long as it takes.
func migrating(ctx context.Context, address string, do func(m *migrator, has int64) error) (err error) {
	db, err := dial(address, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	m, err := newMigrator(goose.DialectPostgres, db, migrations.Postgres)
	if err != nil {
		return err
	}
	turn, err := db.Conn(ctx)
	if err != nil {
		return &amend.Error{Code: amend.Unavailable, Text: "the store can't be reached", Err: err, Next: "check store.url, and that PostgreSQL answers there"}
	}
	defer func() { err = errors.Join(err, turn.Close()) }() // the lock goes with the pool's connections
	if _, err := turn.ExecContext(ctx, `select pg_advisory_lock(hashtextextended('amend/migrate', 0))`); err != nil {
		return fmt.Errorf("read the store's schema: %w", err)
	}
	has, err := m.version(ctx)
	if err != nil {
		return fmt.Errorf("read the store's schema: %w", err)
	}
	return do(m, has)
}

func (d *database) lock() error  { return nil }
func (d *database) shared() bool { return true }

func (d *database) close() error {
	if d.clock != nil {
		d.clock.stop()
	}
	d.writers.Close()
	return nil
}

// write carries out one transaction, again where another one was in its way or
// the database was away for a moment.
func (d *database) write(ctx context.Context, do func(*tx) error) error {
	begun, wait := time.Now(), 5*time.Millisecond
	for tries := 1; ; tries++ {
		err := d.try(ctx, do)
		if err == nil || !passes(err, tries) || time.Since(begun) > patience {
			return err
		}
		timer := time.NewTimer(wait + rand.N(wait))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(ctx.Err(), err)
		}
		wait = min(2*wait, time.Second)
	}
}

// errUnknown is a commit of which nobody could find out what became of it. It
// must not be tried again: it may have happened.
var errUnknown = errors.New("whether the store has committed is unknown")

// passes reports whether an error leaves nothing behind and may be gone with
// the next try.
func passes(err error, tries int) bool {
	if errors.Is(err, errUnknown) {
		return false
	}
	var said *pgconn.PgError
	if !errors.As(err, &said) {
		var unreachable *pgconn.ConnectError
		return errors.As(err, &unreachable) || isCut(err)
	}
	switch said.Code { // https://www.postgresql.org/docs/current/errcodes-appendix.html
	case "40001", "40P01": // serialization, deadlock
		return true
	case "23505": // another transaction was first to insert the row: the next try finds it
		return tries < 3
	case "53300", "57P01", "57P02", "57P03", "25P03": // full, going down, coming up, stood still too long
		return true
	}
	return false
}

// Temporary reports whether an error of the store may be gone in a moment: the
// database was away, or others were in the way. Where it was a write, nothing is
// known of it: what is to be done next begins with reading.
func Temporary(err error) bool { return errors.Is(err, errUnknown) || passes(err, 1) }

// try is one transaction. A job that has begun is finished even if the context
// ends meanwhile: its caller must know what became of it.
func (d *database) try(ctx context.Context, do func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryLimit)
	defer cancel()
	place, unanswered, err := d.once(ctx, do)
	if unanswered {
		return d.landed(ctx, place, err)
	}
	return err
}

// once carries out a transaction on a connection, and lets go of that: who asks
// what became of a commit that was not answered needs another one, as do all
// whose connections were lost at the same moment.
func (d *database) once(ctx context.Context, do func(*tx) error) (p place, unanswered bool, err error) {
	conn, err := d.writers.Acquire(ctx)
	if err != nil {
		return p, false, fmt.Errorf("begin to write: %w", err)
	}
	defer conn.Release() // one that is still in a transaction is closed by that
	p = placeOf(conn.Conn())
	t := &inDatabase{ctx: ctx, conn: conn.Conn(), place: p}
	if err := guarded(&tx{t}, do); err != nil {
		t.rollback()
		return p, false, err
	}
	err = t.commit()
	crash.At(crash.StoreCommitted)
	return p, err != nil && t.asked && isCut(err), err
}

// isCut reports whether a connection was lost, so that nobody knows what the
// last words on it did. A fatal error of the server ends the connection, too,
// and may follow a commit that is on disk.
func isCut(err error) bool {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return slices.Contains([]string{"FATAL", "PANIC"}, said.SeverityUnlocalized) || slices.Contains([]string{"57P01", "57P02", "08000", "08003", "08006"}, said.Code)
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, driver.ErrBadConn) || pgconn.SafeToRetry(err)
}
