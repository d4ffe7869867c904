package reconciler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/rules"
	"amend/store"
)

// What is remembered of a rule is what was counted, for as long as it may be
// believed, and only where counting costs something.
func TestCrowds(t *testing.T) {
	t.Parallel()
	var c crowds
	rule := &rules.Rule{Name: "r", Version: "v", From: []string{"missing"}}
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	counted := func(inStates, lastHour, proved int) {
		q := c.question(rule, now)
		c.learn(rule, q, &store.Load{InStates: inStates, LastHour: lastHour, Proved: proved}, now)
	}
	question := func(after time.Duration) (q store.Question, size int) {
		q = c.question(rule, now.Add(after))
		return q, q.InStates
	}

	q, size := question(0)
	require.Equal(t, []string{"missing"}, q.States)
	require.Zero(t, size)
	require.True(t, q.Hour.At.IsZero())
	require.Equal(t, rules.CanarySize, q.Canary)

	counted(crowdSize-1, crowdSize-1, rules.CanarySize-1)
	q, size = question(0)
	require.NotNil(t, q.States, "few are counted each time")
	require.Zero(t, size)
	require.True(t, q.Hour.At.IsZero())
	require.Equal(t, rules.CanarySize, q.Canary)

	counted(crowdSize, 500, rules.CanarySize)
	q, size = question(0)
	require.Nil(t, q.States)
	require.Equal(t, crowdSize, size, "who isn't counted is known")
	require.Equal(t, store.Hour{Begun: 500, At: now}, q.Hour)
	require.Zero(t, q.Canary)

	q, _ = question(500 * perBegun)
	require.True(t, q.Hour.At.IsZero(), "500 are counted again sooner than 100,000")
	require.Nil(t, q.States)
	q, size = question(crowdFor)
	require.NotNil(t, q.States)
	require.Zero(t, size)
	q, size = question(-time.Microsecond)
	require.NotNil(t, q.States, "a clock that was put back")
	require.Zero(t, size)
	require.True(t, q.Hour.At.IsZero())

	now = now.Add(time.Hour)
	counted(2, 2, 0)
	q, size = question(0)
	require.NotNil(t, q.States, "it has become few again")
	require.Zero(t, size)
	require.True(t, q.Hour.At.IsZero())
	require.Zero(t, q.Canary, "a version never becomes new again")
}
