package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// The kinds and statuses of scans. Stored data: don't rename.
const (
	FullScan  = "full"
	FreshScan = "fresh"

	ScanRunning = "running"
	ScanDone    = "done"
	ScanPartial = "partial" // a source could not be listed to its end
	ScanFailed  = "failed"
)

// Scan is one looking through all customers, or through those that changed.
type Scan struct {
	ID        string
	Kind      string
	Status    string
	StartedAt time.Time
	EndedAt   time.Time
	Customers int
	Coherent  int
	Opened    int // cases
	Unseen    int
	States    map[string]int // customers by state
	Error     string
}

const scanColumns = `id, kind, status, started_at, ended_at, customers, coherent, opened, unseen, states, error`

func scanScan(r row) (Scan, error) {
	var s Scan
	var started, ended int64
	var states string
	if err := r.Scan(&s.ID, &s.Kind, &s.Status, &started, &ended, &s.Customers, &s.Coherent, &s.Opened, &s.Unseen, &states, &s.Error); err != nil {
		return s, err
	}
	s.StartedAt, s.EndedAt = fromMicros(started), fromMicros(ended)
	return s, json.Unmarshal([]byte(states), &s.States)
}

// SaveScan writes a scan down; the same ID again replaces what was known.
func (s *Store) SaveScan(ctx context.Context, scan Scan) error {
	states, err := json.Marshal(scan.States)
	if err != nil {
		return fmt.Errorf("write the scan: %w", err)
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec(`insert into scans (`+scanColumns+`) values (`+placeholders(11)+`) on conflict (id) do update set status = excluded.status,
			ended_at = excluded.ended_at, customers = excluded.customers, coherent = excluded.coherent, opened = excluded.opened, unseen = excluded.unseen,
			states = excluded.states, error = excluded.error`, scan.ID, scan.Kind, scan.Status, micros(scan.StartedAt), micros(scan.EndedAt), scan.Customers,
			scan.Coherent, scan.Opened, scan.Unseen, string(states), scan.Error)
		if err != nil {
			return fmt.Errorf("write the scan: %w", err)
		}
		return nil
	})
}

// LastScan finds the newest scan of a kind; finished asks for one that ended
// well.
func (s *Store) LastScan(ctx context.Context, kind string, finished bool) (Scan, bool, error) {
	return first(query(ctx, s, scanScan, `select `+scanColumns+` from scans where kind = $1 and ($2 = 0 or status = 'done') order by started_at desc limit 1`, kind, finished))
}

// Recover takes over what a stopped process left behind: its scans have
// failed, and nobody holds its cases. Only the process that holds the worker's
// lock may call it.
func (s *Store) Recover(ctx context.Context) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		now := micros(s.now())
		if _, err := tx.Exec(`update cases set lease_until = 0, fence = fence + 1, wake_at = $1 where ended_at = 0 and lease_until > 0`, now); err != nil {
			return fmt.Errorf("take over cases: %w", err)
		}
		_, err := tx.Exec(`update scans set status = 'failed', ended_at = $1, error = 'the process that ran it has stopped' where status = 'running'`, now)
		return err
	})
}
