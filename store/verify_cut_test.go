package store_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"amend/store"
)

// behead takes the beginning of the chain away, up to a link.
func (i *intruder) behead(last int) {
	i.t.Helper()
	i.exec(`delete from audit where id in (select entry from audit_chain where seq <= $1)`, last)
	i.exec(`delete from audit_chain where seq <= $1`, last)
}

// beheadAndForge does so, and has the store say that amend did it.
func (i *intruder) beheadAndForge(last int) {
	i.t.Helper()
	i.exec(`update audit_cuts set links = $1, hash = (select hash from audit_chain where seq = $1)`, last)
	i.behead(last)
}

const editSix = `update audit set actor = 'eve' where id = (select entry from audit_chain where seq = 6)`

// tamperingsOfCut are done to an audit whose links 1 to 4 were cut off: those
// that S62 asks for, once more, and what somebody could do about the cut. It has
// links 5 to 12, and is signed at 4, 8 and 12.
var tamperingsOfCut = []tampering{
	{"EditedEntry", func(i *intruder) { i.exec(editSix) }, 6, "doesn't follow", 1},
	{"EditedFirstEntry", func(i *intruder) {
		i.exec(`update audit set actor = 'eve' where id = (select entry from audit_chain where seq = 5)`)
	}, 5, "doesn't follow", 1},
	{"DeletedEntry", func(i *intruder) {
		i.exec(`delete from audit where id = (select entry from audit_chain where seq = 6)`)
	}, 6, "is gone", 1},
	{"DeletedLinkAndEntry", func(i *intruder) {
		i.exec(`delete from audit where id = (select entry from audit_chain where seq = 6)`)
		i.exec(`delete from audit_chain where seq = 6`)
	}, 6, "Link 6 is missing", 1},
	{"InsertedEntry", func(i *intruder) { i.forge("aud_forged") }, 0, "Entry aud_forged is in no link", 1},
	{"InsertedLink", func(i *intruder) {
		i.forge("aud_forged")
		for seq := 12; seq >= 6; seq-- {
			i.exec(`update audit_chain set seq = $1 where seq = $2`, seq+1, seq)
		}
		i.exec(`insert into audit_chain (seq, entry, hash) select 6, 'aud_forged', hash from audit_chain where seq = 7`)
	}, 6, "doesn't follow", 0},
	{"CutTail", func(i *intruder) { i.cut(11) }, 10, "The chain ends at link 10; at 2014-03-03T09:00:00Z it had 12: its end was cut off", 1},
	{"CutAll", func(i *intruder) { i.cut(1) }, 4, "The chain ends at link 4", 1},
	{"FullRewrite", func(i *intruder) {
		i.exec(editSix)
		i.rechain(5)
	}, 8, "Link 8 isn't the one that was signed at 2013-03-02T09:00:00Z: the chain was written anew", 1},
	{"FullRewriteFromAnotherBase", func(i *intruder) {
		i.exec(`update audit_cuts set hash = 'forged'`)
		i.exec(editSix)
		i.rechain(5)
	}, 4, "Link 4 isn't the one that was signed", 0},
	{"CutHead", func(i *intruder) { i.behead(6) }, 5, "Links 5 to 6 are missing", 1},
	{"CutHeadAndForgedBase", func(i *intruder) { i.beheadAndForge(6) }, 6,
		"Links 1 to 6 are gone, and the last cut that was signed, at 2014-03-04T09:00:00Z, let go those up to 4 alone: somebody else has cut off the chain's beginning", 1},
	{"CutHeadUpToACheckpoint", func(i *intruder) { i.beheadAndForge(8) }, 8, "let go those up to 4 alone", 1},
	{"CutHeadUpToTheEnd", func(i *intruder) { i.beheadAndForge(12) }, 12, "let go those up to 4 alone", 1},
	{"CutHeadAndRewritten", func(i *intruder) {
		i.beheadAndForge(6)
		i.exec(`update audit_cuts set links = 4`)
		for seq := 7; seq <= 12; seq++ {
			i.exec(`update audit_chain set seq = $1 where seq = $2`, seq-2, seq)
		}
		i.rechain(5)
	}, 4, "Link 4 isn't the one that was signed", 0},
	{"DeletedBase", func(i *intruder) { i.exec(`delete from audit_cuts`) }, 1, "Links 1 to 4 are missing", 1},
	{"LoweredBase", func(i *intruder) { i.exec(`update audit_cuts set links = 2`) }, 3, "Links 3 to 4 are missing", 0},
	{"EditedBase", func(i *intruder) { i.exec(`update audit_cuts set hash = 'forged'`) }, 4, "Link 4 isn't the one that was signed", 0},
	{"PutBehindTheCut", func(i *intruder) {
		i.forge("aud_forged")
		i.exec(`insert into audit_chain (seq, entry, hash) values (3, 'aud_forged', 'x')`)
	}, 4, "Links up to 4 were cut off and are there again (1 of them): they were put in", 1},
}

// S62, of an audit whose beginning amend has cut off: whatever else is changed is
// found, and so is a beginning that somebody else has cut off, whatever they
// write into the store about it.
func TestVerifyFindsTamperingOfACut(t *testing.T) { onEach(t, testVerifyFindsTamperingOfACut) }

func testVerifyFindsTamperingOfACut(t *testing.T, on engine) {
	t.Parallel()
	for _, one := range tamperingsOfCut {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			f := on.cut(t)
			one.do(f.intruder())
			one.requireFound(t, f.verify())
		})
	}
	t.Run("CutWithoutAnySigned", func(t *testing.T) {
		t.Parallel()
		f := on.aged(t)
		i := f.intruder()
		i.exec(`insert into audit_cuts (links, hash, at) select seq, hash, 0 from audit_chain where seq = 4`)
		i.behead(4)
		found := tampering{link: 4, says: "Links 1 to 4 are gone, and no signed cut bears that out", only: 1}
		found.requireFound(t, f.verify())
	})
	t.Run("CutByHand", func(t *testing.T) {
		t.Parallel()
		f := on.cut(t)
		_, err := f.raw().Exec(`insert into audit_cuts (links, hash, at) select seq, hash, 0 from audit_chain where seq = 6`)
		require.NoError(t, err, "the triggers let it happen, as they would amend")
		found := tampering{link: 6, says: "let go those up to 4 alone", only: 1}
		found.requireFound(t, f.verify())
		f.clock.pass(year)
		f.forgetCases()
		cut, _ := f.cutAudit(year * 3 / 2)
		require.Equal(t, 2, cut)
		require.Empty(t, f.verify().Problems, "until amend itself has cut off as much")
	})
	t.Run("WhatWasChangedIsNotCutOff", func(t *testing.T) {
		t.Parallel()
		f := on.aged(t)
		f.forgetCases()
		f.intruder().exec(`update audit set actor = 'eve' where id = (select entry from audit_chain where seq = 2)`)
		_, _, err := f.CutAudit(t.Context(), year*3/2)
		require.ErrorContains(t, err, "link 2 was changed, or what it follows; run `amend audit verify`; nothing is cut off while that is so")
		found := tampering{link: 2, says: "doesn't follow", only: 1}
		found.requireFound(t, f.verify())
	})
	t.Run("NorWhatIsAnotherChain", func(t *testing.T) {
		t.Parallel()
		f := on.aged(t)
		f.forgetCases()
		i := f.intruder()
		i.exec(editSix)
		i.rechain(1)
		_, _, err := f.CutAudit(t.Context(), year*3/2)
		require.ErrorIs(t, err, store.ErrOlder)
		require.Equal(t, int64(12), f.verify().Links)
	})
}

// What is done to the signed cuts is found, too.
func TestVerifyFindsTamperedCuts(t *testing.T) {
	t.Parallel()
	const bornOut = "Links 1 to 4 are gone, and no signed cut bears that out"
	edit := func(t *testing.T, f *world, change func(string) string) {
		path := filepath.Join(f.audit, "cuts")
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, []byte(change(string(text))), 0o600))
	}
	for name, test := range map[string]struct {
		do   func(t *testing.T, f *world)
		says []string
	}{
		"Deleted": {func(t *testing.T, f *world) {
			require.NoError(t, os.Remove(filepath.Join(f.audit, "cuts")))
		}, []string{bornOut}},
		"Edited": {func(t *testing.T, f *world) {
			edit(t, f, func(text string) string { return strings.Replace(text, "\n4\n", "\n5\n", 1) })
		}, []string{"1 of 1 cuts in FOLDER can't be trusted, the first of them number 1: invalid signature", bornOut}},
		"AnotherKey": {func(t *testing.T, f *world) {
			private, _, err := note.GenerateKey(rand.Reader, f.Installation())
			require.NoError(t, err)
			signer, err := note.NewSigner(private)
			require.NoError(t, err)
			edit(t, f, func(text string) string {
				signed, err := note.Sign(&note.Note{Text: text[:strings.Index(text, "\n\n")+1]}, signer)
				require.NoError(t, err)
				return string(signed)
			})
		}, []string{"1 of 1 cuts in FOLDER can't be trusted, the first of them number 1: note has no verifiable signatures", bornOut}},
		"OfAnotherStore": {func(t *testing.T, f *world) {
			keys, err := os.ReadFile(filepath.Join(f.audit, "key"))
			require.NoError(t, err)
			private, _, _ := strings.Cut(string(keys), "\n")
			signer, err := note.NewSigner(private)
			require.NoError(t, err)
			edit(t, f, func(text string) string {
				text = strings.Replace(text[:strings.Index(text, "\n\n")+1], f.Installation(), "inst_other", 1)
				signed, err := note.Sign(&note.Note{Text: text}, signer)
				require.NoError(t, err)
				return string(signed)
			})
		}, []string{"1 of 1 cuts in FOLDER are of another store than ", bornOut}},
		"ACheckpointInItsPlace": {func(t *testing.T, f *world) {
			edit(t, f, func(string) string {
				text, err := os.ReadFile(filepath.Join(f.audit, "checkpoints"))
				require.NoError(t, err)
				return string(text)
			})
		}, []string{"3 of 3 cuts in FOLDER can't be trusted, the first of them number 1: it has not the lines of a cut", bornOut}},
		"ACutInACheckpointsPlace": {func(t *testing.T, f *world) {
			text, err := os.ReadFile(filepath.Join(f.audit, "cuts"))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(f.audit, "newest"), text, 0o600))
		}, []string{"1 of 4 checkpoints in FOLDER can't be trusted, the first of them number 4: it has not the lines of a checkpoint"}},
		"AnOlderCopy": {func(t *testing.T, f *world) {
			text, err := os.ReadFile(filepath.Join(f.audit, "cuts"))
			require.NoError(t, err)
			f.clock.pass(year)
			f.forgetCases()
			cut, _ := f.cutAudit(year * 3 / 2)
			require.Equal(t, 4, cut)
			edit(t, f, func(string) string { return string(text) })
		}, []string{"Links 1 to 8 are gone, and the last cut that was signed, at 2014-03-04T09:00:00Z, let go those up to 4 alone: somebody else has cut off the chain's beginning, or the file cuts is gone or an older copy"}},
		"NoFolderIsSet": {func(_ *testing.T, f *world) {
			f.audit = ""
			f.Store = f.open()
		}, []string{bornOut, "no folder for them is set"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := onSQLite.cut(t)
			folder := f.audit
			test.do(t, f)
			v := f.verify()
			require.Len(t, v.Problems, len(test.says))
			for i, says := range test.says {
				require.Contains(t, v.Problems[i].Text, strings.ReplaceAll(says, "FOLDER", folder))
			}
		})
	}
}

// Whoever verifies while something is cut off holds what they see of the chain
// against what was signed until then, and not against what was signed before they
// looked. The file of cuts is a pipe here, which has them wait between the two.
func TestVerifyBesideACut(t *testing.T) { onEach(t, testVerifyBesideACut) }

func testVerifyBesideACut(t *testing.T, on engine) {
	t.Parallel()
	f := on.cut(t)
	beside := *f
	beside.audit = filepath.Join(t.TempDir(), "audit")
	require.NoError(t, os.CopyFS(beside.audit, os.DirFS(f.audit)))
	beside.Store = beside.open()
	f.clock.pass(year)
	f.forgetCases()
	path := filepath.Join(f.audit, "cuts")
	signed, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.Remove(path))
	require.NoError(t, syscall.Mkfifo(path, 0o600))

	var group sync.WaitGroup
	group.Go(func() {
		v, err := f.VerifyAudit(t.Context())
		assert.NoError(t, err)
		assert.Empty(t, v.Problems)
		assert.Equal(t, int64(5), v.First)
	})
	pipe, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	cut, _ := beside.cutAudit(year * 3 / 2)
	require.Equal(t, 4, cut)
	_, err = pipe.Write(signed)
	require.NoError(t, errors.Join(err, pipe.Close()))
	group.Wait()
	beside.requireWholeFrom(9, 12)
}

// Invariant I22: nothing but a cut deletes anything of the audit, also where a
// cut was made, and a cut takes a beginning that is old.
func TestOnlyCutsDelete(t *testing.T) { onEach(t, testOnlyCutsDelete) }

func testOnlyCutsDelete(t *testing.T, on engine) {
	t.Parallel()
	f := on.cut(t)
	whole := func() string { return f.table("audit") + f.table("audit_chain") + f.table("audit_cuts") }
	before := whole()
	texts := []string{
		`delete from audit`,
		`delete from audit where id = (select entry from audit_chain where seq = 5)`,
		`delete from audit where id in (select entry from audit_unsealed)`,
		`delete from audit_chain`,
		`delete from audit_chain where seq = 5`,
		`update audit set actor = 'eve'`,
		`update audit_chain set hash = 'x'`,
		`delete from audit_cuts`,
		`update audit_cuts set links = 8`,
		`insert into audit_cuts (links, hash, at) values (3, 'x', 0)`,
		`insert into audit_cuts (links, hash, at) values (6, 'x', 0)`,
		`insert into audit_cuts (links, hash, at) values (99, 'x', 0)`,
		`insert into audit_cuts (links, hash, at) select seq, hash, 0 from audit_chain where seq = 12`,
	}
	if on == onPostgres {
		texts = append(texts, `truncate audit_cuts`, `insert into audit_cuts values (4, 'x', 0) on conflict (links) do update set links = 8`)
	} else {
		texts = append(texts, `insert or replace into audit_cuts values (4, 'x', 0)`, `replace into audit_chain values (5, 'x', 'x')`)
	}
	for _, text := range texts {
		_, err := f.raw().Exec(text)
		require.ErrorContains(t, err, "append-only", text)
	}
	require.Equal(t, before, whole())
	f.requireWholeFrom(5, 12)

	young := on.setup(t)
	young.clock.pass(time.Since(young.clock.Now()) - year + time.Hour)
	young.ask(young.Store, "young", 3)
	young.seal()
	_, err := young.raw().Exec(`insert into audit_cuts (links, hash, at) select seq, hash, 0 from audit_chain where seq = 1`)
	require.ErrorContains(t, err, "younger than a year")
	young.requireIntact(3)
}

// A copy of the store from before a cut has more links than was signed away: it
// verifies, and is cut again. Where something was written since, it is what any
// older copy is.
func TestT30CopyFromBeforeACut(t *testing.T) {
	t.Parallel()
	for name, since := range map[string]int{"NothingWasWrittenSince": 0, "SomethingWas": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := onSQLite.aged(t)
			f.seal()
			f.forgetCases()
			require.NoError(t, f.Close())
			old, err := os.ReadFile(f.path())
			require.NoError(t, err)
			f.Store = f.open()
			cut, _ := f.cutAudit(year * 3 / 2)
			require.Equal(t, 4, cut)
			f.ask(f.Store, "since", since)
			f.seal()
			require.NoError(t, f.Close())
			require.NoError(t, os.WriteFile(f.path(), old, 0o600))
			f.Store = f.open()

			v, older := f.verify(), error(nil)
			require.Equal(t, []int64{1, 0, 4}, []int64{v.First, v.Gone, v.Cut.Links})
			older, err = f.Recover(t.Context())
			require.NoError(t, err)
			if since == 0 {
				require.Empty(t, v.Problems)
				require.NoError(t, older)
			} else {
				require.Len(t, v.Problems, 1)
				require.Contains(t, v.Problems[0].Text, "or an old copy of the store was put back")
				require.ErrorIs(t, older, store.ErrOlder)
				require.NoError(t, f.Resume(t.Context(), store.PauseAll, "", "ada"))
				f.ask(f.Store, "afterwards", 1)
				f.seal()
			}
			cut, _ = f.cutAudit(year * 3 / 2)
			require.Equal(t, 4, cut, "it goes on")
			v = f.verify()
			require.Equal(t, int64(5), v.First)
			for _, p := range v.Problems {
				require.Contains(t, p.Text, "isn't the one that was signed", "of what was put back, and not of the cut")
			}
			require.Equal(t, since > 0, len(v.Problems) > 0)
		})
	}
}

// An older copy that was cut less far, and was cut and signed differently since,
// doesn't vouch for anything that somebody takes from it.
func TestCutsOfAnotherCourseProveNothing(t *testing.T) {
	t.Parallel()
	f := onSQLite.aged(t)
	f.forgetCases()
	require.NoError(t, f.Close())
	old, err := os.ReadFile(f.path())
	require.NoError(t, err)
	f.Store = f.open()
	f.ask(f.Store, "one", 20)
	f.seal()
	f.clock.pass(6 * year)
	f.ask(f.Store, "end", 1)
	f.seal()
	cut, _ := f.cutAudit(year)
	require.Equal(t, 33, cut)
	require.NoError(t, f.Close())
	require.NoError(t, os.WriteFile(f.path(), old, 0o600))
	f.Store = f.open()
	older, err := f.Recover(t.Context())
	require.NoError(t, err)
	require.ErrorIs(t, older, store.ErrOlder)
	f.ask(f.Store, "another", 40)
	f.seal()
	require.NotEmpty(t, f.verify().Problems, "what was signed of the first course")
	i := f.intruder()
	i.exec(`insert into audit_cuts (links, hash, at) select seq, hash, 0 from audit_chain where seq = 20`)
	i.behead(20)
	found := tampering{link: 20, says: "Links 1 to 20 are gone, and no signed cut bears that out"}
	found.requireFound(t, f.verify())
}

// TestCopyToMovesACutAudit: it verifies there, with the folder taken along, and
// is cut further.
func TestCopyToMovesACutAudit(t *testing.T) { onEach(t, testCopyToMovesACutAudit) }

func testCopyToMovesACutAudit(t *testing.T, on engine) {
	t.Parallel()
	other := map[engine]engine{onSQLite: onPostgres, onPostgres: onSQLite}[on]
	from, to := on.cut(t), other.setup(t)
	_, err := from.CopyTo(t.Context(), to.Store)
	require.NoError(t, err)
	require.Equal(t, from.count(), to.count())
	require.NoError(t, to.Close())
	to.audit = from.audit
	to.clock.pass(from.clock.Now().Add(year).Sub(to.clock.Now()))
	to.Store = to.open()
	to.recoverAll()
	require.Equal(t, from.table("audit_chain order by seq"), to.table("audit_chain order by seq"))
	to.requireWholeFrom(5, 12)
	to.ask(to.Store, "there", 1)
	to.seal()
	to.forgetCases()
	cut, _ := to.cutAudit(year * 3 / 2)
	require.Equal(t, 4, cut)
	to.requireWholeFrom(9, 14)
	pauses, err := to.Pauses(t.Context())
	require.NoError(t, err)
	require.Empty(t, pauses)
	require.NotContains(t, fmt.Sprint(to.count()), "audit_cuts:0")
}
