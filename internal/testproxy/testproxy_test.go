package testproxy

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver named "pgx"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend/internal/testpg"
)

// limit ends what a broken proxy would hold up for ever.
const limit = 20 * time.Second

// world is a server with a table, a proxy before it, and a look past the proxy.
type world struct {
	*testing.T
	proxy *Proxy
	url   string // through the proxy
	past  *pgx.Conn
}

func setup(t *testing.T) *world {
	t.Helper()
	server := testpg.Start(t)
	w := &world{T: t, proxy: Start(t, server.Address())}
	w.url = server.URLVia(w.proxy.Address())
	w.past = w.connect(server.URL())
	_, err := w.past.Exec(t.Context(), "CREATE TABLE told (n int)")
	require.NoError(t, err)
	return w
}

func (w *world) connect(url string) *pgx.Conn {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), limit)
	defer cancel()
	connection, err := pgx.Connect(ctx, url)
	require.NoError(w, err)
	w.Cleanup(func() { connection.Close(context.Background()) })
	return connection
}

// tell writes one row in a transaction and returns what became of the commit.
func (w *world) tell(n int) error {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), limit)
	defer cancel()
	tx, err := w.connect(w.url).Begin(ctx)
	require.NoError(w, err)
	_, err = tx.Exec(ctx, "INSERT INTO told VALUES ($1)", n)
	require.NoError(w, err)
	return tx.Commit(ctx)
}

// told is what the server knows.
func (w *world) told() []int {
	w.Helper()
	rows, err := w.past.Query(w.Context(), "SELECT n FROM told ORDER BY n")
	require.NoError(w, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[int])
	require.NoError(w, err)
	return all
}

func (w *world) requireLost(replies, commits int) {
	w.Helper()
	r, c := w.proxy.Lost()
	require.Equal(w, []int{replies, commits}, []int{r, c})
}

func TestPass(t *testing.T) {
	t.Parallel()
	w := setup(t)
	require.NoError(t, w.tell(1))
	require.Equal(t, []int{1}, w.told())
	w.requireLost(0, 0)
}

// TestLoseReplies: the row is there, although the client got an error.
func TestLoseReplies(t *testing.T) {
	t.Parallel()

	t.Run("AsManyAsAskedFor", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.proxy.LoseReplies(2)
		require.Error(t, w.tell(1))
		require.Error(t, w.tell(2))
		require.NoError(t, w.tell(3))
		require.Equal(t, []int{1, 2, 3}, w.told())
		w.requireLost(2, 0)
	})

	t.Run("ThroughDatabaseSQL", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		db, err := sql.Open("pgx", w.url)
		require.NoError(t, err)
		defer db.Close()
		w.proxy.LoseReplies(1)
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = tx.Exec("INSERT INTO told VALUES ($1)", 1)
		require.NoError(t, err)
		require.Error(t, tx.Commit())
		require.Equal(t, []int{1}, w.told())
		w.requireLost(1, 0)
	})

	t.Run("OfAPreparedCommit", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		connection := w.connect(w.url)
		_, err := connection.Prepare(t.Context(), "done", "commit")
		require.NoError(t, err)
		w.proxy.LoseReplies(1)
		for _, text := range []string{"begin", "INSERT INTO told VALUES (1)"} {
			_, err := connection.Exec(t.Context(), text)
			require.NoError(t, err)
		}
		_, err = connection.Exec(t.Context(), "done", pgx.QueryExecModeCacheStatement)
		require.Error(t, err)
		require.Equal(t, []int{1}, w.told())
		w.requireLost(1, 0)
	})

	t.Run("NotOfWhatOnlyReads", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.proxy.LoseReplies(1)
		tx, err := w.connect(w.url).Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "UPDATE told SET n = 1")
		require.NoError(t, err)
		require.NoError(t, tx.Commit(t.Context()))
		w.requireLost(0, 0)
	})

	t.Run("NotOfATransactionThatHadFailed", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.proxy.LoseReplies(1)
		tx, err := w.connect(w.url).Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "INSERT INTO told VALUES (1)")
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "SELECT nonsense")
		require.Error(t, err)
		require.Error(t, tx.Commit(t.Context()))
		w.requireLost(0, 0)
		require.Error(t, w.tell(2), "it is still due")
		require.Equal(t, []int{2}, w.told())
		w.requireLost(1, 0)
	})
}

// TestLoseCommits: to the client it looks the same, and nothing is there.
func TestLoseCommits(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.proxy.LoseCommits(1)
	require.Error(t, w.tell(1))
	require.NoError(t, w.tell(2))
	require.Equal(t, []int{2}, w.told())
	w.requireLost(0, 1)
}

func TestCut(t *testing.T) {
	t.Parallel()
	w := setup(t)
	connection := w.connect(w.url)
	require.Equal(t, 1, w.proxy.Cut())
	_, err := connection.Exec(t.Context(), "SELECT 1")
	require.Error(t, err)
	require.NoError(t, w.tell(1), "new connections pass")
}

func TestBlackhole(t *testing.T) {
	t.Parallel()
	w := setup(t)
	connection := w.connect(w.url)
	w.proxy.Blackhole()
	answered := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		_, err := connection.Exec(ctx, "INSERT INTO told VALUES (1)")
		answered <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := pgx.Connect(ctx, w.url)
	require.ErrorIs(t, err, context.DeadlineExceeded, "new connections are silent too")
	require.Empty(t, answered)
	require.Empty(t, w.told())

	w.proxy.Pass()

	require.NoError(t, <-answered, "what was held arrives")
	require.Equal(t, []int{1}, w.told())
}

// TestServerDown: clients are hung up on, and pass again when it is back.
func TestServerDown(t *testing.T) {
	t.Parallel()
	server := testpg.Start(t)
	proxy := Start(t, server.Address())
	server.Kill()
	_, err := pgx.Connect(t.Context(), server.URLVia(proxy.Address()))
	require.Error(t, err)
	server.Restart()
	connection, err := pgx.Connect(t.Context(), server.URLVia(proxy.Address()))
	require.NoError(t, err)
	assert.NoError(t, connection.Close(t.Context()))
}
