package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// place is where a connection counts its commits, and how many there were.
type place struct{ slot, number int64 }

const (
	// connectionLife is how long a connection is used: pgx's own default.
	connectionLife = time.Hour
	// placesKept is how long its place is kept: longer than anybody asks for it.
	placesKept = 24 * time.Hour
)

// countCommit changes one row of the connection's own, which nobody else wants.
const countCommit = `update commits set number = number + 1 where slot = $1 and number = $2 returning number`

// takePlace gives a new connection its place, and takes those away that are old.
func takePlace(ctx context.Context, conn *pgx.Conn) error {
	p := place{slot: rand.Int64()}
	const now = `(extract(epoch from clock_timestamp()) * 1000000)::bigint`
	_, err := conn.Exec(ctx, `with gone as (delete from commits where at < `+now+` - $2::bigint)
		insert into commits (slot, number, at) values ($1, 0, `+now+`)`, p.slot, placesKept.Microseconds())
	if err != nil {
		return fmt.Errorf("take a place to count commits: %w", err)
	}
	p.keep(conn)
	return nil
}

// placeKey is where a connection remembers its place.
const placeKey = "amend/commits"

func placeOf(conn *pgx.Conn) place {
	p, _ := conn.PgConn().CustomData()[placeKey].(place)
	return p
}

func (p place) keep(conn *pgx.Conn) { conn.PgConn().CustomData()[placeKey] = p }

// next is for a transaction that was committed.
func (p place) next(conn *pgx.Conn) { place{p.slot, p.number + 1}.keep(conn) }

// counted takes the answer to countCommit. Without its place a connection is
// useless: somebody has put back the database, or cleared it.
func (t *inDatabase) counted(r pgx.Row) error {
	var number int64
	err := r.Scan(&number)
	if errors.Is(err, pgx.ErrNoRows) {
		return errors.Join(driver.ErrBadConn, t.conn.Close(t.ctx))
	}
	return err
}

// landed finds out what became of a commit that was not answered (invariant
// I25): whether it counts. While nobody can tell, since the transaction is still
// there, the query waits for its end. Where its place is gone nobody can tell
// any more: the database was put back, or its clock was put forward and somebody
// took the place for an old one.
func (d *database) landed(ctx context.Context, p place, cause error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		var number int64
		err := d.writers.QueryRow(ctx, `select number from commits where slot = $1 and number in ($2, $3) for update`, p.slot, p.number, p.number+1).Scan(&number)
		switch {
		case err == nil && number == p.number+1:
			return nil
		case err == nil:
			return fmt.Errorf("commit: %w", cause)
		case errors.Is(err, pgx.ErrNoRows):
			return fmt.Errorf("%w: %w; its place is gone", errUnknown, cause)
		}
		timer := time.NewTimer(20 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w: %w; asked again: %w", errUnknown, cause, err)
		}
	}
}
