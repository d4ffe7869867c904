package rehearsal_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the driver named "sqlite"

	"amend"
	"amend/bank"
	"amend/connectors"
	"amend/rehearsal"
)

// between stands in a connector's way, where amend's own code would be wrong.
type between struct {
	connectors.Connector
	one  func(ctx context.Context, id string, next func(string) (amend.Record, error)) (amend.Record, error)
	send func(ctx context.Context, r connectors.Request, next func(connectors.Request) connectors.Answer) connectors.Answer
}

// One is part of connectors.Connector.
func (b between) One(ctx context.Context, id string) (amend.Record, error) {
	next := func(id string) (amend.Record, error) { return b.Connector.One(ctx, id) }
	if b.one == nil {
		return next(id)
	}
	return b.one(ctx, id, next)
}

// Send is part of connectors.Connector.
func (b between) Send(ctx context.Context, r connectors.Request) connectors.Answer {
	next := func(r connectors.Request) connectors.Answer { return b.Connector.Send(ctx, r) }
	if b.send == nil {
		return next(r)
	}
	return b.send(ctx, r, next)
}

// simple is a plan in which nothing goes wrong by itself.
func simple(events ...rehearsal.Event) rehearsal.Plan {
	return rehearsal.Plan{Seed: 1, Customers: 30, Workers: 2, Settle: time.Second, CardWithin: 2 * time.Second, Lasts: 30 * time.Second, Events: events}
}

// requireBroken holds that a run ends with a promise broken.
func requireBroken(t *testing.T, plan rehearsal.Plan, around wrap, want ...rehearsal.Promise) {
	t.Helper()
	_, err := play(t, plan, around)
	broken, is := errors.AsType[*rehearsal.Violation](err)
	require.True(t, is, "nothing was noticed: %v", err)
	require.True(t, slices.Contains(want, broken.Promise), "%v", broken)
}

// only puts something around one service's connector.
func only(service string, b between) wrap {
	return func(name string, c connectors.Connector) connectors.Connector {
		if name != service {
			return c
		}
		b := b
		b.Connector = c
		return b
	}
}

// TestBrokenConnectorIsNoticed makes the mistakes that an engine could make on
// the wire, and sees each of them reported.
func TestBrokenConnectorIsNoticed(t *testing.T) {
	t.Parallel()
	type sending = func(context.Context, connectors.Request, func(connectors.Request) connectors.Answer) connectors.Answer
	header := func(r connectors.Request, key string) connectors.Request {
		r.Header = map[string]string{"Idempotency-Key": key}
		return r
	}
	for name, send := range map[string]sending{
		"SentTwice": func(_ context.Context, r connectors.Request, next func(connectors.Request) connectors.Answer) connectors.Answer {
			next(r)
			return next(r)
		},
		"FreshKey": func(_ context.Context, r connectors.Request, next func(connectors.Request) connectors.Answer) connectors.Answer {
			return next(header(r, "another"))
		},
		"OtherBytes": func(_ context.Context, r connectors.Request, next func(connectors.Request) connectors.Answer) connectors.Answer {
			r.Body = append(slices.Clone(r.Body), ' ')
			return next(r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireBroken(t, simple(), only("ledger", between{send: send}), rehearsal.IntentFirst)
		})
	}

	down := rehearsal.Event{At: 5 * time.Second, Kind: rehearsal.Break, Service: "cards", Fault: bank.Fault{Outage: bank.OutageUnavailable, Only: bank.OnlyReads}, For: 20 * time.Second}
	drift := rehearsal.Event{Kind: rehearsal.Drift, Rate: 2, For: 30 * time.Second}
	lies := rehearsal.Event{Kind: rehearsal.Oddity, Service: "cards", Odd: rehearsal.Lies, For: 20 * time.Second}
	t.Run("NothingWithoutAMistake", func(t *testing.T) {
		t.Parallel()
		for _, plan := range []rehearsal.Plan{simple(drift, down), simple(lies)} {
			_, err := play(t, plan, nil)
			require.NoError(t, err)
		}
	})

	t.Run("UnseenTakenForAbsent", func(t *testing.T) {
		t.Parallel()
		var mu sync.Mutex
		var sentinel amend.Record
		one := func(_ context.Context, id string, next func(string) (amend.Record, error)) (amend.Record, error) {
			record, err := next(id)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case id == "cus_000001" && err == nil:
				sentinel = record
			case id == "cus_000001":
				return sentinel, nil
			case err != nil:
				return amend.Record{Presence: amend.Absent, ReadAt: time.Now()}, nil
			}
			return record, err
		}
		requireBroken(t, simple(drift, down), only("cards", between{one: one}), rehearsal.RightSends, rehearsal.OneKey, rehearsal.InOrder)
	})

	t.Run("ProofThatIsNone", func(t *testing.T) {
		t.Parallel()
		var mu sync.Mutex
		sent := map[string]bool{}
		service := between{
			send: func(_ context.Context, r connectors.Request, next func(connectors.Request) connectors.Answer) connectors.Answer {
				mu.Lock()
				defer mu.Unlock()
				sent[string(r.Body)] = true
				return next(r)
			},
			one: func(_ context.Context, id string, next func(string) (amend.Record, error)) (amend.Record, error) {
				mu.Lock()
				defer mu.Unlock()
				if sent[`{"customer":"`+id+`"}`] {
					return next("cus_000001") // what was answered with yes is taken for done
				}
				return next(id)
			}}
		requireBroken(t, simple(lies), only("cards", service), rehearsal.HealedIsRead)
	})

	t.Run("CustomersWhomNobodySees", func(t *testing.T) {
		t.Parallel()
		requireBroken(t, simple(drift), func(name string, c connectors.Connector) connectors.Connector {
			if name != "cards" && name != "identity" && name != "ledger" {
				return c
			}
			return &frozen{Connector: c}
		}, rehearsal.NothingLost)
	})

	t.Run("Panic", func(t *testing.T) {
		t.Parallel()
		requireBroken(t, simple(), only("billing", between{one: func(context.Context, string, func(string) (amend.Record, error)) (amend.Record, error) {
			panic("a bug")
		}}), rehearsal.NoPanic)
	})
}

// frozen lists nobody whom it has not listed at first.
type frozen struct {
	connectors.Connector
	mu    sync.Mutex
	first *connectors.Page
}

// List is part of connectors.Connector.
func (f *frozen) List(ctx context.Context, page connectors.PageRequest) (connectors.Page, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first == nil {
		got, err := f.Connector.List(ctx, page)
		if err != nil {
			return got, err
		}
		f.first = &got
	}
	return connectors.Page{Records: slices.Clone(f.first.Records)}, nil
}

// TestBrokenStoreIsNoticed changes the store behind the engine's back when it
// sends for the first time, as a wrong transaction would have.
func TestBrokenStoreIsNoticed(t *testing.T) {
	t.Parallel()
	paused := rehearsal.Event{At: time.Millisecond, Kind: rehearsal.Pause, Scope: "all", For: 20 * time.Second}
	held := `(select id from cases where lease_until > 0 order by id limit 1)`
	for name, c := range map[string]struct {
		change string
		event  rehearsal.Event
		want   rehearsal.Promise
		atSend bool // and not at the first reading already
	}{
		"NoTime":        {`update cases set wake_at = 0 where status = 'waiting' or status = 'watching'`, rehearsal.Event{}, rehearsal.TimeOrPerson, false},
		"NoIncident":    {`update incidents set closed_at = 1`, rehearsal.Event{}, rehearsal.TimeOrPerson, false},
		"Untold":        {`delete from outbox`, rehearsal.Event{}, rehearsal.Told, false},
		"NotInTheAudit": {`update steps set sent = sent + 1`, rehearsal.Event{}, rehearsal.Audited, false},
		"LeaseTaken":    {`update cases set fence = fence + 1 where id = ` + held, rehearsal.Event{}, rehearsal.OneHolder, false},
		"FenceGoesBack": {`update cases set fence = fence - 1 where id = ` + held, rehearsal.Event{}, rehearsal.StaleWrites, false},
		"LeaseGone":     {`update cases set lease_until = 1 where lease_until > 0`, rehearsal.Event{}, rehearsal.UnderLease, true},
		"TwoRepairs":    {`insert into repairs select id || 'x', case_id, customer, rule, rule_version, state, status, started_by, reason, plan, created_at, ended_at from repairs where status = 'open'`, rehearsal.Event{}, rehearsal.OneRepair, false},
		"TooManyAtFirst": {`insert into repairs select id || 'x', (select id from cases c where not exists (select 1 from repairs r where r.case_id = c.id) limit 1), customer,
			rule, rule_version, state, status, started_by, reason, plan, created_at, ended_at from repairs where status = 'open' limit 1`, rehearsal.Event{}, rehearsal.InStages, false},
		"EndedUnrepaired": {`update cases set ended_at = 1, status = 'closed' where id in (select case_id from repairs where status = 'open')`, rehearsal.Event{}, rehearsal.OneRepair, false},
		"PauseForgotten":  {`update pauses set ended_at = 1`, paused, rehearsal.PausedMeansNow, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken := tampered(t, simple(c.event), c.change, c.atSend)
			require.Equal(t, c.want, broken.Promise, "%v", broken)
		})
	}
}

// tampered plays a plan in which the store is changed past the engine as soon as
// there is something to change, and gives what was noticed.
func tampered(t *testing.T, plan rehearsal.Plan, change string, atSend bool) *rehearsal.Violation {
	t.Helper()
	folder := scratch(t)
	var err error
	synctest.Test(t, func(t *testing.T) {
		db, failed := sql.Open("sqlite", "file:"+filepath.Join(folder, "amend.db"))
		require.NoError(t, failed)
		defer db.Close()
		var mu sync.Mutex
		done := false
		tamper := func() {
			mu.Lock()
			defer mu.Unlock()
			if !done {
				result, err := db.Exec(change)
				require.NoError(t, err)
				rows, err := result.RowsAffected()
				require.NoError(t, err)
				done = rows > 0
			}
		}
		around := func(_ string, c connectors.Connector) connectors.Connector {
			return between{Connector: c,
				one: func(_ context.Context, id string, next func(string) (amend.Record, error)) (amend.Record, error) {
					if !atSend {
						tamper()
					}
					return next(id)
				},
				send: func(_ context.Context, r connectors.Request, next func(connectors.Request) connectors.Answer) connectors.Answer {
					tamper()
					return next(r)
				}}
		}
		_, err = rehearsal.Run(plan, rehearsal.Surroundings{Wait: synctest.Wait, Folder: folder, Wrap: around})
	})
	broken, is := errors.AsType[*rehearsal.Violation](err)
	require.True(t, is, "nothing was noticed: %v", err)
	return broken
}
