package testpg

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// answers reports whether the server takes connections.
func answers(t *testing.T, s *Server) bool {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), s.URL())
	if err != nil {
		return false
	}
	return connection.Close(t.Context()) == nil
}

func TestServer(t *testing.T) {
	t.Parallel()
	s := Start(t)
	connection := connect(t, s.URL())
	_, err := connection.Exec(t.Context(), "CREATE TABLE told (n int)")
	require.NoError(t, err)

	for n, down := range []func(){s.Kill, s.Stop, s.Kill} {
		connection := connect(t, s.URL())
		_, err := connection.Exec(t.Context(), "INSERT INTO told VALUES ($1)", n)
		require.NoError(t, err)
		down()
		require.False(t, answers(t, s), "it is down")
		_, err = connection.Exec(t.Context(), "SELECT 1")
		require.Error(t, err, "its connections are gone")
		s.Restart()
	}

	var told int
	require.NoError(t, connect(t, s.URL()).QueryRow(t.Context(), "SELECT count(*) FROM told").Scan(&told))
	require.Equal(t, 3, told, "what was committed is there")
}

// TestServerKillsInTheMiddle: a kill is no shutdown, which would end the
// transaction in order.
func TestServerKillsInTheMiddle(t *testing.T) {
	t.Parallel()
	s := Start(t)
	connection := connect(t, s.URL())
	asked := make(chan error, 1)
	go func() {
		_, err := connection.Exec(t.Context(), "SELECT pg_sleep(600)")
		asked <- err
	}()
	other := connect(t, s.URL())
	sleeping := func() (found bool) {
		err := other.QueryRow(t.Context(), "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'").Scan(&found)
		return assert.NoError(t, err) && found
	}
	require.Eventually(t, sleeping, patience, 10*time.Millisecond)

	s.Kill()

	err := <-asked
	require.Error(t, err)
	var said *pgconn.PgError
	require.False(t, errors.As(err, &said), "somebody said good-bye: %v", said)
	require.FileExists(t, filepath.Join(s.socket.data, "postmaster.pid"), "nobody tidied up")
}

// TestServerEnds leaves nothing behind, however the server ended.
func TestServerEnds(t *testing.T) {
	t.Parallel()
	for name, down := range map[string]func(*Server){
		"Running": func(*Server) {},
		"Stopped": (*Server).Stop,
		"Killed":  (*Server).Kill,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s *Server
			t.Run("inner", func(t *testing.T) {
				s = Start(t)
				down(s)
			})
			require.NoDirExists(t, s.home.Dir)
			require.False(t, answers(t, s))
		})
	}
}

// TestServerIsOurs: what is somebody else's is never killed.
func TestServerIsOurs(t *testing.T) {
	t.Parallel()
	s, other := Start(t), Start(t)
	alias := t.TempDir() + "/pg"
	require.NoError(t, os.Symlink(other.home.Dir, alias))
	mistaken := *s
	mistaken.socket = other.socket
	mistaken.socket.data = alias + "/data"

	require.ErrorContains(t, mistaken.kill(), "nothing done")

	mistaken.socket.data = other.socket.data
	require.NoError(t, os.WriteFile(filepath.Join(s.home.Dir, "postmaster.pid"), []byte("1\n/somewhere\n"), 0o600))
	mistaken.socket.data = s.home.Dir
	_, err := mistaken.postmaster()
	require.ErrorContains(t, err, "nothing done")
	require.True(t, answers(t, other))
}
