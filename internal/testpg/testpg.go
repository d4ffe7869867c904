// Package testpg gives tests real PostgreSQL: New a database in a cluster that
// all tests of the process share, Start a server of the test's own, which may be
// killed and started again.
//
// A cluster is private: in memory where there is room, else under /tmp; without
// fsync; owned by the user postgres where the tests run as root. It ends with
// the process and leaves nothing behind (see testproc). A test that asks where
// PostgreSQL isn't installed fails; it never skips.
package testpg

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"amend/internal/testproc"
)

// patience limits each step that waits for a server.
const patience = 30 * time.Second

// template is what new databases are copies of.
const template = "template1"

// initialize makes a cluster. Nobody but this machine's users reaches it, so
// everybody is trusted.
const initialize = `"$initdb" --pgdata="$dir/data" --username=amend --auth=trust --encoding=UTF8 --no-locale --no-sync`

// environment is what servers run with, beside what testproc adds.
var environment = []string{"LC_ALL=C", "TZ=UTC"}

// shared starts the process's cluster once; its error reaches every test.
var shared = sync.OnceValues(startCluster)

// New makes an empty database (UTF-8, byte order collation, UTC) for the test
// and drops it at the test's end, also where connections are still open. It
// returns a URL that pgx accepts; the server listens on a Unix socket only.
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

// cluster is the server that all tests of the process share.
type cluster struct {
	place
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
		Command:  func(dir string) []string { return clusterCommand(bin, dir) },
		Env:      environment,
		Signal:   "QUIT", // at once: nobody reads this cluster again
		User:     owner,
		InMemory: true,
	})
	if err != nil {
		return nil, err
	}
	server := &cluster{place: place{host: process.Dir, port: 5432, data: filepath.Join(process.Dir, "data"), log: process.Log}}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := process.Ready(ctx, server.ping); err != nil {
		return nil, fmt.Errorf("start PostgreSQL of %s: %w", bin, err)
	}
	return server, nil
}

// clusterCommand makes the cluster and then becomes its server.
func clusterCommand(bin, dir string) []string {
	const script = `
initdb=$1 postgres=$2 dir=$3
` + initialize + ` &&
exec "$postgres" -D "$dir/data" -c listen_addresses= -c unix_socket_directories="$dir" -c port=5432 \
	-c fsync=off -c synchronous_commit=off -c full_page_writes=off \
	-c max_wal_size=128MB -c max_connections=200 -c timezone=UTC -c log_timezone=UTC`
	return []string{"sh", "-c", script, "sh", filepath.Join(bin, "initdb"), filepath.Join(bin, "postgres"), dir}
}

func (c *cluster) create(database string) error {
	return c.administer("CREATE DATABASE " + pgx.Identifier{database}.Sanitize() + " TEMPLATE " + template)
}

func (c *cluster) drop(database string) error {
	return c.administer("DROP DATABASE " + pgx.Identifier{database}.Sanitize() + " WITH (FORCE)")
}
