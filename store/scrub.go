package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"amend"
)

// rewriteLimit is how many bytes of a store are at most written anew while
// workers wait for it: about two seconds' work.
const rewriteLimit = 128 << 20

// scrub writes the file anew. What its connections delete they overwrite at
// once; gone with this is what moving rows about has left, and what versions
// that didn't overwrite have. The log beside the file, which holds pages as
// they were, is emptied in any case.
func (f *file) scrub(ctx context.Context) (rewritten bool, err error) {
	db, err := connect(f.path)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	var pages, size int64
	if err := db.QueryRowContext(ctx, `select (select page_count from pragma_page_count), (select page_size from pragma_page_size)`).Scan(&pages, &size); err != nil {
		return false, err
	}
	if err := analyzeAgain(ctx, db); err != nil {
		return false, err
	}
	if rewritten = pages*size <= rewriteLimit; rewritten {
		if _, err := db.ExecContext(ctx, `vacuum`); err != nil {
			return false, err
		}
	}
	return rewritten, emptyLog(ctx, db)
}

// emptyLog moves what the log holds into the file and makes it empty. Each try
// waits ten seconds for whoever reads and writes.
func emptyLog(ctx context.Context, db *sql.DB) error {
	for range scrubTries {
		var busy, frames, moved int64
		if err := db.QueryRowContext(ctx, `pragma wal_checkpoint(truncate)`).Scan(&busy, &frames, &moved); err != nil || busy == 0 {
			return err
		}
	}
	return &amend.Error{Code: amend.Unavailable, Text: "the log of the store's file could not be emptied: somebody never stops reading or writing it", Next: "do it again"}
}

// analyzeAgain makes the planner's statistics anew where somebody has made some:
// they quote what was in the tables.
func analyzeAgain(ctx context.Context, db *sql.DB) error {
	var analyzed bool
	err := db.QueryRowContext(ctx, `select exists (select 1 from sqlite_master where name = 'sqlite_stat1')`).Scan(&analyzed)
	if err == nil && analyzed {
		_, err = db.ExecContext(ctx, `analyze`)
	}
	return err
}

// personal are the tables that name customers.
var personal = []string{"cases", "repairs", "proposals", "approvals", "steps", "timeline", "requests", "incidents", "outbox", "pauses", "unjudged", "subjects"}

const (
	// scrubTries is how often what waits in vain is tried.
	scrubTries = 5
	// scrubLock is how long a try waits for a table: whoever comes meanwhile
	// waits behind it.
	scrubLock = "2s"
	// scrubPatience is how long others are waited for who see what was deleted.
	scrubPatience = 10 * time.Second
)

// scrub writes the tables and their indexes anew, and has the planner's
// statistics, which quote them, made again. A role that doesn't own the tables
// can't; then the database's own vacuum gets to them some time.
func (d *database) scrub(ctx context.Context) (rewritten bool, err error) {
	session, err := d.writers.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer session.Release()
	var owner bool
	var bytes int64
	err = session.QueryRow(ctx, `select bool_and(pg_has_role(relowner, 'usage')), sum(pg_total_relation_size(oid))::bigint
		from pg_class where oid = any ($1::text[]::regclass[])`, personal).Scan(&owner, &bytes)
	if err != nil || !owner {
		return false, err
	}
	if _, err := session.Exec(ctx, `set lock_timeout = '`+scrubLock+`'; set statement_timeout = 0`); err != nil {
		return false, err
	}
	defer func() {
		_, reset := session.Exec(context.WithoutCancel(ctx), `reset lock_timeout; reset statement_timeout`)
		err = errors.Join(err, reset)
	}()
	tables := strings.Join(personal, ", ")
	if bytes > rewriteLimit {
		return false, vacuum(ctx, session.Conn(), "vacuum (analyze) "+tables)
	}
	// What somebody may still see, a vacuum takes along.
	if rewritten, err = outlive(ctx, session.Conn()); err != nil {
		return false, err
	}
	return rewritten, vacuum(ctx, session.Conn(), "vacuum (full, analyze) "+tables)
}

// outlive waits until nobody sees the database as it was before now: for a
// while, since a copy that is being made can take hours. What counts are the
// transactions of the whole server, since no snapshot that is taken while one of
// them runs is younger than it, and those who read here.
func outlive(ctx context.Context, session *pgx.Conn) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, scrubPatience)
	defer cancel()
	var now string
	if err := session.QueryRow(ctx, `select pg_current_xact_id()::text`).Scan(&now); err != nil {
		return false, err
	}
	for {
		var old bool
		err := session.QueryRow(ctx, `select pg_snapshot_xmin(pg_current_snapshot()) <= $1::text::xid8 or exists (
			select 1 from pg_stat_activity where pid <> pg_backend_pid() and (datname = current_database() or datname is null)
				and age(backend_xmin) >= age($1::text::xid8::xid))`, now).Scan(&old)
		if err == nil && !old {
			return true, nil
		}
		timer := time.NewTimer(50 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false, nil
		}
	}
}

// vacuum does it again where it gave up waiting for a lock.
func vacuum(ctx context.Context, session *pgx.Conn, text string) error {
	for tries := 1; ; tries++ {
		_, err := session.Exec(ctx, text)
		if err == nil {
			return nil
		}
		var said *pgconn.PgError
		if tries == scrubTries || !errors.As(err, &said) || said.Code != "55P03" { // lock not available
			return fmt.Errorf("vacuum: %w", err)
		}
	}
}
