package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"amend"
)

// The kinds and statuses of scans. Stored data: don't rename.
const (
	FullScan  = "full"
	FreshScan = "fresh"

	ScanRunning   = "running"
	ScanPaused    = "paused"
	ScanDone      = "done"
	ScanPartial   = "partial" // a source could not be listed to its end
	ScanFailed    = "failed"
	ScanCancelled = "cancelled"
)

// Scan is one looking through all customers, or through those that changed.
type Scan struct {
	ID        string
	Kind      string
	Status    string
	StartedAt time.Time
	EndedAt   time.Time
	StartedBy string
	ChangedBy string // who paused, resumed or cancelled it last
	Customers int    // until now
	Coherent  int
	Opened    int // cases
	Unseen    int
	States    map[string]int // customers by state
	Staged    []string       // services whose lists are read whole
	// Whole are the services that all its parts until now have read whole, with
	// the versions of their declarations; nil where none is done.
	Whole map[string]string
	Error string
}

// Open reports whether the scan hasn't ended.
func (s *Scan) Open() bool { return s.EndedAt.IsZero() }

const scanColumns = `id, kind, status, started_at, ended_at, started_by, changed_by, customers, coherent, opened, unseen, states, staged, whole, error`

func scanScan(r row) (Scan, error) {
	var s Scan
	var started, ended int64
	var states, staged, whole string
	err := r.Scan(&s.ID, &s.Kind, &s.Status, &started, &ended, &s.StartedBy, &s.ChangedBy, &s.Customers, &s.Coherent, &s.Opened, &s.Unseen, &states, &staged, &whole, &s.Error)
	if err != nil {
		return s, err
	}
	s.StartedAt, s.EndedAt = fromMicros(started), fromMicros(ended)
	if whole != "" {
		err = json.Unmarshal([]byte(whole), &s.Whole)
	}
	return s, errors.Join(err, json.Unmarshal([]byte(states), &s.States), json.Unmarshal([]byte(staged), &s.Staged))
}

// StartScan begins a scan, with a first page of everything. It fails with
// Conflict where one of its kind is under way.
func (s *Store) StartScan(ctx context.Context, kind, by string) (scan Scan, page string, err error) {
	return s.start(ctx, kind, by, func(*tx) error { return nil })
}

// clockSlack is more than what the clocks of workers can be apart.
const clockSlack = time.Minute

// StartDue is StartScan for a schedule that counts from a scan, the zero one
// where there was none before. It fails with Conflict also where another has
// begun since, even if that one has ended already: of several workers who find
// the same run due, one begins it. Scans that began while the clock ran ahead
// are left aside, as LastScanAt does.
func (s *Store) StartDue(ctx context.Context, kind string, last Scan) (scan Scan, page string, err error) {
	return s.start(ctx, kind, Amend, func(tx *tx) error {
		var newer bool
		err := tx.QueryRow(`select exists (select 1 from scans where kind = $1 and id <> $2 and started_at > $3 and started_at <= $4)`,
			kind, last.ID, micros(last.StartedAt), micros(s.now().Add(clockSlack))).Scan(&newer)
		if err != nil {
			return fmt.Errorf("read the scans: %w", err)
		}
		if newer {
			return amend.Errorf(amend.Conflict, "another %s scan has begun", kind)
		}
		return nil
	})
}

func (s *Store) start(ctx context.Context, kind, by string, due func(*tx) error) (scan Scan, page string, err error) {
	err = s.write(ctx, func(tx *tx) error {
		if err := s.alone(tx, "scan "+kind); err != nil {
			return err
		}
		if err := due(tx); err != nil {
			return err
		}
		scan = Scan{ID: s.ids.New("scan"), Kind: kind, Status: ScanRunning, StartedAt: s.now(), StartedBy: by, States: map[string]int{}}
		done, err := tx.Exec(`insert into scans (`+scanColumns+`) values (`+placeholders(15)+`) on conflict do nothing`,
			scan.ID, scan.Kind, scan.Status, micros(scan.StartedAt), 0, scan.StartedBy, "", 0, 0, 0, 0, "{}", "[]", "", "")
		if err != nil {
			return fmt.Errorf("start a scan: %w", err)
		}
		if n, err := done.RowsAffected(); err != nil {
			return fmt.Errorf("start a scan: %w", err)
		} else if n == 0 {
			return amend.Errorf(amend.Conflict, "a %s scan is under way", kind)
		}
		if page, err = s.addPage(tx, scan.ID, 0, "{}"); err != nil {
			return err
		}
		return s.auditScan(tx, by, kind, "start")
	})
	return scan, page, err
}

// Scan finds one scan.
func (s *Store) Scan(ctx context.Context, id string) (Scan, bool, error) {
	return first(query(ctx, s, scanScan, `select `+scanColumns+` from scans where id = $1`, id))
}

// OpenScan finds the scan of a kind that is under way.
func (s *Store) OpenScan(ctx context.Context, kind string) (Scan, bool, error) {
	return first(query(ctx, s, scanScan, `select `+scanColumns+` from scans where kind = $1 and ended_at = 0`, kind))
}

// LastScan finds the newest scan of a kind; finished asks for one that ended
// well.
func (s *Store) LastScan(ctx context.Context, kind string, finished bool) (Scan, bool, error) {
	which := ""
	if finished {
		which = "and status = 'done'"
	}
	return first(query(ctx, s, scanScan, `select `+scanColumns+` from scans where kind = $1 `+which+` order by started_at desc limit 1`, kind))
}

// LastScanAt is LastScan as it was at a time: scans that began later aren't
// there. Schedules count by it, so that a clock which ran ahead and was put back
// doesn't stop them until it is as late again.
func (s *Store) LastScanAt(ctx context.Context, kind string, finished bool, at time.Time) (Scan, bool, error) {
	which := ""
	if finished {
		which = "and status = 'done'"
	}
	return first(query(ctx, s, scanScan, `select `+scanColumns+` from scans where kind = $1 and started_at <= $2 `+which+` order by started_at desc limit 1`, kind, micros(at)))
}

// OpenScans lists the scans that are under way, the oldest first.
func (s *Store) OpenScans(ctx context.Context) ([]Scan, error) {
	return query(ctx, s, scanScan, `select `+scanColumns+` from scans where ended_at = 0 order by started_at`)
}

// Scans lists scans, newest first.
func (s *Store) Scans(ctx context.Context, limit int) ([]Scan, error) {
	return query(ctx, s, scanScan, `select `+scanColumns+` from scans order by started_at desc limit $1`, limit)
}

// ScansOf lists scans of a kind, newest first.
func (s *Store) ScansOf(ctx context.Context, kind string, limit int) ([]Scan, error) {
	return query(ctx, s, scanScan, `select `+scanColumns+` from scans where kind = $1 order by started_at desc limit $2`, kind, limit)
}

// steering says what a person may make of a scan that is under way.
var steering = map[string]struct{ from, to string }{
	"pause":  {ScanRunning, ScanPaused},
	"resume": {ScanPaused, ScanRunning},
	"cancel": {"", ScanCancelled}, // from either
}

// SteerScan pauses, resumes or cancels a scan. Who looks at a page learns it
// when the hold on it is renewed. It fails with NotFound where there is no such scan,
// and with Conflict where that can't be done with it any more.
func (s *Store) SteerScan(ctx context.Context, id, act, by string) error {
	move, known := steering[act]
	if !known {
		return amend.Errorf(amend.Invalid, "a scan can't be made to %s: pause, resume and cancel are known", act)
	}
	return s.write(ctx, func(tx *tx) error {
		scan, err := scanScan(tx.QueryRow(`select `+scanColumns+` from scans where id = $1`+s.locked(), id))
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return amend.Errorf(amend.NotFound, "there is no scan %s", id)
		case err != nil:
			return fmt.Errorf("read the scan: %w", err)
		case !scan.Open() || move.from != "" && scan.Status != move.from:
			return amend.Errorf(amend.Conflict, "the scan is %s", scan.Status)
		}
		ended := int64(0)
		if move.to == ScanCancelled {
			ended = micros(s.now())
			if err := tx.Later(`delete from scan_pages where scan = $1`, id); err != nil {
				return fmt.Errorf("end the scan: %w", err)
			}
		}
		if err := tx.Later(`update scans set status = $2, changed_by = $3, ended_at = $4 where id = $1`, id, move.to, by, ended); err != nil {
			return fmt.Errorf("write the scan: %w", err)
		}
		return s.auditScan(tx, by, scan.Kind, act)
	})
}

// StatesSince lists how many customers were in which state in each full scan
// that ended well and began after a time, the oldest first.
func (s *Store) StatesSince(ctx context.Context, since time.Time) ([]map[string]int, error) {
	scan := func(r row) (counts map[string]int, err error) {
		var text string
		if err = r.Scan(&text); err == nil {
			err = json.Unmarshal([]byte(text), &counts)
		}
		return counts, err
	}
	return query(ctx, s, scan, `select states from scans where kind = 'full' and status = 'done' and started_at > $1 order by started_at`, micros(since))
}

// clockJump is how far the clock must have been put back for anybody to care.
const clockJump = time.Minute

// letterWait is longer than any letter waits by a clock that is right.
const letterWait = 10 * time.Minute

// PutBack has looked at again, and told again, whatever waits since a time that
// lies ahead: the clock was put back, and the wait would be as much longer. What
// ended then has ended now, so that what people do next comes after it.
func (s *Store) PutBack(ctx context.Context) error {
	return s.write(ctx, func(tx *tx) error {
		now, ahead := micros(s.now()), micros(s.now().Add(clockJump))
		for _, table := range []string{"repairs", "pauses"} {
			if err := tx.Later(`update `+table+` set ended_at = $1 where ended_at > $2`, now, ahead); err != nil {
				return fmt.Errorf("end what ended by another clock: %w", err)
			}
		}
		if err := tx.Later(`update cases set wake_at = $1 where ended_at = 0 and updated_at > $2 and wake_at > $1`, now, ahead); err != nil {
			return fmt.Errorf("wake whoever waits by another clock: %w", err)
		}
		err := tx.Later(`update outbox set not_before = $1 where sent_at = 0 and (created_at > $2 and not_before > $1 or not_before > $3)`, now, ahead, micros(s.now().Add(letterWait)))
		if err != nil {
			return fmt.Errorf("tell what waits by another clock: %w", err)
		}
		return putCursorsBack(tx, ahead)
	})
}

// Recover is called before any work. It takes over what a stopped process left
// behind: nobody holds its cases and the pages of its scans. Only the process
// that holds the worker's lock may call it; on a shared store nothing is taken
// over, since others live. Where the store isn't the one that was worked on last
// all repairs are paused, and older says so. It fails where that can't be told,
// or the pause can't be written: nobody may work on the store then.
func (s *Store) Recover(ctx context.Context) (older, err error) {
	older, err = s.begin(ctx)
	if err != nil || s.Shared() {
		return older, err
	}
	return older, s.write(ctx, func(tx *tx) error {
		now := micros(s.now())
		if err := tx.Later(`update cases set lease_until = 0, fence = fence + 1, wake_at = $1 where ended_at = 0 and lease_until > 0`, now); err != nil {
			return fmt.Errorf("take over cases: %w", err)
		}
		if err := tx.Later(`update scan_pages set lease_until = 0, fence = fence + 1 where lease_until > 0`); err != nil {
			return fmt.Errorf("take over scans: %w", err)
		}
		return nil
	})
}
