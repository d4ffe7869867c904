package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"amend"
)

// tables are all of the store's, in the order in which they can be filled: a row
// of audit_cuts deletes nothing as long as there is no chain.
var tables = []string{"installation", "cases", "repairs", "proposals", "approvals", "steps", "timeline", "requests", "incidents", "outbox", "scans", "scan_pages",
	"pauses", "rule_versions", "service_samples", "service_calls", "cursors", "unjudged", "subjects", "audit", "audit_unsealed", "audit_cuts", "audit_chain"}

// Copied is how many rows of each table were copied.
type Copied map[string]int

// CopyTo copies all that the store holds into an empty one, the identity of the
// installation included: what was begun here goes on there with the same keys.
// Nobody may work on either meanwhile. It fails with Conflict where the other
// one holds anything.
func (s *Store) CopyTo(ctx context.Context, to *Store) (Copied, error) {
	copied := Copied{}
	err := to.write(ctx, func(tx *tx) error {
		clear(copied)
		var cases, scans int
		if err := tx.QueryRow(`select (select count(*) from cases), (select count(*) from scans)`).Scan(&cases, &scans); err != nil {
			return fmt.Errorf("look whether the store is empty: %w", err)
		}
		if cases+scans > 0 {
			return &amend.Error{Code: amend.Conflict, Text: fmt.Sprintf("the new store isn't empty: it has %d cases and %d scans", cases, scans), Next: "give an empty database"}
		}
		if err := tx.Later(`delete from installation`); err != nil {
			return fmt.Errorf("copy installation: %w", err)
		}
		for _, table := range tables {
			n, err := s.copyTable(ctx, tx, table)
			if err != nil {
				return fmt.Errorf("copy %s: %w", table, err)
			}
			copied[table] = n
		}
		// Whoever held anything here doesn't hold it there.
		for _, text := range []string{
			`update cases set lease_until = 0, fence = fence + 1 where lease_until > 0`,
			`update scan_pages set lease_until = 0, fence = fence + 1 where lease_until > 0`,
		} {
			if err := tx.Later(text); err != nil {
				return fmt.Errorf("free what was held: %w", err)
			}
		}
		return tx.QueryRow(`select id from installation`).Scan(&to.installation)
	})
	return copied, err
}

func (s *Store) copyTable(ctx context.Context, tx *tx, table string) (n int, err error) {
	rows, err := s.db.QueryContext(ctx, `select * from `+table)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return 0, err
	}
	insert := `insert into ` + table + ` (` + strings.Join(columns, ", ") + `) values (` + placeholders(len(columns)) + `)`
	row, at := make([]any, len(columns)), make([]any, len(columns))
	for i := range row {
		at[i] = &row[i]
	}
	for rows.Next() {
		if err := rows.Scan(at...); err != nil {
			return n, err
		}
		if err := tx.Later(insert, slices.Clone(row)...); err != nil {
			return n, err
		}
		n++
	}
	return n, rows.Err()
}
