package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"amend"
	"amend/lifecycle"
)

// Case is one customer being worked on.
type Case struct {
	ID        string
	Customer  string
	Status    lifecycle.Status
	State     string
	Since     time.Time // from when the state counts
	Looks     int       // readings that showed this state
	Rule      string    // the rule that is followed; empty where none
	Attempts  int       // failed attempts in this state
	Reason    string    // a stored word: why it is where it is
	Why       string    // the same in a sentence
	Next      string    // what happens next, in a sentence
	OpenedAt  time.Time
	UpdatedAt time.Time
	EndedAt   time.Time // zero while it is open
	EndedBy   string    // rule, person or itself
	WakeAt    time.Time // look again at this time
	DueAt     time.Time // what the customer was promised; zero where nothing was
	Incident  string
	Previous  string // the case that this one is a relapse of
	Version   int64
	Fence     int64
	leaseTo   time.Time
}

// Open reports whether the case has not ended.
func (c *Case) Open() bool { return c.EndedAt.IsZero() }

// Held reports whether somebody works on the case at a time. Until they let go,
// WakeAt only says when their lease ends.
func (c *Case) Held(at time.Time) bool { return c.leaseTo.After(at) }

const caseColumns = `id, customer, status, state, since, looks, rule, attempts, reason, why, next, opened_at, updated_at,
	ended_at, ended_by, wake_at, due_at, incident, previous, version, fence, lease_until`

// row is what both sql.Row and sql.Rows are.
type row interface{ Scan(...any) error }

func scanCase(r row) (Case, error) {
	var c Case
	var since, opened, updated, ended, wake, due, lease int64
	err := r.Scan(&c.ID, &c.Customer, &c.Status, &c.State, &since, &c.Looks, &c.Rule, &c.Attempts, &c.Reason, &c.Why, &c.Next,
		&opened, &updated, &ended, &c.EndedBy, &wake, &due, &c.Incident, &c.Previous, &c.Version, &c.Fence, &lease)
	c.Since, c.OpenedAt, c.UpdatedAt, c.EndedAt = fromMicros(since), fromMicros(opened), fromMicros(updated), fromMicros(ended)
	c.WakeAt, c.DueAt, c.leaseTo = fromMicros(wake), fromMicros(due), fromMicros(lease)
	return c, err
}

// query runs a query and scans every row.
//
//nolint:revive // a query has a text and arguments, whoever asks
func query[T any](ctx context.Context, s *Store, scan func(row) (T, error), text string, args ...any) (all []T, err error) {
	rows, err := s.rows(ctx, text, args...)
	if err != nil {
		return nil, fmt.Errorf("read the store: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read the store: %w", err)
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

func (s *Store) rows(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if s.texts == nil {
		return s.db.QueryContext(ctx, text, args...)
	}
	return s.texts.query(ctx, text, args...)
}

// first gives the first row, and false where there is none.
func first[T any](all []T, err error) (T, bool, error) {
	if err != nil || len(all) == 0 {
		var none T
		return none, false, err
	}
	return all[0], true, nil
}

// OpenCase finds the customer's open case.
func (s *Store) OpenCase(ctx context.Context, customer string) (Case, bool, error) {
	return first(query(ctx, s, scanCase, `select `+caseColumns+` from cases where customer = $1 and ended_at = 0`, customer))
}

// LastCase finds the customer's newest case, open or ended.
func (s *Store) LastCase(ctx context.Context, customer string) (Case, bool, error) {
	return first(query(ctx, s, scanCase, `select `+caseColumns+` from cases where customer = $1 order by opened_at desc, id desc limit 1`, customer))
}

// OpenCases lists open cases, those that are due first. A status of "" means
// all.
func (s *Store) OpenCases(ctx context.Context, status lifecycle.Status, limit int) ([]Case, error) {
	return query(ctx, s, scanCase, `select `+caseColumns+` from cases where ended_at = 0 and ($1 = '' or status = $1)
		order by case when due_at = 0 then 1 else 0 end, due_at, opened_at limit $2`, string(status), limit)
}

// OpenBetween lists the customers from first to last, in byte order, that have
// an open case.
func (s *Store) OpenBetween(ctx context.Context, first, last string) ([]Case, error) {
	return query(ctx, s, scanCase, `select `+caseColumns+` from cases where ended_at = 0 and customer >= $1 and customer <= $2`, first, last)
}

// Ready lists customers whose time has come and that nobody holds: cases to be
// looked at again, and what people asked for.
func (s *Store) Ready(ctx context.Context, limit int) ([]string, error) {
	now := micros(s.now())
	scan := func(r row) (c string, err error) { err = r.Scan(&c); return c, err }
	return query(ctx, s, scan, `select customer from (
			select customer, wake_at as at from cases where ended_at = 0 and wake_at > 0 and wake_at <= $1 and lease_until <= $1
			union
			select q.customer, q.created_at from requests q where q.taken_at = 0
				and not exists (select 1 from cases c where c.customer = q.customer and c.ended_at = 0 and c.lease_until > $1)
		) as ready order by at limit $2`, now, limit)
}

// Sighting is what a scan found of one customer out of coherence.
type Sighting struct {
	Customer string
	State    string
	Since    time.Time // from when the state counts; zero: from this look
	DueAt    time.Time
	Wake     time.Time // when to look again
	Awaits   bool      // its rule acts only after a full scan has ended: then it is looked at, if not before
}

// awaitsPass is why a case waits for the end of a full scan.
const awaitsPass = "full_pass"

// Passed reports whether a full scan has ended well that began with a version of
// a rule.
func (s *Store) Passed(ctx context.Context, rule, version string) (bool, error) {
	scan := func(r row) (passed bool, err error) { err = r.Scan(&passed); return passed, err }
	passed, _, err := first(query(ctx, s, scan, `select exists (select 1 from scans where kind = 'full' and status = 'done'
		and started_at >= (select seen_at from rule_versions where rule = $1 and version = $2))`, rule, version))
	return passed, err
}

// Sight opens a case for every customer that has none, and gives those that
// were opened. A case that is open already is woken where its state has
// changed: only a heal, which reads everything again, moves it.
func (s *Store) Sight(ctx context.Context, sightings []Sighting) (opened []string, err error) {
	err = s.write(ctx, func(tx *tx) error {
		opened = opened[:0]
		for _, one := range sightings {
			isNew, err := s.sight(tx, one)
			if err != nil {
				return fmt.Errorf("open a case: %w", err)
			}
			if isNew {
				opened = append(opened, one.Customer)
			}
		}
		return nil
	})
	return opened, err
}

func (s *Store) sight(tx *tx, one Sighting) (bool, error) {
	found, err := tx.Exec(`update cases set wake_at = case when state <> $2 then $3 else wake_at end, looks = looks + case when state = $2 then 1 else 0 end
		where customer = $1 and ended_at = 0`, one.Customer, one.State, micros(s.now()))
	if err != nil {
		return false, err
	}
	if n, err := found.RowsAffected(); err != nil || n > 0 {
		return false, err
	}
	if one.Since.IsZero() {
		one.Since = s.now()
	}
	c := Case{Customer: one.Customer, State: one.State, Since: one.Since, DueAt: one.DueAt, WakeAt: one.Wake, Looks: 1,
		Reason: "seen", Why: "The customer was seen out of coherence.", Next: "amend looks again."}
	if one.Awaits {
		c.Reason, c.Next = awaitsPass, "amend looks again when the full scan has ended."
	}
	_, err = s.insertCase(tx, c)
	if err != nil {
		return false, err
	}
	return true, nil
}

// insertCase writes a new case as Watching, linked to the one before it.
func (s *Store) insertCase(tx *tx, c Case) (Case, error) {
	now := s.now()
	c.ID, c.Status, c.OpenedAt, c.UpdatedAt = s.ids.New("case"), lifecycle.Watching, now, now
	err := tx.QueryRow(`select id from cases where customer = $1 order by opened_at desc, id desc limit 1`, c.Customer).Scan(&c.Previous)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return c, err
	}
	err = tx.Later(`insert into cases (`+caseColumns+`) values (`+placeholders(22)+`)`, c.ID, c.Customer, string(c.Status), c.State, micros(c.Since), c.Looks,
		c.Rule, c.Attempts, c.Reason, c.Why, c.Next, micros(c.OpenedAt), micros(c.UpdatedAt), 0, "", micros(c.WakeAt), micros(c.DueAt), "", c.Previous, 0, 0, 0)
	if err != nil {
		return c, err
	}
	return c, s.note(tx, Entry{Customer: c.Customer, CaseID: c.ID, Kind: "opened", Actor: "amend", Text: "Seen as " + c.State + "."})
}

// placeholders is $1, $2, … $n.
func placeholders(n int) string { return following(0, n) }

// following is n placeholders after some others.
func following(others, n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		if i > 1 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", others+i)
	}
	return b.String()
}

// Wake asks for another look at the given open cases.
func (s *Store) Wake(ctx context.Context, customers []string) error {
	return s.write(ctx, func(tx *tx) error {
		for _, c := range customers {
			if err := tx.Later(`update cases set wake_at = $2 where customer = $1 and ended_at = 0`, c, micros(s.now())); err != nil {
				return fmt.Errorf("wake a case: %w", err)
			}
		}
		return nil
	})
}

// Counts are what the desk and the demo show of all cases.
type Counts struct {
	Open      map[lifecycle.Status]int
	Healed    int
	ByRule    int // healed by a rule
	Closed    int
	Escalated int // open cases that wait for a person: escalated or proposed
}

// CountCases counts cases by status.
func (s *Store) CountCases(ctx context.Context) (Counts, error) {
	type group struct {
		status, by string
		n          int
	}
	scan := func(r row) (g group, err error) { err = r.Scan(&g.status, &g.by, &g.n); return g, err }
	groups, err := query(ctx, s, scan, `select status, ended_by, count(*) from cases group by status, ended_by`)
	counts := Counts{Open: map[lifecycle.Status]int{}}
	for _, g := range groups {
		switch status := lifecycle.Status(g.status); status {
		case lifecycle.Healed:
			counts.Healed += g.n
			if g.by == EndedByRule {
				counts.ByRule += g.n
			}
		case lifecycle.Closed:
			counts.Closed += g.n
		default:
			counts.Open[status] += g.n
			if status == lifecycle.Escalated || status == lifecycle.Proposed {
				counts.Escalated += g.n
			}
		}
	}
	return counts, err
}

// Who or what ended a case. Stored data: don't rename.
const (
	EndedByRule   = "rule"
	EndedByPerson = "person"
	EndedByItself = "itself"
)

// ErrLost says that somebody else holds the case now: what was decided about
// it is no longer ours to write.
var ErrLost = amend.Errorf(amend.Conflict, "the lease of the case is lost")
