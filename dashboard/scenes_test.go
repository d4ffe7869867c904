package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"amend"
	"amend/store"
)

// scene is one page in one state: what has happened before, and where to look.
type scene struct {
	name   string
	status int // default 200
	public bool
	set    func(*world) (path string)
}

// scenes are every page in every state that looks different.
func scenes() []scene {
	return append(append(frameScenes(), customerScenes()...), actScenes()...)
}

func at(path string) func(*world) string { return func(*world) string { return path } }

func frameScenes() []scene {
	return []scene{
		{name: "login", public: true, set: func(w *world) string { return w.server.LoginURL()[len(w.server.URL()):] }},
		{name: "login-used", status: http.StatusUnauthorized, public: true, set: at("/login?token=used")},
		{name: "stranger", status: http.StatusUnauthorized, public: true, set: at("/customers/cus_000123")},
		{name: "home-nothing-yet", set: at("/")},
		{name: "home-first-scan", set: func(w *world) string {
			w.saveScan(store.Scan{Status: store.ScanRunning, StartedAt: w.clock.Now().Add(-40 * time.Second)})
			return "/"
		}},
		{name: "home-well", set: func(w *world) string { w.scanned(12*time.Minute, 41208); return "/" }},
		{name: "home-busy", set: func(w *world) string { w.busy(); return "/" }},
		{name: "home-stopped-rule", set: func(w *world) string {
			w.busy()
			_, err := w.store.Pause(w.t.Context(), store.Pause{Scope: store.PauseRule, Target: "order-card", By: store.Amend, Brake: store.BrakeShare,
				Why: "274 customers are in the states of order-card at once, more than 20: something else may be wrong"})
			if err != nil {
				w.t.Fatal(err)
			}
			return "/"
		}},
		{name: "home-not-an-id", status: http.StatusBadRequest, set: func(w *world) string { w.busy(); return "/lookup?id=4711+or+so" }},
		{name: "cases", set: func(w *world) string { w.busy(); return "/cases" }},
		{name: "cases-escalated", set: func(w *world) string { w.busy(); return "/cases?status=escalated" }},
		{name: "cases-no-match", set: func(w *world) string { w.busy(); return "/cases?status=proposed" }},
		{name: "cases-well", set: func(w *world) string { w.scanned(3*time.Hour, 41208); return "/cases" }},
		{name: "cases-nothing-yet", set: at("/cases")},
		{name: "cases-no-such-status", status: http.StatusBadRequest, set: at("/cases?status=odd")},
		{name: "missing", status: http.StatusNotFound, set: at("/nowhere")},
		{name: "broken", status: http.StatusInternalServerError, set: func(w *world) string { w.said.breakDown(); return "/customers/cus_000123" }},
	}
}

// busy fills the store as on a bad morning.
func (w *world) busy() {
	w.scanned(12*time.Minute, 41208)
	w.saveScan(store.Scan{Status: store.ScanPartial, StartedAt: w.clock.Now().Add(-2 * time.Minute), EndedAt: w.clock.Now(), Error: "cards could not be listed to its end: it timed out"})
	for i := range 7 {
		id := fmt.Sprintf("cus_%06d", 1042+i)
		w.sight(id, "rejected_with_money", time.Duration(i-1)*47*time.Minute)
		w.escalates(id, "No rule repairs this state; a person is needed.")
	}
	w.sight("cus_002001", "ledger_missing", 55*time.Minute)
	w.waits("cus_002001", "It must have been so for 5m.", 3*time.Minute)
	w.sight("cus_002002", "card_blocked", 0)
	w.clock.forward(4 * time.Minute)
}

func customerScenes() []scene {
	return []scene{
		{name: "customer-active", set: func(w *world) string {
			w.scanned(12*time.Minute, 41208)
			w.inOrder("cus_000123")
			return "/customers/cus_000123"
		}},
		{name: "customer-ledger-missing", set: func(w *world) string {
			w.scanned(12*time.Minute, 41208)
			w.said.say("cus_000123", values("approved", "ada@example.com", "GB", start.Add(-50*time.Hour)), nil, nil, nil)
			w.sight("cus_000123", "ledger_missing", time.Hour)
			w.clock.forward(3 * time.Minute)
			w.waits("cus_000123", "It must have been so for 5m.", 2*time.Minute)
			return "/customers/cus_000123"
		}},
		{name: "customer-email-overdue", set: func(w *world) string { w.email(); return "/customers/cus_000123" }},
		{name: "customer-unseen", set: func(w *world) string {
			w.said.say("cus_000123", values("approved", "ada@example.com", "DE", nil), values("open", -5), errors.New("GET /cards/cus_000123: no answer within 3s"), values("active", "ada@example.com"))
			w.sight("cus_000123", "ledger_missing", time.Hour)
			w.waits("cus_000123", "It can't be judged: cards could not be read.", 10*time.Second)
			return "/customers/cus_000123"
		}},
		{name: "customer-approve", set: func(w *world) string {
			w.said.say("cus_000123", values("rejected", "ada@example.com", "DE", nil), values("open", 0), nil, nil)
			return "/customers/cus_000123"
		}},
		{name: "customer-asked", set: func(w *world) string {
			w.rejected("cus_000123")
			w.proposes("cus_000123", "amend")
			w.clock.forward(20 * time.Minute)
			return "/customers/cus_000123"
		}},
		{name: "customer-asked-half", set: func(w *world) string {
			w.rejected("cus_000123")
			r := w.proposes("cus_000123", "amend")
			w.clock.forward(20 * time.Minute)
			w.agrees(r, "ada")
			return "/customers/cus_000123"
		}},
		{name: "customer-asked-own", set: func(w *world) string {
			w.rejected("cus_000123")
			w.proposes("cus_000123", "kim")
			return "/customers/cus_000123"
		}},
		{name: "customer-unsettled", set: func(w *world) string {
			w.unsettled("cus_000123")
			return "/customers/cus_000123"
		}},
		{name: "customer-rejected-with-money", set: func(w *world) string {
			w.said.say("cus_000123", values("rejected", "ada@example.com", "DE", nil), values("frozen", 99), nil, nil)
			w.sight("cus_000123", "rejected_with_money", 72*time.Hour)
			w.escalates("cus_000123", "No rule repairs this state; a person is needed.")
			return "/customers/cus_000123"
		}},
		{name: "customer-nobody", status: http.StatusNotFound, set: at("/customers/cus_999999")},
		{name: "customer-not-an-id", status: http.StatusBadRequest, set: at("/customers/4711")},
	}
}

// email is a customer whose repair was tried and gave up.
func (w *world) email() {
	w.scanned(12*time.Minute, 41208)
	w.said.say("cus_000123", values("approved", "ada@example.com", "DE", nil), values("open", 123456), values("active"), values("active", "old@example.com"))
	w.sight("cus_000123", "email_differs", 20*time.Minute)
	w.starts("cus_000123", store.Request{Rule: "copy-email", Actor: "amend"})
	w.clock.forward(7 * time.Second)
	w.answers("cus_000123", amend.Refused, http.StatusUnprocessableEntity)
	w.clock.forward(time.Minute)
	r := w.openRepair("cus_000123")
	w.update("cus_000123", func(u *store.Update) error { return u.SetRepair(r.ID, store.RepairFailed) })
	w.escalates("cus_000123", "billing.set_email was refused (422 address not accepted).")
	w.clock.forward(39 * time.Minute)
}

func actScenes() []scene {
	lost := func(w *world) (store.Request, string) {
		w.scanned(12*time.Minute, 41208)
		w.inOrder("cus_000123")
		q := w.ask("cus_000123", "reissue-card")
		w.clock.forward(2 * time.Second)
		return q, "/customers/cus_000123?asked=" + q.ID
	}
	return []scene{
		{name: "confirm", set: func(w *world) string { w.inOrder("cus_000123"); return "/customers/cus_000123/rules/reissue-card" }},
		{name: "confirm-sensitive", set: func(w *world) string { w.email(); return "/customers/cus_000123/rules/copy-email" }},
		{name: "confirm-not-now", status: http.StatusConflict, set: func(w *world) string {
			w.inOrder("cus_000123")
			return "/customers/cus_000123/rules/open-ledger"
		}},
		{name: "agree", set: func(w *world) string {
			w.rejected("cus_000123")
			r := w.proposes("cus_000123", "amend")
			w.agrees(r, "ada")
			return wordPath("cus_000123", r.ID, agree)
		}},
		{name: "agree-own", status: http.StatusConflict, set: func(w *world) string {
			w.rejected("cus_000123")
			return wordPath("cus_000123", w.proposes("cus_000123", "kim").ID, agree)
		}},
		{name: "agreed", set: func(w *world) string {
			w.rejected("cus_000123")
			r := w.proposes("cus_000123", "amend")
			w.agrees(r, "ada")
			return "/customers/cus_000123?asked=" + w.agrees(r, "kim")
		}},
		{name: "did-not", set: func(w *world) string {
			return wordPath("cus_000123", w.unsettled("cus_000123").ID, didNot)
		}},
		{name: "asked-requested", set: func(w *world) string { _, path := lost(w); return path }},
		{name: "asked-healing", set: func(w *world) string {
			q, path := lost(w)
			w.starts("cus_000123", q)
			return path
		}},
		{name: "asked-verifying", set: func(w *world) string {
			q, path := lost(w)
			w.starts("cus_000123", q)
			w.answers("cus_000123", amend.Done, http.StatusOK)
			return path
		}},
		{name: "asked-verified", set: func(w *world) string {
			q, path := lost(w)
			w.starts("cus_000123", q)
			w.answers("cus_000123", amend.Done, http.StatusOK)
			w.clock.forward(time.Second)
			w.proves("cus_000123")
			return path
		}},
		{name: "asked-refused", set: func(w *world) string {
			q, path := lost(w)
			if err := w.store.TakeRequest(w.t.Context(), q.ID, "refused: repairs pause for weekly settlement."); err != nil {
				w.t.Fatal(err)
			}
			return path
		}},
	}
}
