package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"amend"
)

// maybe holds of a step that may have happened. A refusal of what was sent again
// says nothing of the sending before.
const maybe = `(s.outcome in ('unsettled', 'done') or s.outcome = 'refused' and s.sent > 1)`

// unansweredText finds the last step that was sent for a customer in a repair
// that was given up, may have happened, and was never seen to: for the case $2,
// or since $3 in any case. What a later proof of the same operation settles is
// left out, as Unproved does.
const unansweredText = `select ` + stepColumns + ` from steps s
	where repair in (select id from repairs where customer = $1 and status in ('failed', 'left') and (case_id = $2 or s.sent_at > $3))
		and ` + maybe + ` and proved_at = 0
		and sent_at > (select coalesce(max(p.proved_at), 0) from steps p join repairs q on q.id = p.repair
			where q.customer = $1 and p.service = s.service and p.operation = s.operation)
	order by sent_at desc, number desc limit 1`

// Unanswered finds the step of which only a person can say whether it happened;
// false where there is none.
func (s *Store) Unanswered(ctx context.Context, c Case) (Step, bool, error) {
	return first(query(ctx, s, scanStep, unansweredText, c.Customer, c.ID, micros(s.now().Add(-unprovedFor))))
}

// Unanswered is the same within an update.
func (u *Update) Unanswered() (Step, bool, error) {
	p, err := scanStep(u.tx.QueryRow(unansweredText, u.Customer, u.ID, micros(u.s.now().Add(-unprovedFor))))
	if errors.Is(err, sql.ErrNoRows) {
		return p, false, nil
	}
	if err != nil {
		return p, false, fmt.Errorf("look for unanswered steps: %w", err)
	}
	return p, true, nil
}

// newestText finds the repair of a customer that was begun last.
const newestText = `select coalesce((select id from repairs where customer = $1 and status not in ('proposed', 'void', 'observed')
	order by created_at desc, id desc limit 1), '')`

// NewestRepair is the repair of a customer that was begun last, whoever began it;
// empty where there was none.
func (s *Store) NewestRepair(ctx context.Context, customer string) (id string, err error) {
	if err = s.db.QueryRowContext(ctx, newestText, customer).Scan(&id); err != nil {
		err = fmt.Errorf("look for the newest repair: %w", err)
	}
	return id, err
}

// NewestRepair is the same within an update.
func (u *Update) NewestRepair() (id string, err error) {
	if err = u.tx.QueryRow(newestText, u.Customer).Scan(&id); err != nil {
		err = fmt.Errorf("look for the newest repair: %w", err)
	}
	return id, err
}

// Repair finds a repair within an update.
func (u *Update) Repair(id string) (Repair, error) {
	r, err := scanRepair(u.tx.QueryRow(`select `+repairColumns+` from repairs where id = $1`, id))
	if err != nil {
		return r, fmt.Errorf("read the repair: %w", err)
	}
	return r, nil
}

// Answer writes down a person's word on whether a step happened. It counts as
// proved, or as certainly not done: either way nothing is held back for it any
// more.
func (u *Update) Answer(p Step, happened bool, by string) error {
	outcome, proved := amend.Failed, int64(0)
	if happened {
		outcome, proved = amend.Done, micros(u.s.now())
	}
	err := u.tx.Later(`update steps set outcome = $3, answered_by = $4, proved_at = $5 where repair = $1 and number = $2 and proved_at = 0`,
		p.Repair, p.Number, outcome.String(), by, proved)
	if err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}
