package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/lifecycle"
	"amend/store"
)

// repaired opens a case, repairs it as a person has agreed to, escalates it and
// ends it.
func (w *world) repaired(customer string) {
	w.t.Helper()
	lease := w.claim(customer)
	repair := w.propose(lease, 1)
	require.NoError(w.t, w.approve(repair, "bo", true))
	require.NoError(w.t, w.Update(w.t.Context(), lease, func(u *store.Update) error {
		if err := u.OpenProposed(repair.ID); err != nil {
			return err
		}
		if err := u.Intent(repair, store.Step{Repair: repair.ID, Service: "s", Operation: "o", Key: w.Key(repair.ID, 0), Request: []byte("{}")}); err != nil {
			return err
		}
		incident, err := u.Escalate(store.Incident{CaseID: u.ID, Customer: customer, Cause: "case/" + u.ID})
		if err != nil {
			return err
		}
		if err := u.SetRepair(repair.ID, store.RepairDone); err != nil {
			return err
		}
		if err := u.Resolve(incident.ID, "healed"); err != nil {
			return err
		}
		if err := u.Fire(lifecycle.Heal); err != nil {
			return err
		}
		u.End(store.EndedByRule)
		return nil
	}))
}

// count counts the rows of every table.
func (w *world) count() map[string]int {
	w.t.Helper()
	counts := map[string]int{}
	for _, table := range []string{"cases", "repairs", "proposals", "approvals", "steps", "timeline", "requests", "incidents", "outbox", "scans", "scan_pages", "pauses", "subjects", "audit", "audit_unsealed", "audit_cuts", "audit_chain"} {
		var n int
		require.NoError(w.t, w.raw().QueryRow("select count(*) from "+table).Scan(&n))
		counts[table] = n
	}
	return counts
}

// TestDelete deletes what ended before a time and nothing else.
func TestDelete(t *testing.T) { onEach(t, testDelete) }

func testDelete(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	first := f.scan(store.FullScan)
	f.finish(first, store.Counted{})
	for i := range 250 {
		f.repaired(fmt.Sprintf("cus_%06d", i))
	}
	f.sight("cus_100000", "wrong") // open, however old
	_, err := f.Ask(t.Context(), store.Request{ID: "open", Customer: "cus_100000", Kind: store.AskLook})
	require.NoError(t, err)
	f.clock.pass(24 * time.Hour)
	cutoff := f.clock.Now()
	f.repaired("cus_200000")
	before := f.count()

	gone, more, err := f.Delete(t.Context(), cutoff.Add(-48*time.Hour))
	require.NoError(t, err)
	require.Zero(t, gone)
	require.False(t, more)
	require.Equal(t, before, f.count())

	deleted := 0
	for more = true; more; deleted += gone {
		gone, more, err = f.Delete(t.Context(), cutoff)
		require.NoError(t, err)
	}
	require.Equal(t, 250, deleted)
	after := f.count()
	require.Equal(t, 2, after["cases"], "the open one and the new one")
	require.Equal(t, 1, after["repairs"])
	require.Equal(t, 1, after["proposals"])
	require.Equal(t, 1, after["approvals"])
	require.Equal(t, 1, after["steps"])
	require.Equal(t, 1, after["incidents"])
	require.Equal(t, 2, after["outbox"])
	require.Equal(t, 1, after["requests"])
	require.Equal(t, 1, after["scans"], "the last full pass stays: brakes judge by it")
	_, open, err := f.OpenCase(t.Context(), "cus_100000")
	require.NoError(t, err)
	require.True(t, open)
	require.True(t, f.sight("cus_000001", "wrong"), "who comes back has no case before it")
	require.Empty(t, f.current("cus_000001").Previous)
}

// TestCopyTo moves everything to another engine and back: what was begun goes
// on there with the same keys.
func TestCopyTo(t *testing.T) { onEach(t, testCopyTo) }

func testCopyTo(t *testing.T, on engine) {
	t.Parallel()
	other := map[engine]engine{onSQLite: onPostgres, onPostgres: onSQLite}[on]
	from, to := on.setup(t), other.setup(t)
	from.finish(from.scan(store.FullScan), store.Counted{Customers: 7, States: map[string]int{"active": 7}})
	from.repaired("cus_000001")
	held := from.claim("cus_000002")
	_, err := from.Pause(t.Context(), store.Pause{Scope: store.PauseAll, By: "ada", Why: "a move"})
	require.NoError(t, err)
	require.NoError(t, from.Seal(t.Context()))
	page := from.scan(store.FreshScan)
	copied, err := from.CopyTo(t.Context(), to.Store)
	require.NoError(t, err)
	require.Equal(t, 2, copied["cases"])
	for table, n := range from.count() {
		require.Equal(t, n, copied[table], table)
		require.Equal(t, n, to.count()[table], table)
	}
	require.Equal(t, from.Installation(), to.Installation())
	require.Equal(t, from.Key("rep_1", 0), to.Key("rep_1", 0))
	again, err := store.Open(t.Context(), to.address, store.Options{Now: to.clock.Now})
	require.NoError(t, err)
	require.Equal(t, from.Installation(), again.Installation())
	require.NoError(t, again.Close())

	was, is := from.current("cus_000001"), to.current("cus_000001")
	require.Equal(t, was, is)
	require.Equal(t, amend.Unsettled, func() amend.Outcome {
		all, err := to.Repairs(t.Context(), is.ID)
		require.NoError(t, err)
		steps, err := to.Steps(t.Context(), all[0].ID)
		require.NoError(t, err)
		return steps[0].Outcome
	}())
	require.ErrorIs(t, to.update(held, func(*store.Update) {}), store.ErrLost, "nobody holds anything there")
	require.Equal(t, []string{page.ID}, to.pages())

	_, err = from.CopyTo(t.Context(), to.Store)
	require.Equal(t, amend.Conflict, amend.CodeOf(err), "only into an empty one")
}

// TestDeleteLooks: looks that were asked for are kept for two days, what people
// asked to be done as long as cases.
func TestDeleteLooks(t *testing.T) { onEach(t, testDeleteLooks) }

func testDeleteLooks(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	for id, kind := range map[string]string{"look": store.AskLook, "open": store.AskLook, "start": store.AskStart} {
		_, err := f.Ask(t.Context(), store.Request{ID: id, Customer: "cus_" + id, Kind: kind, Actor: "ada"})
		require.NoError(t, err)
		if id != "open" {
			require.NoError(t, f.TakeRequest(t.Context(), id, "done"))
		}
	}
	left := func() (ids []string) {
		rows, err := f.raw().Query(`select id from requests`)
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var id string
			require.NoError(t, rows.Scan(&id))
			ids = append(ids, id)
		}
		require.NoError(t, rows.Err())
		return ids
	}
	before := f.clock.Now()
	f.clock.pass(47 * time.Hour)
	_, _, err := f.Delete(t.Context(), before.Add(-7*24*time.Hour))
	require.NoError(t, err)
	require.Len(t, left(), 3)
	f.clock.pass(2 * time.Hour)
	_, _, err = f.Delete(t.Context(), before.Add(-7*24*time.Hour))
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"open", "start"}, left())
}
