package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend"
	"amend/store"
)

// propose asks so many people about a repair, for an hour.
func (w *world) propose(lease store.Lease, needs int) (repair store.Repair) {
	w.t.Helper()
	require.NoError(w.t, w.Update(w.t.Context(), lease, func(u *store.Update) (err error) {
		repair, err = u.Propose(store.Repair{Rule: "r", RuleVersion: "1", StartedBy: store.Amend, Plan: []byte("{}")},
			store.Proposal{Fingerprint: "f", Basis: []byte("{}"), Needs: needs, Until: u.Now().Add(time.Hour)})
		return err
	}))
	return repair
}

// approve has a person agree to a repair, or refuse it.
func (w *world) approve(r store.Repair, actor string, agrees bool) error {
	return w.Approve(w.t.Context(), store.Approval{ID: w.NewID("ask"), Repair: r.ID, Actor: actor, Agrees: agrees, Reason: "ticket-of-" + r.Customer}, "f")
}

// TestApprove: a case is looked at as soon as enough people have agreed, or one
// has refused, and not before.
func TestApprove(t *testing.T) { onEach(t, testApprove) }

func testApprove(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	wakes := func(customer string) bool {
		ready, err := f.Ready(t.Context(), 100)
		require.NoError(t, err)
		for _, c := range ready {
			if c == customer {
				return true
			}
		}
		return false
	}
	asked := func(customer string, needs int) store.Repair {
		lease := f.claim(customer)
		repair := f.propose(lease, needs)
		require.NoError(t, f.update(lease, func(u *store.Update) { u.Release(f.clock.Now().Add(time.Hour)) }))
		return repair
	}
	t.Run("EnoughPeople", func(t *testing.T) {
		repair := asked("cus_000001", 2)
		require.NoError(t, f.approve(repair, "ada", true))
		require.False(t, wakes("cus_000001"))
		require.Equal(t, amend.Conflict, amend.CodeOf(f.approve(repair, "ada", true)))
		require.NoError(t, f.approve(repair, "bo", true))
		require.True(t, wakes("cus_000001"))
		p, found, err := f.Proposal(t.Context(), repair.ID)
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, 2, p.Agreed)
		require.False(t, p.AgreedAt.IsZero())
		require.ErrorContains(t, f.approve(repair, "cy", true), "enough people")
		require.ErrorContains(t, f.approve(repair, "cy", false), "enough people")
	})
	t.Run("OneRefuses", func(t *testing.T) {
		repair := asked("cus_000002", 2)
		require.NoError(t, f.approve(repair, "ada", true))
		require.NoError(t, f.approve(repair, "bo", false))
		require.True(t, wakes("cus_000002"))
		p, _, err := f.Proposal(t.Context(), repair.ID)
		require.NoError(t, err)
		require.Equal(t, []any{1, "bo", "ticket-of-cus_000002", true}, []any{p.Agreed, p.RefusedBy, p.Refusal, p.AgreedAt.IsZero()})
		require.ErrorContains(t, f.approve(repair, "cy", true), "bo has refused it")
	})
	t.Run("WhoRefusesAfterAgreeingDoesNotCount", func(t *testing.T) {
		repair := asked("cus_000003", 2)
		require.NoError(t, f.approve(repair, "ada", true))
		require.NoError(t, f.approve(repair, "ada", false))
		said, err := f.Approvals(t.Context(), repair.ID)
		require.NoError(t, err)
		require.Len(t, said, 1)
		require.False(t, said[0].Agrees)
	})
	t.Run("TooLate", func(t *testing.T) {
		repair := asked("cus_000004", 1)
		f.clock.pass(time.Hour)
		require.ErrorIs(t, f.approve(repair, "ada", true), store.ErrExpired)
		f.clock.pass(-2 * time.Hour)
		require.ErrorIs(t, f.approve(repair, "ada", true), store.ErrExpired, "before it was proposed")
		f.clock.pass(time.Hour)
	})
	t.Run("WhatNobodyAskedAbout", func(t *testing.T) {
		repair := asked("cus_000005", 1)
		repair.ID = "rep_0"
		require.Equal(t, amend.NotFound, amend.CodeOf(f.approve(repair, "ada", true)))
	})
	t.Run("FiftyAtOnce", func(t *testing.T) {
		repair := asked("cus_000006", 3)
		var group sync.WaitGroup
		var mu sync.Mutex
		taken := 0
		for i := range 50 {
			group.Go(func() {
				err := f.approve(repair, fmt.Sprint("p", i), true)
				if err != nil {
					assert.Equal(t, amend.Conflict, amend.CodeOf(err), "%v", err)
					return
				}
				mu.Lock()
				taken++
				mu.Unlock()
			})
		}
		group.Wait()
		require.Equal(t, 3, taken)
	})
}

// An approval that comes while the case's holder decides is either seen by it or
// refused: neither waits for the other for ever.
func TestApproveWhileTheCaseIsHeld(t *testing.T) { onEach(t, testApproveWhileTheCaseIsHeld) }

func testApproveWhileTheCaseIsHeld(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	for i := range 30 {
		customer := fmt.Sprintf("cus_%06d", i)
		lease := f.claim(customer)
		repair := f.propose(lease, 1)
		seen := false
		var group sync.WaitGroup
		var said error
		group.Go(func() { said = f.approve(repair, "ada", true) })
		group.Go(func() {
			assert.NoError(t, f.Update(t.Context(), lease, func(u *store.Update) error {
				p, _, err := u.Proposal(repair.ID)
				if err != nil {
					return err
				}
				if seen = p.Agreed == 1; seen {
					return u.OpenProposed(repair.ID)
				}
				return u.SetRepair(repair.ID, store.RepairVoid)
			}))
		})
		group.Wait()
		require.Equal(t, seen, said == nil, "%v", said)
	}
}
