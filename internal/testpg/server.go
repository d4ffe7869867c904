package testpg

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"amend/internal/testproc"
)

// Server is a PostgreSQL server of one test's own. It listens on a TCP port of
// loopback, which it keeps, and on a Unix socket. What was committed survives
// Kill: commits reach the kernel, which stays alive. Its methods fail the test;
// they are called from the test's own goroutine.
type Server struct {
	t       testing.TB
	bin     string
	owner   *syscall.Credential
	home    *testproc.Process // keeps the data, over all runs of the server
	running *testproc.Process // nil while the server is down
	socket  place
}

// database is the server's only one that is a test's to use.
const database = "amend"

// Start makes a server that ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t}
	t.Cleanup(func() {
		if err := s.end(); err != nil {
			t.Errorf("testpg: %v", err)
		}
	})
	if err := s.start(); err != nil {
		t.Fatalf("testpg: %v", err)
	}
	return s
}

// URL is one that pgx accepts, by TCP.
func (s *Server) URL() string { return s.URLVia(s.Address()) }

// URLVia addresses the database behind another address, such as a proxy's.
func (s *Server) URLVia(address string) string {
	return "postgres://amend@" + address + "/" + database + "?sslmode=disable"
}

// Address is where the server listens, HOST:PORT.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.socket.port)) }

// Kill kills the server and all its processes at once, without giving any of
// them a chance to end what it does.
func (s *Server) Kill() {
	s.t.Helper()
	s.require("kill", s.kill)
}

// Stop shuts the server down in order: connections are told and closed.
func (s *Server) Stop() {
	s.t.Helper()
	s.require("stop", s.stop)
}

// Restart starts a server that is down, on the same port and the same data.
func (s *Server) Restart() {
	s.t.Helper()
	if s.running != nil {
		s.t.Fatal("testpg: restart the server: it is running")
	}
	if err := s.run(); err != nil {
		s.t.Fatalf("testpg: restart the server: %v", err)
	}
}

func (s *Server) require(what string, do func() error) {
	s.t.Helper()
	if s.running == nil {
		s.t.Fatalf("testpg: %s the server: it is down", what)
	}
	if err := do(); err != nil {
		s.t.Fatalf("testpg: %s the server: %v", what, err)
	}
}

func (s *Server) start() (err error) {
	if s.bin, err = findBinaries(debianBinaries); err != nil {
		return err
	}
	if s.owner, err = findOwner(); err != nil {
		return err
	}
	if err := s.makeHome(); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	s.socket = place{host: s.home.Dir, port: port, data: filepath.Join(s.home.Dir, "data"), log: func() string { return s.running.Log() }}
	if err := s.run(); err != nil {
		return err
	}
	return s.socket.administer("CREATE DATABASE " + database)
}

// makeHome makes the cluster. The process that keeps it does nothing else: a
// server that dies takes its own folder with it, but not this one.
func (s *Server) makeHome() error {
	const script = `initdb=$1 dir=$2; ` + initialize + ` && : >"$dir/made" && exec tail -f /dev/null`
	home, err := testproc.Start(testproc.Program{
		Name: "amend-pg",
		Command: func(dir string) []string {
			return []string{"sh", "-c", script, "sh", filepath.Join(s.bin, "initdb"), dir}
		},
		Env:      environment,
		Signal:   "TERM",
		User:     s.owner,
		InMemory: true,
	})
	if err != nil {
		return err
	}
	s.home = home
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return home.Ready(ctx, func(context.Context) error {
		_, err := os.Stat(filepath.Join(home.Dir, "made"))
		return err
	})
}

// freePort finds a port below those that outgoing connections take: while the
// server is down, none of them must get its port.
func freePort() (int, error) {
	const first, count = 20_000, 10_000
	for range 100 {
		port := first + rand.IntN(count)
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, listener.Close()
		}
	}
	return 0, errors.New("no free port was found")
}

// run starts the server on its data. After a kill the first tries can fail,
// because the kernel hasn't yet taken everything back from the dead.
func (s *Server) run() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		running, err := testproc.Start(testproc.Program{
			Name:    "amend-pg-run",
			Command: func(string) []string { return s.command() },
			Env:     environment,
			Signal:  "INT", // fast shutdown
			User:    s.owner,
		})
		if err != nil {
			return err
		}
		s.running = running
		if err = running.Ready(ctx, s.socket.ping); err == nil {
			return nil
		}
		s.running = nil
		err = errors.Join(err, running.Stop())
		if ctx.Err() != nil {
			return err
		}
	}
}

// command is the server's. Dynamic shared memory is kept in files of the
// cluster, because the kernel's would outlive a server that is killed.
func (s *Server) command() []string {
	return []string{filepath.Join(s.bin, "postgres"), "-D", s.socket.data,
		"-c", "listen_addresses=127.0.0.1", "-c", "port=" + strconv.Itoa(s.socket.port), "-c", "unix_socket_directories=" + s.home.Dir,
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "dynamic_shared_memory_type=mmap",
		"-c", "max_wal_size=128MB", "-c", "max_connections=200", "-c", "timezone=UTC", "-c", "log_timezone=UTC"}
}

// kill kills the postmaster first: it would start the others again.
func (s *Server) kill() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	connection, err := s.socket.ours(ctx)
	if err != nil {
		return err
	}
	rows, err := connection.Query(ctx, "SELECT pid FROM pg_stat_activity")
	if err != nil {
		return err
	}
	others, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return err
	}
	postmaster, err := s.postmaster()
	if err != nil {
		return err
	}
	for _, process := range append([]int{postmaster}, others...) {
		if err := syscall.Kill(process, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill process %d: %w", process, err)
		}
	}
	connection.Close(ctx) //nolint:errcheck // nobody is at the other end
	return s.ended()
}

// postmaster reads the server's process from its lock file, whose second line
// is the data's folder.
func (s *Server) postmaster() (int, error) {
	text, err := os.ReadFile(filepath.Join(s.socket.data, "postmaster.pid"))
	if err != nil {
		return 0, fmt.Errorf("find the server's process: %w", err)
	}
	lines := strings.SplitN(string(text), "\n", 3)
	if len(lines) < 3 || lines[1] != s.socket.data {
		return 0, fmt.Errorf("the lock file is not that of %s: nothing done", s.socket.data)
	}
	return strconv.Atoi(lines[0])
}

func (s *Server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	connection, err := s.socket.ours(ctx)
	if err != nil {
		return err
	}
	return errors.Join(connection.Close(ctx), s.ended())
}

// ended waits until the server is down, which it is told to be.
func (s *Server) ended() error {
	running := s.running
	s.running = nil
	return running.Stop()
}

// end takes everything away. A server that was killed has left memory behind
// that only its next run gives back.
func (s *Server) end() error {
	var err error
	if s.home != nil && s.running == nil && s.socket.data != "" {
		err = s.run()
	}
	if s.running != nil {
		err = errors.Join(err, s.ended())
	}
	if s.home != nil {
		err = errors.Join(err, s.home.Stop())
	}
	return err
}
