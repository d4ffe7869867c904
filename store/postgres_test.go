package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend"
	"amend/store"
)

func TestPostgresSchema(t *testing.T) {
	t.Parallel()
	t.Run("OfAnOlderVersionWaitsToBeMigrated", func(t *testing.T) {
		t.Parallel()
		f := onPostgres.setup(t)
		_, err := f.raw().Exec(`delete from goose_db_version where version_id = (select max(version_id) from goose_db_version)`)
		require.NoError(t, err)
		_, err = store.Open(t.Context(), f.address, store.Options{})
		require.Equal(t, amend.Conflict, amend.CodeOf(err))
		require.ErrorContains(t, err, "older version")
	})
	t.Run("OfANewerVersionIsRefused", func(t *testing.T) {
		t.Parallel()
		f := onPostgres.setup(t)
		_, err := f.raw().Exec(`insert into goose_db_version (version_id, is_applied) values (99999, true)`)
		require.NoError(t, err)
		for _, err := range []error{store.Migrate(t.Context(), f.address), func() error { _, err := store.Open(t.Context(), f.address, store.Options{}); return err }()} {
			require.Equal(t, amend.Conflict, amend.CodeOf(err))
			require.ErrorContains(t, err, "schema 99999")
		}
	})
	t.Run("MigrateTwiceIsOnce", func(t *testing.T) {
		t.Parallel()
		address := onPostgres.address(t)
		require.NoError(t, store.Migrate(t.Context(), address))
		require.NoError(t, store.Migrate(t.Context(), address))
		s, err := store.Open(t.Context(), address, store.Options{})
		require.NoError(t, err)
		require.NoError(t, s.Close())
	})
	t.Run("Nobody", func(t *testing.T) {
		t.Parallel()
		_, err := store.Open(t.Context(), "postgres://amend:swordfish@127.0.0.1:1/none", store.Options{})
		require.Equal(t, amend.Unavailable, amend.CodeOf(err))
		require.NotContains(t, err.Error(), "swordfish")
		_, err = store.Open(t.Context(), "postgres://amend:swordfish@[::bad/none", store.Options{})
		require.Equal(t, amend.Invalid, amend.CodeOf(err))
		require.NotContains(t, err.Error(), "swordfish")
	})
}

// Invariant I15: what is counted can't change before the decision is written,
// also where two processes decide at the same time.
func TestLimitsAreShared(t *testing.T) {
	onEach(t, func(t *testing.T, on engine) {
		t.Parallel()
		f := on.setup(t)
		stores := []*store.Store{f.Store, f.Store}
		if on == onPostgres {
			stores[1] = f.open()
		}
		const limit = 3
		var group sync.WaitGroup
		for i := range 24 {
			s, customer := stores[i%2], fmt.Sprintf("cus_%06d", i)
			lease := f.claim(customer)
			group.Go(func() {
				assert.NoError(t, s.Update(t.Context(), lease, func(u *store.Update) error {
					load, err := u.Load(store.Question{Rule: "r", AtOnce: limit, PerHour: 1000})
					if err != nil || load.Open >= limit {
						return err
					}
					_, err = u.AddRepair(store.Repair{Rule: "r", Status: store.RepairOpen, Plan: []byte("{}")})
					return err
				}))
			})
		}
		group.Wait()
		var n int
		require.NoError(t, f.raw().QueryRow(`select count(*) from repairs where status = 'open'`).Scan(&n))
		require.Equal(t, limit, n)
	})
}

// Fault T27: transactions that are in each other's way are tried again, and all
// of them happen.
func TestDeadlock(t *testing.T) {
	t.Parallel()
	f := onPostgres.setup(t)
	a, b := f.claim("cus_000001"), f.claim("cus_000002")
	var group sync.WaitGroup
	var both sync.WaitGroup
	both.Add(2)
	var once [2]sync.Once
	for i, pair := range [][2]store.Lease{{a, b}, {b, a}} {
		group.Go(func() {
			assert.NoError(t, f.Write(t.Context(), func(tx *store.Tx) error {
				if _, err := tx.Exec(`update cases set looks = looks + 1 where id = $1`, pair[0].CaseID); err != nil {
					return err
				}
				once[i].Do(func() { both.Done(); both.Wait() }) // each holds one and wants the other
				_, err := tx.Exec(`update cases set looks = looks + 1 where id = $1`, pair[1].CaseID)
				return err
			}))
		})
	}
	group.Wait()
	require.Equal(t, 3, f.current("cus_000001").Looks)
	require.Equal(t, 3, f.current("cus_000002").Looks)
}

// A worker whose clock is wrong doesn't take what others hold (invariant I26):
// on PostgreSQL all workers have the database's clock.
func TestClockIsTheDatabases(t *testing.T) {
	t.Parallel()
	f := onPostgres.setup(t)
	s, err := store.Open(t.Context(), f.address, store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	var there time.Time
	require.NoError(t, f.raw().QueryRow(`select clock_timestamp()`).Scan(&there))
	require.WithinDuration(t, there, s.Now(), time.Second)

	// The function stands before the database's own, as if its clock were an hour ahead.
	ahead, err := store.Open(t.Context(), f.shifted(t.Context(), time.Hour), store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ahead.Close()) })
	require.WithinDuration(t, there.Add(time.Hour), ahead.Now(), 10*time.Second)
}

// shifted is the store's address with the database's clock put forward for
// whoever comes by it.
func (w *world) shifted(ctx context.Context, d time.Duration) string {
	w.t.Helper()
	_, err := w.raw().ExecContext(ctx, fmt.Sprintf(`create schema shifted; create function shifted.clock_timestamp() returns timestamptz language sql as
		$$ select pg_catalog.clock_timestamp() + interval '%d seconds' $$`, int(d.Seconds())))
	require.NoError(w.t, err)
	return w.address + "&search_path=shifted,public,pg_catalog"
}
