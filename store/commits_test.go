package store_test

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

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
