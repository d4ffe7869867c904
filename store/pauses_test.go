package store_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/lifecycle"
	"amend/store"
)

func TestPause(t *testing.T) { onEach(t, testPause) }

func testPause(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	lease := f.claim("cus_000001")
	covering := func(rule string, services ...string) (why string) {
		require.NoError(t, f.Update(t.Context(), lease, func(u *store.Update) error {
			calls := make([]store.Call, len(services))
			for i, name := range services {
				calls[i] = store.Call{Service: name, Operation: "o"}
			}
			p, is, err := u.Paused([]string{rule}, calls)
			if is {
				why = p.Why
			}
			return err
		}))
		return why
	}
	pause := func(scope, target, why string, long time.Duration) {
		p := store.Pause{Scope: scope, Target: target, Why: why, By: "ada"}
		if long > 0 {
			p.Until = f.clock.Now().Add(long)
		}
		_, err := f.Pause(t.Context(), p)
		require.NoError(t, err)
	}
	require.Empty(t, covering("r", "s"))
	pause(store.PauseRule, "other", "another rule", 0)
	pause(store.PauseService, "other", "another service", 0)
	pause(store.PauseCustomer, "cus_000002", "another customer", 0)
	require.Empty(t, covering("r", "s"))
	require.Equal(t, "another service", covering("r", "s", "other"))
	require.Equal(t, "another rule", covering("other"))
	require.NoError(t, f.Update(t.Context(), lease, func(u *store.Update) error {
		p, is, err := u.Paused([]string{"newer", "other"}, nil)
		require.True(t, is)
		require.Equal(t, "another rule", p.Why, "by a former name")
		facts, failed := u.Facts(store.Question{Rule: "newer", Was: []string{"older", "other"}, AtOnce: 9, PerHour: 9})
		require.True(t, facts.Paused)
		return errors.Join(err, failed)
	}))

	pause(store.PauseCustomer, "cus_000001", "this customer", time.Second)
	require.Equal(t, "this customer", covering("r", "s"))
	pause(store.PauseAll, "", "all", time.Hour)
	require.Equal(t, "all", covering("r", "s"), "the one that lasts longest says until when")
	pause(store.PauseAll, "", "all, again", time.Hour)
	all, err := f.Pauses(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 5, "one for each target")
	require.Equal(t, "ada", all[0].By)

	f.clock.pass(2 * time.Hour)
	require.NoError(t, f.update(f.claim("cus_000003"), func(*store.Update) {}))
	require.ErrorIs(t, f.update(lease, func(*store.Update) {}), store.ErrLost)
	lease, _, err = f.Claim(t.Context(), "cus_000001", time.Minute)
	require.NoError(t, err)
	require.Empty(t, covering("r", "s"), "they end by themselves")
}

// TestResume wakes whoever waited for it.
func TestResume(t *testing.T) { onEach(t, testResume) }

func testResume(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	require.Equal(t, amend.NotFound, amend.CodeOf(f.Resume(t.Context(), store.PauseAll, "", "bo")))
	_, err := f.Pause(t.Context(), store.Pause{Scope: store.PauseAll, Why: "x", By: "ada"})
	require.NoError(t, err)
	for customer, reason := range map[string]string{"cus_000001": "paused", "cus_000002": "settling"} {
		require.NoError(t, f.update(f.claim(customer), func(u *store.Update) {
			require.NoError(t, u.Fire(lifecycle.Wait))
			u.Reason = reason
			u.Release(f.clock.Now().Add(time.Hour))
		}))
	}
	require.Empty(t, f.ready())
	require.NoError(t, f.Resume(t.Context(), store.PauseAll, "", "bo"))
	require.Equal(t, []string{"cus_000001"}, f.ready())
	require.Equal(t, amend.NotFound, amend.CodeOf(f.Resume(t.Context(), store.PauseAll, "", "bo")))
	entries, err := f.Audit(t.Context(), store.AuditFilter{Limit: 10})
	require.NoError(t, err)
	require.Equal(t, "resume", entries[0].Act)
	require.Equal(t, "bo", entries[0].Actor)
}

// TestBrakeAfterAPauseThatIsOver: a brake is set also where a pause of the rule
// has ended by its time, which nobody has resumed.
func TestBrakeAfterAPauseThatIsOver(t *testing.T) { onEach(t, testBrakeAfterAPauseThatIsOver) }

func testBrakeAfterAPauseThatIsOver(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	_, err := f.Pause(t.Context(), store.Pause{Scope: store.PauseRule, Target: "r", Why: "a while", By: "ada", Until: f.clock.Now().Add(time.Hour)})
	require.NoError(t, err)
	f.clock.pass(2 * time.Hour)
	lease := f.claim("cus_000001")
	require.NoError(t, f.Update(t.Context(), lease, func(u *store.Update) error {
		return u.Brake(store.Pause{Target: "r", Why: "too many", Brake: store.BrakeShare}, store.Incident{Severity: "high"})
	}))
	pauses, err := f.Pauses(t.Context())
	require.NoError(t, err)
	require.Len(t, pauses, 1)
	require.Equal(t, []string{store.Amend, store.BrakeShare}, []string{pauses[0].By, pauses[0].Brake})
}

// What amend has stopped ends when a person resumes it, and with no time that a
// person has given to a pause of their own.
func TestPauseDoesNotReplaceAmends(t *testing.T) { onEach(t, testPauseDoesNotReplaceAmends) }

func testPauseDoesNotReplaceAmends(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	require.NoError(t, f.Update(t.Context(), f.claim("cus_000001"), func(u *store.Update) error {
		return u.Brake(store.Pause{Target: "r", Why: "one of the first repairs has failed", Brake: store.BrakeCanary}, store.Incident{Severity: "high"})
	}))
	f.ask(f.Store, "a", 3)
	f.seal()
	f.intruder().exec(`delete from audit_chain where seq >= 3`)
	require.ErrorIs(t, f.Seal(t.Context()), store.ErrOlder)
	for _, amends := range []struct{ scope, target, next string }{{store.PauseRule, "r", "amend resume --rule r"}, {store.PauseAll, "", "amend resume"}} {
		pause := func() error {
			_, err := f.Pause(t.Context(), store.Pause{Scope: amends.scope, Target: amends.target, Why: "a move", By: "ada", Until: f.clock.Now().Add(10 * time.Minute)})
			return err
		}
		err := pause()
		require.Equal(t, amend.Conflict, amend.CodeOf(err))
		require.ErrorContains(t, err, "amend has stopped that already: ")
		require.ErrorContains(t, err, amends.next)
		f.clock.pass(11 * time.Minute)
		pauses, err := f.Pauses(t.Context())
		require.NoError(t, err)
		require.True(t, slices.ContainsFunc(pauses, func(p store.Pause) bool {
			return p.Scope == amends.scope && p.Target == amends.target && p.By == store.Amend
		}), "%v", pauses)
		require.NoError(t, f.Resume(t.Context(), amends.scope, amends.target, "bo"))
		require.NoError(t, pause())
	}
}
