package bank

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"
)

const (
	sqliteScheme = "sqlite:"

	// closeTimeout bounds how long removing the table may wait for its readers.
	closeTimeout = 5 * time.Second
)

// holdsTable is the compliance service: a table, and nothing else.
type holdsTable struct {
	db     *sql.DB
	dsn    string // as a reader is told it
	sqlite bool
	folder string // made for the SQLite file and removed with it; "" otherwise
	made   bool   // the table is ours to drop
	gone   bool   // an outage: the table has another name
}

// newHoldsTable makes and fills the table. An existing one is an error, since
// it may be somebody's.
func newHoldsTable(ctx context.Context, dsn string, customers []*customer) (*holdsTable, error) {
	t, err := openHolds(dsn)
	if err != nil {
		return nil, err
	}
	if err := t.create(ctx, customers); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

func openHolds(dsn string) (*holdsTable, error) {
	t := &holdsTable{dsn: dsn}
	if dsn == "" {
		folder, err := os.MkdirTemp("", "bank-")
		if err != nil {
			return nil, err
		}
		t.folder, t.dsn = folder, sqliteScheme+filepath.Join(folder, "holds.db")
	}
	driver, source := "pgx", t.dsn
	if path, ok := strings.CutPrefix(t.dsn, sqliteScheme); ok {
		driver, source, t.sqlite = "sqlite", sqliteSource(path), true
	} else if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return nil, errors.New("the compliance DSN begins neither with sqlite: nor with postgres://")
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return nil, errors.Join(err, t.removeFolder())
	}
	t.db = db
	return t, nil
}

// sqliteSource sets the pragmas for each connection: readers beside the writer
// neither wait nor fail.
func sqliteSource(path string) string {
	source := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}
	source.RawQuery = url.Values{"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)"}}.Encode()
	return source.String()
}

func (t *holdsTable) create(ctx context.Context, customers []*customer) error {
	tx, err := t.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // only undoes what was not committed
	if _, err := tx.ExecContext(ctx, t.definition()); err != nil {
		return fmt.Errorf("create table holds (drop it if an earlier demo left it): %w", err)
	}
	insert, err := tx.PrepareContext(ctx, `insert into holds (customer_id, hold, reason, placed_at) values ($1, $2, $3, $4)`)
	if err != nil {
		return err
	}
	defer insert.Close() //nolint:errcheck // the transaction ends it in any case
	for _, c := range customers {
		if _, err := insert.ExecContext(ctx, c.id, c.hold.hold, c.hold.reason, t.timestamp(c.hold.placed)); err != nil {
			return fmt.Errorf("insert the hold of %s: %w", c.id, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	t.made = true
	return nil
}

// definition makes keys sort by bytes in both databases, as the lists of the
// other services do.
func (t *holdsTable) definition() string {
	key, instant := `text collate "C"`, "timestamptz"
	if t.sqlite {
		key, instant = "text", "timestamp"
	}
	return `create table holds (customer_id ` + key + ` primary key, hold boolean not null, reason text not null, placed_at ` +
		instant + ` not null)`
}

// timestamp is a time as the database keeps it; SQLite has only text.
func (t *holdsTable) timestamp(at time.Time) any {
	if t.sqlite {
		return at.Format(time.RFC3339)
	}
	return at
}

// setGone begins or ends an outage: to a reader the table isn't there.
func (t *holdsTable) setGone(ctx context.Context, gone bool) error {
	if t.gone == gone {
		return nil
	}
	rename := `alter table holds_gone rename to holds`
	if gone {
		rename = `alter table holds rename to holds_gone`
	}
	if _, err := t.db.ExecContext(ctx, rename); err != nil {
		return fmt.Errorf("rename the table of holds: %w", err)
	}
	t.gone = gone
	return nil
}

// close removes what newHoldsTable made.
func (t *holdsTable) close() error {
	var errs []error
	if t.made && t.folder == "" {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		name := "holds"
		if t.gone {
			name = "holds_gone"
		}
		if _, err := t.db.ExecContext(ctx, `drop table `+name); err != nil {
			errs = append(errs, fmt.Errorf("drop table %s: %w", name, err))
		}
	}
	return errors.Join(append(errs, t.db.Close(), t.removeFolder())...)
}

func (t *holdsTable) removeFolder() error {
	if t.folder == "" {
		return nil
	}
	return os.RemoveAll(t.folder)
}
