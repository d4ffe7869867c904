package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// What people can ask for. Stored data: don't rename.
const (
	AskLook     = "look"     // look at the customer now
	AskStart    = "start"    // take a rule
	AskHappened = "happened" // a step of which no reading tells has happened
	AskDidNot   = "did_not"  // it hasn't: take its rule again
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
		if asked = n > 0; err != nil || !asked {
			return err
		}
		return s.auditAsked(tx, q, ActAsked)
	})
	return asked, err
}

// looksAtOnce is how many looks one statement asks for.
const looksAtOnce = 50

// AskLooks asks for looks at customers, all of them or none, and gives how many
// of them nobody had asked for yet: an open look is as good as two. The
// customers must differ from each other.
func (s *Store) AskLooks(ctx context.Context, customers []string, actor string) (added int, err error) {
	// One text for any number of customers, so that it is prepared once: what is
	// left over in the last statement is empty.
	text := `insert into requests (` + requestColumns + `)
		select v.column1, v.column2, '` + AskLook + `', '', '', $1, '', cast($2 as bigint), 0, ''
		from (values ` + pairs(3, looksAtOnce) + `) as v
		where v.column2 <> '' and not exists (select 1 from requests q where q.customer = v.column2 and q.kind = '` + AskLook + `' and q.taken_at = 0)`
	err = s.write(ctx, func(tx *tx) error {
		added = 0
		if err := s.alone(tx, "looks"); err != nil {
			return err
		}
		for chunk := range slices.Chunk(customers, looksAtOnce) {
			args := make([]any, 2, 2+2*looksAtOnce)
			args[0], args[1] = actor, micros(s.now())
			for _, customer := range chunk {
				args = append(args, s.ids.New("ask"), customer)
			}
			for len(args) < cap(args) {
				args = append(args, "")
			}
			done, err := tx.Exec(text, args...)
			if err != nil {
				return fmt.Errorf("write the requests: %w", err)
			}
			n, err := done.RowsAffected()
			if err != nil {
				return fmt.Errorf("write the requests: %w", err)
			}
			added += int(n)
		}
		return nil
	})
	return added, err
}

// pairs are n pairs of placeholders, numbered from first on.
func pairs(first, n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("($%d, $%d)", first+2*i, first+2*i+1)
	}
	return strings.Join(all, ", ")
}

// Asked finds one request.
func (s *Store) Asked(ctx context.Context, id string) (Request, bool, error) {
	return first(query(ctx, s, scanRequest, `select `+requestColumns+` from requests where id = $1`, id))
}

// OpenRequests lists what was asked for a customer and isn't carried out.
func (s *Store) OpenRequests(ctx context.Context, customer string) ([]Request, error) {
	return query(ctx, s, scanRequest, `select `+requestColumns+` from requests where customer = $1 and taken_at = 0 order by created_at, id`, customer)
}

// Take writes down what became of a request, within the case's update. That
// fails with ErrLost where somebody else has taken the request, and it wasn't one
// for a look: what was refused isn't carried out.
func (u *Update) Take(id, result string) error {
	taken, err := u.s.take(u.tx, id, result)
	if err != nil || taken {
		return err
	}
	var kind string
	err = u.tx.QueryRow(`select kind from requests where id = $1`, id).Scan(&kind)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read the request: %w", err)
	}
	if kind == AskLook {
		return nil
	}
	return fmt.Errorf("the request %s was taken by somebody else: %w", id, ErrLost)
}

// TakeRequest writes down what became of a request that needed no case, unless
// somebody else has.
func (s *Store) TakeRequest(ctx context.Context, id, result string) error {
	return s.write(ctx, func(tx *tx) error {
		_, err := s.take(tx, id, result)
		return err
	})
}

func (s *Store) take(tx *tx, id, result string) (taken bool, err error) {
	q, err := scanRequest(tx.QueryRow(`update requests set taken_at = $2, result = $3 where id = $1 and taken_at = 0 returning `+requestColumns, id, micros(s.now()), result))
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("write the request: %w", err)
	}
	if q.Kind == AskLook {
		return true, nil // it changes nothing: the audit has who asked for it
	}
	return true, s.auditAsked(tx, q, ActAnswered)
}
