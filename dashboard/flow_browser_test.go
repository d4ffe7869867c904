package dashboard

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"amend"
	"amend/internal/testbrowser"
	"amend/store"
)

// patience bounds how long a page may take.
const (
	patience = 20 * time.Second
	tick     = 50 * time.Millisecond
)

// TestFlow goes from the login link to the proof, as a person does.
func TestFlow(t *testing.T) {
	t.Parallel()
	for name, scripts := range map[string]bool{"WithScripts": true, "WithoutScripts": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.scanned(12*time.Minute, 41208)
			w.inOrder("cus_000123")
			tab := testbrowser.New(t)
			if !scripts {
				tab.DisableScripts()
			}
			w.letIn(tab)
			require.Contains(t, tab.Text("main"), "All is well.")

			tab.Fill("#id", ` "cus_000123" `)
			require.Equal(t, http.StatusOK, tab.Follow(".lookup button"))
			require.Equal(t, w.server.CustomerURL("cus_000123"), tab.URL())
			require.Equal(t, "Active", tab.Text("#verdict"))

			require.Equal(t, http.StatusOK, tab.Follow(".act .button"))
			require.Equal(t, "Take reissue-card?", tab.Text("h1"))
			write(t, tab, "#reason", "card lost")
			require.Equal(t, http.StatusOK, tab.Follow("form.card .primary"))
			require.Equal(t, "reissue-card: Requested", tab.Text("#asked-title"))

			w.followAlong(tab)
		})
	}
}

// followAlong lets a worker carry out what the tab has asked for, and waits
// until the page has followed by itself.
func (w *world) followAlong(tab *testbrowser.Tab) {
	w.t.Helper()
	shows := func(selector, want string) {
		w.t.Helper()
		require.Eventually(w.t, func() bool { return w.reads(tab, selector) == want }, patience, tick, want)
	}
	q := w.wishes("cus_000123")[0]
	w.starts("cus_000123", q)
	shows(".stages .here", "Healing")
	w.answers("cus_000123", amend.Done, http.StatusOK)
	shows(".stages .here", "Verifying")
	w.proves("cus_000123")
	shows("#asked-title", "reissue-card: Verified")
	require.Contains(w.t, tab.Text("#timeline ~ ol"), "Reading every service again shows it in order.")
}

// write types into a field that is empty.
func write(t *testing.T, tab *testbrowser.Tab, selector, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab.Context(), patience)
	defer cancel()
	require.NoError(t, chromedp.Do(ctx, chromedp.SendKeys(chromedp.CSS(selector), text, chromedp.NodeVisible)))
}

// reads is an element's text now; empty while the page is being changed.
func (w *world) reads(tab *testbrowser.Tab, selector string) string {
	ctx, cancel := context.WithTimeout(tab.Context(), patience)
	defer cancel()
	got, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(selector), chromedp.AtLeast(0)))
	if err != nil {
		return ""
	}
	return got
}

func TestRefusalInBrowser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.inOrder("cus_000123")
	tab := testbrowser.New(t)
	tab.AllowError("status of 409")
	w.letIn(tab)
	tab.Open(w.server.URL() + reissue)
	w.said.say("cus_000123", values("approved", "ada@example.com", "DE", nil), nil, values("active"), values("active", "ada@example.com"))
	write(t, tab, "#reason", "card lost")
	require.Equal(t, http.StatusConflict, tab.Follow("form.card .primary"))
	require.Equal(t, "It was not started", tab.Text("h1"))
	require.Equal(t, http.StatusOK, tab.Follow("main .primary"))
	require.Equal(t, "Ledger missing", tab.Text("#verdict"))
	require.Empty(t, w.wishes("cus_000123"))
}

func TestScripts(t *testing.T) {
	t.Parallel()

	t.Run("SlashLeadsToTheLookupUntilSwitchedOff", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.inOrder("cus_000123")
		tab := testbrowser.New(t)
		w.letIn(tab)
		tab.Open(w.server.URL() + ada)
		// press reports whether the page took the key for itself.
		press := func() bool {
			return evaluate[bool](t, tab, `!document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: "/", bubbles: true, cancelable: true}))`)
		}
		require.True(t, press())
		require.Equal(t, "find", evaluate[string](t, tab, "document.activeElement.id"))
		require.False(t, press(), "what is typed is typed")
		tab.Click("[data-shortcut-switch]")
		require.Equal(t, "Switch it on", tab.Text("[data-shortcut-switch]"))
		tab.Open(w.server.URL() + ada)
		require.False(t, press())
		require.NotEqual(t, "find", evaluate[string](t, tab, "document.activeElement.id"))
	})

	t.Run("CopyGivesTheID", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.inOrder("cus_000123")
		tab := testbrowser.New(t)
		w.letIn(tab)
		tab.Open(w.server.URL() + ada)
		evaluate[chromedp.Void](t, tab, `navigator.clipboard.writeText = async (text) => { window.copied = text; }`)
		tab.Click("[data-copy=the-id]")
		require.Eventually(t, func() bool {
			return evaluate[string](t, tab, `document.querySelector("[data-say]").textContent`) == "Copied."
		}, patience, tick)
		require.Equal(t, "cus_000123", evaluate[string](t, tab, "window.copied"))
	})

	t.Run("SessionThatEndsWhileFollowingAlongLeadsToTheLogin", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.inOrder("cus_000123")
		q := w.ask("cus_000123", "reissue-card")
		tab := testbrowser.New(t)
		tab.AllowError("status of 401")
		w.letIn(tab)
		tab.Open(w.server.URL() + ada + "?asked=" + q.ID)
		w.clock.forward(sessionLife)
		require.Eventually(t, func() bool { return w.reads(tab, "h1") == "Please log in" }, patience, tick)
	})

	t.Run("AskedThatEndedIsQuiet", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.inOrder("cus_000123")
		q := w.ask("cus_000123", "reissue-card")
		require.NoError(t, w.store.TakeRequest(t.Context(), q.ID, "refused: no."))
		w.ends(t, q)
	})
}

// ends checks that a page about something that has ended loads nothing more.
func (w *world) ends(t *testing.T, q store.Request) {
	t.Helper()
	tab := testbrowser.New(t)
	w.letIn(tab)
	tab.Open(w.server.URL() + ada + "?asked=" + q.ID)
	require.Zero(t, evaluate[int](t, tab, `document.querySelectorAll("[data-poll], meta[http-equiv=refresh]").length`))
}
