package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// MostUnjudged is how many customers are remembered whom scans could not judge.
// Where there are more, what has changed is asked for once more from where it
// was before.
const MostUnjudged = 1000

// Cursor says from when a service is asked what has changed there.
type Cursor struct {
	At      time.Time // when the last scan that read it whole began
	Version string    // of the service's declaration then
}

// Cursors gives the cursors of all services that were ever read whole, by name.
func (s *Store) Cursors(ctx context.Context) (map[string]Cursor, error) {
	all := map[string]Cursor{}
	scan := func(r row) (name string, err error) {
		var c Cursor
		var at int64
		err = r.Scan(&name, &at, &c.Version)
		c.At = fromMicros(at)
		all[name] = c
		return name, err
	}
	_, err := query(ctx, s, scan, `select service, at, version from cursors`)
	return all, err
}

// Unjudged lists the customers whom scans could not judge, in order.
func (s *Store) Unjudged(ctx context.Context) ([]string, error) {
	scan := func(r row) (id string, err error) { err = r.Scan(&id); return id, err }
	return query(ctx, s, scan, `select customer from unjudged order by customer`)
}

// whole is what all of some readings have read whole: services by name, with the
// versions of their declarations. A service that was declared in two ways was
// read whole in neither.
func whole(before, more map[string]string) map[string]string {
	all := map[string]string{}
	for service, version := range more {
		if was, is := before[service]; before == nil || is && was == version {
			all[service] = version
		}
	}
	return all
}

// remember notes whom a part of a scan could not judge, and who was judged since
// they were noted. It gives false, and notes nobody, where there are too many.
func (s *Store) remember(tx *tx, c Counted) (remembered bool, err error) {
	for _, customer := range c.Judged {
		if err := tx.Later(`delete from unjudged where customer = $1`, customer); err != nil {
			return false, fmt.Errorf("forget who is judged: %w", err)
		}
	}
	if len(c.Unjudged) == 0 {
		return true, nil
	}
	var known int
	if err := tx.QueryRow(`select count(*) from unjudged`).Scan(&known); err != nil {
		return false, fmt.Errorf("count who isn't judged: %w", err)
	}
	if known+len(c.Unjudged) > MostUnjudged {
		return false, nil
	}
	for _, customer := range slices.Sorted(slices.Values(c.Unjudged)) {
		if err := tx.Later(`insert into unjudged (customer) values ($1) on conflict do nothing`, customer); err != nil {
			return false, fmt.Errorf("note who isn't judged: %w", err)
		}
	}
	return true, nil
}

// moveCursors moves the cursors of the services that a scan which has ended has
// read whole. They never go back: of a full scan and the fresh ones beside it the
// one that began last counts. One that lies ahead was moved by a clock that was
// put back since, and so was one of a scan that begins after its end.
func (s *Store) moveCursors(tx *tx, scan Scan) error {
	if scan.StartedAt.After(scan.EndedAt) {
		return nil
	}
	for _, service := range slices.Sorted(maps.Keys(scan.Whole)) {
		err := tx.Later(`insert into cursors (service, at, version) values ($1, $2, $3) on conflict (service) do update set
			at = case when cursors.version = excluded.version and cursors.at between excluded.at and $4 then cursors.at else excluded.at end,
			version = excluded.version`,
			service, micros(scan.StartedAt), scan.Whole[service], micros(scan.EndedAt))
		if err != nil {
			return fmt.Errorf("move the cursor of %s: %w", service, err)
		}
	}
	return nil
}

// putCursorsBack undoes what a clock that ran ahead has made of the cursors, and
// of the scans that they follow from: nobody knows when those began.
func putCursorsBack(tx *tx, ahead int64) error {
	for _, text := range []string{
		`delete from cursors where at > $1`,
		`update scans set whole = '{}' where started_at > $1`,
	} {
		if err := tx.Later(text, ahead); err != nil {
			return fmt.Errorf("put cursors back: %w", err)
		}
	}
	return nil
}
