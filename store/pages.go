package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Page is a part of a scan, held by one worker at a time.
type Page struct {
	ID       string
	Number   int
	Position json.RawMessage // where it begins
	Listed   bool            // the page that follows is written down
	Until    string          // the last customer of this part, where one follows
	Scan     Scan
	fence    int64
}

func (s *Store) addPage(tx *tx, scan string, number int, position string) (id string, err error) {
	id = s.ids.New("page")
	err = tx.Later(`insert into scan_pages (id, scan, number, position, listed, until, fence, lease_until) values ($1, $2, $3, $4, 0, '', 0, 0)`, id, scan, number, position)
	if err != nil {
		return "", fmt.Errorf("write a page: %w", err)
	}
	return id, nil
}

// ReadyPages lists pages of running scans that nobody holds, in order.
func (s *Store) ReadyPages(ctx context.Context, limit int) ([]string, error) {
	scan := func(r row) (id string, err error) { err = r.Scan(&id); return id, err }
	return query(ctx, s, scan, `select p.id from scan_pages p join scans s on s.id = p.scan
		where p.lease_until <= $1 and s.status = 'running' order by s.started_at, p.number limit $2`, micros(s.now()), limit)
}

// HeldPages counts the pages of a scan that somebody looks at just now.
func (s *Store) HeldPages(ctx context.Context, scan string) (int, error) {
	count := func(r row) (n int, err error) { err = r.Scan(&n); return n, err }
	n, _, err := first(query(ctx, s, count, `select count(*) from scan_pages where scan = $1 and lease_until > $2`, scan, micros(s.now())))
	return n, err
}

// ClaimPage takes a page. It gives false where it is gone, its scan doesn't
// run, or somebody else holds it.
func (s *Store) ClaimPage(ctx context.Context, id string, d time.Duration) (p Page, claimed bool, err error) {
	err = s.write(ctx, func(tx *tx) error {
		claimed = false
		var scan, position string
		var listed int
		p = Page{ID: id}
		err := tx.QueryRow(`update scan_pages set fence = fence + 1, lease_until = $3
			where id = $1 and lease_until <= $2 and exists (select 1 from scans s where s.id = scan and s.status = 'running')
			returning scan, number, position, listed, until, fence`, id, micros(s.now()), micros(s.now().Add(d))).Scan(&scan, &p.Number, &position, &listed, &p.Until, &p.fence)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("claim a page: %w", err)
		}
		p.Position, p.Listed, claimed = json.RawMessage(position), listed == 1, true
		p.Scan, err = scanScan(tx.QueryRow(`select `+scanColumns+` from scans where id = $1`, scan))
		return err
	})
	return p, claimed && err == nil, err
}

// holds fails with ErrLost where the page is no longer its holder's.
func (s *Store) holds(tx *tx, p Page) error {
	var until int64
	err := tx.QueryRow(`select lease_until from scan_pages where id = $1 and fence = $2`+s.locked(), p.ID, p.fence).Scan(&until)
	if errors.Is(err, sql.ErrNoRows) || err == nil && until < micros(s.now()) {
		return ErrLost
	}
	if err != nil {
		return fmt.Errorf("read a page: %w", err)
	}
	return nil
}

// page changes a page that its caller holds, and its scan. The scan's row is
// taken first by all, so that two last pages can't overlook each other.
func (s *Store) page(ctx context.Context, p Page, change func(tx *tx) error) error {
	return s.write(ctx, func(tx *tx) error {
		var id string
		if err := tx.QueryRow(`select id from scans where id = $1`+s.locked(), p.Scan.ID).Scan(&id); err != nil {
			return fmt.Errorf("read the scan: %w", err)
		}
		if err := s.holds(tx, p); err != nil {
			return err
		}
		return change(tx)
	})
}

// RenewPage makes the hold on a page last longer. It gives false where the scan
// doesn't run any more, and fails with ErrLost where the page is lost or gone.
func (s *Store) RenewPage(ctx context.Context, p Page, d time.Duration) (running bool, err error) {
	err = s.write(ctx, func(tx *tx) error {
		if err := s.holds(tx, p); err != nil {
			return err
		}
		if err := tx.Later(`update scan_pages set lease_until = $2 where id = $1`, p.ID, micros(s.now().Add(d))); err != nil {
			return fmt.Errorf("renew a page: %w", err)
		}
		return tx.QueryRow(`select status = 'running' from scans where id = $1`, p.Scan.ID).Scan(&running)
	})
	return running, err
}

// ReleasePage gives a page back as it is.
func (s *Store) ReleasePage(ctx context.Context, p Page) error {
	return s.write(ctx, func(tx *tx) error {
		err := tx.Later(`update scan_pages set lease_until = 0 where id = $1 and fence = $2`, p.ID, p.fence)
		return err
	})
}

// Listed writes down the page that follows, once: it begins after the customer
// until.
func (s *Store) Listed(ctx context.Context, p Page, until string, position json.RawMessage) (next string, err error) {
	err = s.page(ctx, p, func(tx *tx) error {
		if err := tx.Later(`update scan_pages set listed = 1, until = $2 where id = $1`, p.ID, until); err != nil {
			return fmt.Errorf("write a page: %w", err)
		}
		var err error
		next, err = s.addPage(tx, p.Scan.ID, p.Number+1, string(position))
		return err
	})
	return next, err
}

// Counted is what was found on a page.
type Counted struct {
	Customers, Coherent, Opened, Unseen int
	States                              map[string]int
	Error                               string // why some customers may have been left out

	Whole    map[string]string // services that were read whole, with the versions of their declarations
	Unjudged []string          // who could not be judged, so that the services' word that they changed isn't used up
	Judged   []string          // who could not be before
}

// FinishPage adds what was counted to the scan, and ends the scan where no page
// is left. Whoever waited for a full scan is looked at then.
func (s *Store) FinishPage(ctx context.Context, p Page, c Counted) (scan Scan, err error) {
	err = s.page(ctx, p, func(tx *tx) error {
		if scan, err = scanScan(tx.QueryRow(`select `+scanColumns+` from scans where id = $1`, p.Scan.ID)); err != nil {
			return fmt.Errorf("read the scan: %w", err)
		}
		if err := tx.Later(`delete from scan_pages where id = $1`, p.ID); err != nil {
			return fmt.Errorf("end a page: %w", err)
		}
		var left int
		if err := tx.QueryRow(`select count(*) from scan_pages where scan = $1`, scan.ID).Scan(&left); err != nil {
			return fmt.Errorf("count pages: %w", err)
		}
		remembered, err := s.remember(tx, c)
		if err != nil {
			return err
		}
		if !remembered {
			c.Whole = nil
		}
		scan.add(c)
		if left == 0 {
			scan.EndedAt, scan.Status = s.now(), ScanDone
			if scan.Error != "" {
				scan.Status = ScanPartial
			}
		}
		if left == 0 {
			if err := s.moveCursors(tx, scan); err != nil {
				return err
			}
		}
		if scan.Kind == FullScan && scan.Status == ScanDone {
			err := tx.Later(`update cases set wake_at = $1 where ended_at = 0 and reason = $2 and wake_at > $1 and lease_until <= $1`, micros(scan.EndedAt), awaitsPass)
			if err != nil {
				return fmt.Errorf("wake who waited for the scan: %w", err)
			}
		}
		return saveCounts(tx, scan)
	})
	return scan, err
}

func (s *Scan) add(c Counted) {
	s.Customers += c.Customers
	s.Coherent += c.Coherent
	s.Opened += c.Opened
	s.Unseen += c.Unseen
	for name, n := range c.States {
		s.States[name] += n
	}
	if s.Error == "" {
		s.Error = c.Error
	}
	s.Whole = whole(s.Whole, c.Whole)
}

func saveCounts(tx *tx, scan Scan) error {
	states, err := json.Marshal(scan.States)
	if err != nil {
		return fmt.Errorf("write the scan: %w", err)
	}
	staged, err := json.Marshal(append([]string{}, scan.Staged...))
	if err != nil {
		return fmt.Errorf("write the scan: %w", err)
	}
	whole := ""
	if scan.Whole != nil {
		text, err := json.Marshal(scan.Whole)
		if err != nil {
			return fmt.Errorf("write the scan: %w", err)
		}
		whole = string(text)
	}
	err = tx.Later(`update scans set status = $2, ended_at = $3, customers = $4, coherent = $5, opened = $6, unseen = $7, states = $8, staged = $9, whole = $10, error = $11
		where id = $1`, scan.ID, scan.Status, micros(scan.EndedAt), scan.Customers, scan.Coherent, scan.Opened, scan.Unseen, string(states), string(staged), whole, scan.Error)
	if err != nil {
		return fmt.Errorf("write the scan: %w", err)
	}
	return nil
}

// StageScan begins a scan anew because the list of a service doesn't come in
// key order: from now on it is read whole.
func (s *Store) StageScan(ctx context.Context, p Page, service string) (page string, err error) {
	err = s.page(ctx, p, func(tx *tx) error {
		scan, err := scanScan(tx.QueryRow(`select `+scanColumns+` from scans where id = $1`, p.Scan.ID))
		if err != nil {
			return fmt.Errorf("read the scan: %w", err)
		}
		if err := tx.Later(`delete from scan_pages where scan = $1`, scan.ID); err != nil {
			return fmt.Errorf("begin a scan anew: %w", err)
		}
		scan.Customers, scan.Coherent, scan.Unseen, scan.States, scan.Error = 0, 0, 0, map[string]int{}, ""
		scan.Whole = nil
		scan.Staged = append(scan.Staged, service)
		if err := saveCounts(tx, scan); err != nil {
			return err
		}
		page, err = s.addPage(tx, scan.ID, 0, "{}")
		return err
	})
	return page, err
}
