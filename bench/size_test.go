package bench

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"amend/internal/testpg"
	"amend/store"
)

// BenchmarkSize scans 10,000 customers 100 times. Each time 30 of them have
// lost their account and are healed. It reports how large the store is then,
// and after what has ended was deleted and all of it has happened once more.
func BenchmarkSize(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			for range b.N {
				first, again := grow(b, engines[kind](b))
				b.ReportMetric(float64(first)/1e6, "MB")
				b.ReportMetric(float64(again)/float64(first), "again/first")
			}
		})
	}
}

const (
	rounds = 100
	lost   = 30
)

func grow(b *testing.B, address string) (first, again int64) {
	b.Helper()
	s, all := serve(b, 0), customers(10_000)
	s.listed = all
	for _, id := range all {
		s.opened[id] = 1
	}
	e := engine(b, address, s.URL)
	round := func(n int) {
		gone := all[n*lost%len(all):][:lost]
		s.lose(gone)
		if _, err := e.Scan(b.Context(), store.FullScan, "bench"); err != nil {
			b.Fatal(err)
		}
		for _, id := range gone {
			if err := e.Heal(b.Context(), id); err != nil {
				b.Fatal(err)
			}
		}
	}
	for n := range rounds {
		round(n)
	}
	first = bytes(b, address)
	for more := true; more; {
		var err error
		if _, more, err = e.Store.Delete(b.Context(), time.Now()); err != nil {
			b.Fatal(err)
		}
	}
	for n := range rounds {
		round(n)
	}
	counts, err := e.Store.CountCases(b.Context())
	if err != nil || counts.ByRule != rounds*lost {
		b.Fatalf("%+v %v", counts, err)
	}
	return first, bytes(b, address)
}

// bytes is how large a store is, indexes and log included.
func bytes(b *testing.B, address string) (n int64) {
	b.Helper()
	if path, isFile := strings.CutPrefix(address, "sqlite:"); isFile {
		files, err := filepath.Glob(path + "*")
		if err != nil {
			b.Fatal(err)
		}
		for _, f := range files {
			if info, err := os.Stat(f); err == nil && info.Mode().IsRegular() {
				n += info.Size()
			}
		}
		return n
	}
	db, err := sql.Open("pgx", address)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(`select pg_database_size(current_database())`).Scan(&n); err != nil {
		b.Fatal(err)
	}
	var empty int64
	other, err := sql.Open("pgx", testpg.New(b))
	if err != nil {
		b.Fatal(err)
	}
	defer other.Close()
	if err := other.QueryRow(`select pg_database_size(current_database())`).Scan(&empty); err != nil {
		b.Fatal(err)
	}
	return n - empty
}
