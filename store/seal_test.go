package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend"
	"amend/store"
)

// ask writes so many entries into the audit.
func (w *world) ask(s *store.Store, name string, n int) {
	for i := range n {
		_, err := s.Ask(w.t.Context(), store.Request{ID: fmt.Sprintf("%s-%d", name, i), Customer: "cus_000001", Kind: store.AskLook, Actor: "ada"})
		assert.NoError(w.t, err)
	}
}

// seal links everything and writes a checkpoint.
func (w *world) seal() {
	w.t.Helper()
	require.NoError(w.t, w.SealAll(w.t.Context()))
}

func (w *world) verify() store.Verification {
	w.t.Helper()
	v, err := w.VerifyAudit(w.t.Context())
	require.NoError(w.t, err)
	return v
}

// requireIntact holds that so many entries are linked and nothing is wrong.
func (w *world) requireIntact(links int64) store.Verification {
	w.t.Helper()
	v := w.verify()
	require.Empty(w.t, v.Problems)
	require.True(w.t, v.Intact())
	require.Equal(w.t, links, v.Links)
	return v
}

func TestSeal(t *testing.T) { onEach(t, testSeal) }

func testSeal(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	f.requireIntact(0)
	f.seal()
	require.NoFileExists(t, f.audit, "there is nothing to sign yet")
	f.ask(f.Store, "a", 7)
	require.Equal(t, int64(7), f.verify().Waiting)
	f.requireIntact(0)

	require.NoError(t, f.Seal(t.Context()))
	v := f.requireIntact(7)
	require.Zero(t, v.Waiting)
	require.NoError(t, f.Seal(t.Context()))
	f.requireIntact(7)

	t.Run("MoreThanABatch", func(t *testing.T) {
		var group sync.WaitGroup
		for i := range 44 {
			group.Go(func() { f.ask(f.Store, fmt.Sprint("b", i), 25) })
		}
		group.Wait()
		f.seal()
		f.requireIntact(1107)
	})
	t.Run("TheOrderIsThatOfLinking", func(t *testing.T) {
		f.clock.pass(-time.Hour) // the clock was put back
		f.ask(f.Store, "c", 3)
		f.seal()
		f.clock.pass(2 * time.Hour)
		f.requireIntact(1110)
	})
}

// One run of the sealer is bounded, so that what comes after it isn't late.
func TestSealIsBounded(t *testing.T) {
	t.Parallel()
	f := onSQLite.setup(t)
	var group sync.WaitGroup
	for i := range 64 { // together, so that they share commits
		group.Go(func() { f.ask(f.Store, fmt.Sprint("w", i), 88) })
	}
	group.Wait()
	require.NoError(t, f.Seal(t.Context()))
	v := f.verify()
	require.Equal(t, int64(5000), v.Links)
	require.Equal(t, int64(632), v.Waiting)
}

// Two sealers at once, beside workers who write, make one chain. Whoever
// verifies meanwhile sees nothing wrong.
func TestTwoSealers(t *testing.T) { onEach(t, testTwoSealers) }

func testTwoSealers(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	f.ask(f.Store, "first", 1)
	f.seal()
	stores := []*store.Store{f.Store, f.open()}
	var writing, sealing sync.WaitGroup
	for i := range 4 {
		writing.Go(func() { f.ask(stores[i%2], fmt.Sprint("w", i), 40) })
	}
	done := make(chan struct{})
	for i := range 3 {
		sealing.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if i < 2 {
					assert.NoError(t, stores[i].Seal(t.Context()))
					f.clock.pass(time.Minute)
					continue
				}
				v, err := stores[0].VerifyAudit(t.Context())
				assert.NoError(t, err)
				assert.Empty(t, v.Problems)
			}
		})
	}
	writing.Wait()
	close(done)
	sealing.Wait()
	f.seal()
	v := f.requireIntact(161)
	require.Greater(t, v.Checkpoints, 1)
}

// An entry of a transaction that commits late is linked with the next ones.
func TestLateCommit(t *testing.T) {
	t.Parallel()
	f := onPostgres.setup(t)
	late := f.claim("cus_000009")
	wrote, goOn := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		assert.NoError(t, f.Update(t.Context(), late, func(u *store.Update) error {
			repair, err := u.AddRepair(store.Repair{Rule: "r", Status: store.RepairOpen, StartedBy: "late", Plan: []byte("{}")})
			if err != nil {
				return err
			}
			if err := u.Intent(repair, f.intent(repair)); err != nil {
				return err
			}
			close(wrote)
			<-goOn
			return nil
		}))
	})
	<-wrote
	f.ask(f.Store, "a", 3)
	f.seal()
	f.requireIntact(3)
	close(goOn)
	group.Wait()
	f.seal()
	f.requireIntact(4)
	var actor string
	require.NoError(t, f.raw().QueryRow(`select actor from audit where id = (select entry from audit_chain where seq = 4)`).Scan(&actor))
	require.Equal(t, "late", actor)
}

// checkpoints counts those in the file.
func (w *world) checkpoints() int {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.audit, "checkpoints"))
	if os.IsNotExist(err) {
		return 0
	}
	require.NoError(w.t, err)
	return bytes.Count(text, []byte("amend audit "+w.Installation()+"\n"))
}

// Invariant I22: the head is signed at once and then every five minutes while
// the chain grows.
func TestCheckpoints(t *testing.T) { onEach(t, testCheckpoints) }

func testCheckpoints(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	n := 0
	grow := func() {
		n++
		f.ask(f.Store, fmt.Sprint("grow", n), 1)
		require.NoError(t, f.Seal(t.Context()))
	}
	grow()
	require.Equal(t, 1, f.checkpoints(), "at once")
	for range 4 {
		f.clock.pass(time.Minute)
		grow()
	}
	require.Equal(t, 1, f.checkpoints())
	f.clock.pass(time.Minute)
	require.NoError(t, f.Seal(t.Context()))
	require.Equal(t, 2, f.checkpoints(), "five minutes later, also where the last entry came before")
	f.clock.pass(time.Hour)
	require.NoError(t, f.Seal(t.Context()))
	require.Equal(t, 2, f.checkpoints(), "nothing is new")
	grow()
	require.Equal(t, 3, f.checkpoints())
	f.clock.pass(-24 * time.Hour)
	grow()
	require.Equal(t, 4, f.checkpoints(), "a clock that was put back doesn't hold it up (I26)")
	f.ask(f.Store, "end", 1)
	require.NoError(t, f.Seal(t.Context()))
	require.Equal(t, 4, f.checkpoints())
	f.seal()
	require.Equal(t, 5, f.checkpoints(), "the end of a run signs what isn't")

	v := f.requireIntact(8)
	require.Equal(t, 5, v.Checkpoints)
	require.Equal(t, int64(8), v.Newest.Links)
	require.Contains(t, v.Key, f.Installation())
	for name, mode := range map[string]os.FileMode{"": os.ModeDir | 0o700, "key": 0o600, "key.pub": 0o600, "checkpoints": 0o600, "lock": 0o600} {
		info, err := os.Stat(filepath.Join(f.audit, name))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode(), name)
	}

	t.Run("GoOnAfterARestart", func(t *testing.T) {
		again := func() {
			require.NoError(t, f.Close())
			f.Store = f.open()
		}
		again()
		f.seal()
		require.Equal(t, 5, f.checkpoints(), "it is the same head")
		f.clock.pass(4 * time.Minute)
		grow()
		require.Equal(t, 5, f.checkpoints(), "five minutes over restarts, too")
		f.clock.pass(time.Minute)
		require.NoError(t, f.Seal(t.Context()))
		require.Equal(t, 6, f.checkpoints())
		again()
		grow()
		require.Equal(t, 6, f.checkpoints(), "another process signs it at once, and puts it behind the others later")
		require.Equal(t, v.Key, f.requireIntact(10).Key)
	})
	t.Run("ANewPublicKeyFileIsTheSameKey", func(t *testing.T) {
		require.NoError(t, os.Remove(filepath.Join(f.audit, "key.pub")))
		require.NotEmpty(t, f.verify().Problems)
		f.clock.pass(5 * time.Minute)
		grow()
		require.Equal(t, v.Key, f.requireIntact(11).Key)
	})
	t.Run("AKeyThatIsGoneIsNotReplaced", func(t *testing.T) {
		require.NoError(t, os.Rename(filepath.Join(f.audit, "key"), filepath.Join(f.audit, "away")))
		f.clock.pass(5 * time.Minute)
		f.ask(f.Store, "keyless", 1)
		require.ErrorContains(t, f.Seal(t.Context()), "key is gone")
		f.requireIntact(12)
		require.NoError(t, os.Rename(filepath.Join(f.audit, "away"), filepath.Join(f.audit, "key")))
		require.NoError(t, f.Seal(t.Context()))
		require.Equal(t, int64(12), f.requireIntact(12).Newest.Links)
	})
}

// Where no checkpoint can be written the entries are linked all the same, and
// signed as soon as one can.
func TestCheckpointUnwritable(t *testing.T) { onEach(t, testCheckpointUnwritable) }

func testCheckpointUnwritable(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	require.NoError(t, os.WriteFile(f.audit, []byte("a file stands where the folder would"), 0o600))
	f.ask(f.Store, "a", 2)
	require.ErrorContains(t, f.Seal(t.Context()), "write a checkpoint of the audit")
	_, err := f.VerifyAudit(t.Context())
	require.ErrorContains(t, err, "read the checkpoints")
	require.NoError(t, os.Remove(f.audit))
	v := f.verify()
	require.Equal(t, int64(2), v.Links)
	require.Len(t, v.Problems, 1)
	require.Contains(t, v.Problems[0].Text, "There is no checkpoint of the chain in "+f.audit)
	require.NoError(t, f.Seal(t.Context()))
	f.requireIntact(2)
}

// A folder belongs to one store: checkpoints of two would look like a store
// that was exchanged for another.
func TestCheckpointsOfAnotherStore(t *testing.T) {
	t.Parallel()
	f, other := onSQLite.setup(t), onSQLite.setup(t)
	f.ask(f.Store, "a", 2)
	f.seal()
	other.audit = f.audit
	other.Store = other.open()
	other.ask(other.Store, "b", 2)
	err := other.SealAll(t.Context())
	require.Equal(t, amend.Conflict, amend.CodeOf(err))
	require.ErrorContains(t, err, "checkpoints of another store")
	require.Equal(t, 1, f.checkpoints())
	v := other.verify()
	require.Contains(t, v.Problems[0].Text, "1 of 1 checkpoints in "+f.audit+" are of another store than "+other.Installation()+", the first of them number 1: "+f.Installation())
	f.requireIntact(2)
}

// Fault T30: an old copy of the store was put back, which has forgotten what was
// sent since. Whoever works on it next has everything paused before anything is
// sent, until a person resumes; verify says so for ever.
func TestT30OldCopy(t *testing.T) {
	t.Parallel()
	for name, entries := range map[string]int{"Empty": 0, "WithLessInIt": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := onSQLite.setup(t)
			f.ask(f.Store, "a", entries)
			f.seal()
			require.NoError(t, f.Close())
			old, err := os.ReadFile(f.path())
			require.NoError(t, err)
			f.Store = f.open()
			if entries == 0 {
				f.ask(f.Store, "b", 1)
				f.seal()
			} else {
				f.clock.pass(time.Second)
				f.ask(f.Store, "b", 1)
				require.NoError(t, f.Seal(t.Context()), "killed after that: what is signed every few seconds tells it")
			}
			require.NoError(t, f.Close())
			require.NoError(t, os.WriteFile(f.path(), old, 0o600))

			f.Store = f.open()
			require.Contains(t, f.verify().Problems[0].Text, "an old copy of the store was put back")
			requirePaused := func() {
				t.Helper()
				pauses, err := f.Pauses(t.Context())
				require.NoError(t, err)
				require.Len(t, pauses, 1)
				require.Equal(t, []string{store.PauseAll, store.Amend}, []string{pauses[0].Scope, pauses[0].By})
				require.Contains(t, pauses[0].Why, "the store is older than what was signed of it at 2026-")
			}
			older, err := f.Recover(t.Context())
			require.NoError(t, err)
			require.ErrorIs(t, older, store.ErrOlder)
			requirePaused()

			require.NoError(t, f.Close())
			f.Store = f.open()
			f.recoverAll()
			requirePaused()
			require.NoError(t, f.Resume(t.Context(), store.PauseAll, "", "ada"))
			f.ask(f.Store, "c", 4)
			f.clock.pass(5 * time.Minute)
			require.NoError(t, f.Seal(t.Context()), "a person has said so: it isn't said again")
			pauses, err := f.Pauses(t.Context())
			require.NoError(t, err)
			require.Empty(t, pauses)
			require.Contains(t, f.verify().Problems[0].Text, "isn't the one that was signed", "also when it has grown beyond")
		})
	}
}

// Fault T26: a copy that lags behind takes the place of the database while a
// worker runs. Whoever seals next has everything paused.
func TestT26CopyUnderneath(t *testing.T) { onEach(t, testT26CopyUnderneath) }

func testT26CopyUnderneath(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	f.ask(f.Store, "a", 3)
	require.NoError(t, f.Seal(t.Context()))
	i := f.intruder()
	i.exec(`delete from audit_chain where seq = 3`)
	require.ErrorIs(t, f.Seal(t.Context()), store.ErrOlder)
	pauses, err := f.Pauses(t.Context())
	require.NoError(t, err)
	require.Equal(t, store.Amend, pauses[0].By)
}

// Fault T30: nobody works on a store that is older than what was signed of it
// while that can't be told, or the pause can't be written.
func TestT30NobodyBeginsUnpaused(t *testing.T) { onEach(t, testT30NobodyBeginsUnpaused) }

func testT30NobodyBeginsUnpaused(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	f.ask(f.Store, "a", 3)
	f.seal()
	f.intruder().exec(`delete from audit_chain where seq = 3`)
	require.NoError(t, f.Close())
	full := errors.New("there is no room for a moment")
	var blocked atomic.Bool
	s, err := store.Open(t.Context(), f.address, store.Options{Now: f.clock.Now, Audit: f.audit, Before: func(context.Context) error {
		if blocked.CompareAndSwap(true, false) {
			return full
		}
		return nil
	}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })

	blocked.Store(true)
	older, err := s.Recover(t.Context())
	require.ErrorIs(t, err, full)
	require.ErrorContains(t, err, "nothing is repaired with a store that can't be compared with what was signed of its audit: pause all repairs")
	require.NoError(t, older)

	newest := filepath.Join(f.audit, "newest")
	signed, err := os.ReadFile(newest)
	require.NoError(t, err)
	again := func() *store.Store { // a new process, which remembers nothing
		s, err := store.Open(t.Context(), f.address, store.Options{Now: f.clock.Now, Audit: f.audit})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		return s
	}
	require.NoError(t, os.WriteFile(newest, []byte("amend audit nothing"), 0o600))
	_, err = again().Recover(t.Context())
	require.ErrorContains(t, err, "read the last checkpoint in "+f.audit)
	require.NoError(t, os.WriteFile(newest, signed, 0o600))

	older, err = again().Recover(t.Context())
	require.NoError(t, err)
	require.ErrorIs(t, older, store.ErrOlder)
	pauses, err := s.Pauses(t.Context())
	require.NoError(t, err)
	require.Len(t, pauses, 1)
}

// That the head can't be signed holds up no worker.
func TestBeginUnsigned(t *testing.T) {
	t.Parallel()
	f := onSQLite.setup(t)
	f.ask(f.Store, "a", 3)
	require.NoError(t, os.MkdirAll(filepath.Join(f.audit, "lock", "in the way"), 0o700))
	f.recoverAll()
	require.ErrorContains(t, f.Seal(t.Context()), "write a checkpoint of the audit")
}
