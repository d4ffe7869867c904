package rehearsal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"amend/bank"
)

// wire is the ledger of what has arrived at the services, whatever became of it.
type wire struct {
	mu       sync.Mutex
	arrived  []arrival
	reads    map[string]int                  // of single customers in a period, by customer and service
	lastRead map[string]map[string]time.Time // by customer and service: when one customer was last asked for
}

// arrival is one mutation that has arrived at a service.
type arrival struct {
	service string
	request string // method, address, key and the hash of the body
	text    string // for people
}

// requestID tells requests apart that differ in anything that counts.
func requestID(method, uri, key string, body []byte) string {
	sum := sha256.Sum256(body)
	return method + " " + uri + " " + key + " " + hex.EncodeToString(sum[:8])
}

// isMutation tells what changes something from what only asks: batches are
// asked for by POST, at a path with a verb of its own.
func isMutation(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && !strings.Contains(r.URL.Path, ":")
}

// receive stands before a service of the bank: every request waits for its turn
// before anything is done, and once more before its answer leaves.
func (r *run) receive(service string, inner http.Handler) http.Handler {
	r.inner[service] = inner
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return // whoever asked has gone
		}
		q.Body = io.NopCloser(bytes.NewReader(body))
		kind := "asked "
		if isMutation(q) {
			kind = "wire "
			r.wire.arrive(service, q, body)
		}
		label := kind + service + " " + q.Method + " " + q.URL.RequestURI()
		if r.bus.wait(nil, label) != nil {
			return
		}
		if kind == "asked " {
			r.wire.asked(service, q.URL.Path)
		}
		if !r.strange(service, w, q, kind == "wire ") {
			inner.ServeHTTP(w, q)
		}
		if kind == "wire " {
			r.bus.wait(nil, "answer "+service+" "+q.Method+" "+q.URL.RequestURI()) //nolint:errcheck // it has been done
		}
	})
}

func (l *wire) arrive(service string, q *http.Request, body []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	uri := "http://" + q.Host + q.URL.RequestURI()
	l.arrived = append(l.arrived, arrival{service: service, request: requestID(q.Method, uri, q.Header.Get("Idempotency-Key"), body),
		text: q.Method + " " + q.URL.RequestURI() + " " + string(body)})
}

// asked notes when one customer was read.
func (l *wire) asked(service, path string) {
	at := strings.LastIndex(path, "/cus_")
	if at < 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	customer := path[at+1:]
	if l.lastRead[customer] == nil {
		l.lastRead[customer] = map[string]time.Time{}
	}
	l.lastRead[customer][service] = time.Now()
	l.reads[customer+" "+service]++
}

// readSince is when the oldest of the last readings of a customer was made: what
// is said of the customer now rests on nothing older.
func (l *wire) readSince(customer string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest := time.Now()
	for _, at := range l.lastRead[customer] {
		if at.Before(oldest) {
			oldest = at
		}
	}
	return oldest
}

// busiest is who was read most since it was last asked.
func (l *wire) busiest() (who string, most int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, candidate := range slices.Sorted(maps.Keys(l.reads)) {
		if n := l.reads[candidate]; n > most && candidate >= "cus_000002" { // the sentinels prove absences for all
			who, most = candidate, n
		}
	}
	clear(l.reads)
	return who, most
}

// oddities are the services that answer strangely now.
type oddities struct {
	mu sync.Mutex
	on map[string]Odd
}

func (o *oddities) set(service string, odd Odd) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.on[service] = odd
}

func (o *oddities) of(service string, mutation bool) Odd {
	o.mu.Lock()
	defer o.mu.Unlock()
	if odd := o.on[service]; (odd == Lies || odd == Redirects) == mutation {
		return odd
	}
	return ""
}

// strange answers in the service's place where it answers strangely now.
func (r *run) strange(service string, w http.ResponseWriter, q *http.Request, mutation bool) bool {
	say := func(status int, contentType, body string) bool {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		io.WriteString(w, body) //nolint:errcheck // whoever asked may have gone
		return true
	}
	switch r.odd.of(service, mutation) {
	case HTML404:
		return say(http.StatusNotFound, "text/html", "<html><h1>404</h1>nginx</html>")
	case HTML200:
		return say(http.StatusOK, "text/html", "<html>Log in</html>")
	case Empty:
		return say(http.StatusOK, "application/json", "{}")
	case Null:
		return say(http.StatusOK, "application/json", "null")
	case Throttled:
		w.Header().Set("Retry-After", "3")
		return say(http.StatusTooManyRequests, "application/json", `{"code":"slow_down"}`)
	case Truncated:
		w.Header().Set("Content-Length", "2000")
		say(http.StatusOK, "application/json", `{"id": "cus_`)
		panic(http.ErrAbortHandler)
	case Redirects:
		w.Header().Set("Location", q.URL.RequestURI())
		return say(http.StatusTemporaryRedirect, "text/plain", "")
	case Lies:
		return say(http.StatusOK, "application/json", `{"status":"ok"}`)
	}
	return false
}

// person sends a request straight to a service, as somebody does who uses its
// own pages: past amend, at once, and as the bank's faults let it.
func (r *run) person(service, key string, call personCall) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	q := &http.Request{Method: call.method, URL: &url.URL{Path: call.path}, Host: service + ".bank",
		Header: http.Header{"Idempotency-Key": {key}}, Body: io.NopCloser(strings.NewReader(call.body))}
	defer func() { recover() }() //nolint:errcheck // the bank cuts connections by a panic where it can't otherwise
	r.inner[service].ServeHTTP(&deaf{header: http.Header{}}, q.WithContext(ctx))
}

// personCall is what a person sends.
type personCall struct{ method, path, body string }

// deaf is the end of a person who doesn't look at answers.
type deaf struct{ header http.Header }

// Header is part of http.ResponseWriter.
func (d *deaf) Header() http.Header { return d.header }

// Write is part of http.ResponseWriter.
func (d *deaf) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader is part of http.ResponseWriter.
func (d *deaf) WriteHeader(int) {}

// newBank makes the bank on the run's network.
func (r *run) newBank() (err error) {
	r.bank, err = bank.New(bank.Options{Customers: r.plan.Customers, Seed: r.plan.Seed, CardDelay: r.plan.CardDelay,
		ComplianceDSN: "sqlite:" + r.holds, Listen: r.network.listen, Around: r.receive})
	if err != nil {
		return err
	}
	return r.bank.Start()
}
