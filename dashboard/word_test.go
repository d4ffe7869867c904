package dashboard

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/lifecycle"
	"amend/rules"
	"amend/store"
)

// rejected is a customer whose account is to be closed.
func (w *world) rejected(customer string) {
	w.said.say(customer, values("rejected", "ada@example.com", "DE", nil), values("open", 0), nil, nil)
	w.sight(customer, "rejected_but_open", 72*time.Hour)
}

// planned is the repair that a rule would make of a customer now.
func (w *world) planned(customer, rule string) (store.Repair, store.Proposal) {
	w.t.Helper()
	look, r := w.said.Look(w.t.Context(), customer), w.desk.Rules.Rule(rule)
	plan, err := r.Plan(look.Scope, w.desk.Schema)
	require.NoError(w.t, err)
	text, err := json.Marshal(plan)
	require.NoError(w.t, err)
	basis, err := json.Marshal(rules.NewBasis(look, r, plan))
	require.NoError(w.t, err)
	return store.Repair{Rule: rule, RuleVersion: r.Version, State: look.Verdict.Name, StartedBy: store.Amend, Plan: text},
		store.Proposal{Fingerprint: rules.Fingerprint(look, r, plan), Basis: basis, Needs: r.Approvers, Until: w.clock.Now().Add(50 * time.Minute)}
}

// proposes asks people to agree that the account is closed.
func (w *world) proposes(customer, by string) (repair store.Repair) {
	w.t.Helper()
	if _, open, err := w.store.OpenCase(w.t.Context(), customer); !open {
		require.NoError(w.t, err)
		w.sight(customer, "rejected_but_open", 0)
	}
	r, p := w.planned(customer, "close-account")
	if r.StartedBy = by; by != store.Amend {
		r.Reason = "ticket 4710"
	}
	w.update(customer, func(u *store.Update) (err error) {
		u.Rule, u.Why, u.Next = r.Rule, "close-account would call ledger.close; people must agree first.", "2 people must agree until 21 Nov 15:22 UTC."
		if err := u.Fire(lifecycle.Propose); err != nil {
			return err
		}
		repair, err = u.Propose(r, p)
		return err
	})
	return repair
}

// agrees has somebody agree.
func (w *world) agrees(r store.Repair, actor string) (request string) {
	w.t.Helper()
	asked, _, err := w.store.Proposal(w.t.Context(), r.ID)
	require.NoError(w.t, err)
	request = w.store.NewID("ask")
	require.NoError(w.t, w.store.Approve(w.t.Context(), store.Approval{ID: request, Repair: r.ID, Actor: actor, Agrees: true, Reason: "ticket 4711"}, asked.Fingerprint))
	return request
}

// unsettled is a customer for whom a card was ordered, and nobody knows whether
// it was.
func (w *world) unsettled(customer string) (repair store.Repair) {
	w.t.Helper()
	w.said.say(customer, values("approved", "ada@example.com", "DE", nil), values("open", 5), values("blocked"), values("active", "ada@example.com"))
	w.sight(customer, "card_blocked", 24*time.Hour)
	r, _ := w.planned(customer, "order-card")
	w.update(customer, func(u *store.Update) (err error) {
		r.Status = store.RepairOpen
		if repair, err = u.AddRepair(r); err != nil {
			return err
		}
		step := store.Step{Repair: repair.ID, Service: "cards", Operation: "order", Key: w.store.Key(repair.ID, 0), Request: json.RawMessage("{}")}
		if err := u.Intent(r, step); err != nil {
			return err
		}
		step.Outcome, step.Detail = amend.Unsettled, "the connection was cut"
		if err := u.Outcome(step); err != nil {
			return err
		}
		return u.SetRepair(repair.ID, store.RepairFailed)
	})
	w.escalates(customer, "cards.order may have happened or not, and must never be repeated.")
	w.clock.forward(7 * time.Minute)
	return repair
}

func (w *world) voices(r store.Repair) (all []string) {
	w.t.Helper()
	said, err := w.store.Approvals(w.t.Context(), r.ID)
	require.NoError(w.t, err)
	for _, v := range said {
		all = append(all, v.Actor)
	}
	return all
}

func TestAgree(t *testing.T) {
	t.Parallel()
	setup := func(t *testing.T, by string) (*world, *visitor, store.Repair) {
		w := newWorld(t)
		w.rejected("cus_000123")
		return w, w.member(), w.proposes("cus_000123", by)
	}

	t.Run("PageSaysWhoAgreedWhoMustAndUntilWhen", func(t *testing.T) {
		t.Parallel()
		w, kim, r := setup(t, store.Amend)
		w.agrees(r, "ada")
		asking := part(t, kim.get(ada).body, "asking", "acts")
		require.Contains(t, asking, "Do you agree?")
		require.Contains(t, asking, "Have agreed ada just now (14:32:05 UTC): ticket 4711")
		require.Contains(t, asking, "Must still agree 1 more person")
		require.Contains(t, asking, "Until in 49 min (15:22 UTC)")
		require.Contains(t, asking, "ledger.status: open → becomes closed")
		require.Contains(t, asking, "PUT http://127.0.0.1:4003/ledger/cus_000123")
		require.Contains(t, asking, "Agree… Refuse…")
		require.NotContains(t, part(t, kim.get(ada).body, "acts", "side"), "Propose close-account…")
	})

	t.Run("AgreedAndFollowed", func(t *testing.T) {
		t.Parallel()
		w, kim, r := setup(t, store.Amend)
		w.agrees(r, "ada")
		w.clock.forward(time.Second)
		path := wordPath("cus_000123", r.ID, agree)
		form := kim.form(path)
		form.Set("reason", "checked with compliance")
		got := kim.post(path, form)
		require.Equal(t, http.StatusSeeOther, got.status, got.body)
		w.said.say("cus_000123", values("rejected", "ada@example.com", "DE", nil), values("frozen", 0), nil, nil)
		require.Equal(t, got.header.Get("Location"), kim.post(path, form).header.Get("Location"), "sent twice it is one word, whatever has changed since")
		require.Equal(t, []string{"ada", "kim"}, w.voices(r))
		page := kim.get(got.header.Get("Location")).body
		require.Contains(t, page, "close-account: Requested")
		require.Contains(t, page, "Enough people have agreed")
		require.NotContains(t, page, "Agree…")
		w.update("cus_000123", func(u *store.Update) error {
			if err := u.Fire(lifecycle.Agree); err != nil {
				return err
			}
			return u.OpenProposed(r.ID)
		})
		require.Contains(t, kim.get(got.header.Get("Location")).body, "close-account: Healing")
	})

	t.Run("FirstOfTwoIsToldThatOthersMust", func(t *testing.T) {
		t.Parallel()
		_, kim, r := setup(t, store.Amend)
		path := wordPath("cus_000123", r.ID, agree)
		form := kim.form(path)
		form.Set("reason", "checked")
		page := kim.get(kim.post(path, form).header.Get("Location")).body
		require.Contains(t, page, "You have agreed, 1 of 2.")
		require.Contains(t, page, "You have agreed, and count once")
		require.Equal(t, http.StatusConflict, kim.get(path).status)
	})

	t.Run("RefusedByAPerson", func(t *testing.T) {
		t.Parallel()
		w, kim, r := setup(t, "kim")
		path := wordPath("cus_000123", r.ID, refuse)
		form := kim.form(path)
		require.Equal(t, http.StatusBadRequest, kim.post(path, form).status, "without a reason")
		form.Set("reason", "not yet")
		page := kim.get(kim.post(path, form).header.Get("Location")).body
		require.Contains(t, page, "close-account: Refused")
		require.Contains(t, page, "kim has refused it.")
		p, _, err := w.store.Proposal(t.Context(), r.ID)
		require.NoError(t, err)
		require.Equal(t, "kim", p.RefusedBy)
	})
}

// S13, S14, S18, S53: what must not count doesn't.
func TestAgreeIsNotTaken(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		by     string
		before func(*world, store.Repair, *visitor) // after the page was shown
		status int
		says   string
	}{
		"Own": {by: "kim", status: http.StatusForbidden, says: "Nobody agrees to what they started themselves."},
		"Expired": {before: func(w *world, _ store.Repair, kim *visitor) {
			for range 2 { // the session lives on
				w.clock.forward(25 * time.Minute)
				kim.get("/cases")
			}
		}, status: http.StatusGone, says: "The time to agree is over."},
		"Used":  {before: func(w *world, r store.Repair, _ *visitor) { w.agrees(r, "ada"); w.agrees(r, "bo") }, status: http.StatusConflict, says: "Enough people have agreed already."},
		"Twice": {before: func(w *world, r store.Repair, _ *visitor) { w.agrees(r, "kim") }, status: http.StatusConflict, says: "A person counts once, and kim has agreed already."},
		"Changed": {before: func(w *world, _ store.Repair, _ *visitor) {
			w.said.say("cus_000123", values("rejected", "ada@example.com", "DE", nil), values("frozen", 0), nil, nil)
		}, status: http.StatusConflict, says: "Changed since it was proposed: ledger.status."},
		"RuleEdited": {before: func(w *world, _ store.Repair, _ *visitor) { w.desk.Rules.Rule("close-account").Version = "2" }, status: http.StatusConflict, says: "The rule close-account has changed"},
		"Void": {before: func(w *world, r store.Repair, _ *visitor) {
			w.update("cus_000123", func(u *store.Update) error { return u.SetRepair(r.ID, store.RepairVoid) })
		}, status: http.StatusConflict, says: "no longer stands"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.rejected("cus_000123")
			if row.by == "" {
				row.by = store.Amend
			}
			kim, r := w.member(), w.proposes("cus_000123", row.by)
			form := kim.form(wordPath("cus_000123", r.ID, refuse)) // its fields are the same, and it is shown to everybody
			form.Set("reason", "checked")
			if row.before != nil {
				row.before(w, r, kim)
			}
			before := w.voices(r)
			got := kim.post(wordPath("cus_000123", r.ID, agree), form)
			require.Equal(t, row.status, got.status)
			require.Contains(t, text(got.body), row.says)
			require.Contains(t, got.body, "Nothing was written.")
			require.Equal(t, before, w.voices(r))
		})
	}

	t.Run("OtherFormsAndPlaces", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.rejected("cus_000123")
		w.inOrder("cus_000124")
		kim, r := w.member(), w.proposes("cus_000123", store.Amend)
		path := wordPath("cus_000123", r.ID, agree)
		form := kim.form(path)
		form.Set("reason", "checked")
		require.Equal(t, http.StatusNotFound, kim.post(wordPath("cus_000124", r.ID, agree), form).status)
		require.Equal(t, http.StatusNotFound, kim.post(wordPath("cus_000123", r.ID, "bless"), form).status)
		require.Equal(t, http.StatusNotFound, kim.get(wordPath("cus_000123", r.ID, "bless")).status)
		require.Equal(t, http.StatusConflict, kim.get(wordPath("cus_000123", "rep_0", agree)).status)
		require.Equal(t, http.StatusForbidden, kim.do(http.MethodPost, path, strings.NewReader(form.Encode()),
			map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://elsewhere.example"}).status)
		require.Equal(t, http.StatusUnauthorized, w.visitor().post(path, form).status)
		form.Set("fingerprint", strings.Repeat("0", 32))
		require.Equal(t, http.StatusConflict, kim.post(path, form).status)
		form.Set("request", "x")
		require.Equal(t, http.StatusBadRequest, kim.post(path, form).status)
		require.Empty(t, w.voices(r))
	})
}

// T20: the same button 50 times is one word.
func TestT20AgreeFiftyTimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.rejected("cus_000123")
	kim, r := w.member(), w.proposes("cus_000123", store.Amend)
	path := wordPath("cus_000123", r.ID, agree)
	form := kim.form(path)
	form.Set("reason", "checked")
	var group sync.WaitGroup
	var mu sync.Mutex
	to := map[string]int{}
	for range 50 {
		group.Go(func() {
			got := kim.post(path, form)
			mu.Lock()
			defer mu.Unlock()
			to[got.header.Get("Location")]++
		})
	}
	group.Wait()
	require.Equal(t, map[string]int{askedPath("cus_000123", form.Get("request")): 50}, to)
	require.Equal(t, []string{"kim"}, w.voices(r))
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	t.Run("PageShowsTheEvidence", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.unsettled("cus_000123")
		shown := part(t, w.member().get(ada).body, "wondering", "acts")
		require.Contains(t, shown, "Did it happen?")
		require.Contains(t, shown, "Sent cards.order for order-card, 1 time, last 7 min ago (14:32 UTC).")
		require.Contains(t, shown, "What came back Unsettled; it may have happened: the connection was cut.")
		require.Contains(t, shown, "cards.status: blocked → becomes ordered")
		require.Contains(t, shown, "It happened… It did not happen…")
	})
	for word, kind := range map[string]string{happened: store.AskHappened, didNot: store.AskDidNot} {
		t.Run(word, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.unsettled("cus_000123")
			kim := w.member()
			path := wordPath("cus_000123", r.ID, word)
			form := kim.form(path)
			require.Equal(t, http.StatusBadRequest, kim.post(path, form).status, "without a reason")
			form.Set("reason", "asked the printer")
			got := kim.post(path, form)
			require.Equal(t, http.StatusSeeOther, got.status, got.body)
			require.Equal(t, got.header.Get("Location"), kim.post(path, form).header.Get("Location"))
			asked := w.wishes("cus_000123")
			require.Len(t, asked, 1)
			require.Equal(t, []string{kind, "kim", "asked the printer", "order-card"}, []string{asked[0].Kind, asked[0].Actor, asked[0].Reason, asked[0].Rule})
			require.Contains(t, kim.get(got.header.Get("Location")).body, "order-card: Requested")
			for result, says := range map[string]string{"settled": "order-card: Settled"} {
				require.NoError(t, w.store.TakeRequest(t.Context(), asked[0].ID, result))
				require.Contains(t, kim.get(got.header.Get("Location")).body, says)
			}
		})
	}
	t.Run("TheRepairSaysWhoseWordItWas", func(t *testing.T) {
		t.Parallel()
		for happened, says := range map[bool]string{true: "happened, as ada says", false: "did not happen, as ada says"} {
			w := newWorld(t)
			w.unsettled("cus_000123")
			w.update("cus_000123", func(u *store.Update) error {
				step, open, err := u.Unanswered()
				require.True(t, open)
				if err != nil {
					return err
				}
				return u.Answer(step, happened, "ada")
			})
			page := w.member().get(ada).body
			require.Contains(t, part(t, page, "repairs", "timeline"), "1 time "+says)
			require.NotContains(t, page, "Did it happen?")
		}
	})
	t.Run("ChangedCustomerIsRefused", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		r := w.unsettled("cus_000123")
		kim := w.member()
		path := wordPath("cus_000123", r.ID, didNot)
		form := kim.form(path)
		form.Set("reason", "asked the printer")
		w.said.say("cus_000123", values("approved", "ada@example.com", "DE", nil), values("open", 5), values("ordered"), values("active", "ada@example.com"))
		got := kim.post(path, form)
		require.Equal(t, http.StatusConflict, got.status)
		require.Contains(t, got.body, "Nothing was written.")
		require.Empty(t, w.wishes("cus_000123"))
	})
}
