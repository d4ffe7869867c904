package store_test

import (
	"bytes"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend"
	"amend/lifecycle"
	"amend/store"
)

// personalValues are what stood in the store of a customer, each in another
// place; %s is the customer.
var personalValues = []string{"%s", "plan-of-%s", "request-of-%s", "detail-of-%s", "reason-of-%s", "ticket-of-%s", "note-of-%s", "tell-%s", "wish-of-%s", "result-of-%s"}

func valuesOf(customer string) (all []string) {
	for _, v := range personalValues {
		all = append(all, strings.ReplaceAll(v, "%s", customer))
	}
	return all
}

// live does everything for a customer that leaves something behind: asked for,
// repaired, escalated, healed.
func (w *world) live(customer string) {
	w.t.Helper()
	ask := store.Request{ID: w.NewID("ask"), Customer: customer, Kind: store.AskStart, Rule: "open-ledger", Actor: "ada", Reason: "wish-of-" + customer}
	_, err := w.Ask(w.t.Context(), ask)
	require.NoError(w.t, err)
	lease := w.claim(customer)
	asked := w.propose(lease, 1)
	require.NoError(w.t, w.approve(asked, "bo", true))
	require.NoError(w.t, w.Update(w.t.Context(), lease, func(u *store.Update) error {
		if err := u.SetRepair(asked.ID, store.RepairVoid); err != nil {
			return err
		}
		repair, err := u.AddRepair(store.Repair{Rule: "open-ledger", Status: store.RepairOpen, StartedBy: "ada", Reason: "reason-of-" + customer, Plan: []byte(`"plan-of-` + customer + `"`)})
		if err != nil {
			return err
		}
		step := w.intent(repair)
		step.Request, step.Outcome, step.Detail = []byte(`"request-of-`+customer+random(9000)+`"`), amend.Done, "detail-of-"+customer
		u.Note("sent", "ada", "note-of-"+customer)
		if err := errors.Join(u.Intent(repair, step), u.Outcome(step), u.Take(ask.ID, "refused: result-of-"+customer)); err != nil {
			return err
		}
		incident, err := u.Escalate(store.Incident{CaseID: u.ID, Customer: customer, Cause: "case/" + u.ID, Tell: "tell-" + customer})
		if err != nil {
			return err
		}
		u.Why = "note-of-" + customer
		return errors.Join(u.Proved(repair.ID, 0), u.SetRepair(repair.ID, store.RepairDone), u.Resolve(incident.ID, "healed"), u.Fire(lifecycle.Heal))
	}))
	require.NoError(w.t, w.update(lease, func(u *store.Update) { u.End(store.EndedByRule) }))
}

// random is text that no engine packs.
func random(n int) string {
	var text strings.Builder
	for text.Len() < n {
		text.WriteString(rand.Text())
	}
	return text.String()
}

func (w *world) forget(customer string) (store.Forgotten, error) {
	return w.Forget(w.t.Context(), store.Forgetting{Customer: customer, Actor: "di", Window: func(string, string) time.Duration { return 0 }})
}

// files are all bytes of the store: of the file and what SQLite keeps beside
// it, or of the tables and indexes, those for long values included.
func (w *world) files() map[string][]byte {
	w.t.Helper()
	var paths []string
	if strings.HasPrefix(w.address, "sqlite:") {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			paths = append(paths, w.path()+suffix)
		}
	} else {
		db := w.raw()
		_, err := db.Exec(`checkpoint`)
		require.NoError(w.t, err)
		rows, err := db.Query(`select current_setting('data_directory') || '/' || pg_relation_filepath(oid) from pg_class
			where relkind in ('r', 'i', 't') and relnamespace <> 'pg_catalog'::regnamespace and relnamespace <> 'information_schema'::regnamespace and oid > 16383`)
		require.NoError(w.t, err)
		defer rows.Close()
		for rows.Next() {
			var path string
			require.NoError(w.t, rows.Scan(&path))
			paths = append(paths, path)
		}
		require.NoError(w.t, rows.Err())
		require.Greater(w.t, len(paths), 40)
	}
	all := map[string][]byte{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(w.t, err)
		all[path] = text
	}
	return all
}

// holds lists the files that hold a value.
func (w *world) holds(value string) (where []string) {
	w.t.Helper()
	for path, text := range w.files() {
		if n := bytes.Count(text, []byte(value)); n > 0 {
			where = append(where, fmt.Sprint(filepath.Base(path), ": ", n))
		}
	}
	return where
}

// S36: nothing of a forgotten customer is left in any byte of the store, nobody
// else loses anything, and the audit still verifies.
func TestForget(t *testing.T) { onEach(t, testForget) }

func testForget(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	const gone = "cus_777777"
	for i := range 40 {
		f.live(fmt.Sprintf("cus_%06d", i))
	}
	f.live(gone)
	f.live(gone) // a relapse
	f.clock.pass(25 * time.Hour)
	for i := range 40 {
		f.live(fmt.Sprintf("cus_%06d", 100+i))
	}
	_, err := f.raw().Exec(`analyze`) // the planner's statistics quote what is in the tables
	require.NoError(t, err)
	f.seal()
	for _, value := range valuesOf(gone) {
		require.NotEmpty(t, f.holds(value), "%s isn't there before", value)
	}
	mine, err := f.Audit(t.Context(), store.AuditFilter{Customer: gone, Limit: 100})
	require.NoError(t, err)
	require.Len(t, mine, 8)
	rows := f.count()

	done, err := f.forget(gone)
	require.NoError(t, err)
	require.True(t, done.Rewritten)
	require.Equal(t, 27, done.Rows)

	for _, value := range valuesOf(gone) {
		require.Empty(t, f.holds(value), value)
	}
	for table, n := range f.count() {
		require.NotContains(t, f.table(table), gone, table)
		more := map[string]int{"cases": -2, "repairs": -4, "proposals": -2, "approvals": -2, "steps": -2, "timeline": -6, "requests": -2, "incidents": -2, "outbox": -4, "subjects": -1, "audit": 1, "audit_unsealed": 1}
		require.Equal(t, rows[table]+more[table], n, table)
	}
	require.Len(t, f.holds("reason-of-cus_000039"), 1, "others keep theirs")

	t.Run("TheAuditVerifiesAndSpeaksOfNobody", func(t *testing.T) {
		f.seal()
		f.requireIntact(int64(82*4 + 1))
		left, err := f.Audit(t.Context(), store.AuditFilter{Customer: gone, Limit: 100})
		require.NoError(t, err)
		require.Empty(t, left)
		all := f.entries()
		last := all[len(all)-1]
		require.Equal(t, "forgotten", last.Act)
		require.Equal(t, "di", last.Actor)
		require.Equal(t, mine[0].Subject, last.Subject)
		n := 0
		for _, e := range all {
			if e.Subject == mine[0].Subject {
				n++
			}
		}
		require.Equal(t, 9, n, "what was done stands there")
	})
	t.Run("TwiceIsOnce", func(t *testing.T) {
		before := len(f.entries())
		done, err := f.forget(gone)
		require.NoError(t, err)
		require.Zero(t, done.Rows)
		require.True(t, done.Rewritten, "what an interrupted one has left is overwritten")
		require.Len(t, f.entries(), before)
	})
	t.Run("WhoComesBackIsSomebodyNew", func(t *testing.T) {
		f.live(gone)
		again, err := f.Audit(t.Context(), store.AuditFilter{Customer: gone, Limit: 100})
		require.NoError(t, err)
		require.Len(t, again, 4)
		for _, e := range again {
			require.NotEqual(t, mine[0].Subject, e.Subject)
		}
		require.Empty(t, f.current(gone).Previous)
	})
}

// SQLite overwrites what is deleted, by whatever deletes it; a forgetting also
// takes out what was freed without that, as older versions did.
func TestDeletedIsOverwritten(t *testing.T) {
	t.Parallel()
	f := onSQLite.setup(t)
	const old, older = "cus_777777", "cus_888888"
	f.live(old)
	f.clock.pass(25 * time.Hour)
	for i := range 20 {
		f.live(fmt.Sprintf("cus_%06d", i))
	}
	_, err := f.raw().Exec(`insert into timeline values ('x', 0, $1, '', '', '', 'freed without a trace of care'); delete from timeline where id = 'x'`, older)
	require.NoError(t, err)
	empty := func() {
		_, err := f.raw().Exec(`pragma wal_checkpoint(truncate)`)
		require.NoError(t, err)
	}
	empty()
	require.NotEmpty(t, f.holds(old))
	require.NotEmpty(t, f.holds(older))

	gone, _, err := f.Delete(t.Context(), f.clock.Now().Add(-time.Hour))
	require.NoError(t, err)
	require.Equal(t, 1, gone)
	empty()
	require.Empty(t, f.holds("note-of-"+old))
	require.Empty(t, f.holds("request-of-"+old))

	done, err := f.forget(older)
	require.NoError(t, err)
	require.Zero(t, done.Rows)
	require.Empty(t, f.holds(older))
}

// PostgreSQL keeps what somebody may still see, wherever it is written anew: so
// those who read are waited for.
func TestForgetWaitsForReaders(t *testing.T) {
	t.Parallel()
	f := onPostgres.setup(t)
	const gone = "cus_777777"
	f.live(gone)
	f.clock.pass(25 * time.Hour)
	reader, err := f.raw().BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	require.NoError(t, err)
	require.NoError(t, reader.QueryRow(`select id from installation`).Scan(new(string))) // no lock on what is written anew

	forgotten := make(chan struct{})
	go func() {
		defer close(forgotten)
		done, err := f.forget(gone)
		assert.NoError(t, err)
		assert.True(t, done.Rewritten)
	}()
	require.Eventually(t, func() bool { return f.count()["cases"] == 0 }, 10*time.Second, 10*time.Millisecond)
	select {
	case <-forgotten:
		require.Fail(t, "it didn't wait")
	case <-time.After(300 * time.Millisecond):
	}
	require.NoError(t, reader.Rollback())
	<-forgotten
	require.Empty(t, f.holds(gone))
}

// Forgetting is refused where it would make amend do something twice, or more
// often than it may.
func TestForgetIsRefused(t *testing.T) { onEach(t, testForgetIsRefused) }

func testForgetIsRefused(t *testing.T, on engine) {
	t.Parallel()
	const customer = "cus_000001"
	day := func(string, string) time.Duration { return 0 }
	refused := func(t *testing.T, f *world, why string) {
		t.Helper()
		before := f.count()
		_, err := f.forget(customer)
		require.Equal(t, amend.Conflict, amend.CodeOf(err), "%v", err)
		require.ErrorContains(t, err, why)
		require.Equal(t, before, f.count())
	}
	t.Run("OpenCase", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		f.sight(customer, "wrong")
		refused(t, f, "their case is open; wait until it has ended")
	})
	t.Run("OpenRequest", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		_, err := f.Ask(t.Context(), store.Request{ID: "q", Customer: customer, Kind: store.AskLook, Actor: "ada"})
		require.NoError(t, err)
		refused(t, f, "somebody has asked for something")
		require.NoError(t, f.TakeRequest(t.Context(), "q", "looked: active"))
		done, err := f.forget(customer)
		require.NoError(t, err)
		require.Equal(t, 2, done.Rows)
	})
	t.Run("Paused", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		_, err := f.Pause(t.Context(), store.Pause{Scope: store.PauseCustomer, Target: customer, Why: "why-of-" + customer, By: "ada"})
		require.NoError(t, err)
		short, err := f.Pause(t.Context(), store.Pause{Scope: store.PauseCustomer, Target: "cus_000002", Until: f.clock.Now().Add(time.Hour), By: "ada"})
		require.NoError(t, err)
		_, err = f.Pause(t.Context(), store.Pause{Scope: store.PauseRule, Target: customer, Why: "a rule of that name", By: "ada"})
		require.NoError(t, err)
		refused(t, f, "repairs of theirs are paused; resume them")
		require.NoError(t, f.Resume(t.Context(), store.PauseCustomer, customer, "ada"))
		_, err = f.forget(customer)
		require.NoError(t, err)
		require.Empty(t, f.holds("why-of-"+customer))
		require.Contains(t, f.table("pauses"), "a rule of that name")
		_, err = f.forget("cus_000002")
		require.Equal(t, amend.Conflict, amend.CodeOf(err))
		f.clock.pass(time.Hour) // it is over, though nobody has resumed
		_, err = f.forget("cus_000002")
		require.NoError(t, err)
		require.NotContains(t, f.table("pauses"), short.ID)
	})
	t.Run("AScanIsAtThem", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		page := f.scan(store.FullScan)
		next, err := f.Listed(t.Context(), page, customer, []byte(`{"after":"`+customer+`"}`))
		require.NoError(t, err)
		refused(t, f, "a scan that is under way has just come to them")
		f.finish(page, store.Counted{})
		refused(t, f, "a scan")
		f.finish(f.page(next), store.Counted{})
		_, err = f.forget(customer)
		require.NoError(t, err)
	})
	t.Run("RecentRepair", func(t *testing.T) { // limits aren't refunded (I15)
		t.Parallel()
		f := on.setup(t)
		f.live(customer)
		refused(t, f, "limits and brakes still count their last repair; try again after 2 Mar 2026 09:00 UTC")
		f.clock.pass(23 * time.Hour)
		refused(t, f, "limits and brakes")
		f.clock.pass(2 * time.Hour)
		_, err := f.forget(customer)
		require.NoError(t, err)
	})
	t.Run("WhatWasOnlyProposedCountsNothing", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		lease := f.claim(customer)
		require.NoError(t, f.update(lease, func(u *store.Update) {
			_, err := u.AddRepair(store.Repair{Rule: "r", Status: store.RepairVoid, StartedBy: store.Amend, Plan: []byte("{}")})
			require.NoError(t, err)
			require.NoError(t, u.Fire(lifecycle.Heal))
			u.End(store.EndedByItself)
		}))
		_, err := f.forget(customer)
		require.NoError(t, err)
	})
	for outcome, window := range map[amend.Outcome]time.Duration{amend.Unsettled: 72 * time.Hour, amend.Done: 72 * time.Hour} {
		t.Run("UnprovedStep/"+outcome.String(), func(t *testing.T) {
			t.Parallel()
			f := on.setup(t)
			lease, repair := f.send(customer)
			require.NoError(t, f.Update(t.Context(), lease, func(u *store.Update) error {
				step := f.intent(repair)
				step.Outcome = outcome
				err := errors.Join(u.Outcome(step), u.SetRepair(repair.ID, store.RepairFailed), u.Fire(lifecycle.Heal))
				u.End(store.EndedByItself)
				return err
			}))
			f.clock.pass(25 * time.Hour)
			long := func(service, operation string) time.Duration {
				require.Equal(t, "ledger.open", service+"."+operation)
				return window
			}
			_, err := f.Forget(t.Context(), store.Forgetting{Customer: customer, Actor: "di", Window: long})
			require.Equal(t, amend.Conflict, amend.CodeOf(err))
			require.ErrorContains(t, err, "nobody has seen whether ledger.open happened, and it may still; try again after 4 Mar 2026 09:00 UTC")
			require.Equal(t, 1, f.count()["steps"])
			_, err = f.Forget(t.Context(), store.Forgetting{Customer: customer, Actor: "di", Window: day})
			require.NoError(t, err, "a day is enough where the service forgets sooner")
		})
	}
	t.Run("FailedStep", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		lease, repair := f.send(customer)
		require.NoError(t, f.Update(t.Context(), lease, func(u *store.Update) error {
			step := f.intent(repair)
			step.Outcome = amend.Failed
			err := errors.Join(u.Outcome(step), u.SetRepair(repair.ID, store.RepairFailed), u.Fire(lifecycle.Heal))
			u.End(store.EndedByItself)
			return err
		}))
		f.clock.pass(25 * time.Hour)
		_, err := f.Forget(t.Context(), store.Forgetting{Customer: customer, Actor: "di", Window: func(string, string) time.Duration { return 72 * time.Hour }})
		require.NoError(t, err, "it certainly did not happen")
	})
}

// A worker goes on with others while somebody is forgotten.
func TestForgetBesideAWorker(t *testing.T) { onEach(t, testForgetBesideAWorker) }

func testForgetBesideAWorker(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	require.NoError(t, f.LockWorker())
	for i := range 5 {
		f.live(fmt.Sprintf("cus_77777%d", i))
	}
	f.clock.pass(25 * time.Hour)
	other := *f
	other.Store = f.open()
	done := make(chan struct{})
	var group sync.WaitGroup
	for n := range 2 {
		group.Go(func() {
			tick := time.Tick(20 * time.Millisecond) // a writer who never pauses would keep everybody else out
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				case <-tick:
				}
				id := fmt.Sprintf("w%d-%d", n, i)
				_, err := f.Ask(t.Context(), store.Request{ID: id, Customer: id, Kind: store.AskLook})
				assert.NoError(t, err)
				assert.NoError(t, f.TakeRequest(t.Context(), id, "looked: active"))
				_, _, err = f.Asked(t.Context(), id)
				assert.NoError(t, err)
			}
		})
	}
	for i := range 5 {
		forgotten, err := other.forget(fmt.Sprintf("cus_77777%d", i))
		assert.NoError(t, err)
		assert.True(t, forgotten.Rewritten)
	}
	close(done)
	group.Wait()
	for i := range 5 {
		require.Empty(t, f.holds(fmt.Sprintf("cus_77777%d", i)))
	}
}
