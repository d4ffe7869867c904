package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"amend"
)

// What a pause stops. Stored data: don't rename.
const (
	PauseAll      = "all"
	PauseService  = "service"
	PauseRule     = "rule"
	PauseCustomer = "customer"
)

// The brakes. Stored data: don't rename.
const (
	BrakeShare  = "share"  // more customers at once than can be right
	BrakeCanary = "canary" // one of the first repairs of a changed rule has failed
)

// Pause is the word that nothing is to be repaired: at all, by a rule, through
// a service, or of a customer. It is a person's, or a brake that amend has set.
// It outlives restarts and reloads, and ends at its time or when a person
// resumes.
type Pause struct {
	ID     string
	Scope  string
	Target string // empty for all
	Why    string
	By     string
	At     time.Time
	Until  time.Time // zero: until somebody resumes
	Brake  string    // empty: no brake
	States []string  // of a share brake
}

// paused lists the reasons of cases that a pause holds back.
const paused = `'paused', 'share', 'failing', 'canary'`

const pauseColumns = `id, scope, target, why, set_by, set_at, until, brake, states`

func scanPause(r row) (Pause, error) {
	var p Pause
	var at, until int64
	var states string
	err := r.Scan(&p.ID, &p.Scope, &p.Target, &p.Why, &p.By, &at, &until, &p.Brake, &states)
	p.States = strings.Fields(states)
	p.At, p.Until = fromMicros(at), fromMicros(until)
	return p, err
}

// Pause stops repairs. One that is in force for the same target is replaced,
// unless amend has set it: that fails with Conflict, since what amend has stopped
// ends when a person resumes it, and not with the time of another pause.
// Whatever reads the store after it has returned sends nothing that it covers.
func (s *Store) Pause(ctx context.Context, p Pause) (Pause, error) {
	err := s.write(ctx, func(tx *tx) error {
		set, is, err := standing(tx, p.Scope, p.Target)
		if err != nil {
			return err
		}
		if is && set.By == Amend {
			return &amend.Error{Code: amend.Conflict, Text: "amend has stopped that already: " + set.Why, Next: "it stays stopped until somebody says: " + set.end()}
		}
		p, err = s.replace(tx, p)
		return err
	})
	return p, err
}

// end is the command that ends a pause.
func (p *Pause) end() string {
	if p.Scope == PauseAll {
		return "amend resume"
	}
	return "amend resume --" + p.Scope + " " + p.Target
}

// replace sets a pause in the place of the one that stands for its target.
func (s *Store) replace(tx *tx, p Pause) (Pause, error) {
	if _, err := s.resume(tx, p.Scope, p.Target, p.By); err != nil {
		return p, err
	}
	return s.pause(tx, p)
}

// standing finds the pause of a target that nobody has ended, though its time may be over.
func standing(tx *tx, scope, target string) (p Pause, is bool, err error) {
	p, err = scanPause(tx.QueryRow(`select `+pauseColumns+` from pauses where scope = $1 and target = $2 and ended_at = 0`, scope, target))
	if errors.Is(err, sql.ErrNoRows) {
		return p, false, nil
	}
	if err != nil {
		return p, false, fmt.Errorf("read the pause: %w", err)
	}
	return p, true, nil
}

func (s *Store) pause(tx *tx, p Pause) (Pause, error) {
	p.ID, p.At = s.ids.New("pause"), s.now()
	err := tx.Later(`insert into pauses (`+pauseColumns+`, ended_at, ended_by) values (`+placeholders(9)+`, 0, '')`,
		p.ID, p.Scope, p.Target, p.Why, p.By, micros(p.At), micros(p.Until), p.Brake, strings.Join(p.States, " "))
	if err != nil {
		return p, fmt.Errorf("write the pause: %w", err)
	}
	return p, s.auditPause(tx, p, "pause")
}

// brakeCause is what the incident of a rule's brake is known by.
func brakeCause(rule string) string { return "brake/" + rule }

// Brake stops a rule until a person resumes it, and opens one incident that
// says why, in the transaction of the case that has shown it.
func (u *Update) Brake(p Pause, i Incident) error {
	p.Scope, p.By = PauseRule, Amend
	// A pause that ended by its time still stands in the way of another one.
	err := u.tx.Later(`update pauses set ended_at = until where scope = $1 and target = $2 and ended_at = 0 and until > 0 and until <= $3`,
		p.Scope, p.Target, micros(u.s.now()))
	if err != nil {
		return fmt.Errorf("end the pause: %w", err)
	}
	if _, err := u.s.pause(u.tx, p); err != nil {
		return err
	}
	i.Cause, i.Rule = brakeCause(p.Target), p.Target
	_, err = u.Escalate(i)
	return err
}

// Resume ends a pause or releases a brake, and has whoever waited for it looked
// at. It fails with NotFound where none is in force for the target. A share brake
// that was released lets as many customers pass for a day as there are now.
func (s *Store) Resume(ctx context.Context, scope, target, by string) error {
	return s.write(ctx, func(tx *tx) error {
		ended, err := s.resume(tx, scope, target, by)
		if err != nil {
			return err
		}
		if !ended {
			return amend.Errorf(amend.NotFound, "nothing is paused there")
		}
		if err := tx.Later(`update cases set wake_at = $1 where ended_at = 0 and reason in (`+paused+`)`, micros(s.now())); err != nil {
			return fmt.Errorf("wake who waited: %w", err)
		}
		return s.auditPause(tx, Pause{Scope: scope, Target: target, By: by}, "resume")
	})
}

func (s *Store) resume(tx *tx, scope, target, by string) (ended bool, err error) {
	p, is, err := standing(tx, scope, target)
	if err != nil || !is {
		return false, err
	}
	level := 0
	if p.Brake == BrakeShare && len(p.States) > 0 {
		args := make([]any, len(p.States))
		for i, state := range p.States {
			args[i] = state
		}
		if err := tx.QueryRow(`select count(*) from cases where ended_at = 0 and state in (`+placeholders(len(args))+`)`, args...).Scan(&level); err != nil {
			return false, fmt.Errorf("count cases: %w", err)
		}
	}
	if err := tx.Later(`update pauses set ended_at = $2, ended_by = $3, level = $4 where id = $1`, p.ID, micros(s.now()), by, level); err != nil {
		return false, fmt.Errorf("end the pause: %w", err)
	}
	if p.Brake == "" {
		return true, nil
	}
	return true, (&Update{s: s, tx: tx}).ResolveCause(brakeCause(target), "released")
}

func (s *Store) auditPause(tx *tx, p Pause, act string) error {
	e := AuditEntry{Actor: p.By, Act: act, What: p.Scope}
	switch p.Scope {
	case PauseCustomer:
		who, err := s.subject(tx, p.Target)
		if err != nil {
			return err
		}
		e.Subject = who.id
	case PauseRule:
		e.Rule = p.Target
	case PauseService:
		e.Result = p.Target
	}
	return s.audit(tx, e)
}

// Pauses lists those that are in force, the oldest first.
func (s *Store) Pauses(ctx context.Context) ([]Pause, error) {
	return query(ctx, s, scanPause, `select `+pauseColumns+` from pauses where ended_at = 0 and (until = 0 or until > $1) order by set_at`, micros(s.now()))
}

// Paused finds a pause that covers what a rule, by any of its names, would do for
// this customer by some operations: the one that lasts longest.
func (u *Update) Paused(names []string, calls []Call) (p Pause, is bool, err error) {
	q := u.askPause(names, calls, &p)
	if err := u.tx.Ask(q); err != nil {
		return p, false, fmt.Errorf("read pauses: %w", err)
	}
	return p, !q.missing, nil
}

func (u *Update) askPause(names []string, calls []Call, p *Pause) *inquiry {
	args := []any{micros(u.s.now()), u.Customer}
	covers := ""
	if len(names) > 0 {
		covers = ` or scope = 'rule' and target in (` + following(len(args), len(names)) + `)`
	}
	for _, name := range names {
		args = append(args, name)
	}
	if len(calls) > 0 {
		covers += ` or scope = 'service' and target in (` + following(len(args), len(calls)) + `)`
	}
	for _, call := range calls {
		args = append(args, call.Service)
	}
	return &inquiry{text: `select ` + pauseColumns + ` from pauses where ended_at = 0 and (until = 0 or until > $1)
		and (scope = 'all' or scope = 'customer' and target = $2` + covers + `)
		order by case when until = 0 then 1 else 0 end desc, until desc limit 1`, args: args,
		scan: func(r row) (err error) { *p, err = scanPause(r); return err }}
}
