package http_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
	"amend/connectors/connectortest"
	httpkind "amend/connectors/http"
)

var entity = &amend.Entity{Name: "customer", ID: regexp.MustCompile(`^cus_[0-9]{6,}$`)}

// ledger is a service with a field of nearly every type.
func ledger() *amend.Service {
	return &amend.Service{Name: "ledger", Fields: []amend.Field{
		{Name: "status", Type: amend.String, Values: []string{"open", "closed"}},
		{Name: "email", Type: amend.String, Path: "item.contact.email"},
		{Name: "balance", Type: amend.Int, Path: "item.balance.amount", Scale: 2},
		{Name: "changed_at", Type: amend.Timestamp},
		{Name: "note", Type: amend.String, Optional: true},
	}}
}

const reads = `
read:
  one:  {get: "/accounts/{id}", absent: 'status == 404 && answer.code == "none"', version: header.etag}
  many: {post: "/accounts:batchGet", body: {ids: "{ids}"}, items: answer.data.accounts, key: item.id, version: item.etag, max: 100}
  list: {get: "/accounts", query: {limit: "{limit}", cursor: "{cursor}", since: "{since}"}, items: answer.data.accounts, key: item.id, next: answer.next, max: 2}
`

// open makes a connector for a server; text is the service below its http key.
func open(t testing.TB, url, text string, s *amend.Service) connectors.Connector {
	t.Helper()
	return openWith(t, "http: {url: '"+url+"', timeout: 2s, max_body: 64KiB}\n"+text, s, connectors.Surroundings{Loopback: true})
}

func openWith(t testing.TB, text string, s *amend.Service, around connectors.Surroundings) connectors.Connector {
	t.Helper()
	c, found := httpkind.Kind().New(connectors.Declaration{Service: s, Entity: entity, Decode: connectortest.Decode(t, text)}, around)
	require.Empty(t, found)
	t.Cleanup(func() { require.NoError(t, connectors.Close(c)) })
	return c
}

// serve starts a server that ends with the test.
func serve(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func reply(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // the client may have gone
}

func account(id string) map[string]any {
	return map[string]any{"id": id, "etag": "v-" + id, "status": "open", "contact": map[string]any{"email": id + "@example.org"},
		"balance": map[string]any{"amount": "12.30"}, "changed_at": "2026-03-01T12:00:00Z", "extra": []int{1, 2}}
}

func text(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

// people is a small service that keeps to what reads declares.
type people struct {
	t       testing.TB
	present []string
	broken  string
	failing atomic.Bool
	stalled atomic.Bool
	ended   chan struct{}
}

func (p *people) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case p.stalled.Load():
		select {
		case <-p.ended:
		case <-r.Context().Done():
		}
	case p.failing.Load():
		reply(w, 503, `{}`)
	case r.Method == "POST":
		var asked struct{ IDs []string }
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			p.t.Error(err)
		}
		p.list(w, slices.DeleteFunc(asked.IDs, func(id string) bool { return !p.knows(id) }), "")
	case r.URL.Path == "/accounts":
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		at, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
		all, next := append(slices.Clone(p.present), p.broken), ""
		if at+limit < len(all) {
			next = strconv.Itoa(at + limit)
		}
		p.list(w, all[at:min(at+limit, len(all))], next)
	case p.knows(strings.TrimPrefix(r.URL.Path, "/accounts/")):
		reply(w, 200, text(p.t, p.account(strings.TrimPrefix(r.URL.Path, "/accounts/"))))
	default:
		reply(w, 404, `{"code":"none"}`)
	}
}

func (p *people) knows(id string) bool { return id == p.broken || slices.Contains(p.present, id) }

func (p *people) account(id string) map[string]any {
	a := account(id)
	if id == p.broken {
		a["balance"] = map[string]any{"amount": "12.345"}
	}
	return a
}

func (p *people) list(w http.ResponseWriter, ids []string, next string) {
	all := []map[string]any{}
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		all = append(all, p.account(id))
	}
	reply(w, 200, text(p.t, map[string]any{"data": map[string]any{"accounts": all, "total": len(all)}, "next": next}))
}

func TestConformance(t *testing.T) {
	t.Parallel()
	connectortest.Run(t, func(t *testing.T) connectortest.Fixture {
		p := &people{t: t, broken: "cus_000099", ended: make(chan struct{})}
		for i := range 5 {
			p.present = append(p.present, fmt.Sprintf("cus_%06d", i+1))
		}
		server := serve(t, p.ServeHTTP)
		t.Cleanup(func() { close(p.ended) })
		return connectortest.Fixture{Connector: open(t, server.URL, reads, ledger()), Present: p.present,
			Absent: []string{"cus_000050", "cus_000051"}, Broken: p.broken,
			Fail: func() { p.failing.Store(true) }, Stall: func() { p.stalled.Store(true) }}
	})
}

func TestAbilities(t *testing.T) {
	t.Parallel()
	full := openWith(t, "http: {url: 'https://ledger.bank.example/v1', at_once: 16, per_second: 400, per_hour: 5000}\n"+reads, ledger(), connectors.Surroundings{})
	require.Equal(t, connectors.Abilities{One: true, Many: 100, List: true, Since: true, Marker: true, AtOnce: 16, PerSecond: 400, PerHour: 5000}, full.Can())

	single := openWith(t, "http: {url: 'https://ledger.bank.example'}\nread: {one: {get: '/a/{id}', absent: status == 404}}", ledger(), connectors.Surroundings{})
	require.Equal(t, connectors.Abilities{One: true}, single.Can())
}

// What is read is what the service says, exactly.
func TestRecord(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"7"`)
		reply(w, 200, text(t, account("cus_000001")))
	})
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c := openWith(t, "http: {url: '"+server.URL+"/'}\n"+reads, ledger(), connectors.Surroundings{Loopback: true, Now: func() time.Time { return noon }})
	record, err := c.One(t.Context(), "cus_000001")
	require.NoError(t, err)
	require.Equal(t, amend.Record{Presence: amend.Present, Version: `"7"`, ReadAt: noon, Values: []amend.Value{
		amend.StringOf("open"), amend.StringOf("cus_000001@example.org"), amend.IntOf(1230), amend.TimeOf(noon), {},
	}}, record)
}

// A service without one is asked for many with a single ID.
func TestOneByMany(t *testing.T) {
	t.Parallel()
	p := &people{t: t, present: []string{"cus_000001"}}
	c := open(t, serve(t, p.ServeHTTP).URL, `read: {many: {post: "/accounts:batchGet", body: {ids: "{ids}"}, items: answer.data.accounts, key: item.id}}`, ledger())
	record, err := c.One(t.Context(), "cus_000001")
	require.NoError(t, err)
	require.Equal(t, amend.Present, record.Presence)
	record, err = c.One(t.Context(), "cus_000002")
	require.NoError(t, err)
	require.Equal(t, amend.Absent, record.Presence)
}
