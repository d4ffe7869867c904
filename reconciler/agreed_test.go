package reconciler_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend"
	"amend/bank"
	"amend/connectors"
	"amend/desk"
	"amend/lifecycle"
	"amend/store"
)

// desk is where people ask, with the engine as its reader.
func (w *world) desk() *desk.Desk {
	return &desk.Desk{Schema: w.cfg.Schema, Rules: w.cfg.Rules, Store: w.store, Reader: w.engine, Now: w.clock.Now}
}

// propose has a repair of somebody proposed, and gives what people see of it.
func (w *world) propose(customer string) desk.Agreement {
	w.Helper()
	require.Equal(w, lifecycle.Proposed, w.healOn(customer).Status)
	return w.agreement(customer)
}

// agreement is what a person would send who agrees to what is proposed.
func (w *world) agreement(customer string) desk.Agreement {
	w.Helper()
	sheet, err := w.desk().Customer(w.Context(), customer)
	require.NoError(w, err)
	require.NotNil(w, sheet.Proposal, sheet.Case.Why)
	return desk.Agreement{Request: w.store.NewID("ask"), Customer: customer, Repair: sheet.Proposal.Repair.ID, Fingerprint: sheet.Proposal.Fingerprint, Reason: "ticket 4711", Agrees: true}
}

// says has a person agree, or refuse.
func (w *world) says(a desk.Agreement, actor string, agrees bool) error {
	a.Request, a.Actor, a.Agrees = w.store.NewID("ask"), actor, agrees
	return w.desk().Approve(w.Context(), a)
}

func (w *world) agrees(a desk.Agreement, actors ...string) {
	w.Helper()
	for _, actor := range actors {
		require.NoError(w, w.says(a, actor, true))
	}
}

// noted are the texts of one kind in the customer's timeline, newest first.
func (w *world) noted(customer, kind string) (texts []string) {
	w.Helper()
	entries, err := w.store.Timeline(w.Context(), customer, 100)
	require.NoError(w, err)
	for _, e := range entries {
		if e.Kind == kind {
			texts = append(texts, e.Actor+": "+e.Text)
		}
	}
	return texts
}

// rejected are customers for whom close-account is proposed, which two people
// must agree to.
func rejected(t *testing.T, o options) (*world, []string) {
	t.Helper()
	o.customers = max(o.customers, 400)
	change := o.yaml
	o.yaml = func(s string) string {
		if change != nil {
			s = change(s)
		}
		const when = `ledger.present && ledger.status != "closed"` + "\n    tell: We could not verify your identity, so your account will"
		return strings.Replace(s, when, strings.Replace(when, "\n", ` && (ledger.currency == "EUR" || ledger.currency == "GBP")`+"\n", 1), 1)
	}
	w := setup(t, o)
	all := w.allPlanted("closed")[:min(o.customers/100, 30)]
	for _, customer := range all {
		w.reopens(customer, "EUR")
	}
	w.scan()
	return w, all
}

// reopens has somebody open an account by hand.
func (w *world) reopens(customer, currency string) {
	w.Helper()
	w.human(http.MethodPost, "LEDGER_URL", "/accounts", fmt.Sprintf(`{"owner":%q,"currency":%q}`, customer, currency), "by-hand-"+currency+customer)
}

// closes has somebody close the account by hand.
func (w *world) closes(customer string) {
	w.Helper()
	w.human(http.MethodPut, "LEDGER_URL", "/accounts/"+customer+"/status", `{"status":"closed"}`, "")
}

// requireNothingMoreWrong is the bank's own verdict, but for what was opened by
// hand for who is rejected.
func (w *world) requireNothingMoreWrong() {
	w.Helper()
	for _, e := range w.bank.Journal().Entries() {
		if !strings.HasPrefix(e.Key, "by-hand") {
			require.False(w, e.Wrong != "" || e.DoubleEffect || e.SecondKey, "%+v", e)
		}
	}
}

// changes gives the customer another account: the state is the same, and one of
// the fields that it rests on isn't.
func (w *world) changes(customer string) {
	w.Helper()
	w.closes(customer)
	w.reopens(customer, "GBP")
}

// TestAgreed: what is proposed is carried out when enough people agree, once,
// and the audit says who did before it says what was sent.
func TestAgreed(t *testing.T) { onEach(t, testAgreed) }

func testAgreed(t *testing.T, o options) {
	t.Parallel()
	w, all := rejected(t, o)
	customer := all[0]
	a := w.propose(customer)
	proposed := w.lastCase(customer)
	require.Contains(t, proposed.Next, "2 people must agree until")
	require.WithinDuration(t, w.clock.Now().Add(72*time.Hour), proposed.WakeAt, time.Minute, "the state's promise")

	w.agrees(a, "ada")
	w.heal(customer)
	require.Equal(t, lifecycle.Proposed, w.lastCase(customer).Status, "one is not enough")
	require.Empty(t, w.sendings(customer, bank.LedgerClose))
	w.agrees(a, "bo")
	ready, err := w.store.Ready(t.Context(), 100)
	require.NoError(t, err)
	require.Contains(t, ready, customer)
	w.heal(customer)
	ended := w.lastCase(customer)
	require.Equal(t, lifecycle.Healed, ended.Status, ended.Why)
	require.Equal(t, store.EndedByRule, ended.EndedBy)
	require.Len(t, w.sendings(customer, bank.LedgerClose), 1)
	require.Len(t, w.repairs(customer), 1)
	require.Equal(t, "done", w.incident(proposed).Status)

	audit, err := w.store.Audit(t.Context(), store.AuditFilter{Customer: customer, Limit: 10})
	require.NoError(t, err)
	var acts []string
	for _, e := range audit {
		acts = append(acts, e.Actor+" "+e.Act)
		require.Equal(t, a.Repair, e.Repair)
		require.Equal(t, audit[0].Plan, e.Plan)
	}
	require.Equal(t, []string{"amend sent", "bo agreed", "ada agreed"}, acts)
	w.requireNothingMoreWrong()
}

// I23: nobody agrees to their own, twice, too late, or to what has changed.
func TestI23WhoMayAgree(t *testing.T) { onEach(t, testI23WhoMayAgree) }

func testI23WhoMayAgree(t *testing.T, o options) {
	t.Parallel()
	w, all := rejected(t, o)
	code := func(err error, code amend.Code, text string) {
		t.Helper()
		require.ErrorContains(t, err, text)
		require.Equal(t, code, amend.CodeOf(err))
	}
	customer := all[0]
	a := w.propose(customer)

	a.Reason = " "
	code(w.says(a, "ada", true), amend.Invalid, "say why")
	code(w.says(a, "ada", false), amend.Invalid, "say why")
	a.Reason = "ticket 4711"
	other := a
	other.Fingerprint = strings.Repeat("0", 32)
	code(w.says(other, "ada", true), amend.Conflict, "something else is proposed")
	other = a
	other.Customer = all[1]
	code(w.says(other, "ada", true), amend.NotFound, "nobody was asked")
	w.agrees(a, "ada")
	code(w.says(a, "ada", true), amend.Conflict, "a person counts once, and ada has agreed already")
	require.Equal(t, []string{"ada: Agreed to close-account, 1 of 2: ticket 4711"}, w.noted(customer, "agreed"))

	t.Run("TheSameFormTwiceIsOneWord", func(t *testing.T) {
		a := a
		a.Request, a.Actor = w.store.NewID("ask"), "bo"
		require.NoError(t, w.desk().Approve(t.Context(), a))
		require.NoError(t, w.desk().Approve(t.Context(), a))
		code(w.says(a, "cy", true), amend.Conflict, "enough people have agreed")
		w.heal(customer)
		require.NoError(t, w.desk().Approve(t.Context(), a), "also after it was carried out")
		code(w.says(a, "cy", true), amend.Conflict, "enough people have agreed")
		code(w.says(a, "cy", false), amend.Conflict, "enough people have agreed")
		a.Actor = "cy"
		code(w.desk().Approve(t.Context(), a), amend.Conflict, "used before")
		require.Len(t, w.sendings(customer, bank.LedgerClose), 1)
	})
	t.Run("TooLate", func(t *testing.T) {
		customer := all[1]
		a := w.propose(customer)
		w.agrees(a, "ada")
		w.clock.passTo(w.lastCase(customer).WakeAt)
		require.ErrorIs(t, w.says(a, "bo", true), store.ErrExpired)
		w.heal(customer)
		w.requireEscalated(w.lastCase(customer), "expired")
		require.Contains(t, w.lastCase(customer).Why, "Of 2 people who must agree to close-account, 1 did")
		code(w.says(a, "bo", true), amend.Conflict, "no longer stands")
		require.Empty(t, w.sendings(customer, bank.LedgerClose))
	})
	t.Run("Refused", func(t *testing.T) {
		customer := all[2]
		a := w.propose(customer)
		w.agrees(a, "ada")
		require.NoError(t, w.says(a, "ada", false), "whoever agreed can take it back")
		code(w.says(a, "bo", true), amend.Conflict, "ada has refused it")
		w.heal(customer)
		w.requireEscalated(w.lastCase(customer), "declined")
		require.Contains(t, w.lastCase(customer).Why, "ada has refused close-account: ticket 4711")
		require.Equal(t, store.RepairVoid, w.repairs(customer)[0].Status)
		code(w.says(a, "bo", true), amend.Conflict, "ada has refused it")
		require.Empty(t, w.sendings(customer, bank.LedgerClose))
	})
	w.requireNothingMoreWrong()
}

// I17, I18, S53: what an approval rests on is read again before it is taken, and
// again before anything is sent. What changes it voids all of them and says what.
func TestI17WhatChangesVoids(t *testing.T) { onEach(t, testI17WhatChangesVoids) }

func testI17WhatChangesVoids(t *testing.T, o options) {
	t.Parallel()
	t.Run("BeforeTheLastAgrees", func(t *testing.T) {
		t.Parallel()
		w, all := rejected(t, o)
		customer := all[0]
		a := w.propose(customer)
		w.agrees(a, "ada")
		w.clock.pass(time.Hour)
		w.changes(customer)
		err := w.says(a, "bo", true)
		require.Equal(t, amend.Conflict, amend.CodeOf(err))
		require.ErrorContains(t, err, "changed since it was proposed: ledger.currency")
		w.heal(customer)
		require.Equal(t, lifecycle.Proposed, w.lastCase(customer).Status)
		require.Equal(t, []string{"amend: What was proposed no longer stands: ledger.currency changed. Whoever agreed has to do so again."}, w.noted(customer, "void"))
		require.ErrorContains(t, w.says(a, "bo", true), "no longer stands")
		anew := w.agreement(customer)
		require.NotEqual(t, a.Repair, anew.Repair)
		require.Equal(t, w.lastCase(customer).Next, w.incident(w.lastCase(customer)).Next, "people are told until when")
		w.agrees(anew, "bo")
		require.Len(t, w.sendings(customer, bank.LedgerClose), 1, "the person's own")
		require.NoError(t, w.says(anew, "ada", true), "what ada said was about something else")
	})
	t.Run("AfterTheLastAgreed", func(t *testing.T) {
		t.Parallel()
		w, all := rejected(t, o)
		customer := all[0]
		a := w.propose(customer)
		w.agrees(a, "ada", "bo")
		w.changes(customer)
		w.heal(customer)
		require.Equal(t, lifecycle.Proposed, w.lastCase(customer).Status)
		require.Len(t, w.noted(customer, "void"), 1)
		require.Equal(t, []string{store.RepairVoid, store.RepairProposed}, []string{w.repairs(customer)[0].Status, w.repairs(customer)[1].Status})
	})
	t.Run("TheRuleIsEdited", func(t *testing.T) {
		t.Parallel()
		w, all := rejected(t, o)
		customer := all[0]
		a := w.propose(customer)
		w.engine.Rules.Rule("close-account").Version += "x"
		require.ErrorContains(t, w.says(a, "ada", true), "the rule close-account has changed")
		w.heal(customer)
		require.Equal(t, store.RepairVoid, w.repairs(customer)[0].Status)
		require.ErrorContains(t, w.says(a, "ada", true), "no longer stands")
	})
	t.Run("TheStateIsAnother", func(t *testing.T) {
		t.Parallel()
		w, all := rejected(t, o)
		customer := all[0]
		a := w.propose(customer)
		w.agrees(a, "ada", "bo")
		w.closes(customer)
		require.ErrorContains(t, w.says(a, "cy", true), "the customer is closed now, and was rejected_but_open")
		w.heal(customer)
		require.Equal(t, lifecycle.Healed, w.lastCase(customer).Status)
		require.Equal(t, store.EndedByItself, w.lastCase(customer).EndedBy)
		require.Len(t, w.sendings(customer, bank.LedgerClose), 1, "the person's own")
	})
}

// T20, S15: of 50 at once as many are taken as are needed, and there is one
// repair.
func TestT20FiftyAtOnce(t *testing.T) { onEach(t, testT20FiftyAtOnce) }

func testT20FiftyAtOnce(t *testing.T, o options) {
	t.Parallel()
	w, all := rejected(t, o)
	for name, actor := range map[string]func(int) string{
		"FiftyPeople": func(i int) string { return fmt.Sprint("p", i) },
		"TwoPeople":   func(i int) string { return fmt.Sprint("p", i%2) },
	} {
		customer := all[0]
		all = all[1:]
		a := w.propose(customer)
		var group sync.WaitGroup
		var mu sync.Mutex
		taken := map[string]int{}
		for i := range 50 {
			group.Go(func() {
				err := w.says(a, actor(i), true)
				if err != nil {
					assert.Equal(t, amend.Conflict, amend.CodeOf(err), "%v", err)
				} else {
					mu.Lock()
					taken[actor(i)]++
					mu.Unlock()
				}
				assert.NoError(t, w.engine.Heal(t.Context(), customer))
			})
		}
		group.Wait()
		w.heal(customer)
		require.Equal(t, lifecycle.Healed, w.lastCase(customer).Status, name)
		require.Len(t, taken, 2, name)
		for who, times := range taken {
			require.Equal(t, 1, times, who)
		}
		require.Len(t, w.sendings(customer, bank.LedgerClose), 1, name)
		require.Len(t, w.repairs(customer), 1, name)
	}
	w.requireNothingMoreWrong()
}

// T21: whoever agrees while the account changes agrees to what was shown, or is
// refused; what was agreed to and has changed is never sent.
func TestT21AgreeWhileItChanges(t *testing.T) { onEach(t, testT21AgreeWhileItChanges) }

func testT21AgreeWhileItChanges(t *testing.T, o options) {
	t.Parallel()
	w, all := rejected(t, options{postgres: o.postgres, customers: 3000})
	require.Len(t, all, 30)
	sent, voided := 0, 0
	for i, customer := range all {
		a := w.propose(customer)
		w.agrees(a, "ada")
		var group sync.WaitGroup
		group.Go(func() {
			if err := w.says(a, "bo", true); err != nil {
				assert.Equal(t, amend.Conflict, amend.CodeOf(err))
			}
			assert.NoError(t, w.engine.Heal(t.Context(), customer))
		})
		group.Go(func() {
			if i%4 > 0 { // sometimes nobody is in between
				w.changes(customer)
			}
		})
		group.Wait()
		changed := false
		for _, e := range w.bank.Journal().Of(customer) {
			require.False(t, changed && e.Operation == bank.LedgerClose && e.Effect, "%s: what was agreed to had changed", customer)
			changed = changed || e.Key == "by-hand-GBP"+customer
		}
		if w.repairs(customer)[0].Status == store.RepairVoid {
			voided++
		} else {
			sent++
		}
	}
	t.Logf("%d carried out, %d not", sent, voided)
	require.Positive(t, sent)
}

// A process that is killed between the agreement and the sending is followed by
// one that goes on; one that wrote the intent goes on with the same key.
func TestKilledAfterTheAgreement(t *testing.T) { onEach(t, testKilledAfterTheAgreement) }

func testKilledAfterTheAgreement(t *testing.T, o options) {
	t.Parallel()
	w, all := rejected(t, o)
	customer := all[0]
	a := w.propose(customer)
	w.agrees(a, "ada", "bo")
	_, claimed, err := w.store.Claim(t.Context(), customer, 20*time.Second) // by a process that ends here
	require.NoError(t, err)
	require.True(t, claimed)
	w.restart()
	ready, err := w.store.Ready(t.Context(), 100)
	require.NoError(t, err)
	require.Contains(t, ready, customer)
	w.heal(customer)
	require.Equal(t, lifecycle.Healed, w.lastCase(customer).Status)
	require.Len(t, w.sendings(customer, bank.LedgerClose), 1)
	w.requireNothingMoreWrong()
}

// TestAgreedButNotNow: what is agreed to waits for what a person can't overrule,
// and for no longer than it stands. I26: a clock that is put back prolongs
// nothing.
func TestAgreedButNotNow(t *testing.T) { onEach(t, testAgreedButNotNow) }

func testAgreedButNotNow(t *testing.T, o options) {
	t.Parallel()
	w, all := rejected(t, o)
	pause := func() {
		_, err := w.store.Pause(t.Context(), store.Pause{Scope: store.PauseAll, By: "di", Why: "a move"})
		require.NoError(t, err)
	}
	resume := func() { require.NoError(t, w.store.Resume(t.Context(), store.PauseAll, "", "di")) }
	t.Run("SentWhenItMay", func(t *testing.T) {
		customer := all[0]
		w.agrees(w.propose(customer), "ada", "bo")
		pause()
		w.heal(customer)
		c := w.lastCase(customer)
		require.Equal(t, lifecycle.Proposed, c.Status)
		require.Contains(t, c.Next, "di has paused all repairs: a move")
		require.False(t, c.WakeAt.IsZero())
		w.clock.pass(5 * time.Minute)
		resume()
		w.heal(customer)
		require.Equal(t, lifecycle.Healed, w.lastCase(customer).Status)
	})
	t.Run("ProposedAnewWhenItIsOver", func(t *testing.T) {
		customer := all[1]
		a := w.propose(customer)
		w.agrees(a, "ada", "bo")
		pause()
		agreed := w.clock.Now()
		for range 10 {
			if w.heal(customer); w.agreement(customer).Repair != a.Repair {
				break
			}
			w.clock.passTo(w.lastCase(customer).WakeAt)
		}
		require.WithinDuration(t, agreed.Add(15*time.Minute), w.clock.Now(), time.Minute)
		resume()
		w.heal(customer)
		require.Equal(t, lifecycle.Proposed, w.lastCase(customer).Status, w.lastCase(customer).Why)
		require.NotEqual(t, a.Repair, w.agreement(customer).Repair)
		require.Contains(t, w.noted(customer, "void")[0], "could not be sent within 15m")
		require.Empty(t, w.sendings(customer, bank.LedgerClose))
	})
	t.Run("WorkersWhoseClocksDifferALittle", func(t *testing.T) {
		customer := all[3]
		w.agrees(w.propose(customer), "ada", "bo")
		w.clock.pass(-time.Second)
		w.heal(customer)
		require.Equal(t, lifecycle.Healed, w.lastCase(customer).Status)
	})
	t.Run("AClockPutBackProlongsNothing", func(t *testing.T) {
		customer := all[2]
		a := w.propose(customer)
		w.clock.pass(2 * time.Hour)
		w.agrees(a, "ada", "bo")
		w.clock.pass(-time.Hour)
		w.heal(customer)
		require.Equal(t, lifecycle.Proposed, w.lastCase(customer).Status)
		require.Empty(t, w.sendings(customer, bank.LedgerClose))
		require.NotEqual(t, a.Repair, w.agreement(customer).Repair)
		require.Empty(t, w.sendings(customer, bank.LedgerClose))
	})
	w.requireNothingMoreWrong()
}

// TestProposedByAPerson: a rule that people must agree to is proposed in the
// name of who starts it, and others must agree.
func TestProposedByAPerson(t *testing.T) { onEach(t, testProposedByAPerson) }

func testProposedByAPerson(t *testing.T, o options) {
	t.Parallel()
	w, _ := rejected(t, options{postgres: o.postgres, yaml: func(s string) string {
		return strings.Replace(s, "    mode: manual\n    confirm:", "    mode: approve\n    confirm:", 1)
	}})
	active := w.allPlanted("active")
	start := func(customer string) desk.Agreement {
		request := w.ask(customer, "reissue-card", "")
		w.heal(customer)
		require.Equal(t, "proposed", w.result(request))
		require.Equal(t, "One person other than ada must agree until "+w.lastCase(customer).WakeAt.Format("2 Jan 15:04 MST")+".", w.lastCase(customer).Next)
		require.Empty(t, w.sendings(customer, bank.CardsBlock))
		return w.agreement(customer)
	}
	t.Run("OthersAgree", func(t *testing.T) {
		customer := active[0]
		a := start(customer)
		w.heal(customer)
		require.Equal(t, lifecycle.Proposed, w.lastCase(customer).Status, "although the customer is in order")
		require.ErrorIs(t, w.says(a, "ada", true), store.ErrOwn)
		request := w.ask(customer, "reissue-card", "")
		w.heal(customer)
		require.Equal(t, "refused: it is proposed already.", w.result(request))
		w.agrees(a, "bo")
		require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
		require.Len(t, w.sendings(customer, bank.CardsBlock), 1)
		require.Equal(t, "ada", w.repairs(customer)[0].StartedBy)
	})
	t.Run("WhoStartedItTakesItBack", func(t *testing.T) {
		customer := active[1]
		a := start(customer)
		require.NoError(t, w.says(a, "ada", false))
		w.heal(customer)
		require.Equal(t, lifecycle.Healed, w.lastCase(customer).Status, "who is in order is with nobody")
		require.Empty(t, w.sendings(customer, bank.CardsBlock))
	})
	t.Run("NobodyAgrees", func(t *testing.T) {
		customer := active[2]
		start(customer)
		w.clock.passTo(w.lastCase(customer).WakeAt)
		w.heal(customer)
		require.Equal(t, lifecycle.Healed, w.lastCase(customer).Status)
		require.Len(t, w.noted(customer, "expired"), 1)
		require.Equal(t, "done", w.incidentOf(customer).Status)
	})
	w.requireNothingMoreWrong()
}

// incidentOf is the incident of a customer's last case, also after it ended.
func (w *world) incidentOf(customer string) store.Incident {
	w.Helper()
	all, err := w.store.OpenIncidents(w.Context(), 1000)
	require.NoError(w, err)
	for _, i := range all {
		if i.Customer == customer {
			return i
		}
	}
	return store.Incident{Status: "done"}
}

// TestProposedBeforeAnybodyCould: what an older version proposed is proposed
// anew.
func TestProposedBeforeAnybodyCould(t *testing.T) { onEach(t, testProposedBeforeAnybodyCould) }

func testProposedBeforeAnybodyCould(t *testing.T, o options) {
	t.Parallel()
	w, all := rejected(t, o)
	customer := all[0]
	a := w.propose(customer)
	lease, claimed, err := w.store.Claim(t.Context(), customer, time.Minute)
	require.NoError(t, err)
	require.True(t, claimed)
	require.NoError(t, w.store.Update(t.Context(), lease, func(u *store.Update) error {
		if err := u.SetRepair(a.Repair, store.RepairVoid); err != nil {
			return err
		}
		_, err := u.AddRepair(store.Repair{Rule: "close-account", RuleVersion: w.cfg.Rules.Rule("close-account").Version, State: u.State,
			Status: store.RepairProposed, StartedBy: store.Amend, Plan: []byte("{}")})
		u.Release(time.Time{})
		return err
	}))
	w.heal(customer)
	require.Equal(t, lifecycle.Proposed, w.lastCase(customer).Status)
	w.agrees(w.agreement(customer), "ada", "bo")
	w.heal(customer)
	require.Equal(t, lifecycle.Healed, w.lastCase(customer).Status)
}

// unanswered has an address corrected of which nobody knows whether it happened,
// and which must never be repeated: the case is with people. The request arrives
// when the test has it arrive, or never.
func unanswered(t *testing.T, o options, mode string) (w *world, customer string, arrive func()) {
	t.Helper()
	first := func(_ context.Context, r connectors.Request, next func() connectors.Answer) connectors.Answer {
		if arrive != nil {
			return next()
		}
		arrive = func() { w.human(r.Method, "BILLING_URL", "/subscriptions/"+customer, string(r.Body), "") }
		return connectors.Answer{Outcome: amend.Unsettled, Detail: "the connection was cut"}
	}
	w = setup(t, options{postgres: o.postgres, customers: 300, wrap: map[string]func(connectors.Connector) connectors.Connector{"billing": sending(first)},
		yaml: func(s string) string {
			s = strings.Replace(s, `with: {email: string}, repeat: safe`, `with: {email: string}, repeat: never`, 1)
			const rule = "do: [{billing.set_email: {email: \"{identity.email}\"}}]\n    mode: "
			return strings.Replace(s, rule+"auto", rule+mode, 1)
		}})
	w.scan()
	customer = w.planted("email_differs")
	if mode == "approve" {
		w.agrees(w.propose(customer), "bo")
	} else {
		w.ask(customer, "copy-email", "")
	}
	w.requireEscalated(w.healOn(customer), "unsettled")
	return w, customer, arrive
}

// answer says what became of the step that is asked about, and heals.
func (w *world) answer(customer, actor string, happened bool) (result string) {
	w.Helper()
	sheet, err := w.desk().Customer(w.Context(), customer)
	require.NoError(w, err)
	require.NotNil(w, sheet.Question)
	a := desk.Answer{Request: w.store.NewID("ask"), Customer: customer, Fingerprint: sheet.Question.Fingerprint, Actor: actor, Reason: "asked the printer", Happened: happened}
	require.NoError(w, w.desk().Answer(w.Context(), a))
	require.NoError(w, w.desk().Answer(w.Context(), a), "the same form twice")
	w.heal(customer)
	return w.result(a.Request)
}

// TestAnswered: of what may never be repeated and nobody saw, a person says
// whether it happened.
func TestAnswered(t *testing.T) { onEach(t, testAnswered) }

func testAnswered(t *testing.T, o options) {
	t.Parallel()
	t.Run("ItDidNot", func(t *testing.T) {
		t.Parallel()
		w, customer, _ := unanswered(t, o, "manual")
		require.Equal(t, "started", w.answer(customer, "bo", false))
		all := w.repairs(customer)
		require.Len(t, all, 2)
		require.Equal(t, []string{"bo", "asked the printer"}, []string{all[1].StartedBy, all[1].Reason})
		require.Len(t, w.sendings(customer, bank.BillingSetEmail), 1, "the first was lost on its way")
		require.Equal(t, []string{"bo: Says that billing.set_email did not happen: asked the printer"}, w.noted(customer, "answered"))
		steps, err := w.store.Steps(t.Context(), all[0].ID)
		require.NoError(t, err)
		require.Equal(t, amend.Failed, steps[0].Outcome)
		require.Equal(t, "bo", steps[0].AnsweredBy)
		require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
		w.requireNothingWrong()
	})
	t.Run("ItDidNotAndOthersMustAgree", func(t *testing.T) {
		t.Parallel()
		w, customer, _ := unanswered(t, o, "approve")
		require.Equal(t, "proposed", w.answer(customer, "bo", false))
		require.Equal(t, lifecycle.Proposed, w.lastCase(customer).Status)
		a := w.agreement(customer)
		require.ErrorIs(t, w.says(a, "bo", true), store.ErrOwn)
		require.Empty(t, w.sendings(customer, bank.BillingSetEmail))
		w.agrees(a, "ada")
		w.heal(customer)
		require.Len(t, w.sendings(customer, bank.BillingSetEmail), 1)
	})
	t.Run("ItHappenedAndIsSeenLater", func(t *testing.T) {
		t.Parallel()
		w, customer, arrive := unanswered(t, o, "manual")
		require.Equal(t, "settled", w.answer(customer, "bo", true))
		c := w.lastCase(customer)
		w.requireEscalated(c, "no_effect")
		require.Contains(t, c.Why, "bo says that billing.set_email happened, and the customer is still email_differs")
		repair := w.repairs(customer)[0]
		require.Equal(t, store.RepairDone, repair.Status)
		require.Equal(t, "bo", w.step(customer).AnsweredBy)
		require.False(t, w.step(customer).ProvedAt.IsZero())
		sheet, err := w.desk().Customer(t.Context(), customer)
		require.NoError(t, err)
		require.Nil(t, sheet.Question, "it is answered")
		arrive()
		w.fresh()
		require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
		require.Len(t, w.sendings(customer, bank.BillingSetEmail), 1)
	})
	t.Run("RefusedWhereThePersonSawSomethingElse", func(t *testing.T) {
		t.Parallel()
		w, customer, _ := unanswered(t, o, "manual")
		a := desk.Answer{Request: w.store.NewID("ask"), Customer: customer, Fingerprint: "other", Actor: "bo", Reason: "so"}
		require.ErrorContains(t, w.desk().Answer(t.Context(), a), "has changed since the page was shown")
		_, err := w.store.Ask(t.Context(), store.Request{ID: a.Request, Customer: customer, Kind: store.AskDidNot, Fingerprint: "other", Actor: "bo", Reason: "so"})
		require.NoError(t, err)
		w.heal(customer)
		require.Equal(t, "refused: the customer has changed since the page was shown.", w.result(a.Request))
		w.requireEscalated(w.lastCase(customer), "unsettled")
		require.Empty(t, w.sendings(customer, bank.BillingSetEmail))
	})
	t.Run("NotWhileRepairsArePaused", func(t *testing.T) {
		t.Parallel()
		w, customer, _ := unanswered(t, o, "manual")
		_, err := w.store.Pause(t.Context(), store.Pause{Scope: store.PauseAll, By: "di", Why: "a move"})
		require.NoError(t, err)
		require.Equal(t, "refused: di has paused all repairs: a move.", w.answer(customer, "bo", false))
		require.Empty(t, w.step(customer).AnsweredBy)
		require.Equal(t, lifecycle.Escalated, w.lastCase(customer).Status)
	})
}
