package store_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend/lifecycle"
	"amend/store"
)

// What the tests send and say holds values that must not come into the audit.
const (
	planText    = `{"steps":[{"arguments":{"iban":"DE00-plan-value"}}]}`
	requestText = `{"url":"https://ledger/accounts/cus_000001","body":"DE00-request-value"}`
	reasonText  = "Anna Example called and asked for it"
)

// send opens a case and writes the intent of a repair's first step, in ada's
// name. The lease is kept.
func (w *world) send(customer string) (store.Lease, store.Repair) {
	w.t.Helper()
	lease := w.claim(customer)
	var repair store.Repair
	require.NoError(w.t, w.Update(w.t.Context(), lease, func(u *store.Update) (err error) {
		repair, err = u.AddRepair(store.Repair{Rule: "open-ledger", RuleVersion: "v7", Status: store.RepairOpen, StartedBy: "ada", Reason: reasonText, Plan: []byte(planText)})
		if err != nil {
			return err
		}
		return u.Intent(repair, w.intent(repair))
	}))
	return lease, repair
}

func (w *world) intent(repair store.Repair) store.Step {
	return store.Step{Repair: repair.ID, Service: "ledger", Operation: "open", Key: w.Key(repair.ID, 0), Request: []byte(requestText)}
}

// settle ends the repair as shown, and the case as healed.
func (w *world) settle(lease store.Lease, repair store.Repair) {
	w.t.Helper()
	require.NoError(w.t, w.Update(w.t.Context(), lease, func(u *store.Update) error {
		u.Note("proved", store.Amend, "Seen for "+u.Customer+".")
		err := errors.Join(u.Proved(repair.ID, 0), u.SetRepair(repair.ID, store.RepairDone), u.Fire(lifecycle.Heal))
		u.End(store.EndedByRule)
		return err
	}))
}

// entries are those of the audit, oldest first.
func (w *world) entries() []store.AuditEntry {
	w.t.Helper()
	all, err := w.Audit(w.t.Context(), store.AuditFilter{Limit: 100_000})
	require.NoError(w.t, err)
	for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
		all[i], all[j] = all[j], all[i]
	}
	return all
}

// table is all that a table holds, as text.
func (w *world) table(name string) string {
	w.t.Helper()
	rows, err := w.raw().Query(`select * from ` + name)
	require.NoError(w.t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(w.t, err)
	var text strings.Builder
	for rows.Next() {
		row, at := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			at[i] = &row[i]
		}
		require.NoError(w.t, rows.Scan(at...))
		fmt.Fprintln(&text, row...)
	}
	require.NoError(w.t, rows.Err())
	return text.String()
}

// Invariants I4 and I21: each sending has one entry, committed with its intent.
func TestAuditOfWhatIsSent(t *testing.T) { onEach(t, testAuditOfWhatIsSent) }

func testAuditOfWhatIsSent(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	lease, repair := f.send("cus_000001")
	all := f.entries()
	require.Len(t, all, 1)
	e := all[0]
	require.Equal(t, "sent", e.Act)
	require.Equal(t, "ada", e.Actor)
	require.Equal(t, "ledger.open", e.What)
	require.Equal(t, lease.CaseID, e.CaseID)
	require.Equal(t, repair.ID, e.Repair)
	require.Equal(t, 0, e.Step)
	require.Equal(t, f.Key(repair.ID, 0), e.Key)
	require.Equal(t, "open-ledger", e.Rule)
	require.Equal(t, "v7", e.RuleVersion)
	require.WithinDuration(t, f.clock.Now(), e.At, time.Second)
	for _, fingerprint := range []string{e.Plan, e.Bytes, e.Reason} {
		require.Regexp(t, `^[0-9a-f]{64}$`, fingerprint)
	}

	t.Run("EachSendingHasItsOwn", func(t *testing.T) {
		require.NoError(t, f.Update(t.Context(), lease, func(u *store.Update) error { return u.Intent(repair, f.intent(repair)) }))
		again := f.entries()
		require.Len(t, again, 2)
		require.Equal(t, e.Key, again[1].Key)
		require.Equal(t, e.Bytes, again[1].Bytes, "the same bytes")
		require.Equal(t, e.Subject, again[1].Subject)
	})
	t.Run("WhatIsNotCommittedHasNone", func(t *testing.T) {
		changed := errors.New("changed its mind")
		require.ErrorIs(t, f.Update(t.Context(), lease, func(u *store.Update) error {
			return errors.Join(u.Intent(repair, f.intent(repair)), changed)
		}), changed)
		require.Len(t, f.entries(), 2)
	})
	t.Run("FingerprintsDifferFromCustomerToCustomer", func(t *testing.T) {
		f.send("cus_000002")
		all := f.entries()
		other := all[len(all)-1]
		require.NotEqual(t, e.Subject, other.Subject)
		require.NotEqual(t, e.Bytes, other.Bytes, "the same text under another key")
		require.NotEqual(t, e.Plan, other.Plan)
		require.NotEqual(t, e.Reason, other.Reason)
	})
	t.Run("NothingPersonal", func(t *testing.T) {
		require.NoError(t, f.SealAll(t.Context()))
		for _, table := range []string{"audit", "audit_chain", "audit_unsealed"} {
			for _, personal := range []string{"cus_0", "DE00", "Anna", "asked for it"} {
				require.NotContains(t, f.table(table), personal, table)
			}
		}
	})
	t.Run("IsFoundByCustomer", func(t *testing.T) {
		found, err := f.Audit(t.Context(), store.AuditFilter{Customer: "cus_000001", Limit: 10})
		require.NoError(t, err)
		require.Len(t, found, 2)
		found, err = f.Audit(t.Context(), store.AuditFilter{Customer: "cus_000003", Limit: 10})
		require.NoError(t, err)
		require.Empty(t, found)
		found, err = f.Audit(t.Context(), store.AuditFilter{Since: f.clock.Now(), Limit: 10})
		require.NoError(t, err)
		require.Empty(t, found)
		found, err = f.Audit(t.Context(), store.AuditFilter{Limit: 1})
		require.NoError(t, err)
		require.Equal(t, "sent", found[0].Act)
		require.NotEqual(t, e.Subject, found[0].Subject, "the newest first")
	})
}

// Fault T44: where the audit can't be written there is no intent, so nothing is
// sent.
func TestAuditUnwritable(t *testing.T) { onEach(t, testAuditUnwritable) }

func testAuditUnwritable(t *testing.T, on engine) {
	t.Parallel()
	for _, table := range []string{"audit", "audit_unsealed", "subjects"} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			f := on.setup(t)
			lease, repair := f.send("cus_000001")
			_, err := f.raw().Exec(`alter table ` + table + ` rename to away`)
			require.NoError(t, err)
			require.Error(t, f.Update(t.Context(), lease, func(u *store.Update) error {
				u.Why = "sent again"
				return u.Intent(repair, f.intent(repair))
			}))
			steps, err := f.Steps(t.Context(), repair.ID)
			require.NoError(t, err)
			require.Equal(t, 1, steps[0].Sent)
			require.NotEqual(t, "sent again", f.current("cus_000001").Why)
			_, err = f.Ask(t.Context(), store.Request{ID: "q", Customer: "cus_000001", Kind: store.AskLook, Actor: "ada"})
			require.Error(t, err, "what people ask isn't written without it, either")

			_, err = f.raw().Exec(`alter table away rename to ` + table)
			require.NoError(t, err)
			require.NoError(t, f.Update(t.Context(), lease, func(u *store.Update) error { return u.Intent(repair, f.intent(repair)) }))
			require.Len(t, f.entries(), 2)
		})
	}
}

func TestAuditOfPeople(t *testing.T) { onEach(t, testAuditOfPeople) }

func testAuditOfPeople(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	type line struct{ actor, act, what, result, rule string }
	said := func() (lines []line) {
		for _, e := range f.entries() {
			lines = append(lines, line{e.Actor, e.Act, e.What, e.Result, e.Rule})
		}
		return lines
	}
	ask := func(q store.Request) {
		_, err := f.Ask(t.Context(), q)
		require.NoError(t, err)
	}
	ask(store.Request{ID: "1", Customer: "cus_000001", Kind: store.AskLook, Actor: "ada"})
	ask(store.Request{ID: "1", Customer: "cus_000001", Kind: store.AskLook, Actor: "ada"}) // the form was sent twice
	ask(store.Request{ID: "2", Customer: "cus_000001", Kind: store.AskStart, Rule: "open-ledger", Actor: "bo", Reason: reasonText})
	require.NoError(t, f.TakeRequest(t.Context(), "1", "looked: ledger_missing"))
	require.NoError(t, f.TakeRequest(t.Context(), "1", "looked: active"))
	require.NoError(t, f.TakeRequest(t.Context(), "2", "refused: the IBAN DE00 of cus_000001 has changed."))
	ask(store.Request{ID: "3", Customer: "cus_000002", Kind: store.AskStart, Rule: "open-ledger", Actor: "bo"})
	require.NoError(t, f.TakeRequest(t.Context(), "3", "started"))
	ask(store.Request{ID: "4", Customer: "cus_000002", Kind: store.AskStart, Rule: "open-ledger", Actor: "bo"})
	require.NoError(t, f.TakeRequest(t.Context(), "4", "Reading every service again shows it in order."))
	require.Equal(t, []line{
		{"ada", "asked", "look", "", ""},
		{"bo", "asked", "start", "", "open-ledger"},
		{"bo", "answered", "start", "refused", "open-ledger"},
		{"bo", "asked", "start", "", "open-ledger"},
		{"bo", "answered", "start", "started", "open-ledger"},
		{"bo", "asked", "start", "", "open-ledger"},
		{"bo", "answered", "start", "ended", "open-ledger"},
	}, said())
	all := f.entries()
	require.NotEmpty(t, all[1].Reason)
	require.Equal(t, all[0].Subject, all[2].Subject)
	require.NotEqual(t, all[0].Subject, all[3].Subject)

	added, err := f.AskLooks(t.Context(), []string{"cus_000005", "cus_000006"}, "observe")
	require.NoError(t, err)
	require.Equal(t, 2, added)
	require.Len(t, f.entries(), len(all), "hints of services are not what people do")

	before := len(all)
	scan, _, err := f.StartScan(t.Context(), store.FullScan, "cy")
	require.NoError(t, err)
	require.NoError(t, f.SteerScan(t.Context(), scan.ID, "pause", "di"))
	require.Error(t, f.SteerScan(t.Context(), scan.ID, "pause", "di"), "it is")
	require.NoError(t, f.SteerScan(t.Context(), scan.ID, "cancel", "di"))
	_, _, err = f.StartScan(t.Context(), store.FreshScan, store.Amend)
	require.NoError(t, err)
	require.Equal(t, []line{
		{"cy", "scan", "full", "start", ""},
		{"di", "scan", "full", "pause", ""},
		{"di", "scan", "full", "cancel", ""},
	}, said()[before:])
	require.NotContains(t, f.table("audit"), "DE00")
}

// Invariant I22: not even the owner of the tables changes the audit by the way.
func TestAuditIsAppendOnly(t *testing.T) { onEach(t, testAuditIsAppendOnly) }

func testAuditIsAppendOnly(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	f.send("cus_000001")
	f.send("cus_000002")
	require.NoError(t, f.SealAll(t.Context()))
	before := f.table("audit") + f.table("audit_chain")
	texts := []string{
		`update audit set actor = 'eve'`,
		`update audit set actor = 'eve' where id in (select entry from audit_chain where seq = 1)`,
		`delete from audit`,
		`insert into audit select * from audit limit 1 on conflict (id) do update set actor = 'eve'`,
		`update audit_chain set hash = 'x'`,
		`delete from audit_chain where seq = 2`,
	}
	if on == onPostgres {
		texts = append(texts, `truncate audit`, `truncate audit_chain`, `truncate audit, audit_chain cascade`)
	} else {
		texts = append(texts, `insert or replace into audit select id, at, 'eve', act, what, result, subject, case_id, repair, step, key, rule, rule_version, plan, bytes, reason from audit`,
			`insert or replace into audit_chain select seq, entry, 'x' from audit_chain`, `replace into audit_chain values (9, (select entry from audit_chain limit 1), 'x')`)
		texts[3] = strings.Replace(texts[3], " limit 1", " where true limit 1", 1) // SQLite would take "on" for a join
	}
	for _, text := range texts {
		_, err := f.raw().Exec(text)
		require.ErrorContains(t, err, "append-only", text)
	}
	require.Equal(t, before, f.table("audit")+f.table("audit_chain"))
}

// Two workers that speak of one customer for the first time at once use one
// pseudonym.
func TestSubjectIsShared(t *testing.T) { onEach(t, testSubjectIsShared) }

func testSubjectIsShared(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	stores := []*store.Store{f.Store, f.open()}
	var group sync.WaitGroup
	for i := range 40 {
		group.Go(func() {
			_, err := stores[i%2].Ask(t.Context(), store.Request{ID: fmt.Sprint(i), Customer: fmt.Sprintf("cus_%06d", i/8), Kind: store.AskLook, Actor: "ada"})
			assert.NoError(t, err)
		})
	}
	group.Wait()
	subjects := map[string]bool{}
	for _, e := range f.entries() {
		subjects[e.Subject] = true
	}
	require.Len(t, subjects, 5)
	require.Len(t, f.entries(), 40)
}

// Whoever is named between the lease and the intent has one name all the same.
func TestSubjectNamedMeanwhile(t *testing.T) { onEach(t, testSubjectNamedMeanwhile) }

func testSubjectNamedMeanwhile(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	lease := f.claim("cus_000001")
	_, err := f.Ask(t.Context(), store.Request{ID: "1", Customer: "cus_000001", Kind: store.AskLook, Actor: "ada"})
	require.NoError(t, err)
	require.NoError(t, f.Update(t.Context(), lease, func(u *store.Update) error {
		repair, err := u.AddRepair(store.Repair{Rule: "r", Status: store.RepairOpen, StartedBy: store.Amend, Plan: []byte("{}")})
		if err != nil {
			return err
		}
		return u.Intent(repair, f.intent(repair))
	}))
	entries, err := f.Audit(t.Context(), store.AuditFilter{Customer: "cus_000001", Limit: 9})
	require.NoError(t, err)
	require.Len(t, entries, 2)
}
