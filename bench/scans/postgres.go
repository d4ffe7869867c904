package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver named "pgx"

	"amend/internal/testpg"
)

// database is a PostgreSQL server of the harness's own.
type database struct {
	url        string
	postmaster int
}

// spent is what a database had done at a time.
type spent struct {
	cpu    time.Duration
	writes int // rows that were inserted, updated or deleted
}

// host lets testpg start a server outside of a test.
type host struct {
	testing.TB
	ends   []func()
	failed error
}

// Helper is part of testing.TB.
func (h *host) Helper() {}

// Cleanup is part of testing.TB.
func (h *host) Cleanup(do func()) { h.ends = append(h.ends, do) }

// Errorf is part of testing.TB.
func (h *host) Errorf(format string, args ...any) {
	h.failed = errors.Join(h.failed, fmt.Errorf(format, args...))
}

// Fatalf is part of testing.TB.
func (h *host) Fatalf(format string, args ...any) { panic(fmt.Errorf(format, args...)) }

func (b *bench) startPostgres() (d *database, err error) {
	h := &host{}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("start PostgreSQL: %v", p)
		}
	}()
	d = &database{url: testpg.New(h)}
	b.closers = append(b.closers, func() error {
		for _, end := range h.ends {
			end()
		}
		return h.failed
	})
	db, err := sql.Open("pgx", d.url)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	defer db.Close() //nolint:errcheck // it was only read
	var folder string
	if err := db.QueryRow("show data_directory").Scan(&folder); err != nil { //nolint:noctx // it was just started
		return nil, fmt.Errorf("find the database's folder: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "postmaster.pid"))
	if err != nil {
		return nil, fmt.Errorf("find the database's process: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if d.postmaster, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
		return nil, fmt.Errorf("find the database's process: %w", err)
	}
	return d, nil
}

// begin is before a sample of a row; nothing where it has no database.
func (d *database) begin(ctx context.Context, r row) (spent, error) {
	if r.by != river {
		return spent{}, nil
	}
	return d.spent(ctx)
}

// end adds to a sample what the database has done for it.
func (d *database) end(ctx context.Context, r row, before spent, m *measured) error {
	if r.by != river {
		return nil
	}
	after, err := d.spent(ctx)
	m.store, m.Writes = after.cpu-before.cpu, after.writes-before.writes
	return err
}

func (d *database) spent(ctx context.Context) (s spent, err error) {
	db, err := sql.Open("pgx", d.url)
	if err != nil {
		return s, fmt.Errorf("open the database: %w", err)
	}
	defer db.Close() //nolint:errcheck // it was only read
	if err := quiet(ctx, db); err != nil {
		return s, err
	}
	const counts = `select tup_inserted + tup_updated + tup_deleted from pg_stat_database where datname = current_database()`
	if err := db.QueryRowContext(ctx, counts).Scan(&s.writes); err != nil {
		return s, fmt.Errorf("count the database's writes: %w", err)
	}
	s.cpu, err = cpuOf(d.postmaster)
	return s, err
}

// quiet waits until nobody else is connected: a connection's counts are whole
// when it has ended.
func quiet(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	const others = `select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for range ticker.C {
		var n int
		if err := db.QueryRowContext(ctx, others).Scan(&n); err != nil {
			return fmt.Errorf("wait for the database: %w", err)
		}
		if n == 0 {
			return nil
		}
	}
	return nil
}

// tick is what /proc counts CPU time in (USER_HZ, which is 100 on Linux).
const tick = 10 * time.Millisecond

// cpuOf is the CPU time of a process, of its children, and of those that have
// ended.
func cpuOf(process int) (time.Duration, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, fmt.Errorf("read the CPU time: %w", err)
	}
	var all time.Duration
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		id, _, _ := strings.Cut(string(text), " ")
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest) // from the third: the state
		if len(fields) < 15 {
			return 0, fmt.Errorf("read the CPU time: %s isn't as proc(5) says", path)
		}
		counted := fields[11:13] // utime, stime
		switch {
		case id == strconv.Itoa(process):
			counted = fields[11:15] // and those of children that have ended
		case fields[1] != strconv.Itoa(process):
			continue
		}
		for _, field := range counted {
			n, err := strconv.Atoi(field)
			if err != nil {
				return 0, fmt.Errorf("read the CPU time: %w", err)
			}
			all += time.Duration(n) * tick
		}
	}
	return all, nil
}
