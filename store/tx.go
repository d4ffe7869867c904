package store

import (
	"context"
	"database/sql"
	"sync"
)

// tx is one transaction.
type tx struct {
	*sql.Tx
	texts *texts // nil where the driver itself remembers what it has prepared
}

// Exec runs a statement.
func (t *tx) Exec(text string, args ...any) (sql.Result, error) {
	if s := t.texts.find(text); s != nil {
		return t.Stmt(s).Exec(args...)
	}
	return t.Tx.Exec(text, args...)
}

// QueryRow runs a query that gives one row.
func (t *tx) QueryRow(text string, args ...any) *sql.Row {
	if s := t.texts.find(text); s != nil {
		return t.Stmt(s).QueryRow(args...)
	}
	return t.Tx.QueryRow(text, args...)
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
	if t == nil {
		return nil
	}
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
	s := t.find(text)
	if s == nil {
		t.prepare()
		if s = t.find(text); s == nil {
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
		if s, err := t.db.Prepare(text); err == nil {
			t.prepared[text] = s
		}
	}
	t.wanted = t.wanted[:0]
}
