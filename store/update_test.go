package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"amend/lifecycle"
	"amend/store"
)

// TestHoldersCase: a holder's case isn't read before each write, and is right
// all the same.
func TestHoldersCase(t *testing.T) { onEach(t, testHoldersCase) }

func testHoldersCase(t *testing.T, on engine) {
	t.Parallel()
	t.Run("WhatScansCountMeanwhile", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		lease := f.claim("cus_000001")
		f.sight("cus_000001", "wrong")
		require.NoError(t, f.update(lease, func(u *store.Update) { u.Looks++ }))
		require.Equal(t, 3, f.current("cus_000001").Looks)
		require.NoError(t, f.update(lease, func(u *store.Update) { u.State, u.Looks = "another", 1 }))
		require.Equal(t, 1, f.current("cus_000001").Looks)
	})
	t.Run("WhatItWroteItself", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		lease := f.claim("cus_000001")
		require.NoError(t, f.update(lease, func(u *store.Update) { u.Attempts, u.Why = 1, "one" }))
		require.NoError(t, f.update(lease, func(u *store.Update) { u.Attempts++ }))
		c := f.current("cus_000001")
		require.Equal(t, 2, c.Attempts)
		require.Equal(t, "one", c.Why)
		require.Equal(t, int64(2), c.Version)
	})
	t.Run("NotWhatWasNeverWritten", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		lease := f.claim("cus_000001")
		failed := errors.New("failed")
		require.ErrorIs(t, f.Update(t.Context(), lease, func(u *store.Update) error { u.Attempts = 7; return failed }), failed)
		require.NoError(t, f.update(lease, func(u *store.Update) { u.Attempts++ }))
		require.Equal(t, 1, f.current("cus_000001").Attempts)
	})
	for name, end := range map[string]func(u *store.Update){
		"GoesOn": func(*store.Update) {}, "LetsGo": func(u *store.Update) { u.Release(u.Now()) }, "Ends": func(u *store.Update) { u.End(store.EndedByItself) },
	} {
		t.Run("I11LostWritesNothing/"+name, func(t *testing.T) {
			t.Parallel()
			f := on.setup(t)
			stale := f.claim("cus_000001")
			f.clock.pass(2 * time.Minute)
			lease, claimed, err := f.Claim(t.Context(), "cus_000001", time.Minute)
			require.NoError(t, err)
			require.True(t, claimed)
			require.ErrorIs(t, f.Update(t.Context(), stale, func(u *store.Update) error {
				end(u)
				u.Why = "stale"
				u.Note("kind", "ada", "stale")
				_, err := u.AddRepair(store.Repair{Rule: "r", Status: store.RepairOpen, Plan: []byte("{}")})
				return err
			}), store.ErrLost)
			repairs, err := f.Repairs(t.Context(), lease.CaseID)
			require.NoError(t, err)
			require.Empty(t, repairs)
			c := f.current("cus_000001")
			require.NotEqual(t, "stale", c.Why)
			require.True(t, c.Held(f.clock.Now()))
			lines, err := f.Timeline(t.Context(), "cus_000001", 10)
			require.NoError(t, err)
			require.Len(t, lines, 1, "that it was opened")
		})
	}
	t.Run("ReadAgainWhilePeopleDecide", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		lease := f.claim("cus_000001")
		require.NoError(t, f.Update(t.Context(), lease, func(u *store.Update) error { return u.Fire(lifecycle.Propose) }))
		_, err := f.raw().Exec(`update cases set why = 'theirs'`)
		require.NoError(t, err)
		why := ""
		require.NoError(t, f.update(lease, func(u *store.Update) { why = u.Why }))
		require.Equal(t, "theirs", why)
	})
}

// Who claims a case while its last holder commits is told of the repair that
// this has begun: the claim waits for the row, and a statement doesn't see what
// was committed while it waits.
func TestClaimSeesTheLastCommit(t *testing.T) {
	t.Parallel()
	f := onPostgres.setup(t)
	f.claim("cus_000001")
	f.clock.pass(2 * time.Minute)
	raw := f.raw()
	holder, err := raw.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	c := f.current("cus_000001")
	_, err = holder.ExecContext(t.Context(), `insert into repairs (id, case_id, customer, rule, rule_version, state, status, started_by, reason, plan, created_at, ended_at)
		values ('rep_1', $1, 'cus_000001', 'r', 'v', 's', 'open', 'amend', '', '{}', 1, 0)`, c.ID)
	require.NoError(t, err)
	_, err = holder.ExecContext(t.Context(), `update cases set version = version + 1 where id = $1`, c.ID)
	require.NoError(t, err)

	var lease store.Lease
	var claimed bool
	var group errgroup.Group
	group.Go(func() (err error) {
		lease, claimed, err = f.Claim(t.Context(), "cus_000001", time.Minute)
		return err
	})
	require.Eventually(t, func() bool {
		var waits int
		assert.NoError(t, raw.QueryRowContext(t.Context(), `select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`).Scan(&waits))
		return waits > 0
	}, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, holder.Commit())
	require.NoError(t, group.Wait())
	require.True(t, claimed)
	require.True(t, lease.Repairing)
}

// What somebody else has refused isn't carried out: the whole update is left out.
// A look changes nothing, and may be taken twice.
func TestTakeWhatIsTaken(t *testing.T) { onEach(t, testTakeWhatIsTaken) }

func testTakeWhatIsTaken(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	lease := f.claim("cus_000001")
	for kind, want := range map[string]error{store.AskStart: store.ErrLost, store.AskHappened: store.ErrLost, store.AskDidNot: store.ErrLost, store.AskLook: nil} {
		_, err := f.Ask(t.Context(), store.Request{ID: kind, Customer: "cus_000001", Kind: kind, Rule: "r", Actor: "ada"})
		require.NoError(t, err)
		require.NoError(t, f.TakeRequest(t.Context(), kind, "refused: it has changed"))
		err = f.Update(t.Context(), lease, func(u *store.Update) error {
			u.Why = kind
			return u.Take(kind, "started")
		})
		require.ErrorIs(t, err, want, kind)
		require.Equal(t, want == nil, f.current("cus_000001").Why == kind, kind)
		q, _, err := f.Asked(t.Context(), kind)
		require.NoError(t, err)
		require.Equal(t, "refused: it has changed", q.Result)
		require.NoError(t, f.TakeRequest(t.Context(), kind, "too late"))
	}
}
