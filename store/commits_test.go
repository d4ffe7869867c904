package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"amend/internal/testpg"
	"amend/internal/testproxy"
	"amend/store"
)

// Invariant I25: what became of a commit that wasn't answered is found out.
func TestCommitIsFoundOut(t *testing.T) {
	t.Parallel()
	server := testpg.Start(t)
	proxy := testproxy.Start(t, server.Address())
	s, err := store.Open(t.Context(), server.URLVia(proxy.Address()), store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })

	raw, err := sql.Open("pgx", server.URL())
	require.NoError(t, err)
	raw.SetMaxIdleConns(-1) // one that was kept would be dead after the database was
	t.Cleanup(func() { require.NoError(t, raw.Close()) })
	for _, test := range []struct {
		name  string
		fault func() // between a write and its commit
		tries int
	}{
		{"NothingHappens", func() {}, 1},
		{"ItsAnswerIsLost", func() { proxy.LoseReplies(1) }, 1},
		{"ItNeverArrives", func() { proxy.LoseCommits(1) }, 2},
		// The identity of the transaction that was lost is given to others then,
		// which are committed.
		{"TheDatabaseCrashes", func() {
			server.Kill()
			server.Restart()
			for range 20 {
				_, err := raw.Exec(`insert into unjudged select 'other ' || count(*) from unjudged`)
				require.NoError(t, err)
			}
		}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			tries := 0
			err := s.Write(t.Context(), func(tx *store.Tx) error {
				tries++
				if _, err := tx.Exec(`insert into unjudged (customer) values ($1)`, test.name); err != nil {
					return err
				}
				if tries == 1 {
					test.fault()
				}
				return nil
			})
			require.NoError(t, err)
			require.Equal(t, test.tries, tries)
			var there string
			require.NoError(t, raw.QueryRow(`select customer from unjudged where customer = $1`, test.name).Scan(&there))
		})
	}

	t.Run("WhoHasNoPlaceTakesAnother", func(t *testing.T) {
		_, err := raw.Exec(`delete from commits`)
		require.NoError(t, err)
		require.NoError(t, s.Write(t.Context(), func(tx *store.Tx) error { return tx.Later(`delete from unjudged`) }))
		var places, unjudged int
		require.NoError(t, raw.QueryRow(`select (select count(*) from commits), (select count(*) from unjudged)`).Scan(&places, &unjudged))
		require.Equal(t, 1, places)
		require.Zero(t, unjudged)
	})
	t.Run("OldPlacesGo", func(t *testing.T) {
		_, err := raw.Exec(`insert into commits select n, 5, 1 from generate_series(1, 10) n`)
		require.NoError(t, err)
		another, err := store.Open(t.Context(), server.URL(), store.Options{})
		require.NoError(t, err)
		require.NoError(t, another.Write(t.Context(), func(tx *store.Tx) error { return tx.Later(`delete from unjudged`) }))
		require.NoError(t, another.Close())
		var old int
		require.NoError(t, raw.QueryRow(`select count(*) from commits where at = 1`).Scan(&old))
		require.Zero(t, old)
	})
}

// Invariant I25: as many commits as there are connections lose their answers at
// the same moment. None of the lookups waits for what the others hold.
func TestCommitsLostTogether(t *testing.T) {
	t.Parallel()
	server := testpg.Start(t)
	proxy := testproxy.Start(t, server.Address())
	s, err := store.Open(t.Context(), server.URLVia(proxy.Address()), store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })

	const writers = 8 // all connections that a process writes with
	var ready sync.WaitGroup
	ready.Add(writers)
	lose := sync.OnceFunc(func() { proxy.LoseReplies(writers) })
	var group errgroup.Group
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	began := time.Now()
	for i := range writers {
		tries := 0
		group.Go(func() error {
			return s.Write(ctx, func(tx *store.Tx) error {
				if _, err := tx.Exec(`insert into unjudged (customer) values ($1)`, fmt.Sprint("customer ", i)); err != nil {
					return err
				}
				if tries++; tries == 1 {
					ready.Done()
					ready.Wait()
					lose()
				}
				assert.Equal(t, 1, tries, "it was committed")
				return nil
			})
		})
	}
	require.NoError(t, group.Wait())
	require.Less(t, time.Since(began), 8*time.Second, "a lookup gives up after ten")
}

// Invariant I25: where the place of a commit is gone nobody can tell what became
// of the commit, and it isn't tried again.
func TestCommitWithoutItsPlace(t *testing.T) {
	t.Parallel()
	server := testpg.Start(t)
	proxy := testproxy.Start(t, server.Address())
	s, err := store.Open(t.Context(), server.URLVia(proxy.Address()), store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	raw, err := sql.Open("pgx", server.URL())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, raw.Close()) })

	write := func(lose func()) (tries int, err error) {
		err = s.Write(t.Context(), func(tx *store.Tx) error {
			tries++
			if _, err := tx.Exec(`insert into unjudged (customer) values ('a customer') on conflict do nothing`); err != nil {
				return err
			}
			lose()
			return nil
		})
		return tries, err
	}
	_, err = write(func() {})
	require.NoError(t, err)
	// The database's clock was put forward by a day: whoever connects next takes
	// the place for an old one.
	_, err = raw.Exec(`update commits set at = at - 25 * 3600 * 1000000::bigint`)
	require.NoError(t, err)
	tries, err := write(func() { proxy.LoseReplies(1) })
	require.ErrorContains(t, err, "whether the store has committed is unknown")
	require.True(t, store.Temporary(err), "what is next begins with reading")
	require.Equal(t, 1, tries)
}

// A fatal error ends the connection, and nobody knows what its last words did.
func TestFatalErrorsCutOff(t *testing.T) {
	t.Parallel()
	for severity, want := range map[string]bool{"FATAL": true, "PANIC": true, "ERROR": false} {
		err := fmt.Errorf("commit: %w", &pgconn.PgError{SeverityUnlocalized: severity, Code: "58030"}) // an I/O error
		require.Equal(t, want, store.IsCut(err), severity)
	}
}
