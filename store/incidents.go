package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"amend/internal/crash"
)

// Incident is what people are told: escalated cases with one cause.
type Incident struct {
	ID          string
	CaseID      string // empty where it is about a rule
	Customer    string
	Cause       string // what makes two incidents the same one
	Status      string // open, done
	Severity    string
	State       string
	Rule        string
	RuleVersion string
	Target      string // the channel, where the state names one
	About       string
	Why         string
	Next        string
	Tried       string
	Tell        string
	Since       time.Time
	DueAt       time.Time
	OpenedAt    time.Time
	ClosedAt    time.Time
	Outcome     string // healed, closed; of a brake: released
	Channel     string // where the message stands; empty until it was posted
	Message     string
}

const incidentColumns = `id, case_id, customer, cause, status, severity, state, rule, rule_version, target, about, why, next, tried, tell, since, due_at,
	opened_at, closed_at, outcome, channel, message`

func scanIncident(r row) (Incident, error) {
	var i Incident
	var since, due, opened, closed int64
	err := r.Scan(&i.ID, &i.CaseID, &i.Customer, &i.Cause, &i.Status, &i.Severity, &i.State, &i.Rule, &i.RuleVersion, &i.Target, &i.About, &i.Why, &i.Next,
		&i.Tried, &i.Tell, &since, &due, &opened, &closed, &i.Outcome, &i.Channel, &i.Message)
	i.Since, i.DueAt, i.OpenedAt, i.ClosedAt = fromMicros(since), fromMicros(due), fromMicros(opened), fromMicros(closed)
	return i, err
}

// Incident finds one incident.
func (s *Store) Incident(ctx context.Context, id string) (Incident, bool, error) {
	return first(query(ctx, s, scanIncident, `select `+incidentColumns+` from incidents where id = $1`, id))
}

// OpenIncidents lists open incidents, those that are due first.
func (s *Store) OpenIncidents(ctx context.Context, limit int) ([]Incident, error) {
	return query(ctx, s, scanIncident, `select `+incidentColumns+` from incidents where closed_at = 0
		order by case when due_at = 0 then 1 else 0 end, due_at, opened_at limit $1`, limit)
}

// Escalate opens an incident, or finds the open one with the same cause, and
// puts its message into the outbox: both in the transaction of the case, so
// that no escalation is without a message. The incident of a case that is
// escalated for another reason than before says the new one.
func (u *Update) Escalate(i Incident) (Incident, error) {
	found, err := scanIncident(u.tx.QueryRow(`select `+incidentColumns+` from incidents where cause = $1 and closed_at = 0`, i.Cause))
	if err == nil {
		return u.escalateAgain(found, i)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return i, fmt.Errorf("read incidents: %w", err)
	}
	i.ID, i.Status, i.OpenedAt = u.s.ids.New("inc"), "open", u.s.now()
	err = u.tx.Later(`insert into incidents (`+incidentColumns+`) values (`+placeholders(22)+`)`, i.ID, i.CaseID, i.Customer, i.Cause, i.Status, i.Severity,
		i.State, i.Rule, i.RuleVersion, i.Target, i.About, i.Why, i.Next, i.Tried, i.Tell, micros(i.Since), micros(i.DueAt), micros(i.OpenedAt), 0, "", "", "")
	if err != nil {
		return i, fmt.Errorf("open an incident: %w", err)
	}
	return i, u.tell(i.ID, "post")
}

// escalateAgain brings an open incident up to date. One that is about a rule
// stands for many cases and keeps the words that it began with.
func (u *Update) escalateAgain(found, i Incident) (Incident, error) {
	if i.CaseID == "" || found.Why == i.Why && found.Next == i.Next && found.State == i.State && found.Rule == i.Rule {
		return found, nil
	}
	i.ID, i.Status, i.OpenedAt, i.Channel, i.Message = found.ID, found.Status, found.OpenedAt, found.Channel, found.Message
	err := u.tx.Later(`update incidents set severity = $2, state = $3, rule = $4, rule_version = $5, about = $6, why = $7, next = $8, tried = $9, tell = $10,
		since = $11, due_at = $12 where id = $1`, i.ID, i.Severity, i.State, i.Rule, i.RuleVersion, i.About, i.Why, i.Next, i.Tried, i.Tell, micros(i.Since), micros(i.DueAt))
	if err != nil {
		return i, fmt.Errorf("write the incident: %w", err)
	}
	return i, u.tell(i.ID, "update")
}

// ResolveCause closes the open incident with a cause, if there is one.
func (u *Update) ResolveCause(cause, outcome string) error {
	var id string
	err := u.tx.QueryRow(`select id from incidents where cause = $1 and closed_at = 0`, cause).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read incidents: %w", err)
	}
	return u.Resolve(id, outcome)
}

// Resolve closes an incident and has its message say so.
func (u *Update) Resolve(id, outcome string) error {
	done, err := u.tx.Exec(`update incidents set status = 'done', closed_at = $2, outcome = $3 where id = $1 and closed_at = 0`, id, micros(u.s.now()), outcome)
	if err != nil {
		return fmt.Errorf("close the incident: %w", err)
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		return err
	}
	return u.tell(id, "update")
}

func (u *Update) tell(incident, action string) error {
	now := micros(u.s.now())
	err := u.tx.Later(`insert into outbox (id, incident, action, not_before, attempts, error, created_at, sent_at) values ($1, $2, $3, $4, 0, '', $4, 0)`,
		u.s.ids.New("out"), incident, action, now)
	if err != nil {
		return fmt.Errorf("write the outbox: %w", err)
	}
	return nil
}

// Letter is one message that still has to be told.
type Letter struct {
	ID        string
	Incident  string
	Action    string // post, update
	Attempts  int
	CreatedAt time.Time
	notBefore int64
}

// Letters lists what is to be told by now, whatever has been due for longest
// first: what fails again and again doesn't keep back the rest.
func (s *Store) Letters(ctx context.Context, limit int) ([]Letter, error) {
	scan := func(r row) (l Letter, err error) {
		var created int64
		err = r.Scan(&l.ID, &l.Incident, &l.Action, &l.Attempts, &created, &l.notBefore)
		l.CreatedAt = fromMicros(created)
		return l, err
	}
	return query(ctx, s, scan, `select id, incident, action, attempts, created_at, not_before from outbox where sent_at = 0 and not_before <= $1 order by not_before, created_at, id limit $2`,
		micros(s.now()), limit)
}

// Hold keeps others from telling a letter for a while, and counts the attempt
// before it is made: whoever comes after a crash knows that it may have been
// told. It gives false where somebody else was first.
func (s *Store) Hold(ctx context.Context, l Letter, d time.Duration) (held bool, err error) {
	crash.At(crash.LetterFound)
	err = s.write(ctx, func(tx *tx) error {
		done, err := tx.Exec(`update outbox set attempts = attempts + 1, not_before = $3 where id = $1 and sent_at = 0 and not_before = $2`,
			l.ID, l.notBefore, micros(s.now().Add(d)))
		if err != nil {
			return fmt.Errorf("hold a letter: %w", err)
		}
		n, err := done.RowsAffected()
		held = n > 0
		return err
	})
	crash.At(crash.LetterHeld)
	return held, err
}

// Posted writes down where a letter's message stands now.
func (s *Store) Posted(ctx context.Context, l Letter, channel, message string) error {
	crash.At(crash.LetterPosted)
	return s.write(ctx, func(tx *tx) error {
		if err := tx.Later(`update incidents set channel = $2, message = $3 where id = $1`, l.Incident, channel, message); err != nil {
			return fmt.Errorf("write where the message stands: %w", err)
		}
		err := tx.Later(`update outbox set sent_at = $2, error = '' where id = $1`, l.ID, micros(s.now()))
		return err
	})
}

// Postponed writes down why a letter could not be told, and when to try again.
// Without a reason it was only not its turn.
func (s *Store) Postponed(ctx context.Context, l Letter, reason string, until time.Time) error {
	return s.write(ctx, func(tx *tx) error {
		err := tx.Later(`update outbox set error = $2, not_before = $3 where id = $1`, l.ID, reason, micros(until))
		return err
	})
}

// Backlog is what the messenger is behind with.
type Backlog struct {
	Waiting int
	Oldest  time.Time // zero where nothing waits
	Sent    int
	Error   string // the last one of what waits
}

// Backlog tells how far the messages are behind.
func (s *Store) Backlog(ctx context.Context) (Backlog, error) {
	var b Backlog
	var oldest int64
	err := s.db.QueryRowContext(ctx, `select count(*), coalesce(min(created_at), 0), (select count(*) from outbox where sent_at > 0),
		coalesce((select error from outbox where sent_at = 0 and error <> '' order by created_at limit 1), '') from outbox where sent_at = 0`).Scan(&b.Waiting, &oldest, &b.Sent, &b.Error)
	b.Oldest = fromMicros(oldest)
	return b, err
}
