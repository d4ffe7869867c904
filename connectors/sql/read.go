package sql

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"amend"
	"amend/connectors"
)

// One is part of connectors.Connector.
func (c *connector) One(ctx context.Context, id string) (amend.Record, error) {
	if c.one == nil {
		records, err := c.Many(ctx, []string{id})
		if err != nil {
			return amend.Record{}, err
		}
		return records[0], nil
	}
	if !c.entity.Valid(id) {
		return amend.Record{}, notAnID()
	}
	record, count := amend.Record{Presence: amend.Absent}, 0
	at, err := c.query(ctx, c.one, map[string]any{"id": id}, func(r *row, at time.Time) {
		count++
		switch {
		case count > 1:
			record = amend.UnseenRecord(amend.Malformed, "there are several rows of one customer", at)
		case r.keyed() && string(r.key) != id:
			record = amend.UnseenRecord(amend.Malformed, "the row belongs to somebody else", at)
		default:
			record = r.record(at)
		}
	})
	record.ReadAt = at
	return record, err
}

// Many is part of connectors.Connector.
func (c *connector) Many(ctx context.Context, ids []string) ([]amend.Record, error) {
	switch {
	case c.many == nil:
		return nil, malformed("it can't be asked for many customers")
	case len(ids) == 0: // and nobody is never everybody
		return nil, nil
	case len(ids) > manyAtOnce:
		return nil, malformed(fmt.Sprintf("it can be asked for %d customers at once, not for %d", manyAtOnce, len(ids)))
	case slices.ContainsFunc(ids, func(id string) bool { return !c.entity.Valid(id) }):
		return nil, notAnID()
	}
	batch := connectors.NewBatch(c.entity, ids)
	at, err := c.query(ctx, c.many, map[string]any{"ids": ids}, func(r *row, at time.Time) {
		batch.Add(r.key, at, r.record)
	})
	if err != nil {
		return nil, err
	}
	return batch.Records(at), nil
}

// List is part of connectors.Connector. The cursor is the last customer of the
// page before.
func (c *connector) List(ctx context.Context, request connectors.PageRequest) (connectors.Page, error) {
	if c.list == nil {
		return connectors.Page{}, malformed("it can't list its customers")
	}
	listing := connectors.NewListing(c.entity, pageSize)
	count, last := 0, ""
	at, err := c.query(ctx, c.list, map[string]any{"cursor": request.Cursor, "limit": int64(pageSize), "since": request.Since},
		func(r *row, at time.Time) {
			listing.Add(r.key, at, r.record)
			count, last = count+1, string(r.key)
		})
	switch {
	case err != nil:
		return connectors.Page{}, err
	case count < pageSize:
		last = ""
	case last == "" || last == request.Cursor:
		return connectors.Page{}, malformed("the list does not go on: the last row of the page gives no new cursor")
	}
	page := listing.Page(last, at)
	if page.Skipped > 0 && !c.skipped.Swap(true) {
		c.log.Warn("a list has rows that nobody can be named for; they are skipped", "count", page.Skipped)
	}
	return page, nil
}

// query runs one statement and hands each row on; it returns when the last was
// read. Rows after a mistake are not handed on, and all of them are void then.
func (c *connector) query(ctx context.Context, q *query, values map[string]any, each func(*row, time.Time)) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if since, given := values["since"].(time.Time); given {
		values["since"] = c.db.since(since)
	}
	text, bound := q.bind(c.db.dialect, values)
	rows, err := c.db.QueryContext(ctx, text, bound...)
	if err != nil {
		return c.now(), c.broken(ctx, err)
	}
	defer rows.Close() //nolint:errcheck // Err says all that matters
	r, err := c.row(rows)
	if err != nil {
		return c.now(), err
	}
	for rows.Next() {
		if err := r.scan(rows); err != nil {
			return c.now(), c.broken(ctx, err)
		}
		if r.read > largestResult {
			return c.now(), malformed("the result is larger than 16 MiB")
		}
		each(r, c.now())
	}
	if err := rows.Err(); err != nil {
		return c.now(), c.broken(ctx, err)
	}
	return c.now(), nil
}

// largestResult bounds the texts of one result, in bytes: a page of 1,000
// customers with 16 KiB each.
const largestResult = 16 << 20

func malformed(reason string) *connectors.Unseen {
	return &connectors.Unseen{Cause: amend.Malformed, Reason: reason}
}

func notAnID() error { return malformed("this is no ID; nobody was asked") }

// row is one row while it is read.
type row struct {
	fields  []connectors.FieldReader
	types   []amend.Field
	columns []int // of each field, or none
	id      int   // the column of the key, or none
	cells   []any
	into    []any // pointers to cells
	key     []byte
	read    int // bytes of texts in all rows so far
}

const none = -1

// row matches the columns of a result with the fields.
func (c *connector) row(rows *sql.Rows) (*row, error) {
	names, err := rows.Columns()
	if err != nil {
		return nil, malformed("the result has no columns")
	}
	r := &row{fields: c.fields, types: c.service.Fields, columns: make([]int, len(c.fields)), cells: make([]any, len(names)), into: make([]any, len(names))}
	for i := range r.cells {
		r.into[i] = &r.cells[i]
	}
	if r.id, err = column(names, "id"); err != nil {
		return nil, err
	}
	for i := range c.service.Fields {
		f := &c.service.Fields[i]
		if r.columns[i], err = column(names, f.Name); err != nil {
			return nil, err
		}
		if r.columns[i] == none && !f.Optional {
			return nil, malformed("the query gives no column " + f.Name)
		}
	}
	return r, nil
}

func column(names []string, name string) (int, error) {
	i := slices.Index(names, name)
	if i >= 0 && slices.Contains(names[i+1:], name) {
		return none, malformed("the query gives two columns " + name)
	}
	return i, nil
}

func (r *row) keyed() bool { return r.id != none }

func (r *row) scan(rows *sql.Rows) error {
	if err := rows.Scan(r.into...); err != nil {
		return err
	}
	for _, cell := range r.cells {
		switch x := cell.(type) {
		case string:
			r.read += len(x)
		case []byte:
			r.read += len(x)
		}
	}
	r.key = r.key[:0]
	if r.keyed() {
		r.key = appendKey(r.key, r.cells[r.id])
	}
	return nil
}

// record is the row as a record; what isn't as declared makes it unseen.
func (r *row) record(at time.Time) amend.Record {
	values := make([]amend.Value, len(r.fields))
	for i := range values {
		var cell any
		if r.columns[i] != none {
			cell = r.cells[r.columns[i]]
		}
		v, err := value(&r.fields[i], r.types[i].Type, cell)
		if err != nil {
			return amend.UnseenRecord(amend.Malformed, err.Error(), at)
		}
		values[i] = v
	}
	return amend.Record{Presence: amend.Present, Values: values, ReadAt: at}
}
