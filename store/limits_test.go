package store_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"amend/store"
)

// An hour that was counted a moment ago is only added to; where the sum comes
// near the limit it is counted anew.
func TestHour(t *testing.T) { onEach(t, testHour) }

func testHour(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	begin := func(from, to int) {
		for i := from; i < to; i++ {
			lease := f.claim(fmt.Sprintf("cus_%06d", i))
			require.NoError(t, f.Update(t.Context(), lease, func(u *store.Update) error {
				_, err := u.AddRepair(store.Repair{Rule: "r", Status: store.RepairOpen, Plan: []byte("{}")})
				return err
			}))
		}
	}
	begin(0, 3)
	at := f.clock.Now()
	begin(3, 5)
	lease := f.claim("cus_000009")
	for _, c := range []struct {
		name               string
		begun, limit, want int
	}{
		{"added to, far from the limit", 700, 100_000, 702},
		{"counted anew, near the limit", 700, 710, 5},
		{"counted anew, over the limit", 700, 10, 5},
	} {
		q := store.Question{Rule: "r", AtOnce: 100_000, PerHour: c.limit, Hour: store.Hour{Begun: c.begun, At: at}}
		var load store.Load
		var facts store.Facts
		require.NoError(t, f.Update(t.Context(), lease, func(u *store.Update) (err error) {
			if load, err = u.Load(q); err != nil {
				return err
			}
			facts, err = u.Facts(q)
			return err
		}))
		require.Equal(t, c.want, load.LastHour, c.name)
		require.Equal(t, c.want, facts.LastHour, c.name)
	}
}

// How often a rule has acted for one customer is found without reading what it
// did for all others.
func TestFlappingIsFoundByTheCustomer(t *testing.T) {
	t.Parallel()
	f := onSQLite.setup(t)
	lease := f.claim("cus_000001")
	var text string
	var args []any
	require.NoError(t, f.Update(t.Context(), lease, func(u *store.Update) error {
		text, args = u.LoadText(store.Question{Rule: "r"})
		return nil
	}))
	rows, err := f.raw().QueryContext(t.Context(), "explain query plan "+text, args...)
	require.NoError(t, err)
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var a, b, c int
		var line string
		require.NoError(t, rows.Scan(&a, &b, &c, &line))
		plan.WriteString(line + "\n")
	}
	require.NoError(t, rows.Err())
	require.Contains(t, plan.String(), "repairs_customer (customer=? AND rule=? AND created_at>?)")
}

// Customers who are known to be in a rule's states are added to those who are
// counted.
func TestInStates(t *testing.T) { onEach(t, testInStates) }

func testInStates(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	lease := f.claim("cus_000001")
	for _, q := range []store.Question{
		{Rule: "r", AtOnce: 9, PerHour: 9, InStates: 700},
		{Rule: "r", AtOnce: 100_000, PerHour: 100_000, InStates: 699, States: []string{lease.Case.State}},
	} {
		var load store.Load
		require.NoError(t, f.Update(t.Context(), lease, func(u *store.Update) (err error) { load, err = u.Load(q); return err }))
		require.Equal(t, 700, load.InStates)
	}
}

// A rule that was given another name keeps what it has done by the old one.
func TestLoadByFormerNames(t *testing.T) { onEach(t, testLoadByFormerNames) }

func testLoadByFormerNames(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	for i, rule := range []string{"older", "old", "new", "another"} {
		lease := f.claim(fmt.Sprintf("cus_%06d", i))
		require.NoError(t, f.Update(t.Context(), lease, func(u *store.Update) error {
			_, err := u.AddRepair(store.Repair{Rule: rule, RuleVersion: "v", Status: store.RepairOpen, StartedBy: store.Amend, Plan: []byte("{}")})
			return err
		}))
	}
	lease := f.claim("cus_000009")
	for _, canary := range []int{0, 3} {
		for _, was := range [][]string{nil, {"old"}, {"old", "older"}} {
			var load store.Load
			require.NoError(t, f.Update(t.Context(), lease, func(u *store.Update) (err error) {
				load, err = u.Load(store.Question{Rule: "new", Was: was, Version: "v", AtOnce: 9, PerHour: 9, Canary: canary, States: []string{"nowhere"}})
				return err
			}))
			require.Equal(t, 1+len(was), load.LastHour)
			require.Equal(t, 1+len(was), load.Open)
			if canary > 0 {
				require.Equal(t, 1+len(was), load.Begun)
			}
		}
	}
}
