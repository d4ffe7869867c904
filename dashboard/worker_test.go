package dashboard

import (
	"database/sql"
	"encoding/json"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/lifecycle"
	"amend/store"
)

// The worker's part, as far as it can be seen: what the loops would write.

// scanned writes a full scan down that has ended.
func (w *world) scanned(ago time.Duration, customers int) {
	at := w.clock.Now().Add(-ago)
	w.saveScan(store.Scan{Status: store.ScanDone, StartedAt: at.Add(-time.Minute), EndedAt: at, Customers: customers})
}

func (w *world) saveScan(scan store.Scan) {
	w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+w.path)
	require.NoError(w.t, err)
	defer db.Close()
	ended := int64(0)
	if !scan.EndedAt.IsZero() {
		ended = scan.EndedAt.UnixMicro()
	}
	_, err = db.Exec(`insert into scans (id, kind, status, started_at, ended_at, customers, coherent, opened, unseen, states, error) values ($1, 'full', $2, $3, $4, $5, 0, 0, 0, '{}', $6)`,
		w.store.NewID("scan"), scan.Status, scan.StartedAt.UnixMicro(), ended, scan.Customers, scan.Error)
	require.NoError(w.t, err)
}

// sight opens a case.
func (w *world) sight(customer, state string, due time.Duration) {
	w.t.Helper()
	at := time.Time{}
	if due != 0 {
		at = w.clock.Now().Add(due)
	}
	_, err := w.store.Sight(w.t.Context(), []store.Sighting{{Customer: customer, State: state, Since: w.clock.Now(), DueAt: at, Wake: w.clock.Now()}})
	require.NoError(w.t, err)
}

// update takes the customer's lease and changes the case.
func (w *world) update(customer string, change func(*store.Update) error) {
	w.t.Helper()
	w.clock.forward(time.Millisecond)
	lease, claimed, err := w.store.Claim(w.t.Context(), customer, time.Minute)
	require.NoError(w.t, err)
	require.True(w.t, claimed)
	require.NoError(w.t, w.store.Update(w.t.Context(), lease, func(u *store.Update) error {
		u.Release(time.Time{})
		return change(u)
	}))
}

// waits makes the case wait.
func (w *world) waits(customer, why string, wake time.Duration) {
	w.t.Helper()
	w.update(customer, func(u *store.Update) error {
		u.Why, u.Next, u.Rule, u.WakeAt = why, "amend looks again.", "open-ledger", w.clock.Now().Add(wake)
		if err := u.Fire(lifecycle.Wait); err != nil {
			return err
		}
		u.Note("waiting", "amend", why)
		return nil
	})
}

// escalates gives the case to people, with an incident and its message.
func (w *world) escalates(customer, why string) {
	w.t.Helper()
	w.update(customer, func(u *store.Update) error {
		u.Why, u.Next = why, "It waits for a person."
		if err := u.Fire(lifecycle.Escalate); err != nil {
			return err
		}
		u.Note("escalated", "amend", why)
		opened, err := u.Escalate(store.Incident{CaseID: u.ID, Customer: customer, Cause: "case/" + u.ID, State: u.State})
		u.Incident = opened.ID
		return err
	})
}

// starts begins the repair that somebody asked for, up to its sent intent.
func (w *world) starts(customer string, q store.Request) {
	w.t.Helper()
	if _, open, err := w.store.OpenCase(w.t.Context(), customer); !open {
		require.NoError(w.t, err)
		w.sight(customer, "active", 0)
	}
	name := w.desk.Rules.Rule(q.Rule).Steps[0].Name
	service, operation, _ := strings.Cut(name, ".")
	w.update(customer, func(u *store.Update) error {
		if err := u.Fire(lifecycle.Start); err != nil {
			return err
		}
		u.Rule, u.Why, u.Next = q.Rule, q.Rule+" sends "+name+".", "amend reads again to see whether it worked."
		r, err := u.AddRepair(store.Repair{Rule: q.Rule, State: "active", Status: store.RepairOpen, StartedBy: q.Actor, Reason: q.Reason, Plan: json.RawMessage("{}")})
		if err != nil {
			return err
		}
		u.Note("repair", q.Actor, u.Why)
		if err := u.Intent(r, store.Step{Repair: r.ID, Service: service, Operation: operation, Key: w.store.Key(r.ID, 0), Request: json.RawMessage("{}")}); err != nil {
			return err
		}
		if q.ID == "" { // nobody asked by a page
			return nil
		}
		return u.Take(q.ID, "started")
	})
}

// answers writes the answer of the service that the open repair called.
func (w *world) answers(customer string, outcome amend.Outcome, status int) {
	w.t.Helper()
	r := w.openRepair(customer)
	w.update(customer, func(u *store.Update) error {
		u.Why = "cards.block was answered: " + outcome.String() + "."
		return u.Outcome(store.Step{Repair: r.ID, Outcome: outcome, Status: status})
	})
}

// proves ends the open repair as shown by reading, and the case as healed.
func (w *world) proves(customer string) {
	w.t.Helper()
	r := w.openRepair(customer)
	w.update(customer, func(u *store.Update) error {
		if err := u.Proved(r.ID, 0); err != nil {
			return err
		}
		if err := u.SetRepair(r.ID, store.RepairDone); err != nil {
			return err
		}
		u.Why, u.Next = "Reading every service again shows it in order.", "Nothing."
		if err := u.Fire(lifecycle.Heal); err != nil {
			return err
		}
		u.End(store.EndedByPerson)
		u.Note("healed", "amend", u.Why)
		return nil
	})
}

func (w *world) openRepair(customer string) store.Repair {
	w.t.Helper()
	c, open, err := w.store.OpenCase(w.t.Context(), customer)
	require.NoError(w.t, err)
	require.True(w.t, open)
	r, open, err := w.store.OpenRepair(w.t.Context(), c.ID)
	require.NoError(w.t, err)
	require.True(w.t, open)
	return r
}

// wishes lists what was asked for a customer and nobody has taken up.
func (w *world) wishes(customer string) []store.Request {
	w.t.Helper()
	open, err := w.store.OpenRequests(w.t.Context(), customer)
	require.NoError(w.t, err)
	return open
}

// ask writes down what a person wants, as the confirm page does.
func (w *world) ask(customer, rule string) store.Request {
	w.t.Helper()
	q := store.Request{ID: w.store.NewID("ask"), Customer: customer, Kind: store.AskStart, Rule: rule, Actor: "kim", Reason: "Card lost, ticket 4711"}
	_, err := w.store.Ask(w.t.Context(), q)
	require.NoError(w.t, err)
	return q
}
