package dashboard

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
)

func TestListen(t *testing.T) {
	t.Parallel()
	t.Run("RefusesWhatOthersCanReach", func(t *testing.T) {
		t.Parallel()
		for _, address := range []string{"", ":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "bank.example:80", "localhost.bank.example:0", "0:0"} {
			_, err := Listen(Options{Listen: address})
			require.ErrorContains(t, err, "listens on loopback only; login for other addresses is not built yet", address)
			require.Equal(t, amend.Invalid, amend.CodeOf(err), address)
		}
	})

	t.Run("TakesLoopback", func(t *testing.T) {
		t.Parallel()
		for _, address := range []string{"127.0.0.1:0", "localhost:0"} {
			w := newWorld(t, func(o *Options) { o.Listen = address })
			got, err := http.Get(w.server.URL() + "/healthz")
			require.NoError(t, err, address)
			require.NoError(t, got.Body.Close())
			require.Equal(t, http.StatusOK, got.StatusCode)
		}
	})

	t.Run("TakenPortIsSaid", func(t *testing.T) {
		t.Parallel()
		other, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer other.Close()
		_, err = Listen(Options{Listen: other.Addr().String()})
		require.ErrorContains(t, err, "choose another port in dashboard.listen")
		require.Equal(t, amend.Unavailable, amend.CodeOf(err))
	})
}

func TestServe(t *testing.T) {
	t.Parallel()
	t.Run("EndsWithItsContext", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		other, err := Listen(w.server.options)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- other.Serve(ctx) }()
		got, err := http.Get(other.URL() + "/healthz")
		require.NoError(t, err)
		require.NoError(t, got.Body.Close())
		cancel()
		select {
		case err := <-done:
			require.NoError(t, err)
		case <-time.After(2 * stopLimit):
			t.Fatal("it goes on without its context")
		}
		_, err = http.Get(other.URL() + "/healthz")
		require.Error(t, err)
	})

	t.Run("EveryTimeIsBounded", func(t *testing.T) {
		t.Parallel()
		s := newWorld(t).server.server
		for _, d := range []time.Duration{s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout, s.IdleTimeout} {
			require.Positive(t, d)
			require.LessOrEqual(t, d, 2*time.Minute)
		}
		require.Positive(t, s.MaxHeaderBytes)
	})
}

// place fills a route's pattern in.
func place(pattern string) string {
	return strings.NewReplacer("{$}", "", "{id}", "cus_000123", "{rule}", "reissue-card", "{request}", "ask_x", "{repair}", "rep_x", "{word}", "agree", "{file}", "app.css").Replace(pattern)
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	methods := []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}

	t.Run("WithoutSessionNothingAnswers", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.inOrder("cus_000123")
		stranger := w.visitor()
		open := 0
		for _, r := range w.server.routes() {
			if r.open {
				open++
				continue
			}
			for _, method := range methods {
				got := stranger.do(method, place(r.path), nil, map[string]string{"Origin": w.server.URL(), "Cookie": w.server.cookie + "=guess"})
				require.Equal(t, http.StatusUnauthorized, got.status, "%s %s", method, r.path)
				require.NotContains(t, got.body, "approved")
			}
		}
		require.Equal(t, 3, open, "login, healthz and static alone are open")
		require.Contains(t, stranger.get("/").body, "Please log in")
	})

	t.Run("OtherMethodsAreRefused", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.inOrder("cus_000123")
		kim := w.member()
		for _, r := range w.server.routes() {
			for _, method := range methods[2:] {
				if method == http.MethodPost && r.post != nil {
					continue
				}
				got := kim.do(method, place(r.path), nil, map[string]string{"Origin": w.server.URL()})
				require.Equal(t, http.StatusMethodNotAllowed, got.status, "%s %s", method, r.path)
				require.Contains(t, got.header.Get("Allow"), "GET")
			}
		}
	})

	t.Run("OverridesOfTheMethodMeanNothing", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.inOrder("cus_000123")
		got := w.member().do(http.MethodGet, "/customers/cus_000123/rules/reissue-card?_method=POST&reason=x", nil, map[string]string{"X-HTTP-Method-Override": "POST"})
		require.Equal(t, http.StatusOK, got.status)
		require.Contains(t, got.body, "Take reissue-card?")
		require.Empty(t, w.wishes("cus_000123"))
	})

	t.Run("HeadIsGetWithoutBody", func(t *testing.T) {
		t.Parallel()
		got := newWorld(t).member().do(http.MethodHead, "/", nil, nil)
		require.Equal(t, http.StatusOK, got.status)
		require.Empty(t, got.body)
	})

	t.Run("InternalsAreNotServed", func(t *testing.T) {
		t.Parallel()
		kim := newWorld(t).member()
		for _, path := range []string{"/metrics", "/debug/pprof/", "/static/", "/static/..%2frender.go", "/static/app.css.map", "/templates/home.html", "/.git/config"} {
			require.Equal(t, http.StatusNotFound, kim.get(path).status, path)
		}
	})

	t.Run("HealthTouchesNothing", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, func(o *Options) { o.Desk = nil })
		got := w.visitor().get("/healthz")
		require.Equal(t, http.StatusOK, got.status)
		require.Equal(t, "ok\n", got.body)
	})
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.inOrder("cus_000123")
	kim, stranger := w.member(), w.visitor()
	for name, got := range map[string]reply{
		"page": kim.get("/customers/cus_000123"), "error": kim.get("/nowhere"), "stranger": stranger.get("/"), "login": stranger.get("/login"),
		"redirect": kim.get("/lookup?id=cus_000123"), "style": stranger.get("/static/app.css"), "health": stranger.get("/healthz"),
		"otherHost": stranger.do(http.MethodGet, "/", nil, map[string]string{"Host": "evil.example"}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "+
				"frame-ancestors 'none'; base-uri 'none'", got.header.Get("Content-Security-Policy"))
			require.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"))
			require.Equal(t, "same-origin", got.header.Get("Referrer-Policy"))
			require.Equal(t, "same-origin", got.header.Get("Cross-Origin-Opener-Policy"))
			require.Equal(t, "no-store", got.header.Get("Cache-Control"))
			require.Empty(t, got.header.Get("Access-Control-Allow-Origin"))
			require.NotEmpty(t, got.header.Get("Content-Type"))
		})
	}
}

func TestHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cookie := w.member().cookie().String()
	for host, want := range map[string]int{
		"127.0.0.1": http.StatusOK, "127.0.0.1:9000": http.StatusOK, "localhost": http.StatusOK, "LocalHost:8080": http.StatusOK, "[::1]:8080": http.StatusOK, "127.8.8.8:1": http.StatusOK,
		"evil.example": http.StatusMisdirectedRequest, "evil.example:8080": http.StatusMisdirectedRequest, "127.0.0.1.evil.example": http.StatusMisdirectedRequest,
		"localhost.evil.example": http.StatusMisdirectedRequest, "10.0.0.1": http.StatusMisdirectedRequest, "0.0.0.0": http.StatusMisdirectedRequest, "[::]:80": http.StatusMisdirectedRequest,
		"2130706433": http.StatusMisdirectedRequest,
	} {
		require.Equal(t, want, w.visitor().do(http.MethodGet, "/", nil, map[string]string{"Host": host, "Cookie": cookie}).status, host)
	}
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		headers map[string]string
		want    int
	}{
		"Ours":                    {map[string]string{"Origin": "OURS", "Sec-Fetch-Site": "same-origin"}, http.StatusSeeOther},
		"OnlyOrigin":              {map[string]string{"Origin": "OURS"}, http.StatusSeeOther},
		"OnlyFetchSite":           {map[string]string{"Sec-Fetch-Site": "same-origin"}, http.StatusSeeOther},
		"Neither":                 {nil, http.StatusForbidden},
		"CrossSite":               {map[string]string{"Sec-Fetch-Site": "cross-site"}, http.StatusForbidden},
		"SameSite":                {map[string]string{"Sec-Fetch-Site": "same-site"}, http.StatusForbidden},
		"CrossSiteWithOurOrigin":  {map[string]string{"Origin": "OURS", "Sec-Fetch-Site": "cross-site"}, http.StatusForbidden},
		"NullOrigin":              {map[string]string{"Origin": "null"}, http.StatusForbidden},
		"NullOriginFromOurselves": {map[string]string{"Origin": "null", "Sec-Fetch-Site": "same-origin"}, http.StatusForbidden},
		"OtherOrigin":             {map[string]string{"Origin": "http://evil.example"}, http.StatusForbidden},
		"OtherPort":               {map[string]string{"Origin": "http://127.0.0.1:1"}, http.StatusForbidden},
		"OtherScheme":             {map[string]string{"Origin": "HTTPS"}, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.inOrder("cus_000123")
			kim := w.member()
			form := kim.form("/customers/cus_000123/rules/reissue-card")
			form.Set("reason", "card lost")
			headers := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
			for k, v := range row.headers {
				v = strings.Replace(v, "OURS", w.server.URL(), 1)
				headers[k] = strings.Replace(v, "HTTPS", strings.Replace(w.server.URL(), "http:", "https:", 1), 1)
			}
			got := kim.do(http.MethodPost, "/customers/cus_000123/rules/reissue-card", strings.NewReader(form.Encode()), headers)
			require.Equal(t, row.want, got.status)
			require.Len(t, w.wishes("cus_000123"), map[int]int{http.StatusSeeOther: 1}[row.want])
		})
	}

	t.Run("LoginToo", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		link, err := url.Parse(w.server.LoginURL())
		require.NoError(t, err)
		body := url.Values{"token": {link.Query().Get("token")}}.Encode()
		got := w.visitor().do(http.MethodPost, "/login", strings.NewReader(body),
			map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "cross-site"})
		require.Equal(t, http.StatusForbidden, got.status)
		require.Empty(t, got.header.Get("Set-Cookie"))
		require.Equal(t, http.StatusOK, w.visitor().get(link.RequestURI()).status, "the link is still there for whoever it is for")
	})
}
