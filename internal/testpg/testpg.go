// Package testpg gives each test a PostgreSQL database of its own.
//
// The first test that asks starts a private cluster for its process: in memory
// where there is room, else under /tmp; on a Unix socket only; without fsync;
// owned by the user postgres where the tests run as root. It ends with the process and leaves
// nothing behind (see testproc). A test that asks where PostgreSQL isn't
// installed fails; it never skips.
package testpg

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"amend/internal/testproc"
)

// patience limits each step that waits for the server.
const patience = 30 * time.Second

// template is what new databases are copies of.
const template = "template1"

// shared starts the process's cluster once; its error reaches every test.
var shared = sync.OnceValues(startCluster)

// New makes an empty database (UTF-8, byte order collation, UTC) for the test
// and drops it at the test's end, also where connections are still open. It
// returns a URL that pgx accepts.
func New(t testing.TB) string {
	t.Helper()
	server, err := shared()
	if err != nil {
		t.Fatalf("testpg: %v", err)
	}
	name := fmt.Sprintf("test_%d", server.databases.Add(1))
	if err := server.create(name); err != nil {
		t.Fatalf("testpg: %v", err)
	}
	t.Cleanup(func() {
		if err := server.drop(name); err != nil {
			t.Errorf("testpg: %v", err)
		}
	})
	return server.url(name)
}

// cluster is one running server.
type cluster struct {
	process   *testproc.Process
	databases atomic.Int64
}

func startCluster() (*cluster, error) {
	bin, err := findBinaries(debianBinaries)
	if err != nil {
		return nil, err
	}
	owner, err := findOwner()
	if err != nil {
		return nil, err
	}
	process, err := testproc.Start(testproc.Program{
		Name:     "amend-pg",
		Command:  func(dir string) []string { return serverCommand(bin, dir) },
		Env:      []string{"LC_ALL=C", "TZ=UTC"},
		Signal:   "QUIT", // at once: nobody reads this cluster again
		User:     owner,
		InMemory: true,
	})
	if err != nil {
		return nil, err
	}
	server := &cluster{process: process}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := process.Ready(ctx, server.ping); err != nil {
		return nil, fmt.Errorf("start PostgreSQL of %s: %w", bin, err)
	}
	return server, nil
}

// serverCommand makes the cluster and then becomes its server.
func serverCommand(bin, dir string) []string {
	const script = `
initdb=$1 postgres=$2 dir=$3
"$initdb" --pgdata="$dir/data" --username=amend --auth=trust --encoding=UTF8 --no-locale --no-sync &&
exec "$postgres" -D "$dir/data" -c listen_addresses= -c unix_socket_directories="$dir" -c port=5432 \
	-c fsync=off -c synchronous_commit=off -c full_page_writes=off \
	-c max_wal_size=128MB -c max_connections=200 -c timezone=UTC -c log_timezone=UTC`
	return []string{"sh", "-c", script, "sh", filepath.Join(bin, "initdb"), filepath.Join(bin, "postgres"), dir}
}

// url addresses a database; the port is spelt out because PGPORT would
// otherwise change it.
func (c *cluster) url(database string) string {
	query := url.Values{"host": {c.process.Dir}, "port": {"5432"}}
	address := url.URL{Scheme: "postgres", User: url.User("amend"), Path: "/" + database, RawQuery: query.Encode()}
	return address.String()
}

func (c *cluster) ping(ctx context.Context) error {
	connection, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return err
	}
	return connection.Close(ctx)
}

func (c *cluster) create(database string) error {
	return c.administer("CREATE DATABASE " + pgx.Identifier{database}.Sanitize() + " TEMPLATE " + template)
}

func (c *cluster) drop(database string) error {
	return c.administer("DROP DATABASE " + pgx.Identifier{database}.Sanitize() + " WITH (FORCE)")
}

// administer runs one statement, after it has made sure that the server is
// ours: a stray PGHOST or service file must never let a test drop a database
// somewhere else.
func (c *cluster) administer(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	connection, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return fmt.Errorf("connect: %w\n%s", err, c.process.Log())
	}
	defer connection.Close(ctx) //nolint:errcheck // the statement has been answered by then
	var dir string
	if err := connection.QueryRow(ctx, "SHOW data_directory").Scan(&dir); err != nil {
		return fmt.Errorf("read the data directory: %w", err)
	}
	if ours := filepath.Join(c.process.Dir, "data"); dir != ours {
		return fmt.Errorf("this server's data is in %s, not in %s: nothing done", dir, ours)
	}
	if _, err := connection.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}
