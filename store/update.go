package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"amend/lifecycle"
)

// Lease is the right to work on one case. Its fence grows with every holder,
// and every write compares it: a holder that was too slow can write nothing.
type Lease struct {
	CaseID    string
	Customer  string
	Fence     int64
	Until     time.Time
	Case      Case // as it was found
	Asked     bool // people have asked for something that nobody has carried out
	Repairing bool // a repair is open or proposed
	who       subject
}

// Claim takes the lease of the customer's open case. It gives false where
// there is no case, or somebody else holds it.
func (s *Store) Claim(ctx context.Context, customer string, d time.Duration) (lease Lease, claimed bool, err error) {
	err = s.write(ctx, func(tx *tx) error {
		now := s.now()
		lease, claimed = Lease{Customer: customer, Until: now.Add(d)}, false
		// The case wakes when the lease ends: if its holder dies, the sweeper finds it.
		c, err := scanCase(and(tx.QueryRow(`update cases set fence = fence + 1, lease_until = $3, wake_at = $3
			where customer = $1 and ended_at = 0 and lease_until <= $2 returning `+caseColumns+`,
				exists (select 1 from requests where customer = $1 and taken_at = 0),
				exists (select 1 from repairs r where r.case_id = cases.id and r.status in ('open', 'proposed')),
				coalesce((select id from subjects where customer = $1), ''), coalesce((select key from subjects where customer = $1), '')`,
			customer, micros(now), micros(lease.Until)), &lease.Asked, &lease.Repairing, &lease.who.id, &lease.who.key))
		lease.CaseID, lease.Fence, lease.Case = c.ID, c.Fence, c
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		claimed = err == nil
		return err
	})
	if err != nil {
		return Lease{}, false, fmt.Errorf("claim a case: %w", err)
	}
	return lease, claimed, nil
}

// and scans more columns than those of a case.
func and(r row, more ...any) row { return further{r, more} }

type further struct {
	row
	more []any
}

// Scan is part of row.
func (f further) Scan(to ...any) error { return f.row.Scan(append(to, f.more...)...) }

// OpenFor opens a case for a customer outside of any scan, where there is
// none: because a person asked.
func (s *Store) OpenFor(ctx context.Context, customer, state string) error {
	return s.write(ctx, func(tx *tx) error {
		var open bool
		err := tx.QueryRow(`select exists (select 1 from cases where customer = $1 and ended_at = 0)`, customer).Scan(&open)
		if err != nil || open {
			return err
		}
		now := s.now()
		_, err = s.insertCase(tx, Case{Customer: customer, State: state, Since: now, WakeAt: now, Reason: "asked", Why: "A person asked for it.", Next: "amend looks."})
		return err
	})
}

// Update is one write to a case by the holder of its lease. Everything in it
// is committed together with the case's row, or nothing is.
type Update struct {
	*Case
	s        *Store
	tx       *tx
	who      subject // of the audit; empty where it had none when the lease was taken
	was      Case    // as it was read
	notes    []any   // lines of the timeline that aren't written yet
	released bool
}

// Update changes a case. It fails with ErrLost where the lease is no longer
// the caller's, and writes nothing then.
func (s *Store) Update(ctx context.Context, lease Lease, change func(*Update) error) error {
	return s.write(ctx, func(tx *tx) error {
		c, err := scanCase(tx.QueryRow(`select `+caseColumns+` from cases where id = $1 and fence = $2 and ended_at = 0`+s.locked(), lease.CaseID, lease.Fence))
		if errors.Is(err, sql.ErrNoRows) || err == nil && s.now().After(c.leaseTo) {
			return ErrLost
		}
		if err != nil {
			return fmt.Errorf("read the case: %w", err)
		}
		u := &Update{Case: &c, s: s, tx: tx, who: lease.who, was: c}
		if err := change(u); err != nil {
			return err
		}
		return u.save()
	})
}

// Renew makes the lease last longer.
func (s *Store) Renew(ctx context.Context, lease *Lease, d time.Duration) error {
	return s.Update(ctx, *lease, func(u *Update) error {
		until := s.now().Add(d)
		if u.WakeAt.Equal(u.leaseTo) {
			u.WakeAt = until
		}
		u.leaseTo, lease.Until = until, until
		return nil
	})
}

// Now is the store's time.
func (u *Update) Now() time.Time { return u.s.now() }

// Fire moves the case by events of the lifecycle. It fails with a Conflict
// where there is no such move; nothing of the update is written then.
func (u *Update) Fire(events ...lifecycle.Event) error {
	for _, e := range events {
		to, err := lifecycle.Fire(u.Status, e)
		if err != nil {
			return err
		}
		u.Status = to
	}
	return nil
}

// Release gives the lease back and says when to look again; the zero time is
// never. Whoever asked for a look while the lease was held gets one at once.
func (u *Update) Release(wake time.Time) {
	if u.WakeAt.Before(u.leaseTo) && u.Open() {
		wake = u.s.now()
	}
	u.WakeAt, u.leaseTo, u.released = wake, time.Time{}, true
}

// Released reports whether the update gives the lease back.
func (u *Update) Released() bool { return u.released }

// End closes the case for good and releases it.
func (u *Update) End(by string) {
	u.EndedAt, u.EndedBy, u.WakeAt, u.leaseTo = u.s.now(), by, time.Time{}, time.Time{}
}

// save writes what has changed of the case, and the timeline. A column that
// stays as it is costs nothing, nor do its indexes.
func (u *Update) save() error {
	c, was := u.Case, &u.was
	c.UpdatedAt = u.s.now()
	text, args := `update cases set version = version + 1, updated_at = $3`, []any{c.ID, c.Fence, micros(c.UpdatedAt)}
	for _, column := range []struct {
		name     string
		now, was any
	}{
		{"status", string(c.Status), string(was.Status)}, {"state", c.State, was.State}, {"since", micros(c.Since), micros(was.Since)}, {"looks", c.Looks, was.Looks},
		{"rule", c.Rule, was.Rule}, {"attempts", c.Attempts, was.Attempts}, {"reason", c.Reason, was.Reason}, {"why", c.Why, was.Why}, {"next", c.Next, was.Next},
		{"ended_at", micros(c.EndedAt), micros(was.EndedAt)}, {"ended_by", c.EndedBy, was.EndedBy}, {"wake_at", micros(c.WakeAt), micros(was.WakeAt)},
		{"due_at", micros(c.DueAt), micros(was.DueAt)}, {"incident", c.Incident, was.Incident}, {"lease_until", micros(c.leaseTo), micros(was.leaseTo)},
	} {
		if column.now != column.was {
			args = append(args, column.now)
			text += fmt.Sprintf(", %s = $%d", column.name, len(args))
		}
	}
	if err := u.tx.Later(text+` where id = $1 and fence = $2`, args...); err != nil {
		return fmt.Errorf("write the case: %w", err)
	}
	return u.writeNotes()
}

// writeNotes writes the lines of the timeline, all at once.
func (u *Update) writeNotes() error {
	if len(u.notes) == 0 {
		return nil
	}
	text := `insert into timeline (` + noteColumns + `) values (` + placeholders(noteWidth) + `)`
	for n := noteWidth; n < len(u.notes); n += noteWidth {
		text += `, (` + following(n, noteWidth) + `)`
	}
	if err := u.tx.Later(text, u.notes...); err != nil {
		return fmt.Errorf("write the timeline: %w", err)
	}
	return nil
}

// Entry is one line of a customer's timeline.
type Entry struct {
	At       time.Time
	Customer string
	CaseID   string
	Kind     string // a stored word
	Actor    string // amend, or who
	Text     string // for people; holds no value of a sensitive field
}

// Note adds a line to the timeline.
func (u *Update) Note(kind, actor, text string) {
	u.notes = append(u.notes, u.s.entry(Entry{Customer: u.Customer, CaseID: u.ID, Kind: kind, Actor: actor, Text: text})...)
}

const (
	noteColumns = `id, at, customer, case_id, kind, actor, text`
	noteWidth   = 7
)

func (s *Store) note(tx *tx, e Entry) error {
	if err := tx.Later(`insert into timeline (`+noteColumns+`) values (`+placeholders(noteWidth)+`)`, s.entry(e)...); err != nil {
		return fmt.Errorf("write the timeline: %w", err)
	}
	return nil
}

// entry are the columns of a new line.
func (s *Store) entry(e Entry) []any {
	return []any{s.ids.New("note"), micros(s.now()), e.Customer, e.CaseID, e.Kind, e.Actor, e.Text}
}

// Timeline lists what happened to a customer, newest first.
func (s *Store) Timeline(ctx context.Context, customer string, limit int) ([]Entry, error) {
	scan := func(r row) (e Entry, err error) {
		var at int64
		err = r.Scan(&at, &e.Customer, &e.CaseID, &e.Kind, &e.Actor, &e.Text)
		e.At = fromMicros(at)
		return e, err
	}
	return query(ctx, s, scan, `select at, customer, case_id, kind, actor, text from timeline where customer = $1 order by at desc, id desc limit $2`, customer, limit)
}
