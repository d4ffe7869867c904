package bank

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/internal/testpg"
)

// reader opens the table as an engine does that is told the DSN alone.
func (b *tester) reader(t *testing.T) *sql.DB {
	t.Helper()
	driver, source := "pgx", b.Env()["COMPLIANCE_DSN"]
	if path, ok := strings.CutPrefix(source, "sqlite:"); ok {
		driver, source = "sqlite", "file:"+path+"?mode=ro"
	}
	db, err := sql.Open(driver, source)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

type holdRow struct {
	id, reason string
	hold       bool
	placed     time.Time
}

// listHolds walks bank.yaml's list of holds, page by page.
func listHolds(t *testing.T, db *sql.DB) []holdRow {
	t.Helper()
	all := pageOfHolds(t, db, "")
	for page := all; len(page) > 0; all = append(all, page...) {
		page = pageOfHolds(t, db, page[len(page)-1].id)
	}
	return all
}

func pageOfHolds(t *testing.T, db *sql.DB, cursor string) []holdRow {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `select customer_id as id, hold, reason, placed_at from holds
		where customer_id > $1 order by customer_id limit $2`, cursor, 3)
	require.NoError(t, err)
	defer rows.Close()
	var page []holdRow
	for rows.Next() {
		var row holdRow
		require.NoError(t, rows.Scan(&row.id, &row.hold, &row.reason, &row.placed))
		row.placed = row.placed.UTC()
		page = append(page, row)
	}
	require.NoError(t, rows.Err())
	return page
}

func TestCompliance(t *testing.T) {
	t.Parallel()
	databases := map[string]func(t *testing.T) string{
		"TemporarySQLite": func(*testing.T) string { return "" },
		"SQLite":          func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "a bank?#%.db") },
		"Postgres":        func(t *testing.T) string { return testpg.New(t) },
	}
	for name, dsn := range databases {
		t.Run(name+"/HoldsAreThoseOfTheTruth", func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(o *Options) { o.ComplianceDSN = dsn(t) })
			if name == "SQLite" {
				path := strings.TrimPrefix(b.Env()["COMPLIANCE_DSN"], "sqlite:")
				require.FileExists(t, path)
				return // a reader has to escape such a path by itself
			}
			var want []holdRow
			for _, c := range b.world.holds() {
				want = append(want, holdRow{id: c.id, reason: c.hold.reason, hold: c.hold.hold, placed: c.hold.placed})
			}
			require.Equal(t, sentinelPresent, want[0].id)
			require.Greater(t, len(want), 5)
			require.Equal(t, want, listHolds(t, b.reader(t)))
		})
		t.Run(name+"/AnOutageHidesTheTable", func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(o *Options) { o.ComplianceDSN = dsn(t) })
			count := func() error {
				var n int
				return b.holds.db.QueryRowContext(t.Context(), `select count(*) from holds`).Scan(&n)
			}
			require.NoError(t, b.Fault(complianceName, Fault{Outage: OutageUnavailable}))
			require.NoError(t, b.Fault(complianceName, Fault{Outage: OutageUnavailable}), "twice is once")
			require.Error(t, count())
			require.Contains(t, b.Faults(), complianceName)
			require.NoError(t, b.Fault(complianceName, Fault{}))
			require.NoError(t, count())
			require.Empty(t, b.Faults())
		})
	}
}

func TestComplianceCleansUp(t *testing.T) {
	t.Parallel()
	t.Run("TheTemporaryFolderGoes", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		folder := b.holds.folder
		require.DirExists(t, folder)
		require.NoError(t, b.Close())
		require.NoDirExists(t, folder)
	})
	t.Run("TheTableGoesEvenInAnOutage", func(t *testing.T) {
		t.Parallel()
		dsn := testpg.New(t)
		for range 2 {
			b := setup(t, func(o *Options) { o.ComplianceDSN = dsn })
			require.NoError(t, b.Fault(complianceName, Fault{Outage: OutageCut}))
			require.NoError(t, b.Close())
		}
	})
	t.Run("SomebodyElsesTableStays", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "holds.db")
		db, err := sql.Open("sqlite", path)
		require.NoError(t, err)
		_, err = db.ExecContext(t.Context(), `create table holds (mine text); insert into holds values ('dear')`)
		require.NoError(t, err)

		b, err := New(Options{Customers: 200, ComplianceDSN: "sqlite:" + path})
		require.NoError(t, err)
		require.ErrorContains(t, b.Start(), "drop it if an earlier demo left it")
		require.NoError(t, b.Close())

		var mine string
		require.NoError(t, db.QueryRowContext(t.Context(), `select mine from holds`).Scan(&mine))
		require.Equal(t, "dear", mine)
		require.NoError(t, db.Close())
		require.NoError(t, os.Remove(path))
	})
}
