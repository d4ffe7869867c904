package dashboard

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"amend/internal/testbrowser"
	"amend/lifecycle"
	"amend/store"
)

// TestAgreeInBrowser agrees as a person does, and follows what comes of it.
func TestAgreeInBrowser(t *testing.T) {
	t.Parallel()
	for name, scripts := range map[string]bool{"WithScripts": true, "WithoutScripts": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.rejected("cus_000123")
			r := w.proposes("cus_000123", store.Amend)
			w.agrees(r, "ada")
			tab := testbrowser.New(t)
			if !scripts {
				tab.DisableScripts()
			}
			w.letIn(tab)
			tab.Open(w.server.URL() + ada)
			require.Equal(t, "Do you agree?", tab.Text("#asking"))
			require.Equal(t, http.StatusOK, tab.Follow(".asking .primary"))
			require.Equal(t, "Agree?", tab.Text("h1"))
			write(t, tab, "#reason", "checked with compliance")
			require.Equal(t, http.StatusOK, tab.Follow("form.card .primary"))
			require.Equal(t, "close-account: Requested", tab.Text("#asked-title"))
			w.update("cus_000123", func(u *store.Update) error {
				if err := u.Fire(lifecycle.Agree); err != nil {
					return err
				}
				return u.OpenProposed(r.ID)
			})
			require.Eventually(t, func() bool { return w.reads(tab, ".stages .here") == "Healing" }, patience, tick)
		})
	}
}

// TestAnswerInBrowser says that something did not happen, as a person does.
func TestAnswerInBrowser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.unsettled("cus_000123")
	tab := testbrowser.New(t)
	w.letIn(tab)
	tab.Open(w.server.URL() + ada)
	require.Equal(t, "Did it happen?", tab.Text("#wondering"))
	require.Equal(t, http.StatusOK, tab.Follow(".asking .line .button:last-child"))
	require.Equal(t, "It did not happen?", tab.Text("h1"))
	require.Contains(t, tab.Text("main"), "if it did happen, it happens twice")
	write(t, tab, "#reason", "asked the printer")
	require.Equal(t, http.StatusOK, tab.Follow("form.card .primary"))
	require.Equal(t, "order-card: Requested", tab.Text("#asked-title"))
	require.Equal(t, store.AskDidNot, w.wishes("cus_000123")[0].Kind)
}
