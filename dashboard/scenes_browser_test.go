package dashboard

import (
	"context"
	_ "embed"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"amend/internal/testbrowser"
)

//go:embed testdata/axe.min.js
var axe string

// finding is one thing that axe-core holds against a page.
type finding struct {
	ID     string   `json:"id"`
	Help   string   `json:"help"`
	Places []string `json:"places"`
}

const runAxe = `axe.run().then(r => r.violations.map(v => ({id: v.id, help: v.help, places: v.nodes.map(n => n.html + " " + n.failureSummary)})))`

// TestScenes/… shows every page in every state to axe-core, light and dark,
// wide and narrow: it finds nothing, and nothing sticks out of a phone's
// screen. With SHOTS=FOLDER set it leaves pictures there, to be looked at.
func TestScenes(t *testing.T) {
	t.Parallel()
	for _, sc := range scenes() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			tab := testbrowser.New(t)
			path := sc.set(w)
			if !sc.public {
				w.letIn(tab)
			}
			want := sc.status
			if want == 0 {
				want = http.StatusOK
			} else {
				tab.AllowError("status of")
			}
			require.Equal(t, want, tab.Open(w.server.URL()+path))
			evaluate[chromedp.Void](t, tab, axe)
			for _, look := range []struct {
				dark  bool
				width int
			}{{false, 1280}, {true, 375}} {
				dress(t, tab, look.width, look.dark)
				require.Empty(t, evaluate[[]finding](t, tab, runAxe, chromedp.EvalAwaitPromise), "dark: %t, width: %d", look.dark, look.width)
				require.LessOrEqual(t, evaluate[int](t, tab, "document.documentElement.scrollWidth"), look.width, "the page is wider than the screen")
			}
			pictures(tab, sc.name)
		})
	}
}

// pictures leaves pictures of the page that is open, where they are wanted.
func pictures(tab *testbrowser.Tab, name string) {
	folder := os.Getenv("SHOTS")
	if folder == "" {
		return
	}
	for _, dark := range []bool{false, true} {
		for _, width := range []int{1280, 375} {
			tab.Screenshot(filepath.Join(folder, shot(name, width, dark)), width, 800, dark)
		}
	}
}

func shot(name string, width int, dark bool) string {
	if width < 1000 {
		name += "-narrow"
	}
	if dark {
		name += "-dark"
	}
	return name + ".png"
}

// letIn logs the tab in by the link, as a person does.
func (w *world) letIn(tab *testbrowser.Tab) {
	w.t.Helper()
	require.Equal(w.t, http.StatusOK, tab.Open(w.server.LoginURL()))
	tab.Follow("button")
	at, err := url.Parse(tab.URL())
	require.NoError(w.t, err)
	require.Equal(w.t, "/", at.Path)
}

func dress(t *testing.T, tab *testbrowser.Tab, width int, dark bool) {
	t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	_, err := chromedp.Call(tab.Context(), emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	require.NoError(t, err)
	_, err = chromedp.Call(tab.Context(), emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: int64(width), Height: 800, DeviceScaleFactor: 1})
	require.NoError(t, err)
}

func evaluate[T any](t *testing.T, tab *testbrowser.Tab, script string, options ...chromedp.EvaluateOption) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab.Context(), patience)
	defer cancel()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, options...))
	require.NoError(t, err)
	return got
}
