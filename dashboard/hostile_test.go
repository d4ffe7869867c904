package dashboard

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/internal/testbrowser"
	"amend/lifecycle"
	"amend/store"
)

// evil is what a hostile service, person or file could say anywhere.
const evil = `"'><script>document.title="owned"</script><img src=x onerror='document.title="owned"'>{{.}}`

// hostileWorld says evil wherever a page shows something that others wrote.
func hostileWorld(t *testing.T) (w *world, pages []string) {
	w = newWorld(t, func(o *Options) {
		o.Environment, o.Actor = evil, evil
		o.Desk.Schema.Entity.ID = nil
		service := &o.Desk.Schema.Services[0]
		service.About, service.Owner = evil, amend.Owner{Team: evil, Slack: evil, Runbook: "javascript:alert(1)"}
		service.Links = []amend.Link{{Title: evil, URL: "https://bank.example/" + evil}, {Title: "bad", URL: "javascript:alert(1)//{id}"}}
		rule := o.Desk.Rules.Rule("open-ledger")
		rule.About, rule.Confirm = evil, evil
		o.Machine.State("ledger_missing").About = evil
		o.Machine.State("ledger_missing").Owner = service.Name
	})
	w.said.say(evil, values("approved", evil, evil, nil), nil, errors.New(evil), values("active", evil))
	w.saveScan(store.Scan{Status: store.ScanFailed, StartedAt: start, EndedAt: start, Error: evil})
	w.sight(evil, "ledger_missing", time.Hour)
	w.starts(evil, store.Request{Rule: "open-ledger", Actor: evil, Reason: evil})
	r := w.openRepair(evil)
	w.update(evil, func(u *store.Update) error {
		if err := u.Outcome(store.Step{Repair: r.ID, Outcome: amend.Refused, Detail: evil}); err != nil {
			return err
		}
		if err := u.SetRepair(r.ID, store.RepairFailed); err != nil {
			return err
		}
		u.Why, u.Next = evil, evil
		if err := u.Fire(lifecycle.Escalate); err != nil {
			return err
		}
		if _, err := u.Escalate(store.Incident{Cause: evil}); err != nil {
			return err
		}
		u.Note(evil, evil, evil)
		return nil
	})
	letters, err := w.store.Letters(t.Context(), 1)
	require.NoError(t, err)
	require.NoError(t, w.store.Postponed(t.Context(), letters[0], evil, w.clock.Now()))
	w.clock.forward(2 * time.Minute)
	q := w.ask(evil, "open-ledger")
	require.NoError(t, w.store.TakeRequest(t.Context(), q.ID, "refused: "+evil))
	customer := customerPath(evil)
	escaped := url.QueryEscape(evil)
	return w, []string{"/", "/cases", customer, customer + "?asked=" + q.ID, customer + "/rules/open-ledger", customer + "/rules/" + url.PathEscape(evil),
		customer + "/rules/reissue-card", "/cases?status=" + escaped, "/login?token=" + escaped, customer + "?asked=" + escaped, "/" + url.PathEscape(evil)}
}

func TestHostile(t *testing.T) {
	t.Parallel()

	t.Run("TextStaysText", func(t *testing.T) {
		t.Parallel()
		w, pages := hostileWorld(t)
		kim := w.member()
		for _, path := range pages {
			got := kim.get(path)
			require.NotEqual(t, http.StatusInternalServerError, got.status, path)
			require.NotContains(t, got.body, "<script>document", path)
			require.NotContains(t, got.body, "<img", path)
			require.NotContains(t, strings.ToLower(got.body), "javascript:", path)
		}
		require.GreaterOrEqual(t, strings.Count(kim.get(pages[2]).body, "&lt;script&gt;"), 15, "it is shown, not dropped")
	})

	t.Run("NothingRunsInABrowser", func(t *testing.T) {
		t.Parallel()
		w, pages := hostileWorld(t)
		tab := testbrowser.New(t)
		tab.AllowError("status of")
		w.letIn(tab)
		for _, path := range pages {
			tab.Open(w.server.URL() + path)
			require.NotEqual(t, "owned", evaluate[string](t, tab, "document.title"), path)
			require.Zero(t, evaluate[int](t, tab, `document.querySelectorAll("img, script:not([src='/static/app.js'])").length`), path)
		}
	})

	t.Run("ProgressIsJSON", func(t *testing.T) {
		t.Parallel()
		w, pages := hostileWorld(t)
		path := strings.Replace(pages[3], "?asked=", "/asked/", 1)
		got := w.member().get(path)
		require.True(t, json.Valid([]byte(got.body)))
		require.NotContains(t, got.body, "<")
	})

	t.Run("FormKeepsWhatWasTyped", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.inOrder("cus_000123")
		kim := w.member()
		form := kim.form(reissue)
		form.Set("reason", "</textarea>"+evil+strings.Repeat("x", reasonLimit))
		got := kim.post(reissue, form)
		require.Equal(t, http.StatusBadRequest, got.status)
		require.Equal(t, 1, strings.Count(got.body, "</textarea>"))
		require.NotContains(t, got.body, "<img")
	})

	t.Run("AddressesStayInTheirPlace", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		kim := w.member()
		for _, id := range []string{"../admin", "%2e%2e%2f", "a?x=1#", "\r\nX-Evil: 1", "//evil.example/", `\\evil.example`, "\x00", "cus_000123\n", strings.Repeat("9", 3000)} {
			for _, path := range []string{"/customers/" + url.PathEscape(id), "/lookup?id=" + url.QueryEscape("x"+id), "/customers/cus_000123/rules/" + url.PathEscape(id)} {
				got := kim.get(path)
				require.Contains(t, []int{http.StatusBadRequest, http.StatusNotFound, http.StatusTemporaryRedirect, http.StatusMovedPermanently}, got.status, path)
				require.Empty(t, got.header.Get("X-Evil"))
				if to := got.header.Get("Location"); to != "" {
					require.Regexp(t, `^/[^/\\]`, to)
				}
			}
		}
		require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, kim.get("/lookup?id="+strings.Repeat("9", 64<<10)).status)
	})

	t.Run("LookupLeadsToCustomersOnly", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, func(o *Options) { o.Desk.Schema.Entity.ID = nil })
		kim := w.member()
		for _, id := range []string{"//evil.example", `/\evil.example`, "\r\nX-Evil: 1", "a/b?c#d"} {
			got := kim.get("/lookup?id=" + url.QueryEscape(id))
			require.Equal(t, http.StatusSeeOther, got.status)
			require.Regexp(t, `^/customers/[^/\\?#]+$`, got.header.Get("Location"))
		}
	})
}

func TestSensitive(t *testing.T) {
	t.Parallel()
	for _, sc := range scenes() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			path := sc.set(w)
			require.NotContains(t, w.member().get(path).body, "@example.com")
		})
	}

	t.Run("ErrorsQuoteNothing", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, func(o *Options) {
			b := &builder{t, o.Desk.Schema, o.Machine.Environment}
			o.Machine.State("rejected_with_money").When = b.when(`timestamp(identity.email) > now`)
		})
		w.inOrder("cus_000123")
		got := w.member().get(ada)
		require.Equal(t, http.StatusOK, got.status)
		require.Contains(t, got.body, "It can&#39;t be evaluated with these values.")
		require.NotContains(t, got.body, "@example.com")
	})
}

func TestFault(t *testing.T) {
	t.Parallel()

	t.Run("OurOwnFaultHasANumberThatIsInTheLog", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.said.breakDown()
		got := w.member().get(ada)
		require.Equal(t, http.StatusInternalServerError, got.status)
		_, rest, found := strings.Cut(got.body, "Error number: <code>")
		require.True(t, found)
		id, _, _ := strings.Cut(rest, "</code>")
		require.Regexp(t, `^err_[0-9a-z]+$`, id)
		require.Contains(t, w.log.String(), `"error_id":"`+id+`"`)
		require.Contains(t, w.log.String(), "the reader broke")
		require.NotContains(t, got.body, "the reader broke")
	})

	t.Run("StoreThatIsGoneIsAPageToo", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		kim := w.member()
		gone, err := store.Open(t.Context(), "sqlite:"+t.TempDir()+"/gone.db", store.Options{})
		require.NoError(t, err)
		require.NoError(t, gone.Close())
		w.server.options.Desk.Store = gone
		for _, path := range []string{"/", "/cases", ada} {
			got := kim.get(path)
			require.Equal(t, http.StatusInternalServerError, got.status, path)
			require.Contains(t, got.body, "What to do:")
		}
	})

	t.Run("PageThatBreaksIsNotCutOff", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		got, err := w.server.rendered(newRequest(t), answer{page: "home", data: struct{ Title string }{"half"}})
		require.NoError(t, err)
		require.Equal(t, http.StatusInternalServerError, got.status)
		require.NotContains(t, string(got.body), "half")
		require.Contains(t, string(got.body), "</html>")
	})

	t.Run("EachSaysWhatToDo", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		kim := w.member()
		for path, status := range map[string]int{"/nowhere": 404, "/customers/4711": 400, "/customers/cus_999999": 404, "/cases?status=x": 400, "/login": 401} {
			got := kim.get(path)
			require.Equal(t, status, got.status, path)
			require.Contains(t, got.body, "<strong>What to do:</strong>", path)
		}
		require.Empty(t, w.log.String(), "what people do wrong is no error of ours")
	})
}

func newRequest(t *testing.T) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	require.NoError(t, err)
	return r
}
