package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// tx is one transaction, on either engine.
type tx struct{ carrier }

// carrier carries out what is said in a transaction.
type carrier interface {
	// Exec runs a statement now.
	Exec(text string, args ...any) (sql.Result, error)
	// Later runs a statement before the next query or the commit, whichever
	// comes first, and so without a journey of its own. Its error may come there.
	Later(text string, args ...any) error
	// Must runs an update as Later does. Where that changes no row the transaction
	// fails with ErrLost, there or later.
	Must(text string, args ...any) error
	// QueryRow runs a query that gives one row.
	QueryRow(text string, args ...any) row
	// Ask runs several such queries in one journey.
	Ask(all ...*inquiry) error
}

// inquiry is a query that gives one row or none.
type inquiry struct {
	text    string
	args    []any
	scan    func(row) error
	missing bool // it gave none
}

// take scans the row of the answer, if there is one.
func (q *inquiry) take(r row) error {
	err := q.scan(r)
	q.missing = errors.Is(err, sql.ErrNoRows)
	if q.missing {
		return nil
	}
	return err
}

// into scans a row into places.
func into(places ...any) func(row) error { return func(r row) error { return r.Scan(places...) } }

// inFile is a transaction on SQLite, where no statement travels.
type inFile struct{ texts *texts }

// Exec is part of carrier.
func (t inFile) Exec(text string, args ...any) (sql.Result, error) {
	if s := t.texts.find(text); s != nil { //nolint:sqlclosecheck // statements are kept as long as the connection
		return s.Exec(args...)
	}
	return t.texts.on.ExecContext(context.Background(), text, args...)
}

// Later is part of carrier.
func (t inFile) Later(text string, args ...any) error {
	_, err := t.Exec(text, args...)
	return err
}

// Must is part of carrier.
func (t inFile) Must(text string, args ...any) error {
	done, err := t.Exec(text, args...)
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return ErrLost
}

// QueryRow is part of carrier.
func (t inFile) QueryRow(text string, args ...any) row {
	if s := t.texts.find(text); s != nil { //nolint:sqlclosecheck // as above
		return s.QueryRow(args...)
	}
	return t.texts.on.QueryRowContext(context.Background(), text, args...)
}

// Ask is part of carrier.
func (t inFile) Ask(all ...*inquiry) error {
	for _, q := range all {
		if err := q.take(t.QueryRow(q.text, q.args...)); err != nil {
			return err
		}
	}
	return nil
}

// texts remembers statements that SQLite would otherwise parse each time, which
// costs as much as running them.
type texts struct {
	on       speaker
	mu       sync.RWMutex
	prepared map[string]*sql.Stmt
}

// speaker is what statements are said to: a pool, or one connection.
type speaker interface {
	PrepareContext(ctx context.Context, text string) (*sql.Stmt, error)
	ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row
}

// textsLimit bounds how many are remembered: there are fewer in the program,
// unless one is put together of ever other parts.
const textsLimit = 200

func newTexts(on speaker) *texts { return &texts{on: on, prepared: map[string]*sql.Stmt{}} }

// find gives the prepared statement, and nil where it can't be prepared or there
// are too many.
func (t *texts) find(text string) *sql.Stmt {
	t.mu.RLock()
	found, full := t.prepared[text], len(t.prepared) >= textsLimit
	t.mu.RUnlock()
	if found != nil || full {
		return found
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if found = t.prepared[text]; found != nil {
		return found
	}
	made, err := t.on.PrepareContext(context.Background(), text) //nolint:sqlclosecheck // it is kept as long as what it is said to
	if err != nil {
		return nil // who says it without is told why
	}
	t.prepared[text] = made
	return made
}

// query runs a query outside of any transaction.
func (t *texts) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if s := t.find(text); s != nil { //nolint:sqlclosecheck // as above
		return s.QueryContext(ctx, args...)
	}
	return t.on.QueryContext(ctx, text, args...)
}

// close lets go of the statements: a file whose statements are open isn't closed.
func (t *texts) close() (err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.prepared {
		err = errors.Join(err, s.Close())
	}
	clear(t.prepared)
	return err
}
