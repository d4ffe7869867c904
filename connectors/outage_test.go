package connectors_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
)

// T11: through ten minutes of each kind of outage nobody is present and nobody
// absent, the breaker keeps nearly all calls back, and a minute after the end
// everybody is seen again.
func TestOutages(t *testing.T) {
	t.Parallel()
	always503 := func(question) speech { return speech{response(503, "text/html", "<h1>busy</h1>"), staysOpen} }
	for name, outage := range map[string]func(*line){
		"503":     func(l *line) { l.speak = always503 },
		"refused": func(l *line) { l.down = true },
		"silent":  func(l *line) { l.speak = func(question) speech { return speech{then: fallsStill} } },
		"cut":     func(l *line) { l.speak = func(question) speech { return speech{} } },
		"half of it": func(l *line) {
			l.speak = func(q question) speech { return speech{bytes: response(200, "application/json", q.honest)[:70]} }
		},
		"slow": func(l *line) {
			l.speak = func(q question) speech { return speech{response(200, "application/json", q.honest), drips} }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, f *five) {
				for i, s := range f.services {
					if s.Name != "compliance" { // whose database is cut in the tests of its kind
						f.requireOutage(t, i, outage)
					}
				}
			})
		})
	}
}

func (f *five) requireOutage(t *testing.T, service int, outage func(*line)) {
	t.Helper()
	name := f.services[service].Name
	f.line.mu.Lock()
	outage(f.line)
	f.line.mu.Unlock()
	before, decisions := f.requests(name), 0
	for began := time.Now(); time.Since(began) < 10*time.Minute; time.Sleep(time.Second) {
		for _, id := range []string{here, gone} {
			require.Equal(t, "unseen", f.decide(t, service, id).Presence.String(), "%s after %s", name, time.Since(began))
			decisions++
		}
	}
	calls := f.requests(name) - before
	require.Less(t, calls, 10+int(10*time.Minute/(5*time.Second)), "%s, with %d decisions", name, decisions)
	f.line.mu.Lock()
	f.line.speak, f.line.down = nil, false
	f.line.mu.Unlock()
	ended := time.Now()
	for f.decide(t, service, here).Presence != amend.Present || f.decide(t, service, gone).Presence != amend.Absent {
		require.Less(t, time.Since(ended), time.Minute, name)
		time.Sleep(time.Second)
	}
	t.Logf("%s: %d decisions, %d calls, back after %s", name, decisions, calls, time.Since(ended))
}

// T17: who is asked to stay away stays away for that long, reads and
// operations alike, and never for more than a quarter of an hour.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	in := func(d time.Duration) string { // a bubble begins at this time
		return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(d).Format(http.TimeFormat)
	}
	for asked, want := range map[string]time.Duration{
		"120": 2 * time.Minute, " 120 ": 2 * time.Minute, "900": 15 * time.Minute, "901": 15 * time.Minute, "86400": 15 * time.Minute,
		"9223372036854775807": 15 * time.Minute, "99999999999999999999999999": 15 * time.Minute,
		in(5 * time.Minute): 5 * time.Minute, in(24 * time.Hour): 15 * time.Minute, "Fri, 31 Dec 9999 23:59:59 GMT": 15 * time.Minute,
		in(-time.Hour): 0, "0": 0, "-1": 0, "-9223372036854775808": 0, "1.5": 0, "1e3": 0, "soon": 0, "": 0, "\u0663": 0, "0x10": 0,
	} {
		t.Run(fmt.Sprintf("%q", asked), func(t *testing.T) {
			t.Parallel()
			for _, status := range []int{429, 503} {
				bubble(t, func(t *testing.T, f *five) {
					f.requireBan(t, asked, status, status == 503, want)
				})
			}
		})
	}
}

// requireBan asks the ledger every ten seconds and in the last one, and looks
// at the wire.
func (f *five) requireBan(t *testing.T, asked string, status int, byOperation bool, want time.Duration) {
	t.Helper()
	ledger := f.connectors[1]
	request := opening(t, ledger)
	ask := func() {
		if byOperation {
			ledger.Send(t.Context(), request)
			return
		}
		_, _ = ledger.One(t.Context(), here) // the wire says whether it was asked
	}
	f.says(func(q question) speech {
		return speech{response(status, "application/json", "{}", "Retry-After: "+asked), staysOpen}
	})
	began := time.Now()
	ask()
	sent := f.requests("ledger")
	require.Positive(t, sent)
	if want == 0 {
		time.Sleep(time.Second)
		ask()
		require.Greater(t, f.requests("ledger"), sent, "nobody asked to be left alone")
		return
	}
	require.Equal(t, 1, sent, "within the ban nothing is asked again")
	for time.Since(began) < want-time.Second {
		ledger.Send(t.Context(), request) // the ban holds for both, whoever was told
		_, err := ledger.One(t.Context(), gone)
		require.Equal(t, amend.Throttled, connectors.AsUnseen(err).Cause)
		require.Equal(t, sent, f.requests("ledger"), "after %s", time.Since(began))
		time.Sleep(min(10*time.Second, max(time.Second, time.Until(began.Add(want-time.Second)))))
	}
	f.says(nil)
	time.Sleep(time.Until(began.Add(want)))
	require.Equal(t, amend.Present, f.decide(t, 1, here).Presence)
}

func opening(t *testing.T, ledger connectors.Connector) connectors.Request {
	t.Helper()
	request, err := ledger.Prepare(connectors.Call{Operation: "open", ID: gone, Key: "k", Arguments: map[string]amend.Value{"currency": amend.StringOf("EUR")}})
	require.NoError(t, err)
	return request
}

// T18: whatever the other side does, or doesn't, each call ends by its
// deadline, and lets go of its connection and its goroutines: the bubble would
// not end else.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	for _, l := range silences() {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, f *five) {
				request := opening(t, f.connectors[1])
				f.says(func(q question) speech { return speech{l.tells(q.honest), l.then} })
				for i, c := range f.connectors[:4] {
					name := f.services[i].Name
					for way, call := range map[string]func(context.Context) error{
						"one":  func(ctx context.Context) error { _, err := c.One(ctx, here); return err },
						"many": func(ctx context.Context) error { _, err := c.Many(ctx, []string{here}); return err },
						"list": func(ctx context.Context) error { _, err := c.List(ctx, connectors.PageRequest{}); return err },
					} {
						if way == "many" && c.Can().Many == 0 || way == "list" && !c.Can().List {
							continue
						}
						const limit = 700 * time.Millisecond
						ctx, cancel := context.WithTimeout(t.Context(), limit)
						began := time.Now()
						require.Equal(t, amend.TimedOut, connectors.AsUnseen(call(ctx)).Cause, "%s %s", name, way)
						require.Equal(t, limit, time.Since(began), "%s %s", name, way)
						cancel()
					}
				}
				began := time.Now()
				answer := f.connectors[1].Send(t.Context(), request) // no deadline but the declared timeout
				require.Equal(t, amend.Unsettled, answer.Outcome, answer.Detail)
				require.Equal(t, 2*time.Second, time.Since(began))
				synctest.Wait()
			})
		})
	}
}
