package bench

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// services are two over HTTP: identity knows everybody, and the ledger misses
// every customer until it is told to open an account.
type services struct {
	*httptest.Server
	latency time.Duration
	mu      sync.Mutex
	opened  map[string]int // how often
	listed  []string       // who is listed, in order
}

func serve(b *testing.B, latency time.Duration) *services {
	b.Helper()
	s := &services{latency: latency, opened: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /identity/{id}", func(w http.ResponseWriter, r *http.Request) {
		s.wait()
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":%q,"status":"approved","country":"DE","name":"a person","address":{"street":"a street","town":"a town"}}`, r.PathValue("id"))
	})
	mux.HandleFunc("GET /ledger/{id}", func(w http.ResponseWriter, r *http.Request) {
		s.wait()
		w.Header().Set("Content-Type", "application/json")
		if s.has(r.PathValue("id")) {
			fmt.Fprintf(w, `{"id":%q,"status":"open","balance":0}`, r.PathValue("id"))
			return
		}
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"code":"no_such_account"}`)
	})
	mux.HandleFunc("PUT /ledger/{id}", func(w http.ResponseWriter, r *http.Request) {
		s.wait()
		s.mu.Lock()
		s.opened[r.PathValue("id")]++
		s.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /identity", func(w http.ResponseWriter, r *http.Request) {
		s.list(w, r, func(id string) string { return fmt.Sprintf(`{"id":%q,"status":"approved"}`, id) })
	})
	mux.HandleFunc("GET /ledger", func(w http.ResponseWriter, r *http.Request) {
		s.list(w, r, func(id string) string {
			if !s.has(id) {
				return ""
			}
			return fmt.Sprintf(`{"id":%q,"status":"open"}`, id)
		})
	})
	s.Server = httptest.NewServer(mux)
	b.Cleanup(s.Close)
	return s
}

const pageSize = 1000

// list writes a page of all customers; record gives "" for who isn't listed.
func (s *services) list(w http.ResponseWriter, r *http.Request, record func(id string) string) {
	from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
	to := min(from+pageSize, len(s.listed))
	var records []string
	for _, id := range s.listed[from:to] {
		if text := record(id); text != "" {
			records = append(records, text)
		}
	}
	next := ""
	if to < len(s.listed) {
		next = strconv.Itoa(to)
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"items":[%s],"next":%q}`, strings.Join(records, ","), next)
}

// lose closes the accounts of some customers, as if they had never been.
func (s *services) lose(ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		delete(s.opened, id)
	}
}

func (s *services) wait() {
	if s.latency > 0 {
		<-time.After(s.latency)
	}
}

func (s *services) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened[id] > 0
}

// judge holds that everybody has one account.
func (s *services) judge(b *testing.B, customers []string) {
	b.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range customers {
		if s.opened[id] != 1 {
			b.Fatalf("%s: opened %d times", id, s.opened[id])
		}
	}
}

const configuration = `
version: 1
entity: {name: customer, plural: customers}
services:
  identity:
    http: {url: "${URL}", at_once: 256, per_second: 1000000}
    read: {one: {get: "/identity/{id}"}, list: {get: "/identity", query: {cursor: "{cursor}"}, items: answer.items, key: item.id, next: answer.next}}
    fields: {status: {type: string, values: [approved, rejected]}}
  ledger:
    http: {url: "${URL}", at_once: 256, per_second: 1000000}
    read: {one: {get: "/ledger/{id}", absent: 'status == 404 && answer.code == "no_such_account"'},
            list: {get: "/ledger", query: {cursor: "{cursor}"}, items: answer.items, key: item.id, next: answer.next}}
    fields: {status: {type: string, values: [open, closed]}}
    operations:
      open: {put: "/ledger/{id}", repeat: safe, sets: {status: open}}
states:
  missing: {when: identity.status == "approved" && ledger.absent, about: x, tell: x, promise: 24h}
  active: {when: identity.status == "approved" && ledger.status == "open", coherent: true}
  other: {when: "true", about: x, tell: x, promise: 24h}
rules:
  open: {from: missing, do: [{ledger.open: {}}], mode: auto, limits: {at_once: 1000000, per_hour: 100000000, share: 100%}}
scans: {source: identity}
`
