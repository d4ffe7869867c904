package bank

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// noon is when the tests' clocks start.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// clock is a clock that only tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: noon} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// tester talks to a running bank.
type tester struct {
	*Bank
	clock  *clock
	client *http.Client
	urls   map[string]string
}

// setup starts a bank of 1,000 customers, changed by the options given.
func setup(t *testing.T, change ...func(*Options)) *tester {
	t.Helper()
	clock := newClock()
	options := Options{Customers: 1000, Seed: 7, Now: clock.Now}
	for _, c := range change {
		c(&options)
	}
	b, err := New(options)
	require.NoError(t, err)
	require.NoError(t, b.Start())
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	env := b.Env()
	return &tester{
		Bank: b, clock: clock,
		// Without keep-alive one call is one request: the transport has no old
		// connection on which it would silently try again.
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second},
		urls: map[string]string{
			identityName: env["IDENTITY_URL"], ledgerName: env["LEDGER_URL"], cardsName: env["CARDS_URL"],
			billingName: env["BILLING_URL"], controlName: b.ControlURL(),
		},
	}
}

func withCardDelay(d time.Duration) func(*Options) { return func(o *Options) { o.CardDelay = d } }

// request is one call of a service.
type request struct {
	service, method, path, body string
	key, ifMatch                string
	token                       string // "" is the right one
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   map[string]any
	raw    string
}

// try sends a request; a cut connection is an error.
func (b *tester) try(ctx context.Context, q request) (reply, error) {
	r, err := http.NewRequestWithContext(ctx, q.method, b.urls[q.service]+q.path, strings.NewReader(q.body))
	if err != nil {
		return reply{}, err
	}
	if q.token == "" {
		q.token = "Bearer " + b.Env()["IDENTITY_TOKEN"]
	}
	for name, value := range map[string]string{
		"Authorization": q.token, "Idempotency-Key": q.key, "If-Match": q.ifMatch,
	} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	answer, err := b.client.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		return reply{}, err
	}
	got := reply{status: answer.StatusCode, header: answer.Header, raw: string(raw)}
	if strings.HasPrefix(answer.Header.Get("Content-Type"), "application/json") && strings.HasPrefix(got.raw, "{") {
		err = json.Unmarshal(raw, &got.body)
	}
	return got, err
}

func (b *tester) call(t *testing.T, q request) reply {
	t.Helper()
	got, err := b.try(t.Context(), q)
	require.NoError(t, err)
	return got
}

func (b *tester) get(t *testing.T, service, path string) reply {
	t.Helper()
	return b.call(t, request{service: service, method: "GET", path: path})
}

// planted returns the customers planted in a state, in order.
func (b *tester) planted(state string) []string {
	var ids []string
	for id, planted := range b.Planted() {
		if planted == state && !isSentinel(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// someone returns the first customer planted in a state.
func (b *tester) someone(t *testing.T, state string) string {
	t.Helper()
	ids := b.planted(state)
	require.NotEmpty(t, ids, state)
	return ids[0]
}

// last returns the journal's last entry.
func (b *tester) last(t *testing.T) Entry {
	t.Helper()
	entries := b.Journal().Entries()
	require.NotEmpty(t, entries)
	return entries[len(entries)-1]
}

// The operations as an engine sends them.
func open(id, currency, key string) request {
	return request{service: ledgerName, method: "POST", path: "/accounts", body: `{"owner":"` + id + `","currency":"` + currency + `"}`, key: key}
}

func closing(id, ifMatch string) request {
	return request{service: ledgerName, method: "PUT", path: "/accounts/" + id + "/status", body: `{"status":"closed"}`, ifMatch: ifMatch}
}

func order(id, key string) request {
	return request{service: cardsName, method: "POST", path: "/cards", body: `{"customer":"` + id + `"}`, key: key}
}

func block(id string) request {
	return request{service: cardsName, method: "PUT", path: "/cards/" + id + "/status", body: `{"status":"blocked"}`}
}

func start(id, email, key string) request {
	return request{service: billingName, method: "POST", path: "/subscriptions", body: `{"customer":"` + id + `","email":"` + email + `"}`, key: key}
}

func cancelPlan(id string) request {
	return request{service: billingName, method: "DELETE", path: "/subscriptions/" + id}
}

func setEmail(id, email string) request {
	return request{service: billingName, method: "PATCH", path: "/subscriptions/" + id, body: `{"email":"` + email + `"}`}
}

// email and currency are what identity says of the customer.
func (b *tester) email(t *testing.T, id string) string {
	t.Helper()
	contact := b.get(t, identityName, "/customers/"+id).body["contact"].(map[string]any)
	return contact["email"].(string)
}

func (b *tester) currency(t *testing.T, id string) string {
	t.Helper()
	return currencyOf(b.get(t, identityName, "/customers/"+id).body["country"].(string))
}

func TestNew(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]Options{
		"NoCustomers":       {},
		"NegativeDelay":     {Customers: 1, CardDelay: -1},
		"NegativeKeyWindow": {Customers: 1, KeyWindow: -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := New(options)
			require.Error(t, err)
		})
	}
}

func TestStart(t *testing.T) {
	t.Parallel()
	t.Run("EnvIsWhatTheConfigurationAsksFor", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		for _, name := range []string{"IDENTITY_URL", "LEDGER_URL", "CARDS_URL", "BILLING_URL"} {
			require.Regexp(t, `^http://127\.0\.0\.1:[0-9]+$`, b.Env()[name], name)
		}
		require.NotEmpty(t, b.Env()["IDENTITY_TOKEN"])
		require.Regexp(t, `^sqlite:/.*holds\.db$`, b.Env()["COMPLIANCE_DSN"])
		require.Regexp(t, `^http://127\.0\.0\.1:[0-9]+$`, b.ControlURL())
	})
	t.Run("OnlyOnce", func(t *testing.T) {
		t.Parallel()
		require.ErrorContains(t, setup(t).Start(), "started")
	})
	t.Run("NotAfterClose", func(t *testing.T) {
		t.Parallel()
		b, err := New(Options{Customers: 1})
		require.NoError(t, err)
		require.NoError(t, b.Close())
		require.ErrorContains(t, b.Start(), "closed")
		require.Empty(t, b.ControlURL())
	})
	t.Run("BadComplianceDSNLeavesNothingOpen", func(t *testing.T) {
		t.Parallel()
		b, err := New(Options{Customers: 1, ComplianceDSN: "mysql://somewhere"})
		require.NoError(t, err)
		require.ErrorContains(t, b.Start(), "compliance")
		require.Empty(t, b.ControlURL())
		require.NoError(t, b.Close())
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	t.Run("StopsEveryServiceAndMayBeRepeated", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.NoError(t, b.Close())
		require.NoError(t, b.Close())
		for service := range b.urls {
			_, err := b.try(t.Context(), request{service: service, method: "GET", path: "/"})
			require.Error(t, err, service)
		}
	})
}
