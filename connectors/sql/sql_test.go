package sql_test

import (
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
	"amend/connectors/connectortest"
	sqlkind "amend/connectors/sql"
	"amend/internal/testpg"
)

var entity = &amend.Entity{Name: "customer", ID: regexp.MustCompile(`^cus_[0-9]{6,}$`)}

// compliance is a service with a field of nearly every type.
func compliance() *amend.Service {
	return &amend.Service{Name: "compliance", Fields: []amend.Field{
		{Name: "hold", Type: amend.Bool},
		{Name: "reason", Type: amend.String, Values: []string{"", "sanctions", "documents"}},
		{Name: "amount", Type: amend.Int, Scale: 2},
		{Name: "placed_at", Type: amend.Timestamp},
		{Name: "note", Type: amend.String, Optional: true},
	}}
}

const queries = `
  many: select customer_id as id, hold, reason, amount, placed_at, note from holds where customer_id in ({ids})
  list: select customer_id as id, hold, reason, amount, placed_at, note from holds where customer_id > {cursor} order by customer_id limit {limit}
`

func open(t testing.TB, dsn, text string, s *amend.Service) connectors.Connector {
	t.Helper()
	c, found := sqlkind.Kind().New(connectors.Declaration{Service: s, Entity: entity,
		Decode: connectortest.Decode(t, "sql:\n  dsn: '"+dsn+"'\n"+text)}, connectors.Surroundings{})
	require.Empty(t, found)
	t.Cleanup(func() { require.NoError(t, connectors.Close(c)) })
	return c
}

// database opens a database for the test itself.
func database(t testing.TB, driver, dsn string, statements ...string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	for _, s := range statements {
		_, err := db.ExecContext(t.Context(), s)
		require.NoError(t, err, s)
	}
	return db
}

// fill makes a table with so many customers, each a little different, and one
// whose amount has too many decimals.
func fill(t testing.TB, db *sql.DB, broken string) []string {
	t.Helper()
	var ids []string
	var rows []string
	for i := range 1002 {
		id := fmt.Sprintf("cus_%06d", i+1)
		ids = append(ids, id)
		rows = append(rows, fmt.Sprintf("('%s', true, 'sanctions', '%d.50', '2026-03-01T12:00:00Z', null)", id, i))
	}
	rows = append(rows, "('"+broken+"', true, 'sanctions', '1.505', '2026-03-01T12:00:00Z', null)")
	_, err := db.ExecContext(t.Context(), "insert into holds values "+strings.Join(rows, ","))
	require.NoError(t, err)
	return ids
}

const (
	sqliteTable   = "create table holds (customer_id text primary key, hold integer, reason text, amount text, placed_at text, note text)"
	postgresTable = "create table holds (customer_id text primary key, hold boolean, reason text, amount numeric(12,3), placed_at timestamptz, note text)"
)

func TestConformanceSQLite(t *testing.T) {
	t.Parallel()
	connectortest.Run(t, func(t *testing.T) connectortest.Fixture {
		path := filepath.Join(t.TempDir(), "a b?#%41.db")
		db := database(t, "sqlite", "file:"+(&url.URL{Path: path}).EscapedPath(), sqliteTable)
		present := fill(t, db, "cus_900000")
		lock := func() { exclusively(t, db, "begin exclusive") }
		return connectortest.Fixture{Connector: open(t, "sqlite:"+path, queries, compliance()), Present: present,
			Absent: []string{"cus_800000", "cus_800001"}, Broken: "cus_900000", Fail: lock, Stall: lock}
	})
}

func TestConformancePostgres(t *testing.T) {
	t.Parallel()
	connectortest.Run(t, func(t *testing.T) connectortest.Fixture {
		dsn := testpg.New(t)
		db := database(t, "pgx", dsn, postgresTable)
		present := fill(t, db, "cus_900000")
		p := newProxy(t, dsn)
		return connectortest.Fixture{Connector: open(t, p.dsn, queries, compliance()), Present: present,
			Absent: []string{"cus_800000", "cus_800001"}, Broken: "cus_900000", Fail: p.cut,
			Stall: func() { exclusively(t, db, "begin", "lock table holds in access exclusive mode") }}
	})
}

// exclusively keeps everybody else out until the test ends.
func exclusively(t *testing.T, db *sql.DB, statements ...string) {
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	for _, s := range statements {
		_, err = conn.ExecContext(t.Context(), s)
		require.NoError(t, err)
	}
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
}

// proxy stands between a connector and the server's socket, so that the
// network can fail.
type proxy struct {
	dsn      string
	listener net.Listener

	mu    sync.Mutex
	conns []net.Conn
}

func newProxy(t *testing.T, dsn string) *proxy {
	at, err := url.Parse(dsn)
	require.NoError(t, err)
	socket := filepath.Join(at.Query().Get("host"), ".s.PGSQL."+at.Query().Get("port"))
	p := &proxy{}
	p.listener, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p.dsn = fmt.Sprintf("postgres://%s@%s%s?sslmode=disable", at.User.Username(), p.listener.Addr(), at.Path)
	go p.serve(socket)
	t.Cleanup(p.cut)
	return p
}

func (p *proxy) serve(socket string) {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("unix", socket)
		if err != nil {
			_ = in.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, in, out)
		p.mu.Unlock()
		for from, to := range map[net.Conn]net.Conn{in: out, out: in} {
			go func() { _, _ = io.Copy(to, from) }() // until one side ends
		}
	}
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.listener.Close() // also when it is cut twice
	for _, c := range p.conns {
		_ = c.Close()
	}
}

// A database that isn't there yet is unseen, is not made, and is read as soon
// as it is there.
func TestMissingDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "later.db")
	c := open(t, "sqlite:"+path, queries, compliance())
	_, err := c.One(t.Context(), "cus_000001")
	require.Equal(t, amend.Unreachable, connectors.AsUnseen(err).Cause)
	_, err = os.Stat(path)
	require.ErrorIs(t, err, os.ErrNotExist)

	fill(t, database(t, "sqlite", path, sqliteTable), "cus_900000")
	record, err := c.One(t.Context(), "cus_000001")
	require.NoError(t, err)
	require.Equal(t, amend.Present, record.Presence)
}

// Passwords and addresses stand in no error.
func TestErrorsHoldNoAddress(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"postgres://amend:canary@127.0.0.1:1/canary?sslmode=disable", "sqlite:/canary/canary.db"} {
		c := open(t, dsn, queries, compliance())
		_, err := c.One(t.Context(), "cus_000001")
		require.Equal(t, amend.Unreachable, connectors.AsUnseen(err).Cause)
		require.NotContains(t, err.Error(), "canary")
		require.NotContains(t, fmt.Sprintf("%+v", c), "canary")
	}
}

// What a query would change is refused by the database itself.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	dsn := testpg.New(t)
	db := database(t, "pgx", dsn, postgresTable)
	fill(t, db, "cus_900000")
	c := open(t, dsn, `  many: with gone as (delete from holds returning *) select customer_id as id, hold, reason, amount, placed_at from gone where customer_id in ({ids})`, compliance())
	_, err := c.One(t.Context(), "cus_000001")
	require.EqualError(t, err, "malformed: the database refuses the query: SQLSTATE 25006")
	var left int
	require.NoError(t, db.QueryRow("select count(*) from holds").Scan(&left))
	require.Equal(t, 1003, left)
}

// Values are bound, never written into the statement.
func TestInjection(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	fill(t, database(t, "sqlite", path, sqliteTable), "cus_900000")
	c, found := sqlkind.Kind().New(connectors.Declaration{Service: compliance(), Entity: &amend.Entity{},
		Decode: connectortest.Decode(t, "sql:\n  dsn: 'sqlite:"+path+"'\n"+queries+"  one: select hold, reason, amount, placed_at from holds where customer_id = {id}")}, connectors.Surroundings{})
	require.Empty(t, found)
	for _, id := range []string{"' or 1=1 --", "x'); drop table holds; --", "cus_000001'", "{id}", "?", "$1"} {
		record, err := c.One(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, amend.Absent, record.Presence)
		records, err := c.Many(t.Context(), []string{"cus_000001", id})
		require.NoError(t, err)
		require.Equal(t, amend.Present, records[0].Presence)
		require.Equal(t, amend.Absent, records[1].Presence)
	}
	require.NoError(t, connectors.Close(c))
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// SQLite has neither bools nor times: what stands for them is read, and
// nothing else.
func TestSQLiteValues(t *testing.T) {
	t.Parallel()
	good := []amend.Value{amend.BoolOf(true), amend.StringOf("sanctions"), amend.IntOf(1250), amend.TimeOf(noon), {}}
	for name, test := range map[string]struct{ row, problem string }{
		"ints and texts":     {`1, 'sanctions', '12.50', '2026-03-01T12:00:00Z', null`, ""},
		"words and numbers":  {`'true', 'sanctions', 12.5, '2026-03-01 12:00:00', null`, ""},
		"its own functions":  {`5 > 3, 'sanctions', 12.5, datetime('2026-03-01T13:00:00+01:00'), null`, ""},
		"a zone":             {`1, 'sanctions', 12.5, '2026-03-01 13:00:00+01:00', null`, ""},
		"a bool that isn't":  {`2, 'sanctions', 12.5, '2026-03-01 12:00:00', null`, "hold"},
		"null":               {`null, 'sanctions', 12.5, '2026-03-01 12:00:00', null`, "hold is missing"},
		"an undeclared text": {`1, 'canary', 12.5, '2026-03-01 12:00:00', null`, "reason has a value"},
		"binary data":        {`1, x'ff00', 12.5, '2026-03-01 12:00:00', null`, "reason"},
		"no amount":          {`1, 'sanctions', 'canary', '2026-03-01 12:00:00', null`, "amount"},
		"no time":            {`1, 'sanctions', 12.5, 'canary', null`, "placed_at"},
		"a time as a number": {`1, 'sanctions', 12.5, 1772366400, null`, "placed_at"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "x.db")
			database(t, "sqlite", path, "create table holds (customer_id, hold, reason, amount, placed_at, note)", "insert into holds values ('cus_000001', "+test.row+")")
			record, err := open(t, "sqlite:"+path, queries, compliance()).One(t.Context(), "cus_000001")
			require.NoError(t, err)
			if test.problem == "" {
				require.Equal(t, amend.Present, record.Presence, record.Reason)
				require.Equal(t, good, record.Values)
				return
			}
			require.Equal(t, amend.Malformed, record.Cause)
			require.Contains(t, record.Reason, test.problem)
			require.NotContains(t, record.Reason, "canary")
		})
	}
}

// Columns that SQLite's driver converts by their declared type come out alike.
func TestSQLiteDeclaredTypes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	database(t, "sqlite", path, "create table holds (customer_id integer, hold boolean, reason varchar(20), amount decimal(10,2), placed_at timestamp, note text)",
		"insert into holds values (123456, true, 'sanctions', 12.5, '2026-03-01 12:00:00', 'n')")
	s := compliance()
	c, found := sqlkind.Kind().New(connectors.Declaration{Service: s, Entity: &amend.Entity{}, Decode: connectortest.Decode(t, "sql:\n  dsn: 'sqlite:"+path+"'\n"+queries)}, connectors.Surroundings{})
	require.Empty(t, found)
	record, err := c.One(t.Context(), "123456")
	require.NoError(t, err)
	require.Equal(t, []amend.Value{amend.BoolOf(true), amend.StringOf("sanctions"), amend.IntOf(1250), amend.TimeOf(noon), amend.StringOf("n")}, record.Values)
	require.NoError(t, connectors.Close(c))
}

func TestPostgresValues(t *testing.T) {
	t.Parallel()
	dsn := testpg.New(t)
	database(t, "pgx", dsn, postgresTable, "insert into holds values ('cus_000001', true, 'sanctions', 12.5, '2026-03-01 13:00:00+01', null)")
	record, err := open(t, dsn, queries, compliance()).One(t.Context(), "cus_000001")
	require.NoError(t, err)
	require.Equal(t, []amend.Value{amend.BoolOf(true), amend.StringOf("sanctions"), amend.IntOf(1250), amend.TimeOf(noon), {}}, record.Values)

	record, err = open(t, dsn, `  many: select customer_id as id, hold, array['x'] as reason, amount, placed_at from holds where customer_id in ({ids})`, compliance()).One(t.Context(), "cus_000001")
	require.NoError(t, err)
	require.Equal(t, amend.Malformed, record.Cause)
}

// What changed since a time is asked for in the database's own way of writing
// times.
func TestSince(t *testing.T) {
	t.Parallel()
	since := strings.Replace(queries, "order by", "and placed_at >= {since} order by", 1)
	path, dsn := filepath.Join(t.TempDir(), "x.db"), testpg.New(t)
	rows := "insert into holds values ('cus_000001', true, '', 1, '2026-03-01T11:59:59Z', null), ('cus_000002', true, '', 1, '2026-03-01T12:00:00Z', null)"
	database(t, "sqlite", path, sqliteTable, rows)
	database(t, "pgx", dsn, postgresTable, rows)
	for _, dsn := range []string{"sqlite:" + path, dsn} {
		c := open(t, dsn, since, compliance())
		require.True(t, c.Can().Since)
		for at, want := range map[time.Time]int{{}: 2, noon.In(time.FixedZone("", 3600)): 1, noon.Add(time.Second): 0} {
			page, err := c.List(t.Context(), connectors.PageRequest{Since: at})
			require.NoError(t, err)
			require.Len(t, page.Records, want)
		}
	}
}

// A query that is wrong leaves everybody unseen, and never absent.
func TestWrongQueries(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	database(t, "sqlite", path, sqliteTable, "insert into holds values ('cus_000001', 1, '', 1, '2026-03-01T12:00:00Z', null), ('cus_000002', 1, '', 1, '2026-03-01T12:00:00Z', null)")
	const columns = "hold, reason, amount, placed_at"
	for name, test := range map[string]struct{ query, reason string }{
		"no table":        {"select customer_id as id, " + columns + " from nowhere where customer_id in ({ids})", "refuses the query"},
		"no SQL":          {"select from where {ids}", "refuses the query"},
		"no column":       {"select customer_id as id, hold, reason, amount from holds where customer_id in ({ids})", "no column placed_at"},
		"a column twice":  {"select customer_id as id, hold, " + columns + " from holds where customer_id in ({ids})", "two columns hold"},
		"no key":          {"select " + columns + " from holds where customer_id in ({ids})", "nobody can be named for"},
		"a null as key":   {"select null as id, " + columns + " from holds where customer_id in ({ids})", "nobody can be named for"},
		"rows twice":      {"select customer_id as id, " + columns + " from holds where customer_id in ({ids}) union all select customer_id as id, " + columns + " from holds", "two records"},
		"a division by 0": {"select customer_id as id, abs(-9223372036854775808) as hold, reason, amount, placed_at from holds where customer_id in ({ids})", "refuses the query"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			record, err := open(t, "sqlite:"+path, "  many: "+test.query, compliance()).One(t.Context(), "cus_000001")
			if err != nil {
				record = connectors.AsUnseen(err).Record(noon)
			}
			require.Equal(t, amend.Malformed, record.Cause)
			require.Contains(t, record.Reason, test.reason)
		})
	}
}

// T12: what is too large for any record is refused with its own words, and is
// no outage.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	path, dsn := filepath.Join(t.TempDir(), "x.db"), testpg.New(t)
	row := "insert into holds values ('cus_000001', true, 'sanctions', 1, '2026-03-01T12:00:00Z', null)"
	database(t, "sqlite", path, sqliteTable, row)
	database(t, "pgx", dsn, postgresTable, row)
	const columns = "customer_id as id, hold, reason, amount, placed_at"
	for _, test := range []struct{ dsn, note, says string }{
		{"sqlite:" + path, "hex(zeroblob(9000000))", "larger than 16 MiB"}, {"sqlite:" + path, "hex(zeroblob(7000000))", ""},
		{dsn, "repeat('x', 2000000)", "larger than 1 MiB"}, {dsn, "repeat('x', 1000000)", ""},
	} {
		c := open(t, test.dsn, "  many: select "+columns+", "+test.note+" as note from holds where customer_id in ({ids})", compliance())
		record, err := c.One(t.Context(), "cus_000001")
		if test.says == "" {
			require.NoError(t, err, test.note)
			require.Equal(t, amend.Present, record.Presence, record.Reason)
			continue
		}
		require.Equal(t, amend.Malformed, connectors.AsUnseen(err).Cause, "%s: %v", test.note, err)
		require.ErrorContains(t, err, test.says)
	}
}

func TestOne(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	database(t, "sqlite", path, "create table holds (customer_id, hold, reason, amount, placed_at)", "insert into holds values ('cus_000001', 1, '', 1, '2026-03-01T12:00:00Z'), ('cus_000002', 1, '', 1, '2026-03-01T12:00:00Z'), ('cus_000002', 1, '', 1, '2026-03-01T12:00:00Z')")
	for query, want := range map[string]map[string]amend.Presence{
		"select hold, reason, amount, placed_at from holds where customer_id = {id}":                              {"cus_000001": amend.Present, "cus_000002": amend.Unseen, "cus_000003": amend.Absent},
		"select 'cus_000001' as id, hold, reason, amount, placed_at from holds where customer_id >= {id} limit 1": {"cus_000001": amend.Present, "cus_000002": amend.Unseen, "cus_000003": amend.Absent},
	} {
		c := open(t, "sqlite:"+path, "  one: "+query, compliance())
		for id, presence := range want {
			record, err := c.One(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, presence.String(), record.Presence.String(), id)
		}
		_, err := c.Many(t.Context(), []string{"cus_000001"})
		require.Error(t, err)
		_, err = c.List(t.Context(), connectors.PageRequest{})
		require.Error(t, err)
	}
}

// A service behind sql is only read.
func TestNoOperations(t *testing.T) {
	t.Parallel()
	c := open(t, "sqlite:x.db", queries, compliance())
	require.Equal(t, connectors.Abilities{One: true, Many: 100, List: true}, c.Can())
	_, err := c.Prepare(connectors.Call{Operation: "lift", ID: "cus_000001"})
	require.Equal(t, amend.NotFound, amend.CodeOf(err))
	require.Equal(t, amend.Failed, c.Send(t.Context(), connectors.Request{}).Outcome)
}
