package store

import (
	"context"
	"fmt"
	"time"

	"amend"
)

// Forgetting says whom to forget.
type Forgetting struct {
	Customer string
	Actor    string
	// Window is how long a service may still carry out an operation that was
	// sent, and would know it by its key if it were sent again; 0 where nothing
	// is known of it.
	Window func(service, operation string) time.Duration
}

// Forgotten is what was erased.
type Forgotten struct {
	Rows int // all that the store held of the customer; 0 where it held nothing
	// Rewritten says that the bytes that the rows took up are gone from the
	// store's files. Where it is false they are free, and stay until something
	// else takes their place.
	Rewritten bool
}

// settledAfter is how long what was done for a customer is needed by what
// decides about repairs: limits count an hour back, brakes a day, and an
// operation that nobody has seen take effect holds back another one for a day.
const settledAfter = unprovedFor

// Forget erases all that the store holds of a customer, and leaves in the audit
// the entries under a pseudonym that stands for nobody any more. It fails with
// Conflict while something is going on for the customer, an operation that was
// sent may still take effect, or limits and brakes still count a repair: whoever
// forgot that would do it twice. Who is at the services is seen again by the
// next scan. Once more for the same customer is no error: it overwrites what an
// interrupted one has left.
func (s *Store) Forget(ctx context.Context, f Forgetting) (Forgotten, error) {
	var done Forgotten
	if err := s.mayForgetSteps(ctx, f); err != nil {
		return done, fmt.Errorf("forget a customer: %w", err)
	}
	err := s.write(ctx, func(tx *tx) error {
		if err := s.mayForget(tx, f); err != nil {
			return err
		}
		var err error
		done.Rows, err = s.erase(tx, f)
		return err
	})
	if err != nil {
		return done, fmt.Errorf("forget a customer: %w", err)
	}
	if done.Rewritten, err = s.engine.scrub(ctx); err != nil {
		return done, fmt.Errorf("overwrite what was erased: %w", err)
	}
	return done, nil
}

// theirs are the pauses of the customer alone.
const theirs = `scope = '` + PauseCustomer + `' and target = $1`

// mayForget fails with Conflict where forgetting would do harm.
func (s *Store) mayForget(tx *tx, f Forgetting) error {
	for _, now := range []struct {
		is         string
		args       []any
		text, next string
	}{
		{`select exists (select 1 from cases where customer = $1 and ended_at = 0)`, []any{f.Customer},
			"their case is open", "wait until it has ended"},
		{`select exists (select 1 from pauses where ` + theirs + ` and ended_at = 0 and (until = 0 or until > $2))`, []any{f.Customer, micros(s.now())},
			"repairs of theirs are paused", "resume them"},
		{`select exists (select 1 from requests where customer = $1 and taken_at = 0)`, []any{f.Customer},
			"somebody has asked for something that isn't carried out yet", "wait until a worker has done it"},
		{`select exists (select 1 from scan_pages where until = $1 or replace(position, $1, '') <> position)`, []any{f.Customer},
			"a scan that is under way has just come to them", "wait until it has ended"},
	} {
		var is bool
		if err := tx.QueryRow(now.is, now.args...).Scan(&is); err != nil {
			return err
		}
		if is {
			return &amend.Error{Code: amend.Conflict, Text: now.text, Next: now.next}
		}
	}
	return s.mayForgetRepairs(tx, f)
}

// mayForgetRepairs keeps limits from being refunded: a repair counts for an
// hour in its rule's limit, and for a day in its brakes.
func (s *Store) mayForgetRepairs(tx *tx, f Forgetting) error {
	var last int64
	err := tx.QueryRow(`select coalesce(max(created_at), 0) from repairs where customer = $1 and status not in ('proposed', 'void')`, f.Customer).Scan(&last)
	if err != nil {
		return err
	}
	if until := fromMicros(last).Add(settledAfter); last > 0 && s.now().Before(until) {
		return tooEarly("limits and brakes still count their last repair", until)
	}
	return nil
}

// mayForgetSteps keeps intents that may still come true: nobody would know that
// the operation must not be sent again. It looks before the transaction: what
// is sent in between belongs to a new repair, which is too young to be forgotten.
func (s *Store) mayForgetSteps(ctx context.Context, f Forgetting) error {
	type sent struct {
		service, operation string
		at                 int64
	}
	scan := func(r row) (p sent, err error) { err = r.Scan(&p.service, &p.operation, &p.at); return p, err }
	unproved, err := query(ctx, s, scan, `select s.service, s.operation, max(s.sent_at) from steps s join repairs r on r.id = s.repair
		where r.customer = $1 and s.outcome in ('unsettled', 'done') and s.proved_at = 0
			and s.sent_at > (select coalesce(max(p.proved_at), 0) from steps p join repairs q on q.id = p.repair
				where q.customer = $1 and p.service = s.service and p.operation = s.operation)
		group by s.service, s.operation order by max(s.sent_at) desc`, f.Customer)
	if err != nil {
		return err
	}
	for _, p := range unproved {
		if until := fromMicros(p.at).Add(max(settledAfter, f.Window(p.service, p.operation))); s.now().Before(until) {
			return tooEarly(fmt.Sprintf("nobody has seen whether %s.%s happened, and it may still", p.service, p.operation), until)
		}
	}
	return nil
}

func tooEarly(text string, until time.Time) error {
	return &amend.Error{Code: amend.Conflict, Text: text, Next: "try again after " + until.UTC().Format("2 Jan 2006 15:04 MST")}
}

// going is a case that was opened at this moment. What belongs to it stays:
// whoever works on it needs what it has sent.
const going = `(select id from cases where customer = $1 and ended_at = 0)`

// erase deletes the customer's rows, and writes into the audit that it was
// done. Where there are none it does neither.
func (s *Store) erase(tx *tx, f Forgetting) (rows int, err error) {
	who, _, err := knownSubject(tx, f.Customer)
	if err != nil {
		return 0, err
	}
	for _, text := range []string{
		`delete from outbox where incident in (select id from incidents where customer = $1 and case_id not in ` + going + `)`,
		`delete from incidents where customer = $1 and case_id not in ` + going,
		`delete from steps where repair in (select id from repairs where customer = $1 and case_id not in ` + going + `)`,
		`delete from approvals where repair in (select id from repairs where customer = $1 and case_id not in ` + going + `)`,
		`delete from proposals where repair in (select id from repairs where customer = $1 and case_id not in ` + going + `)`,
		`delete from repairs where customer = $1 and case_id not in ` + going,
		`delete from cases where customer = $1 and ended_at > 0`,
		`delete from timeline where customer = $1 and case_id not in ` + going,
		`delete from requests where customer = $1 and taken_at > 0`,
		`delete from pauses where ` + theirs + ` and (ended_at > 0 or until > 0)`,
		`delete from unjudged where customer = $1`,
		`delete from subjects where customer = $1`,
	} {
		done, err := tx.Exec(text, f.Customer)
		if err != nil {
			return 0, err
		}
		n, err := done.RowsAffected()
		if err != nil {
			return 0, err
		}
		rows += int(n)
	}
	if rows == 0 {
		return 0, nil
	}
	return rows, s.audit(tx, AuditEntry{Actor: f.Actor, Act: ActForgotten, Subject: who.id})
}
