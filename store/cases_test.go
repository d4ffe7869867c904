package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/lifecycle"
	"amend/store"
)

// sight opens a case.
func (f *world) sight(customer, state string) (opened bool) {
	f.t.Helper()
	all, err := f.Sight(f.t.Context(), []store.Sighting{{Customer: customer, State: state, Wake: f.clock.Now()}})
	require.NoError(f.t, err)
	return len(all) == 1
}

// claim opens a case and takes its lease for a minute.
func (f *world) claim(customer string) store.Lease {
	f.t.Helper()
	f.sight(customer, "wrong")
	lease, claimed, err := f.Claim(f.t.Context(), customer, time.Minute)
	require.NoError(f.t, err)
	require.True(f.t, claimed)
	return lease
}

func (f *world) current(customer string) store.Case {
	f.t.Helper()
	c, any, err := f.LastCase(f.t.Context(), customer)
	require.NoError(f.t, err)
	require.True(f.t, any)
	return c
}

func (f *world) ready() []string {
	f.t.Helper()
	all, err := f.Ready(f.t.Context(), 100)
	require.NoError(f.t, err)
	return all
}

func (f *world) update(lease store.Lease, change func(*store.Update)) error {
	return f.Update(f.t.Context(), lease, func(u *store.Update) error { change(u); return nil })
}

func TestSight(t *testing.T) { onEach(t, testSight) }

func testSight(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	require.True(t, f.sight("cus_000001", "wrong"))
	require.False(t, f.sight("cus_000001", "wrong"), "one open case for a customer")
	c := f.current("cus_000001")
	require.Equal(t, lifecycle.Watching, c.Status)
	require.Equal(t, 2, c.Looks)
	require.False(t, c.Since.IsZero())

	t.Run("AnotherStateWakesAndMovesNothing", func(t *testing.T) {
		require.NoError(t, f.update(f.claim("cus_000001"), func(u *store.Update) { u.Release(f.clock.Now().Add(time.Hour)) }))
		require.Empty(t, f.ready())
		require.False(t, f.sight("cus_000001", "wrong"))
		require.Empty(t, f.ready(), "nothing new")
		require.False(t, f.sight("cus_000001", "worse"))
		require.Equal(t, []string{"cus_000001"}, f.ready())
		require.Equal(t, "wrong", f.current("cus_000001").State, "only a heal moves it")
	})
	t.Run("RelapseIsLinked", func(t *testing.T) {
		first := f.claim("cus_000002")
		require.NoError(t, f.update(first, func(u *store.Update) {
			require.NoError(t, u.Fire(lifecycle.Heal))
			u.End(store.EndedByItself)
		}))
		require.True(t, f.sight("cus_000002", "wrong"))
		require.Equal(t, first.CaseID, f.current("cus_000002").Previous)
	})
	t.Run("Between", func(t *testing.T) {
		f.sight("cus_000005", "wrong")
		all, err := f.OpenBetween(t.Context(), "cus_000002", "cus_000004")
		require.NoError(t, err)
		require.Len(t, all, 1)
		require.Equal(t, "cus_000002", all[0].Customer)
	})
	t.Run("AllOrNothing", func(t *testing.T) {
		_, err := f.raw().Exec("create unique index no on cases (state) where customer in ('cus_000007', 'cus_000008')")
		require.NoError(t, err)
		_, err = f.Sight(t.Context(), []store.Sighting{{Customer: "cus_000007", State: "wrong"}, {Customer: "cus_000008", State: "wrong"}})
		require.Error(t, err)
		_, any, err := f.LastCase(t.Context(), "cus_000007")
		require.NoError(t, err)
		require.False(t, any)
	})
}

func TestLease(t *testing.T) { onEach(t, testLease) }

func testLease(t *testing.T, on engine) {
	t.Parallel()
	t.Run("OneHolder", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		first := f.claim("cus_000001")
		_, claimed, err := f.Claim(t.Context(), "cus_000001", time.Minute)
		require.NoError(t, err)
		require.False(t, claimed)
		require.Empty(t, f.ready())
		f.clock.pass(2 * time.Minute)
		require.Equal(t, []string{"cus_000001"}, f.ready(), "the case of a dead holder is found")
		second, claimed, err := f.Claim(t.Context(), "cus_000001", time.Minute)
		require.NoError(t, err)
		require.True(t, claimed)
		require.Greater(t, second.Fence, first.Fence)
		require.ErrorIs(t, f.update(first, func(u *store.Update) { u.Why = "stale" }), store.ErrLost)
		require.NoError(t, f.update(second, func(u *store.Update) { u.Why = "mine" }))
		require.Equal(t, "mine", f.current("cus_000001").Why)
	})
	t.Run("NobodyToClaim", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		_, claimed, err := f.Claim(t.Context(), "cus_000001", time.Minute)
		require.NoError(t, err)
		require.False(t, claimed)
	})
	t.Run("OverIsLostAlsoWhereNobodyElseCame", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		lease := f.claim("cus_000001")
		f.clock.pass(2 * time.Minute)
		require.ErrorIs(t, f.update(lease, func(*store.Update) {}), store.ErrLost)
		require.ErrorIs(t, f.Renew(t.Context(), &lease, time.Minute), store.ErrLost)
	})
	t.Run("Renewed", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		lease := f.claim("cus_000001")
		f.clock.pass(50 * time.Second)
		require.NoError(t, f.Renew(t.Context(), &lease, time.Minute))
		f.clock.pass(50 * time.Second)
		require.Empty(t, f.ready())
		require.NoError(t, f.update(lease, func(u *store.Update) { u.Release(f.clock.Now().Add(time.Hour)) }))
		require.Empty(t, f.ready(), "a renewal is no wake-up")
	})
	t.Run("ReleasedIsOver", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		lease := f.claim("cus_000001")
		require.NoError(t, f.update(lease, func(u *store.Update) { u.Release(time.Time{}) }))
		require.ErrorIs(t, f.update(lease, func(*store.Update) {}), store.ErrLost)
		require.Empty(t, f.ready(), "never by itself")
		f.clock.pass(1000 * time.Hour)
		require.Empty(t, f.ready())
	})
	t.Run("AFailingUpdateWritesNothing", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		lease := f.claim("cus_000001")
		err := f.Update(t.Context(), lease, func(u *store.Update) error {
			u.Why = "half"
			if _, err := u.Escalate(store.Incident{Cause: "x"}); err != nil {
				return err
			}
			return u.Fire(lifecycle.Agree)
		})
		require.Equal(t, amend.Conflict, amend.CodeOf(err))
		require.NotEqual(t, "half", f.current("cus_000001").Why)
		incidents, err := f.OpenIncidents(t.Context(), 10)
		require.NoError(t, err)
		require.Empty(t, incidents)
		letters, err := f.Letters(t.Context(), 10)
		require.NoError(t, err)
		require.Empty(t, letters)
	})
}

// TestWakeUpDuringTheLease is looked at as soon as the holder lets go, however
// far off the time is that they name.
func TestWakeUpDuringTheLease(t *testing.T) { onEach(t, testWakeUpDuringTheLease) }

func testWakeUpDuringTheLease(t *testing.T, on engine) {
	t.Parallel()
	for name, wake := range map[string]func(*world, *store.Lease){
		"Wake":  func(f *world, _ *store.Lease) { require.NoError(f.t, f.Wake(f.t.Context(), []string{"cus_000001"})) },
		"Sight": func(f *world, _ *store.Lease) { f.sight("cus_000001", "worse") },
		"Renewed": func(f *world, l *store.Lease) {
			require.NoError(f.t, f.Wake(f.t.Context(), []string{"cus_000001"}))
			require.NoError(f.t, f.Renew(f.t.Context(), l, time.Minute))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := on.setup(t)
			lease := f.claim("cus_000001")
			wake(f, &lease)
			require.Empty(t, f.ready(), "not while it is held")
			require.NoError(t, f.update(lease, func(u *store.Update) { u.Release(f.clock.Now().Add(time.Hour)) }))
			require.Equal(t, []string{"cus_000001"}, f.ready())
		})
	}
}

func TestReadyForWhatPeopleAsk(t *testing.T) { onEach(t, testReadyForWhatPeopleAsk) }

func testReadyForWhatPeopleAsk(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	ask := func(id, customer string) bool {
		asked, err := f.Ask(t.Context(), store.Request{ID: id, Customer: customer, Kind: store.AskLook, Actor: "ada"})
		require.NoError(t, err)
		return asked
	}
	require.True(t, ask("a", "cus_000001"))
	require.False(t, ask("a", "cus_000001"), "the same request twice is one")
	require.Equal(t, []string{"cus_000001"}, f.ready())
	lease := f.claim("cus_000001")
	require.Empty(t, f.ready(), "somebody is at it")
	require.NoError(t, f.update(lease, func(u *store.Update) {
		require.NoError(t, u.Take("a", "looked"))
		u.Release(time.Time{})
	}))
	require.Empty(t, f.ready())
	require.NoError(t, f.TakeRequest(t.Context(), "a", "something else"))
	q, _, err := f.Asked(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "looked", q.Result, "the first answer stands")
}

// TestIntent fixes key and bytes when it is first written.
func TestIntent(t *testing.T) { onEach(t, testIntent) }

func testIntent(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	lease := f.claim("cus_000001")
	var repair store.Repair
	intend := func(key, request string) {
		require.NoError(t, f.Update(t.Context(), lease, func(u *store.Update) error {
			return u.Intent(repair, store.Step{Repair: repair.ID, Service: "s", Operation: "o", Key: key, Request: []byte(request)})
		}))
	}
	require.NoError(t, f.Update(t.Context(), lease, func(u *store.Update) (err error) {
		repair, err = u.AddRepair(store.Repair{Rule: "r", Status: store.RepairOpen, Plan: []byte("{}")})
		return err
	}))
	intend("key", `"bytes"`)
	require.NoError(t, f.Update(t.Context(), lease, func(u *store.Update) error {
		return u.Outcome(store.Step{Repair: repair.ID, Outcome: amend.Failed, Status: 429, Detail: "busy"})
	}))
	steps, err := f.Steps(t.Context(), repair.ID)
	require.NoError(t, err)
	require.Equal(t, amend.Failed, steps[0].Outcome)
	intend("another key", `"other bytes"`)
	steps, err = f.Steps(t.Context(), repair.ID)
	require.NoError(t, err)
	require.Len(t, steps, 1)
	require.Equal(t, "key", steps[0].Key)
	require.JSONEq(t, `"bytes"`, string(steps[0].Request))
	require.Equal(t, 2, steps[0].Sent)
	require.Equal(t, amend.Unsettled, steps[0].Outcome)
	require.True(t, steps[0].OutcomeAt.IsZero())
}

// TestIncident: one for a cause, and each change has its letter.
func TestIncident(t *testing.T) { onEach(t, testIncident) }

func testIncident(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	lease := f.claim("cus_000001")
	escalate := func(why string) (i store.Incident) {
		require.NoError(t, f.Update(t.Context(), lease, func(u *store.Update) (err error) {
			i, err = u.Escalate(store.Incident{CaseID: u.ID, Cause: "case/" + u.ID, Why: why})
			return err
		}))
		return i
	}
	letters := func() int {
		all, err := f.Letters(t.Context(), 100)
		require.NoError(t, err)
		return len(all)
	}
	first := escalate("one")
	require.Equal(t, first.ID, escalate("one").ID)
	require.Equal(t, 1, letters())
	require.Equal(t, first.ID, escalate("two").ID)
	require.Equal(t, 2, letters())
	now, _, err := f.Incident(t.Context(), first.ID)
	require.NoError(t, err)
	require.Equal(t, "two", now.Why)
	require.Equal(t, first.OpenedAt.UnixMicro(), now.OpenedAt.UnixMicro())
	for range 2 {
		require.NoError(t, f.Update(t.Context(), lease, func(u *store.Update) error { return u.ResolveCause(first.Cause, "healed") }))
		require.Equal(t, 3, letters(), "told once")
	}
	require.NotEqual(t, first.ID, escalate("one").ID, "what is over begins anew")
}

// TestRecover takes over what a stopped process left, and nothing else.
func TestRecover(t *testing.T) {
	t.Parallel()
	t.Run("OfAFile", func(t *testing.T) {
		t.Parallel()
		f := onSQLite.setup(t)
		lease := f.claim("cus_000001")
		f.sight("cus_000002", "wrong")
		require.NoError(t, f.update(f.claim("cus_000003"), func(u *store.Update) { u.Release(f.clock.Now().Add(time.Hour)) }))
		page := f.scan(store.FullScan)
		f.recoverAll()
		require.ErrorIs(t, f.update(lease, func(*store.Update) {}), store.ErrLost)
		require.ElementsMatch(t, []string{"cus_000001", "cus_000002"}, f.ready())
		_, err := f.RenewPage(t.Context(), page, time.Minute)
		require.ErrorIs(t, err, store.ErrLost)
		require.Equal(t, []string{page.ID}, f.pages(), "its scan goes on where it was")
	})
	t.Run("NothingOfWhatOthersHold", func(t *testing.T) {
		t.Parallel()
		f := onPostgres.setup(t)
		lease, page := f.claim("cus_000001"), f.scan(store.FullScan)
		f.recoverAll()
		require.NoError(t, f.update(lease, func(*store.Update) {}))
		_, err := f.RenewPage(t.Context(), page, time.Minute)
		require.NoError(t, err)
	})
}
