package testbrowser

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	_ "image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const page = `<!doctype html><html lang="en"><head><title>A page</title>%s
<style>body { margin: 0; background: #fff } @media (prefers-color-scheme: dark) { body { background: #000 } }</style>
</head><body><h1>Page %s</h1><p id="hidden" hidden>unseen</p>
<form action="/answer"><input name="q" value="old"><button>Send</button></form>
<button id="count" type="button" onclick="this.textContent = 'pressed'">press</button>
<noscript><p id="plain">no scripts</p></noscript>
<div style="height: 1500px"></div></body></html>`

// site serves /page, which writes nothing on the console, and some that do.
func site(t *testing.T) string {
	t.Helper()
	heads := map[string]string{
		"/throws":  `<script>throw new Error("out of cheese")</script>`,
		"/logs":    `<script>console.error("too hot"); console.warn("warm")</script>`,
		"/missing": `<link rel="stylesheet" href="/nowhere.css">`,
		"/strict":  `<script>document.title = "never"</script>`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch r.URL.Path {
		case "/strict":
			w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		case "/favicon.ico":
			w.WriteHeader(http.StatusNoContent)
			return
		case "/nowhere.css", "/gone":
			w.WriteHeader(http.StatusNotFound)
		case "/cookie":
			http.SetCookie(w, &http.Cookie{Name: "visited", Value: "yes"})
		}
		name := r.URL.Path
		if r.URL.RawQuery != "" {
			name += "?" + r.URL.RawQuery
		}
		if cookie, err := r.Cookie("visited"); err == nil {
			name += " " + cookie.String()
		}
		_, err := fmt.Fprintf(w, page, heads[r.URL.Path], name)
		require.NoError(t, err)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestTab(t *testing.T) {
	t.Parallel()
	address := site(t)

	t.Run("OpensReadsFillsAndFollows", func(t *testing.T) {
		t.Parallel()
		tab := New(t)
		require.Equal(t, http.StatusOK, tab.Open(address+"/page"))
		require.Equal(t, "Page /page", tab.Text("h1"))

		tab.Fill("input[name=q]", "cus_42")
		require.Equal(t, http.StatusOK, tab.Follow("form button"))

		require.Equal(t, "Page /answer?q=cus_42", tab.Text("h1"))
		require.Equal(t, address+"/answer?q=cus_42", tab.URL())
	})

	t.Run("ClicksWhatChangesThePage", func(t *testing.T) {
		t.Parallel()
		tab := New(t)
		tab.Open(address + "/page")
		tab.Click("#count")
		require.Equal(t, "pressed", tab.Text("#count"))
	})

	t.Run("WorksWithoutScripts", func(t *testing.T) {
		t.Parallel()
		tab := New(t)
		tab.DisableScripts()
		tab.Open(address + "/throws")
		require.Equal(t, "no scripts", tab.Text("#plain"))
		tab.Click("#count")
		require.Equal(t, "press", tab.Text("#count"))
		require.Equal(t, http.StatusOK, tab.Follow("form button"))
		require.Equal(t, "Page /answer?q=old", tab.Text("h1"))
	})

	t.Run("TabsDoNotShareCookies", func(t *testing.T) {
		t.Parallel()
		one, other := New(t), New(t)
		one.Open(address + "/cookie")
		one.Open(address + "/page")
		require.Equal(t, "Page /page visited=yes", one.Text("h1"))
		other.Open(address + "/page")
		require.Equal(t, "Page /page", other.Text("h1"))
	})
}

func TestScreenshot(t *testing.T) {
	t.Parallel()
	address, dir := site(t), t.TempDir()
	tab := New(t)
	tab.Open(address + "/page")
	for name, want := range map[string]struct {
		dark bool
		back color.Gray
	}{
		"light": {false, color.Gray{Y: 255}},
		"dark":  {true, color.Gray{Y: 0}},
	} {
		path := filepath.Join(dir, "shots", name+".png")
		tab.Screenshot(path, 480, 300, want.dark)

		content, err := os.ReadFile(path)
		require.NoError(t, err)
		picture, kind, err := image.Decode(bytes.NewReader(content))
		require.NoError(t, err)
		require.Equal(t, "png", kind)
		require.Equal(t, 480, picture.Bounds().Dx())
		require.Greater(t, picture.Bounds().Dy(), 1500, "the whole page, not only what the window shows")
		require.Equal(t, want.back, color.GrayModel.Convert(picture.At(470, 290)))
	}
}

func TestConsole(t *testing.T) {
	t.Parallel()
	address := site(t)
	for name, row := range map[string]struct {
		path  string
		allow string
		want  string
	}{
		"ExceptionFails":         {path: "/throws", want: "out of cheese"},
		"LoggedErrorFails":       {path: "/logs", want: "too hot"},
		"MissingResourceFails":   {path: "/missing", want: "404"},
		"PolicyBreachFails":      {path: "/strict", want: "Content Security Policy"},
		"NotFoundFails":          {path: "/gone", want: "404"},
		"AllowedByItsURLPasses":  {path: "/gone", allow: "/gone"},
		"AllowedByItsTextPasses": {path: "/throws", allow: "out of cheese"},
		"QuietPagePasses":        {path: "/page"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failures := record(t, func(inner testing.TB) {
				tab := New(inner)
				if row.allow != "" {
					tab.AllowError(row.allow)
				}
				tab.Open(address + row.path)
			})
			if row.want == "" {
				require.Empty(t, failures)
				return
			}
			require.Contains(t, strings.Join(failures, "\n"), row.want)
		})
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()

	t.Run("NobodyListens", func(t *testing.T) {
		t.Parallel()
		server := httptest.NewServer(http.NotFoundHandler())
		server.Close()
		failures := record(t, func(inner testing.TB) { New(inner).Open(server.URL) })
		require.Len(t, failures, 1)
		require.Contains(t, failures[0], "ERR_CONNECTION_REFUSED")
	})

	t.Run("NamesOtherThanThisMachineAreNotResolved", func(t *testing.T) {
		t.Parallel()
		failures := record(t, func(inner testing.TB) { New(inner).Open("http://example.com/") })
		require.Len(t, failures, 1)
		require.Contains(t, failures[0], "ERR_NAME_NOT_RESOLVED")
	})

	t.Run("NoBrowserNamesTheCommandThatInstallsOne", func(t *testing.T) {
		t.Parallel()
		_, err := startBrowser([]string{"no-such-browser"})
		require.ErrorContains(t, err, "apt-get install chromium")
	})
}

// recorder stands in for a test whose failures are looked at.
type recorder struct {
	testing.TB

	mu       sync.Mutex
	failures []string
	cleanups []func()
}

// record runs a test and its cleanups, and returns how it failed.
func record(t *testing.T, test func(testing.TB)) []string {
	t.Helper()
	inner := &recorder{TB: t}
	inner.finish(func() { test(inner) })
	for i := len(inner.cleanups) - 1; i >= 0; i-- {
		inner.finish(inner.cleanups[i])
	}
	return inner.failures
}

// finish runs part of a test, which Fatalf may end early.
func (r *recorder) finish(part func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		part()
	}()
	<-done
}

func (r *recorder) Cleanup(cleanup func()) {
	r.cleanups = append(r.cleanups, cleanup)
}

func (r *recorder) Errorf(format string, values ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, values...))
}

func (r *recorder) Fatalf(format string, values ...any) {
	r.Errorf(format, values...)
	runtime.Goexit()
}
