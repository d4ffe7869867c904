package store

import (
	"context"
	"fmt"
	"time"
)

// What people can ask for. Stored data: don't rename.
const (
	AskLook  = "look"  // look at the customer now
	AskStart = "start" // take a rule
)

// Request is what a person asked for. Whoever holds the customer's lease
// carries it out.
type Request struct {
	ID          string
	Customer    string
	Kind        string
	Rule        string
	Fingerprint string // of what the person saw: if that has changed, nothing is done
	Actor       string
	Reason      string
	CreatedAt   time.Time
	TakenAt     time.Time // zero until it was carried out or refused
	Result      string    // a sentence
}

const requestColumns = `id, customer, kind, rule, fingerprint, actor, reason, created_at, taken_at, result`

func scanRequest(r row) (Request, error) {
	var q Request
	var created, taken int64
	err := r.Scan(&q.ID, &q.Customer, &q.Kind, &q.Rule, &q.Fingerprint, &q.Actor, &q.Reason, &created, &taken, &q.Result)
	q.CreatedAt, q.TakenAt = fromMicros(created), fromMicros(taken)
	return q, err
}

// Ask writes a request down. The same ID twice is one request, so a form that
// is sent twice asks once; asked is false then.
func (s *Store) Ask(ctx context.Context, q Request) (asked bool, err error) {
	err = s.write(ctx, func(tx *tx) error {
		done, err := tx.Exec(`insert into requests (`+requestColumns+`) values (`+placeholders(10)+`) on conflict (id) do nothing`,
			q.ID, q.Customer, q.Kind, q.Rule, q.Fingerprint, q.Actor, q.Reason, micros(s.now()), 0, "")
		if err != nil {
			return fmt.Errorf("write the request: %w", err)
		}
		n, err := done.RowsAffected()
		asked = n > 0
		return err
	})
	return asked, err
}

// Asked finds one request.
func (s *Store) Asked(ctx context.Context, id string) (Request, bool, error) {
	return first(query(ctx, s, scanRequest, `select `+requestColumns+` from requests where id = $1`, id))
}

// OpenRequests lists what was asked for a customer and isn't carried out.
func (s *Store) OpenRequests(ctx context.Context, customer string) ([]Request, error) {
	return query(ctx, s, scanRequest, `select `+requestColumns+` from requests where customer = $1 and taken_at = 0 order by created_at, id`, customer)
}

// Take writes down what became of a request, within the case's update.
func (u *Update) Take(id, result string) error { return u.s.take(u.tx, id, result) }

// TakeRequest writes down what became of a request that needed no case.
func (s *Store) TakeRequest(ctx context.Context, id, result string) error {
	return s.write(ctx, func(tx *tx) error { return s.take(tx, id, result) })
}

func (s *Store) take(tx *tx, id, result string) error {
	err := tx.Later(`update requests set taken_at = $2, result = $3 where id = $1 and taken_at = 0`, id, micros(s.now()), result)
	if err != nil {
		return fmt.Errorf("write the request: %w", err)
	}
	return nil
}
