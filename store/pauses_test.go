package store_test

import (
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
			p, is, err := u.Paused(rule, calls)
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
