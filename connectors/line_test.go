package connectors_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/bank"
	"amend/config"
	"amend/connectors"
	httpkind "amend/connectors/http"
	sqlkind "amend/connectors/sql"
)

// The customers of the five services: two who are there, one who isn't, and
// the sentinels of bank.yaml.
const (
	here      = "cus_000007"
	neighbour = "cus_000008"
	gone      = "cus_000404"
	always    = "cus_000001"
	never     = "cus_000000"
)

// line is the wire between amend and the four services of bank.yaml that speak
// HTTP. What comes back over it is the test's to say, byte by byte.
type line struct {
	mu     sync.Mutex
	speak  func(question) speech                    // nil: the services are honest
	record func(service, id string) (record string) // instead of a record; empty: the honest one
	down   bool                                     // nobody listens
	asked  map[string]int                           // requests on the wire, by host
}

// question is one request.
type question struct {
	service   string
	way       string // one, many, list, send
	customers []string
	honest    string // the body of the honest answer
	status    int    // its status
}

// sentinel reports whether nobody but a sentinel is asked for.
func (q question) sentinel() bool {
	return q.way == "one" && (q.customers[0] == always || q.customers[0] == never)
}

// speech is what goes back over the wire, and what the speaker does next.
type speech struct {
	bytes string
	then  ending
}

type ending uint8

const (
	hangsUp    ending = iota
	staysOpen         // for the next request
	fallsStill        // until the other side hangs up
	drips             // the bytes come one by one, a second each
)

func (l *line) dial(_ context.Context, _, address string) (net.Conn, error) {
	service, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	ours, theirs := net.Pipe()
	go l.talk(service, theirs)
	return ours, nil
}

// talk answers one connection until one of the sides hangs up.
func (l *line) talk(service string, conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if !l.answer(l.understand(service, r, body)).over(conn) {
			return
		}
	}
}

func (s speech) over(conn net.Conn) bool {
	if s.then == drips {
		for i := range len(s.bytes) {
			if _, err := conn.Write([]byte{s.bytes[i]}); err != nil {
				return false
			}
			_ = conn.SetReadDeadline(time.Now().Add(time.Second)) // the pipe is open
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				return false
			}
		}
		return false
	}
	_, err := io.WriteString(conn, s.bytes)
	if s.then == fallsStill && err == nil {
		_, _ = io.Copy(io.Discard, conn) // until the other side hangs up
	}
	return err == nil && s.then == staysOpen
}

func (l *line) answer(q question) speech {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked[q.service]++
	if l.speak != nil {
		return l.speak(q)
	}
	return truly(q)
}

func truly(q question) speech {
	return speech{response(q.status, "application/json", q.honest), staysOpen}
}

// says changes what all services say from now on.
func (l *line) says(speak func(question) speech) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.speak = speak
}

func (l *line) requests(service string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked[service]
}

// response is a whole answer.
func response(status int, contentType, body string, header ...string) string {
	head := fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Length: %d\r\n", status, len(body))
	if contentType != "" {
		head += "Content-Type: " + contentType + "\r\n"
	}
	for _, h := range header {
		head += h + "\r\n"
	}
	return head + "\r\n" + body
}

// items is where the records of many and list stand, by service.
var items = map[string]string{"identity": "customers", "ledger": "accounts", "cards": "cards", "billing": "subscriptions"}

// next is where the cursor of a list stands, by service.
var next = map[string]string{"identity": "next_cursor", "ledger": "next", "cards": "next_page"}

// records are the honest records, by service; %s is the customer.
var records = map[string]string{
	"identity": `{"id":"%s","status":"approved","contact":{"email":"a@bank.example"},"country":"DE","updated_at":"2026-03-01T12:00:00Z"}`,
	"ledger":   `{"owner":"%s","status":"open","currency":"EUR","balance":{"amount":"12.30"},"etag":"v1"}`,
	"cards":    `{"customer":"%s","status":"active"}`,
	"billing":  `{"customer":"%s","status":"active","email":"a@bank.example"}`,
}

func (l *line) understand(service string, r *http.Request, body []byte) question {
	q := question{service: service, way: "list", status: 200}
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(path) == 2:
		q.way, q.customers = "one", path[1:]
	case r.Method == http.MethodPost && !strings.HasSuffix(r.URL.Path, ":batchGet"):
		q.way, q.customers = "send", []string{here}
	case r.Method == http.MethodPost:
		var ids map[string][]string
		if err := json.Unmarshal(body, &ids); err != nil {
			panic(err)
		}
		q.way, q.customers = "many", append(ids["ids"], ids["customers"]...)
	case r.URL.Query().Has("owner"):
		q.way, q.customers = "many", strings.Split(r.URL.Query().Get("owner"), ",")
	default:
		q.customers = []string{always, here, neighbour}
	}
	l.honestly(&q)
	return q
}

// honestly fills in the honest answer.
func (l *line) honestly(q *question) {
	var all []string
	for _, id := range q.customers {
		if !slices.Contains([]string{always, here, neighbour}, id) {
			continue
		}
		record := fmt.Sprintf(records[q.service], id)
		if l.record != nil {
			if other := l.record(q.service, id); other != "" {
				record = other
			}
		}
		all = append(all, record)
	}
	switch {
	case q.way == "send" || q.way == "one" && len(all) == 1:
		q.honest = all[0]
	case q.way == "one":
		q.status, q.honest = 404, `{"code":"`+map[bool]string{true: "no_subscription", false: "not_found"}[q.service == "billing"]+`"}`
	case q.way == "many":
		q.honest = fmt.Sprintf(`{%q:[%s]}`, items[q.service], strings.Join(all, ","))
	default:
		q.honest = fmt.Sprintf(`{%q:[%s],%q:""}`, items[q.service], strings.Join(all, ","), next[q.service])
	}
}

// five are the services of bank.yaml with what amend puts around each.
type five struct {
	*line
	services   []amend.Service
	connectors []connectors.Connector
	folder     string
}

// newFive loads bank.yaml. The compliance service is a file in a folder of the
// test's; with a dsn it is that database.
func newFive(t *testing.T, dsn string) *five {
	t.Helper()
	f := &five{line: &line{asked: map[string]int{}}, folder: t.TempDir()}
	if dsn == "" {
		dsn = "sqlite:" + f.file()
	}
	path := filepath.Join(f.folder, "bank.yaml")
	require.NoError(t, os.WriteFile(path, bank.Configuration, 0o600))
	env := map[string]string{"IDENTITY_URL": "http://identity", "IDENTITY_TOKEN": "token", "LEDGER_URL": "http://ledger",
		"CARDS_URL": "http://cards", "BILLING_URL": "http://billing", "COMPLIANCE_DSN": dsn}
	cfg, err := config.Load(config.Options{Path: path, Kinds: []connectors.Kind{httpkind.Kind(), sqlkind.Kind()},
		Surroundings: connectors.Surroundings{Transport: &http.Transport{DialContext: f.dial}},
		Getenv:       func(name string) (string, bool) { v, known := env[name]; return v, known }})
	require.NoError(t, err)
	f.connectors, f.services = cfg.Connectors, cfg.Schema.Services
	return f
}

func (f *five) file() string { return filepath.Join(f.folder, "compliance.db") }

// keep fills the compliance service: the sentinel and two customers.
func (f *five) keep(t *testing.T) {
	t.Helper()
	f.database(t, "create table holds (customer_id text, hold, reason, placed_at)")
	for _, id := range []string{always, here, neighbour} {
		f.hold(t, id)
	}
}

func (f *five) hold(t *testing.T, id string) {
	t.Helper()
	f.database(t, "insert into holds values ('"+id+"', 0, 'none', '2026-03-01T12:00:00Z')")
}

// database changes what the compliance service holds.
func (f *five) database(t *testing.T, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", f.file())
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), statement)
	require.NoError(t, err, statement)
}

// bubble runs a test on the five services in a bubble, where the hours cost
// nothing. They are honest, and hold here and neighbour.
func bubble(t *testing.T, test func(*testing.T, *five)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFive(t, "")
		defer f.close(t)
		f.keep(t)
		test(t, f)
	})
}

func (f *five) close(t *testing.T) {
	t.Helper()
	for _, c := range f.connectors {
		require.NoError(t, connectors.Close(c))
	}
}

// decide is the read that a decision may rest on.
func (f *five) decide(t *testing.T, service int, id string) amend.Record {
	t.Helper()
	return connectors.Read(t.Context(), f.connectors[service:service+1], id, time.Now).Records[0]
}

// pass lets time go by, which costs nothing in a bubble.
func pass(d time.Duration) { time.Sleep(d) }

// TestMain silences the log of net/http, which quotes what comes after an
// answer: tests that say so much would hide their own words.
func TestMain(m *testing.M) {
	log.SetOutput(io.Discard)
	os.Exit(m.Run())
}
