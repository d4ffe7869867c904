package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
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
	held      *holding
}

// holding is the case as its holder has read or written it last. Nobody else
// changes it but for its time to wake and the number of looks, so that it need
// not be read again before each write.
type holding struct {
	mu    sync.Mutex
	last  *Case // nil: it has to be read
	named bool  // the customer was given a pseudonym since the lease was taken
}

// take gives what is known for one write, after which the case is known again
// only if the write has told.
func (h *holding) take() (last *Case, named bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	last, h.last = h.last, nil
	// A case about which people may decide at this moment is locked first.
	if last != nil && (last.Status == lifecycle.Proposed || last.Status == lifecycle.Escalated) {
		last = nil
	}
	return last, h.named
}

// tell remembers what was written.
func (h *holding) tell(u *Update) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.named = u.named
	if !u.asks {
		h.last = u.Case
	}
}

// Claim takes the lease of the customer's open case. It gives false where
// there is no case, or somebody else holds it.
func (s *Store) Claim(ctx context.Context, customer string, d time.Duration) (lease Lease, claimed bool, err error) {
	err = s.write(ctx, func(tx *tx) error {
		now := s.now()
		lease, claimed = Lease{Customer: customer, Until: now.Add(d), held: &holding{}}, false
		// The case wakes when the lease ends: if its holder dies, the sweeper finds it.
		var c Case
		update := &inquiry{text: `update cases set fence = fence + 1, lease_until = $3, wake_at = $3
			where customer = $1 and ended_at = 0 and lease_until <= $2 returning ` + caseColumns,
			args: []any{customer, micros(now), micros(lease.Until)}, scan: func(r row) (err error) { c, err = scanCase(r); return err }}
		// What belongs to the case is asked by a statement of its own: that of the
		// update doesn't see what its last holder commits while it waits for the row.
		rest := &inquiry{text: `select exists (select 1 from requests where customer = $1 and taken_at = 0),
				exists (select 1 from repairs where customer = $1 and status in ('open', 'proposed')
					and case_id in (select id from cases where customer = $1 and ended_at = 0)),
				coalesce((select id from subjects where customer = $1), ''), coalesce((select key from subjects where customer = $1), '')`,
			args: []any{customer}, scan: into(&lease.Asked, &lease.Repairing, &lease.who.id, &lease.who.key)}
		if err := tx.Ask(update, rest); err != nil {
			return err
		}
		lease.CaseID, lease.Fence, lease.Case = c.ID, c.Fence, c
		if !lease.Repairing { // else people may be asked about it
			lease.held.last = &c
		}
		claimed = !update.missing
		return nil
	})
	if err != nil {
		return Lease{}, false, fmt.Errorf("claim a case: %w", err)
	}
	return lease, claimed, nil
}

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
	named    bool    // the customer may have a pseudonym that isn't known
	asks     bool    // people are asked to agree to a repair
	released bool
}

// Update changes a case. It fails with ErrLost where the lease is no longer
// the caller's, and writes nothing then.
func (s *Store) Update(ctx context.Context, lease Lease, change func(*Update) error) error {
	known, named := lease.held.take()
	var u *Update
	err := s.write(ctx, func(tx *tx) error {
		u = &Update{s: s, tx: tx, who: lease.who, named: named || u != nil}
		if known != nil {
			u.was = *known
		} else if err := s.read(tx, lease, &u.was); err != nil {
			return err
		}
		c := u.was
		u.Case = &c
		if err := change(u); err != nil {
			return err
		}
		return u.save()
	})
	if err == nil {
		lease.held.tell(u)
	}
	return err
}

// read reads a case for the rest of the transaction.
func (s *Store) read(tx *tx, lease Lease, c *Case) (err error) {
	*c, err = scanCase(tx.QueryRow(`select `+caseColumns+` from cases where id = $1 and fence = $2 and ended_at = 0`+s.locked(), lease.CaseID, lease.Fence))
	if errors.Is(err, sql.ErrNoRows) || err == nil && s.now().After(c.leaseTo) {
		return ErrLost
	}
	if err != nil {
		return fmt.Errorf("read the case: %w", err)
	}
	return nil
}

// mine are the conditions under which a case's holder writes to it: $1 is the
// case, $2 the lease's fence, $3 the time.
const mine = ` where id = $1 and fence = $2 and ended_at = 0 and lease_until >= $3`

// Renew makes the lease last longer.
func (s *Store) Renew(ctx context.Context, lease *Lease, d time.Duration) error {
	until := s.now().Add(d)
	err := s.write(ctx, func(tx *tx) error {
		now := s.now()
		until = now.Add(d)
		return tx.Must(`update cases set version = version + 1, updated_at = $3, lease_until = $4,
			wake_at = case when wake_at = lease_until then $4 else wake_at end`+mine, lease.CaseID, lease.Fence, micros(now), micros(until))
	})
	if err != nil {
		return fmt.Errorf("renew the lease: %w", err)
	}
	lease.Until = until
	return nil
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
func (u *Update) Release(wake time.Time) { u.WakeAt, u.leaseTo, u.released = wake, time.Time{}, true }

// Released reports whether the update gives the lease back.
func (u *Update) Released() bool { return u.released }

// End closes the case for good and releases it.
func (u *Update) End(by string) {
	u.EndedAt, u.EndedBy, u.WakeAt, u.leaseTo = u.s.now(), by, time.Time{}, time.Time{}
}

// save writes what has changed of the case, and the timeline. A column that
// stays as it is costs nothing, nor do its indexes.
func (u *Update) save() error {
	if err := u.writeNotes(); err != nil {
		return err
	}
	c := u.Case
	c.UpdatedAt = u.s.now()
	c.Version++
	w := writing{args: []any{c.ID, c.Fence, micros(c.UpdatedAt)}}
	w.text.WriteString(`update cases set version = version + 1, updated_at = $3`)
	w.changes(c, &u.was)
	var err error
	switch {
	case !c.Open():
		w.text.WriteString(`, lease_until = 0, wake_at = 0` + mine)
		err = u.tx.Must(w.text.String(), w.args...)
	case u.released:
		// Its time to wake lies before the lease's end where somebody has asked.
		w.column(`wake_at = case when wake_at < lease_until then $3 else `, micros(c.WakeAt))
		w.text.WriteString(` end, lease_until = 0` + mine + ` returning wake_at`)
		var wake int64
		if err = u.tx.QueryRow(w.text.String(), w.args...).Scan(&wake); errors.Is(err, sql.ErrNoRows) {
			err = ErrLost
		}
		c.WakeAt = fromMicros(wake)
	default:
		w.text.WriteString(mine)
		err = u.tx.Must(w.text.String(), w.args...)
	}
	if err != nil {
		return fmt.Errorf("write the case: %w", err)
	}
	return nil
}

// writing is an update that is being put together.
type writing struct {
	text strings.Builder
	args []any
}

// column writes one more column, and its value at the end of what is said.
func (w *writing) column(says string, value any) {
	w.args = append(w.args, value)
	w.text.WriteString(`, ` + says + `$` + strconv.Itoa(len(w.args)))
}

func (w *writing) changes(c, was *Case) {
	for _, column := range []struct {
		says     string
		now, was any
	}{
		{`status = `, string(c.Status), string(was.Status)}, {`state = `, c.State, was.State}, {`since = `, micros(c.Since), micros(was.Since)},
		{`rule = `, c.Rule, was.Rule}, {`attempts = `, c.Attempts, was.Attempts}, {`reason = `, c.Reason, was.Reason}, {`why = `, c.Why, was.Why},
		{`next = `, c.Next, was.Next}, {`ended_at = `, micros(c.EndedAt), micros(was.EndedAt)}, {`ended_by = `, c.EndedBy, was.EndedBy},
		{`due_at = `, micros(c.DueAt), micros(was.DueAt)}, {`incident = `, c.Incident, was.Incident},
	} {
		if column.now != column.was {
			w.column(column.says, column.now)
		}
	}
	switch {
	case c.Looks == was.Looks:
	case c.State == was.State: // scans count, too
		w.column(`looks = looks + `, c.Looks-was.Looks)
	default:
		w.column(`looks = `, c.Looks)
	}
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
func (u *Update) Note(kind, actor, text string) { u.NoteAt(u.s.now(), kind, actor, text) }

// NoteAt adds a line about what happened before.
func (u *Update) NoteAt(at time.Time, kind, actor, text string) {
	u.notes = append(u.notes, u.s.entry(Entry{At: at, Customer: u.Customer, CaseID: u.ID, Kind: kind, Actor: actor, Text: text})...)
}

const (
	noteColumns = `id, at, customer, case_id, kind, actor, text`
	noteWidth   = 7
)

func (s *Store) note(tx *tx, e Entry) error {
	e.At = s.now()
	if err := tx.Later(`insert into timeline (`+noteColumns+`) values (`+placeholders(noteWidth)+`)`, s.entry(e)...); err != nil {
		return fmt.Errorf("write the timeline: %w", err)
	}
	return nil
}

// entry are the columns of a new line.
func (s *Store) entry(e Entry) []any {
	return []any{s.ids.New("note"), micros(e.At), e.Customer, e.CaseID, e.Kind, e.Actor, e.Text}
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
