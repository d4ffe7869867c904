package http_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
)

// lie is an answer that says nothing about a customer.
type lie struct {
	name   string
	status int
	kind   string // content type; JSON where empty, none where "-"
	body   string
	header map[string]string
	cause  amend.Cause
}

const whole = `{"id":"cus_000001","status":"open","contact":{"email":"a@b.c"},"balance":{"amount":"1.00"},"changed_at":"2026-03-01T12:00:00Z"}`

// page is an answer to many and list with the records given.
func page(records string) string { return `{"data":{"accounts":[` + records + `]},"next":""}` }

func lies() []lie {
	all := []lie{
		{name: "nothing at all", status: 200},
		{name: "no content", status: 204},
		{name: "an empty object", status: 200, body: `{}`},
		{name: "null", status: 200, body: `null`},
		{name: "true", status: 200, body: `true`},
		{name: "a number", status: 200, body: `42`},
		{name: "a text", status: 200, body: `"cus_000001"`},
		{name: "an empty list instead of an object", status: 200, body: `[]`},
		{name: "an error body with 200", status: 200, body: `{"error":"internal","status":"error"}`},
		{name: "an error body that names the fields", status: 200, body: `{"status":"open","error":"timeout"}`},
		{name: "null where the records stand", status: 200, body: `{"data":null,"next":null}`},
		{name: "null instead of records", status: 200, body: `{"data":{"accounts":null}}`},
		{name: "an object instead of records", status: 200, body: `{"data":{"accounts":{}}}`},
		{name: "a login page", status: 200, kind: "text/html", body: `<html><form action=/login>`},
		{name: "a login page that says it is JSON", status: 200, body: `<html><form action=/login>`},
		{name: "JSON that says it is text", status: 200, kind: "text/plain", body: whole},
		{name: "no content type", status: 200, kind: "-", body: whole},
		{name: "another charset", status: 200, kind: "application/json; charset=iso-8859-1", body: whole},
		{name: "a broken content type", status: 200, kind: "application/json; charset", body: whole},
		{name: "invalid UTF-8", status: 200, body: strings.Replace(whole, "a@b.c", "a\xff@b.c", 1)},
		{name: "a byte order mark", status: 200, body: "\xef\xbb\xbf" + whole},
		{name: "cut in the middle", status: 200, body: whole[:60]},
		{name: "cut before the last brace", status: 200, body: whole[:len(whole)-1]},
		{name: "two values", status: 200, body: whole + whole},
		{name: "something after it", status: 200, body: whole + "x"},
		{name: "a name twice", status: 200, body: `{"status":"closed",` + whole[1:]},
		{name: "a name twice further down", status: 200, body: strings.Replace(whole, `"amount":"1.00"`, `"amount":"1.00","amount":"2.00"`, 1)},
		{name: "a name twice in what nobody reads", status: 200, body: `{"x":{"y":1,"y":2},` + whole[1:]},
		{name: "a comment", status: 200, body: whole + "// it"},
		{name: "single quotes", status: 200, body: strings.ReplaceAll(whole, `"`, `'`)},
		{name: "NaN", status: 200, body: strings.Replace(whole, `"1.00"`, `NaN`, 1)},
		{name: "nested too deep", status: 200, body: `{"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `,` + whole[1:]},
		{name: "too large", status: 200, body: whole + strings.Repeat(" ", 70<<10)},
		{name: "too large, with its length", status: 200, body: whole + strings.Repeat(" ", 70<<10), header: map[string]string{"Content-Length": fmt.Sprint(len(whole) + 70<<10)}},
		{name: "compressed", status: 200, body: zipped(whole), header: map[string]string{"Content-Encoding": "gzip"}},
		{name: "plain, but said to be compressed", status: 200, body: whole, header: map[string]string{"Content-Encoding": "br"}},
		{name: "a gzip bomb", status: 200, body: zipped(strings.Repeat(" ", 10<<20) + whole), header: map[string]string{"Content-Encoding": "gzip"}},
		{name: "gone, by a gateway", status: 404, kind: "text/html", body: `<h1>404</h1>`},
		{name: "gone, without the marker", status: 404, body: `{"message":"no Route matched with those values"}`},
		{name: "gone, and null", status: 404, body: `null`},
		{name: "gone, and the marker twice", status: 404, body: `{"code":"none","code":"none"}`},
		{name: "gone, and the marker cut", status: 404, body: `{"code":"none"`},
		{name: "gone, and the marker in HTML", status: 404, kind: "text/html", body: `{"code":"none"}`},
		{name: "a bad request with the marker", status: 400, body: `{"code":"none"}`},
		{name: "not modified", status: 304, cause: amend.Redirected},
		{name: "teapot", status: 418, body: whole},
	}
	for status, cause := range map[int]amend.Cause{401: amend.Forbidden, 403: amend.Forbidden, 408: amend.TimedOut, 429: amend.Throttled,
		500: amend.Failing, 502: amend.Failing, 503: amend.Failing, 504: amend.Failing, 301: amend.Redirected, 302: amend.Redirected} {
		all = append(all, lie{name: fmt.Sprint(status), status: status, body: whole, cause: cause},
			lie{name: fmt.Sprint(status, " with the marker"), status: status, body: `{"code":"none"}`, cause: cause})
	}
	return all
}

func zipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(s)) // into memory
	_ = w.Close()
	return b.String()
}

func (l lie) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Content-Type"] = []string{"application/json"}
	switch l.kind {
	case "":
	case "-":
		w.Header()["Content-Type"] = nil
	default:
		w.Header()["Content-Type"] = []string{l.kind}
	}
	for name, value := range l.header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(l.status)
	if l.status != 204 && l.status != 304 {
		_, _ = w.Write([]byte(l.body)) // the client may have had enough
	}
}

// Whatever stands between us and a service, or goes wrong inside it, is
// neither a record nor its absence.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	require.Greater(t, len(lies()), 40)
	for _, l := range lies() {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			if l.cause == amend.NotRead {
				l.cause = amend.Malformed
			}
			c := open(t, serve(t, l.ServeHTTP).URL, reads, ledger())
			record, err := c.One(t.Context(), "cus_000001")
			requireNoRecords(t, l, err, record)
			records, err := c.Many(t.Context(), []string{"cus_000001", "cus_000002"})
			requireNoRecords(t, l, err, records...)
			listed, err := c.List(t.Context(), connectors.PageRequest{})
			require.Error(t, err, "%v", listed)
		})
	}
}

func requireNoRecords(t *testing.T, l lie, err error, records ...amend.Record) {
	t.Helper()
	if err != nil {
		u := connectors.AsUnseen(err)
		require.Equal(t, l.cause.String(), u.Cause.String(), u.Reason)
		require.NotContains(t, u.Reason, "none") // the body is never quoted
		return
	}
	require.NotEmpty(t, records)
	for _, r := range records {
		require.Equal(t, "unseen", r.Presence.String())
		require.Equal(t, l.cause.String(), r.Cause.String(), r.Reason)
	}
}

// Records that are wrong by themselves are unseen, and leave their neighbours
// alone.
func TestHostileRecords(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][2]string{
		"a field is missing":        {`"status":"open",`, ``},
		"a field is null":           {`"open"`, `null`},
		"another type":              {`"open"`, `7`},
		"a list instead of a value": {`"open"`, `["open"]`},
		"a value that isn't known":  {`"open"`, `"weird"`},
		"text instead of an object": {`{"email":"a@b.c"}`, `"a@b.c"`},
		"null instead of an object": {`{"email":"a@b.c"}`, `null`},
		"more decimals than scale":  {`"1.00"`, `"1.001"`},
		"a number that is too big":  {`"1.00"`, `"99999999999999999999"`},
		"no number":                 {`"1.00"`, `"1,00"`},
		"no time":                   {`2026-03-01T12`, `2026-03-01 12`},
		"a time without a zone":     {`00Z`, `00`},
		"an optional one, wrong":    {`"status"`, `"note":7,"status"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken := strings.Replace(whole, change[0], change[1], 1)
			require.NotEqual(t, whole, broken)
			second := strings.Replace(whole, "cus_000001", "cus_000002", 1)
			c := open(t, serve(t, func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, page(broken+","+second)) }).URL, reads, ledger())
			records, err := c.Many(t.Context(), []string{"cus_000001", "cus_000002"})
			require.NoError(t, err)
			require.Equal(t, amend.Unseen, records[0].Presence)
			require.Equal(t, amend.Malformed, records[0].Cause)
			require.Regexp(t, `status|email|contact|balance|changed_at|note`, records[0].Reason)
			require.NotRegexp(t, `weird|a@b|1[.,]00|2026|9999`, records[0].Reason)
			require.Equal(t, amend.Present, records[1].Presence, records[1].Reason)
			listed, err := c.List(t.Context(), connectors.PageRequest{})
			require.NoError(t, err)
			require.Equal(t, amend.Unseen, listed.Records[0].Record.Presence)
			require.Equal(t, amend.Present, listed.Records[1].Record.Presence)
		})
	}
}

// Rows that nobody can be named for make nobody absent.
func TestNamelessRecords(t *testing.T) {
	t.Parallel()
	first, second := whole, strings.Replace(whole, "cus_000001", "cus_000002", 1)
	for name, row := range map[string]string{
		"no key": strings.Replace(second, `"id"`, `"Id"`, 1), "a null key": strings.Replace(second, `"cus_000002"`, `null`, 1),
		"no ID": strings.Replace(second, `cus_000002`, `cus_2`, 1), "a path as key": strings.Replace(second, `cus_000002`, `../admin`, 1),
		"an object as key": strings.Replace(second, `"cus_000002"`, `{}`, 1), "null": `null`, "a text": `"cus_000002"`, "a list": `[]`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := open(t, serve(t, func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, page(first+","+row)) }).URL, reads, ledger())
			records, err := c.Many(t.Context(), []string{"cus_000001", "cus_000002"})
			require.NoError(t, err)
			require.Equal(t, amend.Present, records[0].Presence, records[0].Reason)
			require.Equal(t, amend.Unseen, records[1].Presence)
			listed, err := c.List(t.Context(), connectors.PageRequest{})
			require.NoError(t, err)
			require.Len(t, listed.Records, 1)
			require.Equal(t, 1, listed.Skipped)
		})
	}
}

// Two records of one customer are no record, wherever they stand.
func TestRecordTwice(t *testing.T) {
	t.Parallel()
	second := strings.Replace(whole, "cus_000001", "cus_000002", 1)
	stranger := strings.Replace(whole, "cus_000001", "cus_000003", 1)
	c := open(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 200, page(second+","+whole+","+stranger+","+second))
	}).URL, reads, ledger())
	records, err := c.Many(t.Context(), []string{"cus_000001", "cus_000002"})
	require.NoError(t, err)
	require.Equal(t, amend.Present, records[0].Presence)
	require.Equal(t, amend.Unseen, records[1].Presence)
	listed, err := c.List(t.Context(), connectors.PageRequest{})
	require.NoError(t, err)
	require.Len(t, listed.Records, 3)
	require.Equal(t, "cus_000002", listed.Records[0].ID)
	require.Equal(t, amend.Unseen, listed.Records[0].Record.Presence)
	require.Equal(t, amend.Present, listed.Records[1].Record.Presence)
}

// A gateway that says 404, or an empty list, to everything is believed neither
// by a status alone nor by a missing row: the sentinels give it away.
func TestBelievableLies(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"404 to everything": func(w http.ResponseWriter, _ *http.Request) { reply(w, 404, `{"code":"none"}`) },
		"nobody is there":   func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, page("")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ledger()
			s.Sentinels = amend.Sentinels{Present: "cus_000001", Absent: "cus_000000"}
			const trusting = `
read:
  one:  {get: "/accounts/{id}", items: answer.data.accounts, absent: status == 404}
  many: {get: "/accounts", query: {ids: "{ids.join(',')}"}, items: answer.data.accounts, key: item.id, absent: status == 404}
`
			c := connectors.Around(open(t, serve(t, answer).URL, trusting, s), s, connectors.Surroundings{})
			record, err := c.One(t.Context(), "cus_000007")
			require.NoError(t, err)
			require.Equal(t, amend.Unproven, record.Cause, record.Reason)
			records, err := c.Many(t.Context(), []string{"cus_000007"})
			require.NoError(t, err)
			require.Equal(t, amend.Unproven, records[0].Cause, records[0].Reason)
		})
	}
}

// Bodies that come too slowly, or stop, end by the timeout; those that are cut
// end at once.
func TestSlowAndCutAnswers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cause  amend.Cause
		answer func(w http.ResponseWriter, flush func(), gone <-chan struct{})
	}{
		"stalled before the headers": {amend.TimedOut, func(_ http.ResponseWriter, _ func(), gone <-chan struct{}) { <-gone }},
		"stalled after the headers": {amend.TimedOut, func(w http.ResponseWriter, flush func(), gone <-chan struct{}) {
			w.WriteHeader(200)
			flush()
			<-gone
		}},
		"byte by byte": {amend.TimedOut, func(w http.ResponseWriter, flush func(), gone <-chan struct{}) {
			for {
				select {
				case <-gone:
					return
				case <-time.After(5 * time.Millisecond):
					_, _ = w.Write([]byte(" ")) // until the client hangs up
					flush()
				}
			}
		}},
		"cut, with its length": {amend.Unreachable, func(w http.ResponseWriter, flush func(), _ <-chan struct{}) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(whole)) // and no more
			flush()
			panic(http.ErrAbortHandler)
		}},
		"cut, in chunks": {amend.Unreachable, func(w http.ResponseWriter, flush func(), _ <-chan struct{}) {
			_, _ = w.Write([]byte(whole)) // a whole value, but not the whole body
			flush()
			panic(http.ErrAbortHandler)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				test.answer(w, w.(http.Flusher).Flush, r.Context().Done())
			})
			c := openWith(t, "http: {url: '"+server.URL+"', timeout: 80ms}\n"+reads, ledger(), connectors.Surroundings{Loopback: true})
			_, err := c.One(context.Background(), "cus_000001")
			u := connectors.AsUnseen(err)
			require.Equal(t, test.cause.String(), u.Cause.String(), u.Reason)
		})
	}
}

// An answer that switches protocols ends at once, for reads and operations
// alike, although nothing would ever end its body.
func TestSwitchingProtocols(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // what is left of it would be taken for the next request
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, _ = conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")) // and then silence
	})
	c := openWith(t, "http: {url: '"+server.URL+"', timeout: 200ms}\n"+operations, bank(), connectors.Surroundings{Loopback: true})
	request, ended := prepare(t, c, "order"), make(chan connectors.Answer, 1)
	go func() {
		_, err := c.One(context.Background(), "cus_000001")
		assert.EqualError(t, err, "malformed: answered 101")
		ended <- c.Send(context.Background(), request)
	}()
	select {
	case got := <-ended:
		require.Equal(t, connectors.Answer{Outcome: amend.Unsettled, Status: 101, Detail: "answered 101"}, got)
	case <-time.After(10 * time.Second):
		t.Fatal("it still reads")
	}
}

// A list that gives its own cursor back would never end.
func TestListThatDoesNotGoOn(t *testing.T) {
	t.Parallel()
	const list = `read: {one: {get: "/{id}"}, list: {get: /a, query: {c: "{cursor}"}, items: answer.list, key: item.id, next: answer.page.next}}`
	for name, page := range map[string]string{"the same cursor": `{"next":"c1"}`, "an object": `{"next":{}}`, "a list": `{"next":[]}`, "true": `{"next":true}`, "a fraction": `{"next":1.5}`, "text around it": `"c2"`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := open(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
				reply(w, 200, `{"list":[],"page":`+page+`}`)
			}).URL, list, ledger())
			_, err := c.List(t.Context(), connectors.PageRequest{Cursor: "c1"})
			require.ErrorContains(t, err, "malformed")
		})
	}
}
