package dashboard

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// link is a fresh login link: its path and its token.
func (w *world) link() (path, token string) {
	w.t.Helper()
	link, err := url.Parse(w.server.LoginURL())
	require.NoError(w.t, err)
	return link.RequestURI(), link.Query().Get("token")
}

func TestLogin(t *testing.T) {
	t.Parallel()

	t.Run("PreviewsDoNotUseTheLinkUp", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		path, token := w.link()
		for range 3 {
			got := w.visitor().get(path)
			require.Equal(t, http.StatusOK, got.status)
			require.Empty(t, got.header.Get("Set-Cookie"))
		}
		require.Equal(t, http.StatusSeeOther, w.visitor().post("/login", url.Values{"token": {token}}).status)
	})

	t.Run("LinkWorksOnce", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		path, token := w.link()
		require.Equal(t, http.StatusSeeOther, w.visitor().post("/login", url.Values{"token": {token}}).status)
		again := w.visitor()
		require.Equal(t, http.StatusUnauthorized, again.post("/login", url.Values{"token": {token}}).status)
		require.Equal(t, http.StatusUnauthorized, again.get(path).status)
		require.Equal(t, http.StatusUnauthorized, again.get("/").status)
	})

	t.Run("OfManyAtOnceOneGetsIn", func(t *testing.T) {
		t.Parallel()
		d := newDoors(time.Now, newWorld(t).server.options.Token)
		token := d.link()
		var group sync.WaitGroup
		entered := make(chan string, 50)
		for range cap(entered) {
			group.Go(func() {
				if id, ok := d.enter(token); ok {
					entered <- id
				}
			})
		}
		group.Wait()
		require.Len(t, entered, 1)
	})

	t.Run("LinkEndsAfterTenMinutes", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		path, token := w.link()
		w.clock.forward(linkLife - time.Second)
		require.Equal(t, http.StatusOK, w.visitor().get(path).status)
		w.clock.forward(time.Second)
		require.Equal(t, http.StatusUnauthorized, w.visitor().get(path).status)
		require.Equal(t, http.StatusUnauthorized, w.visitor().post("/login", url.Values{"token": {token}}).status)
	})

	t.Run("TokensAreLongAndNeverTheSame", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		seen := map[string]bool{}
		for range 100 {
			_, token := w.link()
			require.GreaterOrEqual(t, len(token), 26, "26 letters of base 32 are 128 bits")
			require.False(t, seen[token])
			seen[token] = true
		}
	})

	t.Run("WrongTokensAreRefused", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		for _, token := range []string{"", "x", strings.Repeat("A", 26), "' or 1=1"} {
			got := w.visitor().post("/login", url.Values{"token": {token}})
			require.Equal(t, http.StatusUnauthorized, got.status)
			require.Empty(t, got.header.Get("Set-Cookie"))
		}
	})

	t.Run("SessionAlwaysHasANewID", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		kim := w.member()
		before := kim.cookie().Value
		_, token := w.link()
		require.Equal(t, http.StatusSeeOther, kim.post("/login", url.Values{"token": {token}}).status)
		require.NotEqual(t, before, kim.cookie().Value)
		old := w.visitor().do(http.MethodGet, "/", nil, map[string]string{"Cookie": w.server.cookie + "=" + before})
		require.Equal(t, http.StatusUnauthorized, old.status, "the old session has ended")
	})

	t.Run("CookieIsForThisSiteAndNoScript", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		_, token := w.link()
		got := w.visitor().post("/login", url.Values{"token": {token}}).header.Get("Set-Cookie")
		for _, flag := range []string{"HttpOnly", "SameSite=Strict", "Path=/"} {
			require.Contains(t, got, flag)
		}
		require.NotContains(t, got, "Domain")
		require.NotContains(t, got, token)
	})

	t.Run("CookieOfAnotherDashboardIsItsOwn", func(t *testing.T) {
		t.Parallel()
		require.NotEqual(t, newWorld(t).server.cookie, newWorld(t).server.cookie)
	})
}

func TestSession(t *testing.T) {
	t.Parallel()

	t.Run("EndsAfterThirtyIdleMinutes", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		kim := w.member()
		w.clock.forward(sessionIdle - time.Second)
		require.Equal(t, http.StatusOK, kim.get("/").status)
		w.clock.forward(sessionIdle - time.Second)
		require.Equal(t, http.StatusOK, kim.get("/").status, "each use counts")
		w.clock.forward(sessionIdle)
		require.Equal(t, http.StatusUnauthorized, kim.get("/").status)
	})

	t.Run("EndsAfterEightHoursWhateverHappens", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		kim := w.member()
		for range 2 * 8 {
			w.clock.forward(sessionIdle - time.Second)
			require.Equal(t, http.StatusOK, kim.get("/cases").status)
		}
		w.clock.forward(time.Minute)
		require.Equal(t, http.StatusUnauthorized, kim.get("/cases").status)
	})

	t.Run("NothingIsKeptOfWhatHasEnded", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		for range 10 {
			w.member()
			w.link()
		}
		w.clock.forward(sessionLife)
		w.visitor().get("/login?token=x")
		require.Empty(t, w.server.doors.links)
		require.Empty(t, w.server.doors.sessions)
	})
}

func TestAnnounce(t *testing.T) {
	t.Parallel()
	var said []string
	w := newWorld(t, func(o *Options) { o.Announce = func(link string) { said = append(said, link) } })

	first := w.server.LoginURL()
	require.Contains(t, w.visitor().get("/").body, "Open the newest login link in the terminal")
	require.Empty(t, said, "the printed link can still be used")

	link, err := url.Parse(first)
	require.NoError(t, err)
	kim := w.visitor()
	require.Equal(t, http.StatusSeeOther, kim.post("/login", url.Values{"token": {link.Query().Get("token")}}).status)
	w.clock.forward(sessionIdle)
	for range 5 {
		require.Equal(t, http.StatusUnauthorized, kim.get("/").status)
	}
	require.Len(t, said, 1, "asking again prints no more while that link is unused")
	require.NotContains(t, kim.get("/").body, said[0][len(w.server.URL())+len("/login?token="):], "the page doesn't tell it")

	link, err = url.Parse(said[0])
	require.NoError(t, err)
	require.Equal(t, http.StatusSeeOther, kim.post("/login", url.Values{"token": {link.Query().Get("token")}}).status)
	require.Equal(t, http.StatusOK, kim.get("/").status)
}

// cookie is the visitor's session.
func (v *visitor) cookie() *http.Cookie {
	v.w.t.Helper()
	at, err := url.Parse(v.w.server.URL())
	require.NoError(v.w.t, err)
	for _, c := range v.client.Jar.Cookies(at) {
		if c.Name == v.w.server.cookie {
			return c
		}
	}
	v.w.t.Fatal("there is no session")
	return nil
}
