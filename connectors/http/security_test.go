package http_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
	"amend/connectors/connectortest"
	httpkind "amend/connectors/http"
)

// No redirect is followed, so no other host hears of anything.
func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	for status := 300; status <= 308; status++ {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			other := serve(t, func(_ http.ResponseWriter, r *http.Request) {
				t.Errorf("the other host was asked: %s %v", r.URL, r.Header)
			})
			var asked sync.Map
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if _, again := asked.LoadOrStore(r.Method+r.URL.Path, true); again {
					t.Errorf("%s was asked twice", r.URL)
				}
				w.Header().Set("Location", other.URL+"/accounts/cus_000001")
				reply(w, status, whole)
			})
			c := openWith(t, "http: {url: '"+server.URL+"', auth: {header: {name: X-Api-Key, value: hush}}}\n"+operations, bank(), connectors.Surroundings{Loopback: true})
			_, err := c.One(t.Context(), "cus_000001")
			require.Equal(t, amend.Redirected, connectors.AsUnseen(err).Cause)
			_, err = c.Many(t.Context(), []string{"cus_000001"})
			require.Equal(t, amend.Redirected, connectors.AsUnseen(err).Cause)
			require.Equal(t, amend.Unsettled, c.Send(t.Context(), prepare(t, c, "close")).Outcome)
			require.Equal(t, amend.Unsettled, c.Send(t.Context(), prepare(t, c, "drop")).Outcome)
		})
	}
}

// Whatever an ID holds, the path stays where it is. Here any text is an ID.
func TestEscaping(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.RequestURI)
		assert.Empty(t, r.Header.Get("X"))
		reply(w, 404, `{"code":"none"}`)
	})
	c, found := httpkind.Kind().New(connectors.Declaration{Service: ledger(), Entity: &amend.Entity{}, Decode: connectortest.Decode(t,
		"http: {url: '"+server.URL+"/v1'}\nread: {one: {get: '/a/{id}/x', query: {q: '{id}', r: '{id}'}, absent: 'answer.code == \"none\"'}}")},
		connectors.Surroundings{Loopback: true})
	require.Empty(t, found)
	for _, id := range []string{"%2e%2e%2f", "a?x=1#", "a/b", "a b", "ü", "a;b", "{id}", "a&admin=1", "+", strings.Repeat("x", 200)} {
		record, err := c.One(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, amend.Absent, record.Presence)
		last := seen[len(seen)-1]
		at, err := url.ParseRequestURI(last)
		require.NoError(t, err)
		require.Equal(t, "/v1/a/"+url.PathEscape(id)+"/x", at.EscapedPath())
		require.Equal(t, url.Values{"q": {id}, "r": {id}}, at.Query())
	}
	asked := len(seen)
	for _, id := range []string{"", ".", "..", "../admin", "a/../b", `..\admin`, "a/./b", "a\r\nX: 1", "a\x00", "a\x7f"} {
		_, err := c.One(t.Context(), id)
		require.Equal(t, amend.Malformed, connectors.AsUnseen(err).Cause, "%q", id)
	}
	require.Len(t, seen, asked, "what is refused asks nobody")
}

// Credentials are sent, and stand nowhere else: not in what is prepared, not
// in errors, not in logs, also where the service sends them back.
func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	const canary = "canary-7f3a"
	basic := base64.StdEncoding.EncodeToString([]byte("amend:" + canary))
	for auth, want := range map[string][2]string{
		"{bearer: " + canary + "}":                           {"Authorization", "Bearer " + canary},
		"{basic: {user: amend, password: " + canary + "}}":   {"Authorization", "Basic " + basic},
		"{header: {name: X-Api-Key, value: " + canary + "}}": {"X-Api-Key", canary},
	} {
		for name, answer := range map[string]http.HandlerFunc{
			"echo": func(w http.ResponseWriter, r *http.Request) { reply(w, 422, fmt.Sprint(r.Header)) },
			"echo as a record": func(w http.ResponseWriter, r *http.Request) {
				reply(w, 200, strings.Replace(whole, "open", strings.ReplaceAll(r.Header.Get(want[0]), `"`, ""), 1))
			},
			"echo in a broken status line": func(w http.ResponseWriter, r *http.Request) {
				conn, _, err := w.(http.Hijacker).Hijack()
				if err == nil {
					_, _ = conn.Write([]byte(r.Header.Get(want[0]) + "\r\n\r\n")) // no HTTP at all
					_ = conn.Close()
				}
			},
			"echo in a header": func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", r.Header.Get(want[0]))
				w.WriteHeader(200)
			},
		} {
			t.Run(auth+name, func(t *testing.T) {
				t.Parallel()
				var log strings.Builder
				server := serve(t, func(w http.ResponseWriter, r *http.Request) {
					assert.Equal(t, want[1], r.Header.Get(want[0]))
					assert.Equal(t, canary, r.Header.Get("X-Constant"))
					assert.Equal(t, "identity", r.Header.Get("Accept-Encoding"))
					answer(w, r)
				})
				c := openWith(t, "http: {url: '"+server.URL+"', auth: "+auth+", headers: {X-Constant: "+canary+"}}\n"+operations, bank(),
					connectors.Surroundings{Loopback: true, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
				guarded := connectors.Around(c, bank(), connectors.Surroundings{Log: slog.New(slog.NewTextHandler(&log, nil))})
				request := prepare(t, c, "open")
				record, err := guarded.One(t.Context(), "cus_000001")
				sent := guarded.Send(t.Context(), request)
				shown := fmt.Sprintf("%+v %#v %v %+v %+v %s %s", c, c, err, record, sent, log.String(), request.Body) + fmt.Sprint(request)
				require.NotContains(t, shown, canary)
				require.NotContains(t, shown, basic)
				require.True(t, err != nil || record.Presence == amend.Unseen)
			})
		}
	}
}

// An error of the connection holds neither the address nor the query.
func TestErrorsHoldNoQuery(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	c := open(t, "http://"+listener.Addr().String(), "read: {one: {get: '/a', query: {token: canary, id: '{id}'}}}", ledger())
	_, err = c.One(t.Context(), "cus_000001")
	require.Equal(t, "unreachable: no connection could be made", err.Error())
}

// A name that resolves to this machine, or to where credentials are kept, is
// refused when it is dialled, whatever it resolved to before.
func TestDialledAddress(t *testing.T) {
	t.Parallel()
	server := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("this machine was called") })
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	hosts := []string{"127.0.0.1", "127.8.8.8", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "localhost", "LOCALHOST.", "a.localhost", "169.254.169.254",
		"[fd00:ec2::254]", "100.64.1.1", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1]", "224.0.0.1", "255.255.255.255", "192.0.2.1", "[::7f00:1]"}
	for _, host := range hosts {
		_, found := httpkind.Kind().New(connectors.Declaration{Service: ledger(), Entity: entity,
			Decode: connectortest.Decode(t, "http: {url: 'http://"+host+":"+port+"'}\n"+reads)}, connectors.Surroundings{})
		require.Len(t, found, 1, host)
		require.Equal(t, "http.url", found[0].Path)
		require.Contains(t, found[0].Text, "can't be called")
	}
	for _, host := range []string{"10.1.2.3", "192.168.1.1", "172.16.0.1", "[fd12::1]", "93.184.216.34", "ledger.bank.example"} {
		openWith(t, "http: {url: 'http://"+host+"'}\n"+reads, ledger(), connectors.Surroundings{})
	}
}

// The name is judged by what it resolves to when it is dialled; this machine's
// own name leads to this machine.
func TestDialledName(t *testing.T) {
	t.Parallel()
	server := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("this machine was called") })
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	control := httpkind.Dialer(false)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = control.DialContext(ctx, "tcp", net.JoinHostPort("localhost", port))
	require.ErrorContains(t, err, "this machine itself")
	conn, err := httpkind.Dialer(true).DialContext(ctx, "tcp", net.JoinHostPort("localhost", port))
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}
