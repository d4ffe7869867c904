package river

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"amend"
)

// Migrate makes River's tables in a database, or brings them up to date. Of
// several processes at the same time one does it, and the others wait.
func Migrate(ctx context.Context, url string) error {
	pool, err := dial(ctx, url, nil)
	if err != nil {
		return err
	}
	defer pool.Close()
	acquired, err := pool.Acquire(ctx)
	if err != nil {
		return unreachable(err)
	}
	// Closed and not only released: the lock ends with the session.
	turn := acquired.Hijack()
	defer turn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the migration has been answered by then
	if _, err := turn.Exec(ctx, `select pg_advisory_lock(hashtextextended('amend/queue/migrate', 0))`); err != nil {
		return fmt.Errorf("migrate the queue: %w", err)
	}
	m, err := migrator(pool)
	if err != nil {
		return err
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate the queue: %w", err)
	}
	return nil
}

// check finds out whether the database can be reached and has what it needs.
// Tables of a newer version are fine: River's migrations let older programs
// run on.
func (q *Queue) check(ctx context.Context) error {
	if err := q.pool.Ping(ctx); err != nil {
		return unreachable(err)
	}
	m, err := migrator(q.pool)
	if err != nil {
		return err
	}
	found, err := m.Validate(ctx, nil)
	if err != nil {
		return fmt.Errorf("read the queue's version: %w", err)
	}
	if !found.OK {
		return &amend.Error{Code: amend.Conflict, Text: "the queue's tables are missing, or of an older version", Next: "run: amend migrate"}
	}
	return nil
}

func migrator(pool *pgxpool.Pool) (*rivermigrate.Migrator[pgx.Tx], error) {
	return rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
}
