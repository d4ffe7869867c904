package store_test

import (
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend/store"
)

// lesser makes the role that docs/security.md describes, and gives the store's
// address for it. Roles belong to the whole server, so it has a name of its own.
func (w *world) lesser() string {
	w.t.Helper()
	docs, err := os.ReadFile("../docs/security.md")
	require.NoError(w.t, err)
	_, text, found := strings.Cut(string(docs), "```sql\n")
	require.True(w.t, found)
	text, _, _ = strings.Cut(text, "```")
	require.Contains(w.t, text, "create role amend_app")
	owner := w.raw()
	var database string
	require.NoError(w.t, owner.QueryRow(`select current_database()`).Scan(&database))
	role := "amend_app_" + database
	_, err = owner.Exec(strings.ReplaceAll(text, "amend_app", role))
	require.NoError(w.t, err)
	w.t.Cleanup(func() {
		_, err := owner.Exec(`drop owned by ` + role + `; drop role ` + role)
		assert.NoError(w.t, err)
	})
	address, err := url.Parse(w.address)
	require.NoError(w.t, err)
	address.User = url.User(role)
	return address.String()
}

// S60: a role that may add to the audit and nothing else does all that a worker
// does, and can't change what is written.
func TestLesserRole(t *testing.T) {
	t.Parallel()
	f := onPostgres.setup(t)
	f.clock.pass(-10 * year)
	app := *f
	app.address = f.lesser()
	app.Store = app.open()
	require.NoError(t, f.Close())

	t.Run("Works", func(t *testing.T) {
		app.finish(app.scan(store.FullScan), store.Counted{Customers: 1, States: map[string]int{"wrong": 1}})
		scan, _, err := app.StartScan(t.Context(), store.FullScan, "ada")
		require.NoError(t, err)
		require.NoError(t, app.SteerScan(t.Context(), scan.ID, "cancel", "ada"))
		app.live("cus_000001")
		lease, repair := app.send("cus_000002")
		require.NoError(t, app.Renew(t.Context(), &lease, time.Minute))
		app.settle(lease, repair)
		letters, err := app.Letters(t.Context(), 10)
		require.NoError(t, err)
		require.NotEmpty(t, letters)
		held, err := app.Hold(t.Context(), letters[0], time.Minute)
		require.NoError(t, err)
		require.True(t, held)
		require.NoError(t, app.Posted(t.Context(), letters[0], "#c", "1"))
		app.seal()
		v := app.verify()
		require.Empty(t, v.Problems)
		require.Equal(t, int64(8), v.Links)
		app.clock.pass(25 * time.Hour)
		done, err := app.forget("cus_000001")
		require.NoError(t, err)
		require.Positive(t, done.Rows)
		require.False(t, done.Rewritten, "only the owner can have it overwritten")
		gone, _, err := app.Delete(t.Context(), app.clock.Now())
		require.NoError(t, err)
		require.Equal(t, 1, gone)
		app.seal()
		app.requireIntact(9)
		app.clock.pass(3 * year)
		app.ask(app.Store, "later", 2)
		app.seal()
		cut, _ := app.cutAudit(2 * year)
		require.Equal(t, 9, cut, "the tables' owner lets it, by a trigger")
		app.requireWholeFrom(10, 11)
	})

	db := app.raw()
	_, err := db.Exec(`grant all on audit, audit_chain, audit_cuts to current_user`)
	require.NoError(t, err, "PostgreSQL warns, and does nothing")
	for _, text := range []string{
		`update audit set actor = 'eve'`,
		`update audit_chain set hash = ''`,
		`delete from audit`,
		`delete from audit_chain where seq = 1`,
		`update audit_cuts set hash = ''`,
		`delete from audit_cuts`,
		`truncate audit_cuts`,
		`drop table audit_cuts`,
		`alter table audit_cuts disable trigger all`,
		`create or replace function audit_cut() returns trigger language plpgsql as 'begin return new; end'`,
		`create trigger quiet before delete on audit for each row execute function audit_cut()`,
		`create temporary table mine (links bigint, hash text); create trigger cut after insert on mine for each row execute function audit_cut()`,
		`truncate audit`,
		`truncate audit_chain`,
		`drop table audit`,
		`drop table audit_chain cascade`,
		`drop trigger audit_append_only on audit`,
		`drop function audit_append_only() cascade`,
		`create or replace function audit_append_only() returns trigger language plpgsql as 'begin return new; end'`,
		`alter table audit disable trigger all`,
		`alter table audit rename to other`,
		`alter table audit add column x text`,
		`alter table audit owner to current_user`,
		`create rule quiet as on insert to audit do instead nothing`,
		`insert into audit select * from audit limit 1 on conflict (id) do update set actor = 'eve'`,
		`set session_replication_role = replica`,
		`alter table audit enable row level security`,
	} {
		t.Run(strings.Join(strings.Fields(text)[:min(4, len(strings.Fields(text)))], " "), func(t *testing.T) {
			_, err := db.Exec(text)
			var said *pgconn.PgError
			require.True(t, errors.As(err, &said), "%v", err)
			require.Equal(t, "42501", said.Code, "%v", err)
			require.NotContains(t, said.Message, "append-only", "it must not come to the triggers")
		})
	}
	for _, allowed := range []string{`select count(*) from audit`, `select count(*) from audit_chain`} {
		var n int
		require.NoError(t, db.QueryRow(allowed).Scan(&n))
		require.Equal(t, 2, n, allowed)
	}
	t.Run("CutsByHandAreOldAndFound", func(t *testing.T) {
		db.SetMaxOpenConns(1)
		defer db.SetMaxOpenConns(0)
		_, err := db.Exec(`create temporary table audit_chain as select 10::bigint as seq, 'x' as entry, 'x' as hash union all select 99, 'y', 'y'`)
		require.NoError(t, err)
		_, err = db.Exec(`insert into audit_cuts (links, hash, at) values (10, 'x', 0)`)
		require.ErrorContains(t, err, "it is cut at a link", "what somebody puts in the place of a table counts for nothing")
		_, err = db.Exec(`insert into audit_cuts (links, hash, at) select seq, hash, 0 from public.audit_chain where seq = 10`)
		require.NoError(t, err)
		found := tampering{link: 10, says: "Links 1 to 10 are gone, and the last cut that was signed", only: 1}
		found.requireFound(t, app.verify())
	})
}
