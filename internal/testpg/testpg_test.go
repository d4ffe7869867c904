package testpg

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	return connection
}

func TestNew(t *testing.T) {
	t.Parallel()

	t.Run("DatabasesDoNotSeeEachOther", func(t *testing.T) {
		t.Parallel()
		one, other := connect(t, New(t)), connect(t, New(t))
		_, err := one.Exec(t.Context(), "CREATE TABLE customers (id text)")
		require.NoError(t, err)

		_, err = other.Exec(t.Context(), "SELECT * FROM customers")

		require.ErrorContains(t, err, "does not exist")
	})

	t.Run("TimesAreUTCAndTextIsUTF8", func(t *testing.T) {
		t.Parallel()
		connection := connect(t, New(t))
		var zone, encoding string
		err := connection.QueryRow(t.Context(), "SELECT current_setting('timezone'), current_setting('server_encoding')").Scan(&zone, &encoding)
		require.NoError(t, err)
		require.Equal(t, "UTC", zone)
		require.Equal(t, "UTF8", encoding)
	})

	t.Run("IsDroppedAtTheEndWithConnectionsOpen", func(t *testing.T) {
		t.Parallel()
		var dsn string
		t.Run("inner", func(t *testing.T) {
			dsn = New(t)
			connect(t, dsn) // stays open
		})

		_, err := pgx.Connect(t.Context(), dsn)

		require.ErrorContains(t, err, "does not exist")
	})
}

func TestAdminister(t *testing.T) {
	t.Parallel()
	New(t)
	server, err := shared()
	require.NoError(t, err)

	t.Run("RefusesAServerThatIsNotOurs", func(t *testing.T) {
		t.Parallel()
		// A socket of the same server under another path: it answers, but its
		// data is elsewhere.
		alias := t.TempDir() + "/pg"
		require.NoError(t, exec.CommandContext(t.Context(), "ln", "-s", server.host, alias).Run())
		stranger := place{host: alias, port: server.port, data: alias + "/data"}

		err := stranger.administer("CREATE DATABASE stray")

		require.ErrorContains(t, err, "nothing done")
	})

	t.Run("NamesTheStatementThatFailed", func(t *testing.T) {
		t.Parallel()
		err := server.create("postgres")
		require.ErrorContains(t, err, `CREATE DATABASE "postgres"`)
	})
}

func TestFindBinaries(t *testing.T) {
	t.Run("HoldsInitdb", func(t *testing.T) {
		bin, err := findBinaries(debianBinaries)
		require.NoError(t, err)
		out, err := exec.CommandContext(t.Context(), bin+"/initdb", "--version").Output()
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(out), "initdb (PostgreSQL)"))
	})

	t.Run("NamesTheCommandThatInstallsThem", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		_, err := findBinaries(t.TempDir() + "/*/bin")
		require.ErrorContains(t, err, "apt-get install postgresql")
	})
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		New(b)
	}
}
