package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend"
	"amend/store"
)

const year = 365 * 24 * time.Hour

// fill writes so many entries as amend would, all of one moment.
func (w *world) fill(name string, n int) {
	w.t.Helper()
	const numbers = `with recursive n(i) as (select 1 union all select i + 1 from n where i < $1) `
	id := `'aud_` + name + `_' || (100000 + i)`
	_, err := w.raw().Exec(numbers+`insert into audit (id, at, actor, act, what, result, subject, case_id, repair, step, key, rule, rule_version, plan, bytes, reason)
		select `+id+`, $2, 'ada', 'scan', 'full', 'start', '', '', '', 0, '', '', '', '', '', '' from n`, n, w.clock.Now().UnixMicro())
	require.NoError(w.t, err)
	_, err = w.raw().Exec(numbers+`insert into audit_unsealed (entry) select `+id+` from n`, n)
	require.NoError(w.t, err)
}

// cutAudit cuts what is older than keep.
func (w *world) cutAudit(keep time.Duration) (cut int, more bool) {
	w.t.Helper()
	cut, more, err := w.CutAudit(w.t.Context(), keep)
	require.NoError(w.t, err)
	return cut, more
}

// signedCuts are the links that each signed cut let go.
func (w *world) signedCuts() (links []string) {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.audit, "cuts"))
	require.NoError(w.t, err)
	for _, found := range regexp.MustCompile(`(?m)^amend audit cut of `+w.Installation()+`\n(\d+)$`).FindAllStringSubmatch(string(text), -1) {
		links = append(links, found[1])
	}
	return links
}

// forgetCases deletes the cases that have ended, with their repairs.
func (w *world) forgetCases() {
	w.t.Helper()
	for more := true; more; {
		var err error
		_, more, err = w.Delete(w.t.Context(), w.clock.Now())
		require.NoError(w.t, err)
	}
}

// aged is an audit of 12 links, 4 of each March from 2012 to 2014, signed after
// each 4, and one entry that waits. Each first one is of a repair that the store
// holds.
func (on engine) aged(t *testing.T) *world {
	t.Helper()
	f := on.setup(t)
	for n := range 4 {
		f.clock.pass(time.Date(2012+min(n, 2), 3, 1+n, 9, 0, 0, 0, time.UTC).Sub(f.clock.Now()))
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

// cut is that audit after its first 4 links were cut off.
func (on engine) cut(t *testing.T) *world {
	t.Helper()
	f := on.aged(t)
	f.forgetCases()
	cut, more := f.cutAudit(year * 3 / 2)
	require.Equal(t, 4, cut)
	require.False(t, more)
	f.requireWholeFrom(5, 12)
	return f
}

// requireWholeFrom holds that nothing is wrong with links from one to another,
// and that those before it were cut off.
func (w *world) requireWholeFrom(first, last int64) store.Verification {
	w.t.Helper()
	v := w.requireIntact(last - first + 1)
	require.Equal(w.t, []int64{first, first - 1}, []int64{v.First, v.Gone})
	return v
}

// What is older than the setting is cut off, and what follows goes on from there.
func TestCutAudit(t *testing.T) { onEach(t, testCutAudit) }

func testCutAudit(t *testing.T, on engine) {
	t.Parallel()
	f := on.cut(t)
	v := f.verify()
	require.Equal(t, "2013-03-02", v.Since.Format(time.DateOnly))
	require.Equal(t, int64(4), v.Cut.Links)
	require.Equal(t, year*3/2, v.Cut.Keep)
	require.Equal(t, "2014-03-04", v.Cut.At.Format(time.DateOnly))
	require.Len(t, f.entries(), 9)
	require.Equal(t, "sent", f.entries()[0].Act)

	t.Run("NothingMoreIsOld", func(t *testing.T) {
		cut, more := f.cutAudit(year * 3 / 2)
		require.Zero(t, cut)
		require.False(t, more)
		require.Equal(t, []string{"4"}, f.signedCuts(), "a cut of nothing leaves no line")
	})
	t.Run("TheChainGoesOn", func(t *testing.T) {
		f.ask(f.Store, "more", 2)
		f.seal()
		f.requireWholeFrom(5, 15)
	})
	t.Run("AndIsCutAgain", func(t *testing.T) {
		f.clock.pass(year)
		cut, _ := f.cutAudit(year * 3 / 2)
		require.Equal(t, 4, cut)
		require.Equal(t, int64(8), f.requireWholeFrom(9, 15).Cut.Links)
		require.Equal(t, []string{"4", "8"}, f.signedCuts(), "all of them stay")
		require.Equal(t, 1, f.count()["audit_cuts"], "in the store the last is enough")
	})
	t.Run("ForgettingGoesOn", func(t *testing.T) {
		done, err := f.forget("cus_000002")
		require.NoError(t, err)
		require.Positive(t, done.Rows)
		require.NoError(t, f.Close())
		f.Store = f.open()
		f.seal()
		f.requireWholeFrom(9, 16)
		require.NotContains(t, f.table("audit"), "cus_0")
	})
	t.Run("TheLastLinkStays", func(t *testing.T) {
		f.forgetCases()
		f.clock.pass(9 * year)
		cut, _ := f.cutAudit(year)
		require.Equal(t, 7, cut)
		f.requireWholeFrom(16, 16)
		f.ask(f.Store, "end", 1)
		f.seal()
		f.requireWholeFrom(16, 17)
	})
}

// What is needed stays, however old it is, and so does all that follows it.
func TestCutAuditLeaves(t *testing.T) { onEach(t, testCutAuditLeaves) }

func testCutAuditLeaves(t *testing.T, on engine) {
	t.Parallel()
	t.Run("WhatIsYounger", func(t *testing.T) {
		t.Parallel()
		f := on.aged(t)
		f.forgetCases()
		cut, _ := f.cutAudit(3 * year)
		require.Zero(t, cut)
		f.requireIntact(12)
		require.NoFileExists(t, filepath.Join(f.audit, "cuts"))
	})
	t.Run("ARepairThatIsOpen", func(t *testing.T) { // invariant I21
		t.Parallel()
		f := on.setup(t)
		f.clock.pass(-16 * year)
		f.ask(f.Store, "first", 2)
		lease, repair := f.send("cus_000009")
		f.ask(f.Store, "last", 2)
		f.seal()
		f.clock.pass(10 * year)
		f.ask(f.Store, "later", 1)
		f.seal()
		cut, _ := f.cutAudit(7 * year)
		require.Equal(t, 2, cut)
		f.requireWholeFrom(3, 6)
		f.clock.pass(-10 * year)
		f.settle(lease, repair)
		f.clock.pass(10 * year)
		cut, _ = f.cutAudit(7 * year)
		require.Zero(t, cut, "it has ended, and the store still says what was sent")
		f.forgetCases()
		cut, _ = f.cutAudit(7 * year)
		require.Equal(t, 3, cut)
		f.requireWholeFrom(6, 6)
	})
	t.Run("WhatIsNotSigned", func(t *testing.T) {
		t.Parallel()
		f := on.aged(t)
		f.forgetCases()
		unsigned := *f
		unsigned.audit = ""
		unsigned.Store = unsigned.open()
		unsigned.seal()
		f.ask(f.Store, "more", 2)
		unsigned.seal()
		f.clock.pass(9 * year)
		cut, _ := f.cutAudit(year)
		require.Equal(t, 11, cut, "12 are signed, and the last of them shows that it is the same chain")
		f.requireWholeFrom(12, 15)
		_, _, err := unsigned.CutAudit(t.Context(), year)
		require.Equal(t, amend.Invalid, amend.CodeOf(err), "where nothing is signed nothing goes")
	})
	t.Run("WhatTheDatabaseKnowsToBeYoung", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		f.clock.pass(time.Since(f.clock.Now()))
		f.ask(f.Store, "a", 3)
		f.seal()
		f.clock.pass(8 * year) // this worker's clock runs ahead
		_, _, err := f.CutAudit(t.Context(), 7*year)
		require.ErrorContains(t, err, "younger than a year")
		f.requireWholeFrom(1, 3)
	})
}

// Large audits go in small transactions, a bounded number of them at once.
func TestCutAuditInBatches(t *testing.T) { onEach(t, testCutAuditInBatches) }

func testCutAuditInBatches(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	f.clock.pass(-16 * year)
	f.fill("old", 5600)
	f.seal()
	f.clock.pass(8 * year)
	f.fill("new", 3)
	f.seal()
	cut, more := f.cutAudit(7 * year)
	require.Equal(t, 5000, cut)
	require.True(t, more)
	f.requireWholeFrom(5001, 5603)
	cut, more = f.cutAudit(7 * year)
	require.Equal(t, 600, cut)
	require.False(t, more)
	f.requireWholeFrom(5601, 5603)
}

// refuseCutsBehind makes the database refuse cuts behind a link, as if the
// process was killed before them.
func (w *world) refuseCutsBehind(link int) (undo func()) {
	do, back := fmt.Sprintf(`alter table audit_cuts add constraint killed check (links <= %d)`, link), `alter table audit_cuts drop constraint killed`
	if strings.HasPrefix(w.address, "sqlite:") {
		do, back = fmt.Sprintf(`create trigger killed before insert on audit_cuts when new.links > %d begin select raise(abort, 'killed'); end`, link), `drop trigger killed`
	}
	exec := func(text string) {
		_, err := w.raw().Exec(text)
		require.NoError(w.t, err)
	}
	exec(do)
	return func() { exec(back) }
}

// A crash between the steps of a cut leaves what verifies, and the next one goes
// on from there.
func TestCutAuditIsInterrupted(t *testing.T) { onEach(t, testCutAuditIsInterrupted) }

func testCutAuditIsInterrupted(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	f.clock.pass(-16 * year)
	f.fill("old", 1200)
	f.seal()
	f.clock.pass(8 * year)
	f.fill("new", 3)
	f.seal()
	again := func() {
		require.NoError(t, f.Close())
		f.Store = f.open()
	}
	undo := f.refuseCutsBehind(0)
	cut, _, err := f.CutAudit(t.Context(), 7*year)
	require.ErrorContains(t, err, "killed")
	require.Zero(t, cut)
	again()
	require.Equal(t, int64(1200), f.requireWholeFrom(1, 1203).Cut.Links, "signed, and nothing is gone")
	require.NoError(t, f.Seal(t.Context()))
	undo()

	undo = f.refuseCutsBehind(500)
	cut, _, err = f.CutAudit(t.Context(), 7*year)
	require.ErrorContains(t, err, "killed")
	require.Equal(t, 500, cut)
	again()
	require.Equal(t, int64(1200), f.requireWholeFrom(501, 1203).Cut.Links, "signed, and some are gone")
	f.ask(f.Store, "more", 1)
	f.seal()
	f.requireWholeFrom(501, 1204)
	undo()

	cut, _ = f.cutAudit(7 * year)
	require.Equal(t, 700, cut)
	f.requireWholeFrom(1201, 1204)
}

// Where the cut can't be signed nothing goes.
func TestCutAuditUnsigned(t *testing.T) { onEach(t, testCutAuditUnsigned) }

func testCutAuditUnsigned(t *testing.T, on engine) {
	t.Parallel()
	f := on.aged(t)
	f.forgetCases()
	require.NoError(t, os.Mkdir(filepath.Join(f.audit, "cuts.new"), 0o700))
	_, _, err := f.CutAudit(t.Context(), year)
	require.ErrorContains(t, err, "cut the audit: ")
	f.requireWholeFrom(1, 12)
	require.NoError(t, os.Remove(filepath.Join(f.audit, "cuts.new")))
	cut, _ := f.cutAudit(year)
	require.Equal(t, 8, cut)
	f.requireWholeFrom(9, 12)
}

// Two workers who cut, link and sign at once, beside one who verifies, do no
// harm to each other.
func TestTwoCutters(t *testing.T) { onEach(t, testTwoCutters) }

func testTwoCutters(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	f.clock.pass(-16 * year)
	for n := range 6 {
		f.fill(fmt.Sprint("old", n), 600)
		f.seal()
	}
	f.clock.pass(8 * year)
	f.ask(f.Store, "new", 1)
	f.seal()
	stores := []*store.Store{f.Store, f.open()}
	var working, verifying sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	total := 0
	var mu sync.Mutex
	for i, s := range stores {
		working.Go(func() {
			f.ask(s, fmt.Sprint("beside", i), 5)
			assert.NoError(t, s.Seal(t.Context()))
			cut, _, err := s.CutAudit(t.Context(), 7*year)
			assert.NoError(t, err)
			mu.Lock()
			defer mu.Unlock()
			total = max(total, cut)
		})
	}
	verifying.Go(func() {
		for ctx.Err() == nil {
			v, err := stores[0].VerifyAudit(t.Context())
			assert.NoError(t, err)
			assert.Empty(t, v.Problems)
		}
	})
	working.Wait()
	cancel()
	verifying.Wait()
	require.Equal(t, 3600, total)
	f.seal()
	f.requireWholeFrom(3601, 3611)
}

// A worker who sees again after years what others have signed, and cut off,
// doesn't take it for an older copy.
func TestCutBehindAnothersBack(t *testing.T) { onEach(t, testCutBehindAnothersBack) }

func testCutBehindAnothersBack(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	f.clock.pass(-16 * year)
	f.ask(f.Store, "a", 3)
	f.seal()
	f.requireIntact(3)
	other := f.open()
	f.clock.pass(8 * year)
	f.ask(other, "b", 3)
	require.NoError(t, other.SealAll(t.Context()))
	cut, _, err := other.CutAudit(t.Context(), 7*year)
	require.NoError(t, err)
	require.Equal(t, 3, cut)
	f.ask(f.Store, "c", 1)
	require.NoError(t, f.Seal(t.Context()))
	pauses, err := f.Pauses(t.Context())
	require.NoError(t, err)
	require.Empty(t, pauses)
	f.requireWholeFrom(4, 7)
}
