package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"amend/internal/crash"
)

// inDatabase is a transaction on PostgreSQL. What needs no answer travels with
// what does, so that a transaction of ten statements takes three journeys.
type inDatabase struct {
	ctx   context.Context
	conn  *pgx.Conn
	begun bool
	batch pgx.Batch // what hasn't been sent
	place place     // what it counts as
	wrote bool      // it may have changed something
	asked bool      // a commit was sent
}

// begin puts the start of the transaction before what is sent first, and has the
// transaction count itself: a commit that isn't answered is looked up by that.
func (t *inDatabase) begin() {
	if t.begun {
		return
	}
	t.begun = true
	waiting := t.batch.QueuedQueries
	t.batch = pgx.Batch{}
	t.batch.Queue(`begin`)
	t.batch.Queue(countCommit, t.place.slot, t.place.number).QueryRow(t.counted)
	t.batch.QueuedQueries = append(t.batch.QueuedQueries, waiting...)
}

// flush sends what waits. The first error is that of the whole transaction.
func (t *inDatabase) flush() error {
	t.begin()
	batch := t.batch
	t.batch = pgx.Batch{}
	if batch.Len() == 0 {
		return nil
	}
	err := t.conn.SendBatch(t.ctx, &batch).Close()
	if said := (*pgconn.PgError)(nil); errors.As(err, &said) && said.Code == divisionByZero {
		return ErrLost
	}
	return err
}

// divisionByZero is the error of Must, and of nothing else.
const divisionByZero = "22012"

// queue has a statement travel with the next that are sent.
func (t *inDatabase) queue(text string, args ...any) *pgx.QueuedQuery {
	t.wrote = t.wrote || !strings.HasPrefix(text, "select ")
	return t.batch.Queue(text, args...)
}

// Must is part of carrier. The statement itself fails where it changes nothing,
// and with it the commit that travels behind it: to look first would take a
// journey.
func (t *inDatabase) Must(text string, args ...any) error {
	return t.Later(`with changed as (`+text+` returning 1) select 1 / count(*) from changed`, args...)
}

// Later is part of carrier.
func (t *inDatabase) Later(text string, args ...any) error {
	t.queue(text, args...)
	if t.batch.Len() < batchLimit {
		return nil
	}
	return t.flush()
}

// batchLimit bounds what waits: a copy of a store is one transaction, too.
const batchLimit = 500

// Exec is part of carrier.
func (t *inDatabase) Exec(text string, args ...any) (sql.Result, error) {
	var rows int64
	t.queue(text, args...).Exec(func(tag pgconn.CommandTag) error { rows = tag.RowsAffected(); return nil })
	if err := t.flush(); err != nil {
		return nil, err
	}
	return driver.RowsAffected(rows), nil
}

// QueryRow is part of carrier.
func (t *inDatabase) QueryRow(text string, args ...any) row { return &asked{t, text, args} }

// asked is a query that is sent when its row is scanned.
type asked struct {
	t    *inDatabase
	text string
	args []any
}

// Scan is part of row.
func (a *asked) Scan(to ...any) error {
	q := inquiry{text: a.text, args: a.args, scan: into(to...)}
	if err := a.t.Ask(&q); err != nil {
		return err
	}
	if q.missing {
		return sql.ErrNoRows
	}
	return nil
}

// Ask is part of carrier.
func (t *inDatabase) Ask(all ...*inquiry) error {
	for _, q := range all {
		t.queue(q.text, q.args...).QueryRow(func(r pgx.Row) error { return q.take(r) })
	}
	return t.flush()
}

// commit sends the rest. That the transaction has counted itself is known before:
// it could arrive after its commit was looked up otherwise, where the answer is
// lost.
func (t *inDatabase) commit() error {
	if !t.wrote {
		t.rollback() // its count alone is nothing to wait for a disk for
		return nil
	}
	if !t.begun {
		waiting := t.batch
		t.batch = pgx.Batch{}
		if err := t.flush(); err != nil {
			return fmt.Errorf("begin to write: %w", err)
		}
		t.batch = waiting
	}
	crash.At(crash.StoreCommitting)
	t.batch.Queue(`commit`)
	t.asked = true
	err := t.flush()
	if err == nil {
		t.place.next(t.conn)
	} else if !isCut(err) {
		t.rollback()
	}
	return err
}

func (t *inDatabase) rollback() {
	if t.begun && !t.conn.IsClosed() {
		t.conn.Exec(t.ctx, `rollback`) //nolint:errcheck // nothing of it is kept either way
	}
}
