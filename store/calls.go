package store

import (
	"context"
	"fmt"
	"time"
)

// callMargin is how long before an hour ends its last call may begin: so that
// none arrives in the next one, which has as many calls of its own.
const callMargin = time.Second

// Calls are calls of a service that were reserved before they are made, so that
// whoever asks later can't have them. They are never given back: what a worker
// that died had reserved is lost with it.
type Calls struct {
	Given int       // 0 where none can be had
	Until time.Time // the calls must have begun by then; where there are none, when to ask again
}

// ReserveCalls takes calls of the present clock hour: as many as are wanted, as
// long as no more than limit are taken of it by all workers together.
//
// An hour that the clock shows twice is spent once. What lies ahead, since the
// clock was put back, counts for an hour from when that is noticed: long enough
// that no hour of any clock sees calls from before and after, and nobody waits
// longer.
func (s *Store) ReserveCalls(ctx context.Context, service string, wanted, limit int) (c Calls, err error) {
	err = s.write(ctx, func(tx *tx) error {
		if err := s.alone(tx, "calls "+service); err != nil {
			return err
		}
		now, err := s.sameNow(tx)
		if err != nil {
			return err
		}
		taken, ends, err := countCalls(tx, service, now)
		if err != nil {
			return err
		}
		end := HourEnd(now)
		c = Calls{Given: max(0, min(wanted, limit-taken)), Until: end.Add(-callMargin)}
		if !now.Before(c.Until) {
			c.Given, ends = 0, end
		}
		if c.Given > 0 {
			return takeCalls(tx, service, now, c.Given)
		}
		if c.Until = ends; ends.IsZero() { // nothing was taken, and yet there is nothing for this one
			c.Until = end
		}
		return nil
	})
	if err != nil {
		return Calls{}, fmt.Errorf("reserve calls: %w", err)
	}
	return c, nil
}

// HourEnd is when services that allow so many calls in an hour allow new ones.
func HourEnd(now time.Time) time.Time { return now.Truncate(time.Hour).Add(time.Hour) }

// sameNow is the store's time, from the same clock for all workers: what each
// knows of the database's clock can be a minute old, and it can have jumped.
func (s *Store) sameNow(tx *tx) (time.Time, error) {
	d, is := s.engine.(*database)
	if !is {
		return s.now(), nil
	}
	var now int64 // the question waits for its turn, too: until nobody else is at the calls
	if err := tx.QueryRow(`select cast(extract(epoch from clock_timestamp()) * 1000000 as bigint)`).Scan(&now); err != nil {
		return time.Time{}, fmt.Errorf("read the clock: %w", err)
	}
	if d.clock == nil {
		return s.now(), nil
	}
	return fromMicros(now), nil
}

// countCalls is how many calls were taken that count now, and when the first of
// them no longer do.
func countCalls(tx *tx, service string, now time.Time) (taken int, ends time.Time, err error) {
	latest := micros(now.Add(time.Hour))
	for {
		var first, last int64
		err = tx.QueryRow(`select cast(coalesce(sum(taken), 0) as bigint), coalesce(min(until), 0), coalesce(max(until), 0)
			from service_calls where service = $1 and until > $2`, service, micros(now)).Scan(&taken, &first, &last)
		if err != nil {
			return 0, time.Time{}, fmt.Errorf("count calls: %w", err)
		}
		if last <= latest {
			return taken, fromMicros(first), nil
		}
		for _, text := range []string{
			`insert into service_calls (service, until, taken)
				select service, cast($2 as bigint), sum(taken) from service_calls where service = $1 and until > cast($2 as bigint) group by service
				on conflict (service, until) do update set taken = service_calls.taken + excluded.taken`,
			`delete from service_calls where service = $1 and until > $2`,
		} {
			if err := tx.Later(text, service, latest); err != nil {
				return 0, time.Time{}, fmt.Errorf("bring back calls that lie ahead: %w", err)
			}
		}
	}
}

// takeCalls writes down what was taken, and deletes what ended so long ago that
// no clock that is put back makes it count again.
func takeCalls(tx *tx, service string, now time.Time, calls int) error {
	err := tx.Later(`insert into service_calls (service, until, taken) values ($1, $2, $3)
		on conflict (service, until) do update set taken = service_calls.taken + excluded.taken`, service, micros(HourEnd(now)), calls)
	if err == nil {
		err = tx.Later(`delete from service_calls where service = $1 and until <= $2`, service, micros(now.Add(-time.Hour)))
	}
	if err != nil {
		return fmt.Errorf("take calls: %w", err)
	}
	return nil
}

// TakenCalls are those of a service that count now.
type TakenCalls struct {
	Service string
	Calls   int
	Until   time.Time // when the first of them no longer count
}

// CallsTaken lists what was taken of services that allow so many calls in an
// hour, where anything was.
func (s *Store) CallsTaken(ctx context.Context) ([]TakenCalls, error) {
	now := s.now()
	scan := func(r row) (one TakenCalls, err error) {
		var until int64
		err = r.Scan(&one.Service, &one.Calls, &until)
		one.Until = fromMicros(min(until, micros(now.Add(time.Hour))))
		return one, err
	}
	return query(ctx, s, scan, `select service, cast(sum(taken) as bigint), min(until) from service_calls where until > $1 group by service order by service`, micros(now))
}
