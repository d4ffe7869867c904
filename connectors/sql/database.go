package sql

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"

	"amend"
	"amend/connectors"
)

// database is an open database with what differs between the two kinds.
type database struct {
	*sql.DB
	dialect dialect
	since   func(time.Time) any // how a time is bound
}

// connect opens the database for reading only. Nothing is called yet, so a
// database that is missing at the start is unseen and not an error. The dsn,
// which holds a password, is never quoted.
func connect(found *amend.Findings, dsn string, atOnce int) *database {
	const at = "sql.dsn"
	switch path, isSQLite := strings.CutPrefix(dsn, "sqlite:"); {
	case dsn == "":
		found.Add(at, "the database's address is missing")
	case isSQLite && path == "":
		found.Add(at, "sqlite: is followed by the path of a file")
	case isSQLite:
		return openSQLite(path, atOnce)
	case strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://"):
		config, err := pgx.ParseConfig(dsn)
		if err == nil {
			return openPostgres(config, atOnce)
		}
		found.Add(at, "this is not an address such as postgres://user:password@host/database")
	default:
		found.Add(at, "an address begins with sqlite: or postgres://")
	}
	return nil
}

func openSQLite(path string, atOnce int) *database {
	query := url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(500)", "query_only(1)"}}
	name := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + query.Encode()
	db, err := sql.Open("sqlite", name)
	if err != nil { // only an unknown driver: opening a file comes later
		panic(err)
	}
	limit(db, atOnce)
	return &database{DB: db, dialect: questionMarks, since: func(t time.Time) any {
		return epoch(t).Format(time.RFC3339) // as times stand in SQLite, so that they compare as text
	}}
}

func openPostgres(config *pgx.ConnConfig, atOnce int) *database {
	config.RuntimeParams["default_transaction_read_only"] = "on"
	config.RuntimeParams["application_name"] = "amend"
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		frontend := pgproto3.NewFrontend(r, w)
		frontend.SetMaxBodyLen(largestMessage)
		return frontend
	}
	db := stdlib.OpenDB(*config)
	limit(db, atOnce)
	return &database{DB: db, dialect: dollars, since: func(t time.Time) any { return epoch(t) }}
}

// largestMessage bounds one message of PostgreSQL, which is one row, in bytes.
// The driver takes what the other side announces, up to 2 GiB, and would take
// it from anything that stands where the database should be.
const largestMessage = 1 << 20

func limit(db *sql.DB, atOnce int) {
	db.SetMaxOpenConns(atOnce)
	db.SetMaxIdleConns(atOnce)
	db.SetConnMaxIdleTime(5 * time.Minute)
}

// epoch is what since is in a full scan.
func epoch(t time.Time) time.Time {
	if t.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return t.UTC()
}

// broken says why a query failed, in words of its own: errors of drivers can
// quote addresses and values.
func (c *connector) broken(ctx context.Context, err error) *connectors.Unseen {
	if errors.Is(ctx.Err(), context.Canceled) {
		return connectors.AsUnseen(context.Canceled)
	}
	if ctx.Err() != nil {
		return &connectors.Unseen{Cause: amend.TimedOut, Reason: "no whole result in " + c.timeout.String()}
	}
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refusedByPostgres(refused.Code)
	}
	if refused, ok := errors.AsType[*sqlite.Error](err); ok {
		return refusedBySQLite(refused.Code())
	}
	if _, ok := errors.AsType[*pgproto3.ExceededMaxBodyLenErr](err); ok {
		return malformed("what it answers has a row that is larger than 1 MiB")
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return &connectors.Unseen{Cause: amend.Unreachable, Reason: "the database can't be reached"}
	}
	return &connectors.Unseen{Cause: amend.Unreachable, Reason: "the connection to the database broke"}
}

// refusedByPostgres goes by the class of the SQLSTATE, which quotes nothing.
func refusedByPostgres(code string) *connectors.Unseen {
	u := &connectors.Unseen{Cause: amend.Malformed, Reason: "the database refuses the query: SQLSTATE " + code}
	switch {
	case strings.HasPrefix(code, "28") || code == "42501":
		u.Cause = amend.Forbidden
	case code == "57014":
		u.Cause = amend.TimedOut
	case strings.HasPrefix(code, "08") || strings.HasPrefix(code, "57"):
		u.Cause = amend.Unreachable
	case strings.HasPrefix(code, "53") || strings.HasPrefix(code, "40"):
		u.Cause = amend.Failing
	}
	return u
}

// refusedBySQLite goes by the primary result code.
func refusedBySQLite(code int) *connectors.Unseen {
	const busy, locked, readOnly, ioError, cantOpen = 5, 6, 8, 10, 14
	switch code & 0xff {
	case cantOpen:
		return &connectors.Unseen{Cause: amend.Unreachable, Reason: "the database can't be opened"}
	case busy, locked, ioError:
		return &connectors.Unseen{Cause: amend.Failing, Reason: "the database is busy or can't be read"}
	case readOnly:
		return malformed("the query would write")
	}
	return malformed("the database refuses the query")
}
