package dashboard

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/lifecycle"
	"amend/store"
)

const (
	ada     = "/customers/cus_000123"
	reissue = ada + "/rules/reissue-card"
)

func TestStart(t *testing.T) {
	t.Parallel()

	t.Run("FromConfirmToVerified", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.inOrder("cus_000123")
		kim := w.member()
		form := kim.form(reissue)
		form.Set("reason", "  card lost\r\nticket 4711 ")

		got := kim.post(reissue, form)

		require.Equal(t, http.StatusSeeOther, got.status)
		wishes := w.wishes("cus_000123")
		require.Len(t, wishes, 1)
		q := wishes[0]
		require.Equal(t, ada+"?asked="+q.ID, got.header.Get("Location"))
		require.Equal(t, "kim", q.Actor)
		require.Equal(t, "reissue-card", q.Rule)
		require.Equal(t, "card lost\nticket 4711", q.Reason)
		require.Equal(t, form.Get("fingerprint"), q.Fingerprint)

		page := got.header.Get("Location")
		require.Contains(t, kim.get(page).body, "reissue-card: Requested")
		w.starts("cus_000123", q)
		require.Contains(t, kim.get(page).body, "reissue-card: Healing")
		w.answers("cus_000123", amend.Done, http.StatusOK)
		require.Contains(t, kim.get(page).body, "reissue-card: Verifying")
		require.Contains(t, kim.get(page).body, `http-equiv="refresh"`)
		w.proves("cus_000123")
		ended := kim.get(page).body
		require.Contains(t, ended, "reissue-card: Verified")
		require.NotContains(t, ended, `http-equiv="refresh"`)
		require.NotContains(t, ended, "data-poll")
	})

	t.Run("SentTwiceItIsOneWish", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.inOrder("cus_000123")
		kim := w.member()
		form := kim.form(reissue)
		form.Set("reason", "card lost")
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() { kim.post(reissue, form) })
		}
		group.Wait()
		first, second := kim.post(reissue, form), kim.post(reissue, form)
		require.Equal(t, http.StatusSeeOther, first.status)
		require.Equal(t, first.header.Get("Location"), second.header.Get("Location"))
		require.Len(t, w.wishes("cus_000123"), 1)
	})

	t.Run("FormOfAnotherCustomerAsksForNothing", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.inOrder("cus_000123")
		w.inOrder("cus_000124")
		kim := w.member()
		form := kim.form(reissue)
		form.Set("reason", "card lost")
		require.Equal(t, http.StatusSeeOther, kim.post(reissue, form).status)
		got := kim.post("/customers/cus_000124/rules/reissue-card", form)
		require.Equal(t, http.StatusConflict, got.status)
		require.Contains(t, got.body, "used before, for something else")
		require.Empty(t, w.wishes("cus_000124"))
	})

	t.Run("ChangedCustomerIsRefused", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.inOrder("cus_000123")
		kim := w.member()
		form := kim.form(reissue)
		form.Set("reason", "card lost")
		w.said.say("cus_000123", values("approved", "ada@example.com", "DE", nil), values("open", 123456), values("blocked"), values("active", "ada@example.com"))
		got := kim.post(reissue, form)
		require.Equal(t, http.StatusConflict, got.status)
		require.Contains(t, got.body, "Nothing was sent.")
		require.Contains(t, got.body, `href="/customers/cus_000123"`)
		require.Empty(t, w.wishes("cus_000123"))
	})

	t.Run("OtherFingerprintIsRefused", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.inOrder("cus_000123")
		kim := w.member()
		form := kim.form(reissue)
		form.Set("reason", "card lost")
		form.Set("fingerprint", strings.Repeat("0", 32))
		got := kim.post(reissue, form)
		require.Equal(t, http.StatusConflict, got.status)
		require.Contains(t, got.body, "The customer has changed since the page was shown.")
		require.Empty(t, w.wishes("cus_000123"))
	})

	t.Run("ApprovalIsNotSkipped", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.said.say("cus_000123", values("rejected", "ada@example.com", "DE", nil), values("open", 0), nil, nil)
		kim := w.member()
		const close = ada + "/rules/close-account"
		require.Contains(t, kim.get(close).body, "Propose close-account?")
		w.proposes("cus_000123", "amend")
		require.Equal(t, http.StatusConflict, kim.get(close).status)
		got := kim.post(close, url.Values{"request": {w.store.NewID("ask")}, "fingerprint": {"x"}, "reason": {"please"}})
		require.Equal(t, http.StatusConflict, got.status)
		require.Contains(t, got.body, "it is proposed already")
		require.Empty(t, w.wishes("cus_000123"))
	})

	t.Run("UnknownRuleIsNotFound", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.inOrder("cus_000123")
		require.Equal(t, http.StatusNotFound, w.member().get(ada+"/rules/give-money").status)
	})
}

func TestReason(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		reason string
		want   string // in the page; empty where it is taken
	}{
		"Missing":  {"", "Say why"},
		"Blank":    {" \n\t", "Say why"},
		"Longest":  {strings.Repeat("é", reasonLimit), ""},
		"TooLong":  {strings.Repeat("é", reasonLimit+1), "too long"},
		"AnyChars": {`<b>"lost" & found</b>`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.inOrder("cus_000123")
			kim := w.member()
			form := kim.form(reissue)
			form.Set("reason", row.reason)
			got := kim.post(reissue, form)
			if row.want == "" {
				require.Equal(t, http.StatusSeeOther, got.status)
				require.Equal(t, row.reason, w.wishes("cus_000123")[0].Reason)
				return
			}
			require.Equal(t, http.StatusBadRequest, got.status)
			require.Contains(t, got.body, row.want)
			require.Contains(t, got.body, `aria-invalid="true"`)
			require.Empty(t, w.wishes("cus_000123"))
		})
	}

	t.Run("BodyIsBounded", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.inOrder("cus_000123")
		kim := w.member()
		form := kim.form(reissue)
		form.Set("reason", "card lost")
		form.Set("more", strings.Repeat("x", bodyLimit))
		require.Equal(t, http.StatusBadRequest, kim.post(reissue, form).status)
		require.Empty(t, w.wishes("cus_000123"))
	})

	t.Run("FormsOfOthersMakingAreRefused", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.inOrder("cus_000123")
		kim := w.member()
		for _, request := range []string{"", "x", "ask_", "ask_' or 1=1 --12345"} {
			form := kim.form(reissue)
			form.Set("reason", "card lost")
			form.Set("request", request)
			require.Equal(t, http.StatusBadRequest, kim.post(reissue, form).status, request)
		}
		require.Empty(t, w.wishes("cus_000123"))
	})
}

func TestAsked(t *testing.T) {
	t.Parallel()
	setup := func(t *testing.T) (*world, *visitor, store.Request) {
		w := newWorld(t)
		w.inOrder("cus_000123")
		return w, w.member(), w.ask("cus_000123", "reissue-card")
	}

	t.Run("ScriptsAreToldTheSame", func(t *testing.T) {
		t.Parallel()
		w, kim, q := setup(t)
		path := ada + "/asked/" + q.ID
		got := kim.get(path)
		require.Equal(t, "application/json", got.header.Get("Content-Type"))
		require.JSONEq(t, `{"stage":0,"say":"It is written down; a worker takes it up in a moment.","ended":false}`, got.body)
		w.starts("cus_000123", q)
		require.JSONEq(t, `{"stage":1,"say":"cards.block is being sent.","ended":false}`, kim.get(path).body)
		w.answers("cus_000123", amend.Unsettled, 0)
		require.JSONEq(t, `{"stage":1,"say":"cards.block was answered: unsettled.","ended":false}`, kim.get(path).body)
		w.answers("cus_000123", amend.Done, http.StatusOK)
		require.JSONEq(t, `{"stage":2,"say":"cards said yes; amend reads again to see whether it is so.","ended":false}`, kim.get(path).body)
		w.proves("cus_000123")
		require.JSONEq(t, `{"stage":3,"say":"Reading again shows it. Reading every service again shows it in order.","ended":true}`, kim.get(path).body)
	})

	t.Run("RefusalSaysWhy", func(t *testing.T) {
		t.Parallel()
		w, kim, q := setup(t)
		require.NoError(t, w.store.TakeRequest(t.Context(), q.ID, "refused: the customer is card_blocked now."))
		page := kim.get(ada + "?asked=" + q.ID).body
		require.Contains(t, page, "reissue-card: Not started")
		require.Contains(t, page, "the customer is card_blocked now. Nothing was sent.")
	})

	t.Run("MootIsSaid", func(t *testing.T) {
		t.Parallel()
		w, kim, q := setup(t)
		require.NoError(t, w.store.TakeRequest(t.Context(), q.ID, "It is in order again without a repair."))
		require.Contains(t, kim.get(ada+"?asked="+q.ID).body, "reissue-card: Not needed")
	})

	t.Run("FailureIsSaid", func(t *testing.T) {
		t.Parallel()
		w, kim, q := setup(t)
		w.starts("cus_000123", q)
		r := w.openRepair("cus_000123")
		w.update("cus_000123", func(u *store.Update) error {
			u.Why, u.Next = "cards.block was refused.", "It waits for a person."
			return u.SetRepair(r.ID, store.RepairFailed)
		})
		require.Contains(t, kim.get(ada+"?asked="+q.ID).body, "cards.block was refused. It waits for a person.")
	})

	t.Run("AStandStillIsSaid", func(t *testing.T) {
		t.Parallel()
		w, kim, q := setup(t)
		w.clock.forward(workerLimit + time.Second)
		require.Contains(t, kim.get(ada+"?asked="+q.ID).body, "Is a worker running (amend run)?")
	})

	t.Run("NewerCaseDoesNotAnswerForTheOld", func(t *testing.T) {
		t.Parallel()
		w, kim, q := setup(t)
		w.starts("cus_000123", q)
		w.proves("cus_000123")
		w.clock.forward(time.Hour - 35*time.Minute)
		w.sight("cus_000123", "card_blocked", time.Hour)
		page := kim.get(ada + "?asked=" + q.ID).body
		require.Contains(t, page, "reissue-card: Ended")
	})

	t.Run("EarlierRepairDoesNotAnswerForTheNew", func(t *testing.T) {
		t.Parallel()
		w, kim, first := setup(t)
		w.starts("cus_000123", first)
		r := w.openRepair("cus_000123")
		w.update("cus_000123", func(u *store.Update) error {
			if err := u.SetRepair(r.ID, store.RepairFailed); err != nil {
				return err
			}
			return u.Fire(lifecycle.Advance)
		})
		second := w.ask("cus_000123", "reissue-card")
		w.starts("cus_000123", second)
		require.Contains(t, kim.get(ada+"?asked="+first.ID).body, "reissue-card: Not repaired")
		require.Contains(t, kim.get(ada+"?asked="+second.ID).body, "reissue-card: Healing")
	})

	t.Run("OnlyOfItsCustomer", func(t *testing.T) {
		t.Parallel()
		w, kim, q := setup(t)
		w.inOrder("cus_000124")
		for _, path := range []string{"/customers/cus_000124?asked=" + q.ID, "/customers/cus_000124/asked/" + q.ID, ada + "?asked=ask_nothing", ada + "/asked/x"} {
			require.Equal(t, http.StatusNotFound, kim.get(path).status, path)
		}
	})
}
