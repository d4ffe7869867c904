package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"
	"modernc.org/sqlite" // the driver named "sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"amend"
	"amend/migrations"
)

// file is the engine of a store in one file: one writer, many readers, one
// worker.
type file struct {
	*writer
	path   string
	worker *flock.Flock
}

func openSQLite(ctx context.Context, path string, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := create(path); err != nil {
		return nil, err
	}
	if err := migrateFile(ctx, path); err != nil {
		return nil, err
	}
	readers, err := connect(path, "query_only(1)")
	if err != nil {
		return nil, err
	}
	w, err := newWriter(path, o.Log)
	if err != nil {
		return nil, errors.Join(err, readers.Close())
	}
	s := newStore(readers, &file{writer: w, path: path, worker: flock.New(path + ".lock")}, o)
	s.texts = newTexts(readers)
	return s, nil
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
// back is no intent. secure_delete: what is deleted is overwritten, not only
// freed.
func connect(path string, pragmas ...string) (*sql.DB, error) {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": append([]string{"busy_timeout(30000)", "journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(8000)", "foreign_keys(1)", "secure_delete(1)"}, pragmas...)}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	db.SetMaxIdleConns(4)
	return db, nil
}

// migrateFile brings the schema up to date, one process at a time.
func migrateFile(ctx context.Context, path string) (err error) {
	db, err := connect(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	m, err := newMigrator(goose.DialectSQLite3, db, migrations.SQLite)
	if err != nil {
		return err
	}
	if has, err := knocking(ctx, m.version); err != nil {
		return &amend.Error{Code: amend.Unavailable, Text: "the store can't be read", Err: err, Next: "is " + path + " an amend store?"}
	} else if has == m.knows {
		return nil
	}
	done, err := oneAtATime(path + ".migrate")
	if err != nil {
		return fmt.Errorf("migrate the store: %w", err)
	}
	defer func() { err = errors.Join(err, done()) }()
	return m.up(ctx)
}

// knocking asks until nobody else opens the file for the first time: SQLite
// doesn't wait for who makes it a file with a write-ahead log.
func knocking(ctx context.Context, ask func(context.Context) (int64, error)) (int64, error) {
	for tries := 1; ; tries++ {
		version, err := ask(ctx)
		var busy *sqlite.Error
		if !errors.As(err, &busy) || busy.Code()&0xff != sqlite3.SQLITE_BUSY || tries == 100 {
			return version, err
		}
		timer := time.NewTimer(20 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return version, err
		}
	}
}

// oneAtATime waits for a lock file and gives what removes it.
func oneAtATime(path string) (done func() error, err error) {
	for {
		turn := flock.New(path)
		if err := turn.Lock(); err != nil {
			return nil, err
		}
		// Whoever had it before us has removed the file: another one may have it
		// by its name now.
		ours, err := turn.Stat()
		if err == nil {
			if there, gone := os.Stat(path); gone == nil && os.SameFile(ours, there) {
				return func() error { return errors.Join(os.Remove(path), turn.Unlock()) }, nil
			}
		}
		if err := errors.Join(err, turn.Unlock()); err != nil {
			return nil, err
		}
	}
}

func (f *file) shared() bool { return false }

func (f *file) lock() error {
	locked, err := f.worker.TryLock()
	if err != nil {
		return fmt.Errorf("lock the store: %w", err)
	}
	if !locked {
		return &amend.Error{Code: amend.Conflict, Text: fmt.Sprintf("another worker is running on %s", f.path), Next: "stop it first; the other commands work beside it"}
	}
	return nil
}

func (f *file) close() error { return errors.Join(f.writer.close(), f.worker.Unlock()) }
