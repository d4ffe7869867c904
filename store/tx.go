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
type inFile struct {
	*sql.Tx
	texts *texts
}

// Exec is part of carrier.
func (t inFile) Exec(text string, args ...any) (sql.Result, error) {
	if s := t.texts.find(text); s != nil {
		return t.Stmt(s).Exec(args...) //nolint:sqlclosecheck // the transaction closes it; what it was made from stays
	}
	return t.Tx.Exec(text, args...)
}

// Later is part of carrier.
func (t inFile) Later(text string, args ...any) error {
	_, err := t.Exec(text, args...)
	return err
}

// QueryRow is part of carrier.
func (t inFile) QueryRow(text string, args ...any) row {
	if s := t.texts.find(text); s != nil {
		return t.Stmt(s).QueryRow(args...) //nolint:sqlclosecheck // as above
	}
	return t.Tx.QueryRow(text, args...)
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
	db       *sql.DB
	mu       sync.RWMutex
	prepared map[string]*sql.Stmt
	wanted   []string // by a transaction, in which nothing can be prepared for all
}

// textsLimit bounds how many are remembered: there are fewer in the program,
// unless one is put together of ever other parts.
const textsLimit = 200

func newTexts(db *sql.DB) *texts { return &texts{db: db, prepared: map[string]*sql.Stmt{}} }

// find gives the prepared statement, and nil where there is none yet.
func (t *texts) find(text string) *sql.Stmt {
	t.mu.RLock()
	found := t.prepared[text]
	t.mu.RUnlock()
	if found == nil {
		t.mu.Lock()
		t.wanted = append(t.wanted, text)
		t.mu.Unlock()
	}
	return found
}

// query runs a query outside of any transaction.
func (t *texts) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	s := t.find(text) //nolint:sqlclosecheck // statements are kept as long as the pool
	if s == nil {
		t.prepare()
		if s = t.find(text); s == nil { //nolint:sqlclosecheck // as above
			return t.db.QueryContext(ctx, text, args...)
		}
	}
	return s.QueryContext(ctx, args...)
}

// prepare prepares what was wanted. One that can't be stays as it is.
func (t *texts) prepare() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, text := range t.wanted {
		if t.prepared[text] != nil || len(t.prepared) >= textsLimit {
			continue
		}
		if s, err := t.db.Prepare(text); err == nil { //nolint:sqlclosecheck // as above
			t.prepared[text] = s
		}
	}
	t.wanted = t.wanted[:0]
}
