package http_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
)

// bank is a service with operations of every contract.
func bank() *amend.Service {
	s := ledger()
	keyed := amend.Repeat{How: amend.RepeatByKey, Header: "Idempotency-Key", Window: time.Hour}
	s.Operations = []amend.Operation{
		{Name: "open", With: []amend.Parameter{{Name: "currency", Type: amend.String}, {Name: "limit_to", Type: amend.Int}}, Repeat: keyed},
		{Name: "order", Repeat: amend.Repeat{How: amend.RepeatByKey, InBody: true, Window: time.Hour}},
		{Name: "close", IfUnchanged: true, Repeat: amend.Repeat{How: amend.RepeatSafe}},
		{Name: "drop", Repeat: keyed},
		{Name: "sure", Done: `answer.state == "DONE"`},
		{Name: "odd"},
	}
	return s
}

const operations = reads + `
operations:
  open:  {post: /accounts, query: {dry: "", src: "amend & co"}, body: {owner: "{id}", currency: "{currency}", max: "{limit_to}", tags: ["{id}", 1, true, null], text: "for {id}: {{x}}"}}
  order: {post: "/cards/{id}", form: {key: "{key}", customer: "{id}"}}
  close: {put: "/accounts/{id}/status", body: {status: closed}}
  drop:  {delete: "/accounts/{id}"}
  sure:  {post: /sure, body: {id: "{id}"}}
  odd:
    post: /odd
    body: {id: "{id}"}
    on:
      - {when: 'status == 409 && answer.code == "exists"', is: done, say: it was there already}
      - {when: status == 422, is: failed}
      - {when: 'status == 200 && header["x-queued"] == "yes"', is: unsettled}
`

func prepare(t testing.TB, c connectors.Connector, operation string) connectors.Request {
	t.Helper()
	call := connectors.Call{Operation: operation, ID: "cus_000001", Key: "k-1", Version: `"7"`}
	if operation == "open" {
		call.Arguments = map[string]amend.Value{"currency": amend.StringOf(`E"},"admin":true,"x":{"`), "limit_to": amend.IntOf(9007199254740993)}
	}
	r, err := c.Prepare(call)
	require.NoError(t, err)
	return r
}

// What is prepared is what goes over the wire, byte by byte, and no value can
// change its shape.
func TestPrepare(t *testing.T) {
	t.Parallel()
	c := openWith(t, "http: {url: 'https://ledger.bank.example/v1', auth: {bearer: hush}}\n"+operations, bank(), connectors.Surroundings{})
	for name, want := range map[string]connectors.Request{
		"open": {Method: "POST", URL: "https://ledger.bank.example/v1/accounts?src=amend+%26+co",
			Header: map[string]string{"Content-Type": "application/json", "Idempotency-Key": "k-1"},
			Body:   []byte(`{"currency":"E\"},\"admin\":true,\"x\":{\"","max":9007199254740993,"owner":"cus_000001","tags":["cus_000001",1,true,null],"text":"for cus_000001: {x}"}`)},
		"order": {Method: "POST", URL: "https://ledger.bank.example/v1/cards/cus_000001",
			Header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, Body: []byte(`customer=cus_000001&key=k-1`)},
		"close": {Method: "PUT", URL: "https://ledger.bank.example/v1/accounts/cus_000001/status",
			Header: map[string]string{"Content-Type": "application/json", "If-Match": `"7"`}, Body: []byte(`{"status":"closed"}`)},
		"drop": {Method: "DELETE", URL: "https://ledger.bank.example/v1/accounts/cus_000001", Header: map[string]string{"Idempotency-Key": "k-1"}},
	} {
		want.Operation = name
		got := prepare(t, c, name)
		require.Equal(t, string(want.Body), string(got.Body))
		require.Equal(t, want, got)
		require.Equal(t, got, prepare(t, c, name))
	}
}

func TestPrepareRefuses(t *testing.T) {
	t.Parallel()
	c := openWith(t, "http: {url: 'https://ledger.bank.example'}\n"+operations, bank(), connectors.Surroundings{})
	eur := map[string]amend.Value{"currency": amend.StringOf("EUR"), "limit_to": amend.IntOf(1)}
	for name, call := range map[string]connectors.Call{
		"there is no argument":    {Operation: "drop", ID: "cus_000001", Key: "k", Arguments: eur},
		"currency is missing":     {Operation: "open", ID: "cus_000001", Key: "k"},
		"of type int, not":        {Operation: "open", ID: "cus_000001", Key: "k", Arguments: map[string]amend.Value{"currency": amend.IntOf(1), "limit_to": amend.IntOf(1)}},
		"limit_to is missing":     {Operation: "open", ID: "cus_000001", Key: "k", Arguments: map[string]amend.Value{"currency": amend.StringOf("EUR"), "limit_to": {}}},
		"idempotency key":         {Operation: "open", ID: "cus_000001", Arguments: eur},
		"can't stand in a head":   {Operation: "drop", ID: "cus_000001", Key: "k\r\nX: 1"},
		"version is missing":      {Operation: "close", ID: "cus_000001"},
		"no operation explode":    {Operation: "explode", ID: "cus_000001"},
		"no ID":                   {Operation: "drop", ID: "../admin", Key: "k"},
		"only if nothing changed": {Operation: "close", ID: "cus_000001", Version: "a\nb"},
	} {
		_, err := c.Prepare(call)
		require.ErrorContains(t, err, name)
	}
}

// The outcome is what certainly happened; anything else is unsettled.
func TestOutcome(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		operation string
		status    int
		body      string
		want      amend.Outcome
		detail    string
	}{
		{"open", 201, `{}`, amend.Done, "answered 201"},
		{"open", 204, ``, amend.Done, ""},
		{"open", 200, `<html>`, amend.Done, ""}, // reading proves it
		{"open", 400, ``, amend.Refused, ""},
		{"open", 401, ``, amend.Refused, ""},
		{"open", 404, ``, amend.Refused, ""},
		{"open", 409, ``, amend.Refused, ""},
		{"open", 422, ``, amend.Refused, ""},
		{"close", 412, ``, amend.Refused, "it has changed since"},
		{"open", 429, ``, amend.Failed, ""},
		{"open", 408, ``, amend.Unsettled, ""},
		{"open", 500, ``, amend.Unsettled, ""},
		{"open", 503, ``, amend.Unsettled, ""},
		{"open", 302, ``, amend.Unsettled, ""},
		{"open", 304, ``, amend.Unsettled, ""},
		{"sure", 200, `{"state":"DONE"}`, amend.Done, ""},
		{"sure", 200, `{"state":"QUEUED"}`, amend.Unsettled, "does not say that it is done"},
		{"sure", 200, `{"state":"DONE","state":"DONE"}`, amend.Unsettled, "not whole and valid"},
		{"sure", 200, `null`, amend.Unsettled, "can't be evaluated"},
		{"odd", 409, `{"code":"exists"}`, amend.Done, "it was there already"},
		{"odd", 409, `{"code":"other"}`, amend.Refused, ""},
		{"odd", 409, `<html>`, amend.Unsettled, "on[0].when"},
		{"odd", 422, `<html>`, amend.Failed, ""},
		{"odd", 200, `{}`, amend.Done, ""},
		{"odd", 200, `queued`, amend.Unsettled, ""},
	} {
		t.Run(fmt.Sprint(test.operation, " ", test.status, " ", test.body), func(t *testing.T) {
			t.Parallel()
			c := open(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "7")
				if test.body == "queued" {
					w.Header().Set("X-Queued", "yes")
				}
				w.Header().Set("Location", "/elsewhere")
				if test.status == 204 || test.status == 304 {
					w.WriteHeader(test.status)
					return
				}
				reply(w, test.status, test.body)
			}).URL, operations, bank())
			got := c.Send(t.Context(), prepare(t, c, test.operation))
			require.Equal(t, test.want.String(), got.Outcome.String(), got.Detail)
			require.Equal(t, test.status, got.Status)
			require.Equal(t, 7*time.Second, got.RetryAfter)
			require.Contains(t, got.Detail, test.detail)
		})
	}
}

// What was certainly not sent is failed; what may have been is unsettled.
func TestOutcomeWithoutAnswer(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	c := open(t, "http://"+listener.Addr().String(), operations, bank())
	got := c.Send(t.Context(), prepare(t, c, "open"))
	require.Equal(t, connectors.Answer{Outcome: amend.Failed, Detail: "not sent: no connection could be made"}, got)

	for name, answer := range map[string]http.HandlerFunc{
		"cut": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"silent": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // so that the server notices when the client hangs up
			<-r.Context().Done()
		},
		"half ok": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			w.WriteHeader(200)
		},
	} {
		server := serve(t, answer)
		c := openWith(t, "http: {url: '"+server.URL+"', timeout: 100ms}\n"+operations, bank(), connectors.Surroundings{Loopback: true})
		got := c.Send(t.Context(), prepare(t, c, "open"))
		require.Equal(t, amend.Unsettled, got.Outcome, "%s: %s", name, got.Detail)
	}
}

// What was prepared for another host, or for an operation that is gone, is
// sent to nobody.
func TestSendToNobodyElse(t *testing.T) {
	t.Parallel()
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was sent", r.URL) })
	c := open(t, server.URL, operations, bank())
	for old, changed := range map[string]string{"127.0.0.1": "127.0.0.2", "http://": "https://", "http://127": "http://user@127", "/accounts": "\x7f"} {
		request := prepare(t, c, "open")
		request.URL = strings.Replace(request.URL, old, changed, 1)
		got := c.Send(t.Context(), request)
		require.Equal(t, amend.Failed, got.Outcome, "%s: %s", request.URL, got.Detail)
	}
	request := prepare(t, c, "open")
	request.Operation = "gone"
	require.Equal(t, amend.Failed, c.Send(t.Context(), request).Outcome)
	request = prepare(t, c, "open")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.Equal(t, amend.Failed, c.Send(ended, request).Outcome)
}

// counter answers the first request of each connection, and closes the
// connection at the first byte of the second: the transport's reason to send
// again what it takes for repeatable.
type counter struct {
	listener net.Listener
	posts    atomic.Int64
	conns    atomic.Int64
}

func (s *counter) serve() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.conns.Add(1)
		go s.talk(conn)
	}
}

func (s *counter) talk(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for first := true; ; first = false {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		s.posts.Add(1)
		if !first {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}") // the client may have gone
	}
}

// I9, T05: one Send is one request on the wire, also where the connection was
// kept and dies, and the header names an idempotency key: a thousand deaths.
func TestNoHiddenReplay(t *testing.T) {
	t.Parallel()
	const sends = 700 // of which every second one dies
	deaths := 0
	for _, operation := range []string{"open", "order", "close", "drop"} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		server := &counter{listener: listener}
		go server.serve()
		t.Cleanup(func() { require.NoError(t, listener.Close()) })
		c := open(t, "http://"+listener.Addr().String(), operations, bank())
		request := prepare(t, c, operation)
		unsettled := 0
		for i := range sends {
			switch got := c.Send(t.Context(), request); got.Outcome {
			case amend.Done:
			case amend.Unsettled:
				unsettled++
			default:
				require.Fail(t, "neither done nor unsettled", "%s: %s", operation, got.Detail)
			}
			require.EqualValues(t, i+1, server.posts.Load(), "%s: one Send, one request", operation)
		}
		deaths += unsettled
		if operation == "drop" { // without a body: each on a connection of its own
			require.EqualValues(t, sends, server.conns.Load())
			require.Zero(t, unsettled)
		}
	}
	require.Greater(t, deaths, 1000, "connections were kept, and died")
}
