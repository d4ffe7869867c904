package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/pressly/goose/v3"

	"amend"
	"amend/migrations"
)

// migrator brings a schema up to date.
type migrator struct {
	*goose.Provider
	db    *sql.DB
	table string // a query that gives 1 where the table of versions is there
	knows int64  // the newest version of this program
}

func newMigrator(dialect goose.Dialect, db *sql.DB, engine string) (*migrator, error) {
	provider, err := goose.NewProvider(dialect, db, migrations.For(engine))
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	m := &migrator{Provider: provider, db: db, table: `select count(*) from sqlite_master where name = 'goose_db_version'`}
	if dialect == goose.DialectPostgres {
		m.table = `select count(to_regclass('goose_db_version'))`
	}
	for _, s := range provider.ListSources() {
		m.knows = max(m.knows, s.Version)
	}
	return m, nil
}

// version is that of the schema; 0 where there is none. It writes nothing.
func (m *migrator) version(ctx context.Context) (has int64, err error) {
	var tables int
	if err := m.db.QueryRowContext(ctx, m.table).Scan(&tables); err != nil || tables == 0 {
		return 0, err
	}
	err = m.db.QueryRowContext(ctx, `select coalesce(max(version_id), 0) from goose_db_version`).Scan(&has)
	return has, err
}

// up migrates. Only one process may at a time.
func (m *migrator) up(ctx context.Context) error {
	has, err := m.version(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("read the store's schema: %w", err)
	case has > m.knows:
		return m.newer(has)
	case has == m.knows:
		return nil
	}
	if _, err := m.Up(ctx); err != nil {
		return fmt.Errorf("migrate the store: %w", err)
	}
	return nil
}

func (m *migrator) newer(has int64) error {
	return &amend.Error{Code: amend.Conflict, Text: fmt.Sprintf("the store has schema %d, this program knows %d", has, m.knows), Next: "use a newer amend"}
}
