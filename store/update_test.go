package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
