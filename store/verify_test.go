package store_test

import (
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"amend/store"
)

// intruder has all rights in the database, and switches the triggers off.
type intruder struct {
	*sql.DB
	t *testing.T
}

func (w *world) intruder() *intruder {
	w.t.Helper()
	db := w.raw()
	db.SetMaxOpenConns(1)
	i := &intruder{db, w.t}
	if strings.HasPrefix(w.address, "sqlite:") {
		for _, trigger := range []string{"audit_update", "audit_delete", "audit_replace", "audit_chain_update", "audit_chain_delete", "audit_chain_replace",
			"audit_cuts_insert", "audit_cuts_cut", "audit_cuts_update", "audit_cuts_delete"} {
			i.exec(`drop trigger ` + trigger)
		}
		return i
	}
	i.exec(`alter table audit disable trigger all`)
	i.exec(`alter table audit_chain disable trigger all`)
	i.exec(`alter table audit_cuts disable trigger all`)
	return i
}

func (i *intruder) exec(text string, args ...any) {
	i.t.Helper()
	done, err := i.Exec(text, args...)
	require.NoError(i.t, err, text)
	if n, err := done.RowsAffected(); err == nil && !strings.HasPrefix(text, "alter") && !strings.HasPrefix(text, "drop") {
		require.Positive(i.t, n, "it changed nothing: %s", text)
	}
}

func (i *intruder) text(query string, args ...any) string {
	i.t.Helper()
	var text string
	require.NoError(i.t, i.QueryRow(query, args...).Scan(&text))
	return text
}

// rechain computes all hashes anew from a link on.
func (i *intruder) rechain(from int) {
	i.t.Helper()
	for seq, hash := range i.hashes() {
		if seq >= from {
			i.exec(`update audit_chain set hash = $2 where seq = $1`, seq, hash)
		}
	}
}

// hashes are those that the chain should have. They are computed here once more,
// from the description in the docs, so that what is stored can't change by
// accident.
func (i *intruder) hashes() map[int]string {
	i.t.Helper()
	sum := sha256.Sum256([]byte("amend audit of " + i.text(`select id from installation`)))
	last := i.text(`select coalesce(max(hash), $1) from audit_cuts`, hex.EncodeToString(sum[:]))
	rows, err := i.Query(`select c.seq, a.id, a.at, a.actor, a.act, a.what, a.result, a.subject, a.case_id, a.repair, a.step, a.key, a.rule, a.rule_version, a.plan, a.bytes, a.reason
		from audit_chain c join audit a on a.id = c.entry order by c.seq`)
	require.NoError(i.t, err)
	defer rows.Close()
	hashes := map[int]string{}
	for rows.Next() {
		var seq int
		columns, at := make([]string, 16), []any{&seq}
		for c := range columns {
			at = append(at, &columns[c])
		}
		require.NoError(i.t, rows.Scan(at...))
		text := last + "\n"
		for _, c := range columns {
			text += fmt.Sprintf("%d:%s,", len(c), c)
		}
		sum = sha256.Sum256([]byte(text))
		last = hex.EncodeToString(sum[:])
		hashes[seq] = last
	}
	require.NoError(i.t, rows.Err())
	return hashes
}

const entryOf = `select entry from audit_chain where seq = $1`

// forge adds an entry as the program would.
func (i *intruder) forge(id string) {
	i.t.Helper()
	i.exec(`insert into audit (id, at, actor, act, what, result, subject, case_id, repair, step, key, rule, rule_version, plan, bytes, reason)
		select $1, at, 'eve', act, what, result, subject, case_id, repair, step, key, rule, rule_version, plan, bytes, reason from audit where id = (select entry from audit_chain where seq = 5)`, id)
}

// tampering is one way to change the audit behind amend's back.
type tampering struct {
	name string
	do   func(i *intruder)
	link int64  // where it is found; 0: at no link
	says string // a part of what is reported
	only int    // problems that it makes; 0: any number
}

// tamperings are what S62 asks for, and some ways around it. The audit that
// they are done to has 12 links, all signed, and before them at 4 and 8.
var tamperings = []tampering{
	{"DeletedEntry", func(i *intruder) {
		i.exec(`delete from audit where id = (select entry from audit_chain where seq = 5)`)
	}, 5, "is gone", 1},
	{"DeletedFirstEntry", func(i *intruder) {
		i.exec(`delete from audit where id = (select entry from audit_chain where seq = 1)`)
	}, 1, "is gone", 1},
	{"DeletedLink", func(i *intruder) { i.exec(`delete from audit_chain where seq = 5`) }, 5, "Link 5 is missing", 2},
	{"DeletedLinkAndEntry", func(i *intruder) {
		i.exec(`delete from audit where id = (select entry from audit_chain where seq = 5)`)
		i.exec(`delete from audit_chain where seq = 5`)
	}, 5, "Link 5 is missing", 1},
	{"DeletedLinksAndEntries", func(i *intruder) {
		i.exec(`delete from audit where id in (select entry from audit_chain where seq in (5, 6, 7))`)
		i.exec(`delete from audit_chain where seq in (5, 6, 7)`)
	}, 5, "Links 5 to 7 are missing", 1},
	{"DeletedFirstLinkAndEntry", func(i *intruder) {
		i.exec(`delete from audit where id = (select entry from audit_chain where seq = 1)`)
		i.exec(`delete from audit_chain where seq = 1`)
	}, 1, "Link 1 is missing", 1},
	{"DeletedAndClosedUp", func(i *intruder) {
		i.exec(`delete from audit where id = (select entry from audit_chain where seq = 5)`)
		i.exec(`delete from audit_chain where seq = 5`)
		for seq := 6; seq <= 12; seq++ {
			i.exec(`update audit_chain set seq = $1 where seq = $2`, seq-1, seq)
		}
	}, 5, "doesn't follow", 0},
	{"InsertedEntry", func(i *intruder) { i.forge("aud_forged") }, 0, "Entry aud_forged is in no link", 1},
	{"InsertedLink", func(i *intruder) {
		i.forge("aud_forged")
		for seq := 12; seq >= 5; seq-- {
			i.exec(`update audit_chain set seq = $1 where seq = $2`, seq+1, seq)
		}
		i.exec(`insert into audit_chain (seq, entry, hash) select 5, 'aud_forged', hash from audit_chain where seq = 6`)
	}, 5, "doesn't follow", 0},
	{"SwappedEntries", func(i *intruder) {
		a, b := i.text(entryOf, 5), i.text(entryOf, 6)
		i.exec(`update audit_chain set entry = 'x' where seq = 5`)
		i.exec(`update audit_chain set entry = $1 where seq = 6`, a)
		i.exec(`update audit_chain set entry = $1 where seq = 5`, b)
	}, 5, "doesn't follow", 2},
	{"EditedHash", func(i *intruder) { i.exec(`update audit_chain set hash = 'x' where seq = 5`) }, 5, "doesn't follow", 2},
	{"CutTail", func(i *intruder) { i.cut(11) }, 10, "The chain ends at link 10; at 2026-03-01T09:20:00Z it had 12: its end was cut off", 1},
	{"CutLastOne", func(i *intruder) { i.cut(12) }, 11, "The chain ends at link 11", 1},
	{"CutAll", func(i *intruder) { i.cut(1) }, 0, "The chain ends at link 0", 1},
	{"CutAndGrownAgain", func(i *intruder) {
		i.cut(10)
		for n := range 9 {
			id := fmt.Sprint("aud_forged_", n)
			i.forge(id)
			i.exec(`insert into audit_chain (seq, entry, hash) values ($1, $2, '')`, 10+n, id)
		}
		i.rechain(10)
	}, 12, "Link 12 isn't the one that was signed at 2026-03-01T09:20:00Z: the chain was written anew", 1},
	{"FullRewrite", func(i *intruder) {
		i.exec(`update audit set actor = 'eve' where id = (select entry from audit_chain where seq = 5)`)
		i.rechain(1)
	}, 8, "Link 8 isn't the one that was signed at 2026-03-01T09:10:00Z: the chain was written anew", 1},
	{"RewriteOfTheEnd", func(i *intruder) {
		i.exec(`update audit set actor = 'eve' where id = (select entry from audit_chain where seq = 12)`)
		i.rechain(12)
	}, 12, "Link 12 isn't the one that was signed", 1},
	{"DeletedBeforeItWasLinked", func(i *intruder) { i.exec(`delete from audit where id in (select entry from audit_unsealed)`) }, 0, "is gone; it was in no link yet", 1},
	{"TakenOffTheList", func(i *intruder) { i.exec(`delete from audit_unsealed`) }, 0, "is in no link", 1},
	{"AnotherInstallation", func(i *intruder) { i.exec(`update installation set id = 'inst_other'`) }, 1, "doesn't follow", 0},
}

// cut takes the end of the chain away, as if it had never been.
func (i *intruder) cut(from int) {
	i.t.Helper()
	i.exec(`delete from audit where id in (select entry from audit_chain where seq >= $1)`, from)
	i.exec(`delete from audit_chain where seq >= $1`, from)
}

// twelve is an audit of 12 links, signed at 4, 8 and 12, and one entry that
// waits.
func (on engine) twelve(t *testing.T) *world {
	t.Helper()
	f := on.setup(t)
	start := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	for n := range 4 {
		f.clock.pass(start.Add(time.Duration(n) * 10 * time.Minute).Sub(f.clock.Now()))
		if n == 3 {
			f.ask(f.Store, "waits", 1)
			break
		}
		lease, repair := f.send(fmt.Sprintf("cus_%06d", n))
		f.settle(lease, repair)
		f.ask(f.Store, fmt.Sprint("n", n), 3)
		f.seal()
	}
	require.Equal(t, int64(1), f.requireIntact(12).Waiting)
	return f
}

// S62: whatever is changed in the audit is found, and where.
func TestVerifyFindsTampering(t *testing.T) { onEach(t, testVerifyFindsTampering) }

func testVerifyFindsTampering(t *testing.T, on engine) {
	t.Parallel()
	for _, one := range tamperings {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			f := on.twelve(t)
			one.do(f.intruder())
			if one.name == "AnotherInstallation" {
				f.Store = f.open()
			}
			one.requireFound(t, f.verify())
		})
	}
}

func (x *tampering) requireFound(t *testing.T, v store.Verification) {
	t.Helper()
	require.False(t, v.Intact())
	found := false
	for _, p := range v.Problems {
		t.Log(p.Link, p.Entry, p.Text)
		found = found || p.Link == x.link && strings.Contains(p.Text, x.says)
	}
	require.True(t, found, "%q at link %d", x.says, x.link)
	if x.only > 0 {
		require.Len(t, v.Problems, x.only, "one change is one problem")
	}
}

// No column of an entry can be changed unseen.
func TestVerifyFindsEachEdit(t *testing.T) { onEach(t, testVerifyFindsEachEdit) }

func testVerifyFindsEachEdit(t *testing.T, on engine) {
	t.Parallel()
	f := on.twelve(t)
	i := f.intruder()
	found := tampering{link: 5, says: "Link 5 doesn't follow from its entry", only: 1}
	edit := func(t *testing.T, set, undo string) {
		i.exec(`update audit set ` + set + ` where id = (select entry from audit_chain where seq = 5)`)
		found.requireFound(t, f.verify())
		i.exec(`update audit set ` + undo + ` where id = (select entry from audit_chain where seq = 5)`)
		f.requireIntact(12)
	}
	for _, column := range strings.Fields("actor act what result subject case_id repair key rule rule_version plan bytes reason") {
		t.Run(column, func(t *testing.T) {
			was := i.text(`select ` + column + ` from audit where id = (select entry from audit_chain where seq = 5)`)
			edit(t, column+` = 'x'`, column+` = '`+was+`'`)
		})
	}
	for _, column := range []string{"at", "step"} {
		t.Run(column, func(t *testing.T) { edit(t, column+` = `+column+` + 1`, column+` = `+column+` - 1`) })
	}
	t.Run("MovedFromColumnToColumn", func(t *testing.T) {
		edit(t, `rule = 'open', rule_version = '-ledgerv7'`, `rule = 'open-ledger', rule_version = 'v7'`)
	})
}

// The hashes that are stored are those that the docs describe.
func TestHashesAreAsDescribed(t *testing.T) { onEach(t, testHashesAreAsDescribed) }

func testHashesAreAsDescribed(t *testing.T, on engine) {
	t.Parallel()
	f := on.twelve(t)
	i := f.intruder()
	before := f.table("audit_chain order by seq")
	i.exec(`update audit_chain set hash = ''`)
	i.rechain(1)
	require.Equal(t, before, f.table("audit_chain order by seq"))
	f.requireIntact(12)
}

// What is done to the checkpoints is found, too; without any, verify says so.
func TestVerifyFindsTamperedCheckpoints(t *testing.T) {
	t.Parallel()
	edit := func(t *testing.T, f *world, change func(string) string) {
		path := filepath.Join(f.audit, "checkpoints")
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		changed := change(string(text))
		require.NotEqual(t, string(text), changed)
		require.NoError(t, os.WriteFile(path, []byte(changed), 0o600))
		require.NoError(t, os.Remove(filepath.Join(f.audit, "newest")))
	}
	for name, test := range map[string]struct {
		do   func(t *testing.T, f *world)
		says string
	}{
		"Edited": {func(t *testing.T, f *world) {
			edit(t, f, func(text string) string { return strings.Replace(text, "\n12\n", "\n11\n", 1) })
		}, "1 of 3 checkpoints in FOLDER can't be trusted, the first of them number 3: invalid signature"},
		"CutInTheMiddle": {func(t *testing.T, f *world) {
			edit(t, f, func(text string) string { return text[:len(text)-40] })
		}, "1 of 3 checkpoints in FOLDER can't be trusted, the first of them number 3: "},
		"Unsigned": {func(t *testing.T, f *world) {
			edit(t, f, func(text string) string {
				return text + "amend audit " + f.Installation() + "\n12\nx\n2026-03-01T09:20:00Z\n\n"
			})
		}, "1 of 4 checkpoints in FOLDER can't be trusted, the first of them number 4: "},
		"Garbage": {func(t *testing.T, f *world) {
			edit(t, f, func(text string) string { return "garbage\n" + text })
		}, "1 of 4 checkpoints in FOLDER can't be trusted, the first of them number 1: "},
		"AnotherKey": {func(t *testing.T, f *world) {
			_, public, err := note.GenerateKey(rand.Reader, f.Installation())
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(f.audit, "key.pub"), []byte(public), 0o600))
		}, "3 of 3 checkpoints in FOLDER can't be trusted, the first of them number 1: note has no verifiable signatures"},
		"NoKey": {func(t *testing.T, f *world) {
			require.NoError(t, os.Remove(filepath.Join(f.audit, "key.pub")))
		}, "The checkpoints can't be checked without their public key"},
		"Deleted": {func(t *testing.T, f *world) {
			require.NoError(t, os.Remove(filepath.Join(f.audit, "checkpoints")))
			require.NoError(t, os.Remove(filepath.Join(f.audit, "newest")))
		}, "There is no checkpoint of the chain in FOLDER: a cut end, or a chain written anew, would not be noticed"},
		"DeletedWithTheFolder": {func(t *testing.T, f *world) {
			require.NoError(t, os.RemoveAll(f.audit))
		}, "There is no checkpoint of the chain in FOLDER"},
		"NoFolderIsSet": {func(_ *testing.T, f *world) {
			f.audit = ""
			f.Store = f.open()
		}, "no folder for them is set"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := onSQLite.twelve(t)
			says := strings.ReplaceAll(test.says, "FOLDER", f.audit)
			test.do(t, f)
			v := f.verify()
			require.False(t, v.Intact())
			require.Contains(t, v.Problems[0].Text, says)
			require.Equal(t, int64(12), v.Links, "the chain is looked at all the same")
		})
	}
	t.Run("TheNewestVouchesAlone", func(t *testing.T) {
		t.Parallel()
		f := onSQLite.twelve(t)
		require.NoError(t, os.Remove(filepath.Join(f.audit, "checkpoints")))
		require.Equal(t, int64(12), f.requireIntact(12).Newest.Links)
	})
	t.Run("AFewOfTheEndMissingIsNotSeen", func(t *testing.T) {
		t.Parallel()
		f := onSQLite.twelve(t)
		edit(t, f, func(text string) string { return text[:strings.LastIndex(text, "amend audit")] })
		require.Equal(t, int64(8), f.requireIntact(12).Newest.Links, "it says how far it can vouch")
	})
}

// However much is wrong, what is said can be read.
func TestVerifyIsBounded(t *testing.T) {
	t.Parallel()
	f := onSQLite.setup(t)
	f.ask(f.Store, "a", 250)
	f.seal()
	f.intruder().exec(`update audit set actor = 'eve'`)
	require.Len(t, f.verify().Problems, 100)
	require.Equal(t, "250", strconv.FormatInt(f.verify().Links, 10))
}
