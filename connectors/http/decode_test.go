package http_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
)

// answering is a server that says the same to everybody and keeps the last
// question.
func answering(t testing.TB, body string) (address string, asked func() url.Values) {
	var last url.Values
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		last = r.URL.Query()
		w.Header().Set("X-Version", "h9")
		reply(w, 200, body)
	})
	return server.URL, func() url.Values { return last }
}

// Collections fold into fields by expressions; what else stands in the record
// is read as always.
func TestComputedFields(t *testing.T) {
	t.Parallel()
	s := &amend.Service{Name: "cards", Fields: []amend.Field{
		{Name: "live", Type: amend.Int, Path: `item.cards.filter(c, c.state == "ACTIVE").size()`},
		{Name: "first", Type: amend.String, Path: `item.cards[0].state`, Values: []string{"ACTIVE", "OLD"}},
		{Name: "total", Type: amend.Int, Path: `sum(item.cards.map(c, c.limit))`},
		{Name: "price", Type: amend.Int, Scale: 2, Path: `item.cards[0].price`},
		{Name: "seen", Type: amend.Timestamp, Path: `item.cards[0].seen`},
		{Name: "grace", Type: amend.Duration, Path: `item.cards[0].grace`},
		{Name: "name", Type: amend.String},
		{Name: "gone", Type: amend.String, Path: `item.cards[0].gone`, Optional: true},
	}}
	const item = `{"id":"cus_000001","etag":7,"name":"A \u00e4 \"q\"","cards":[{"state":"ACTIVE","limit":9007199254740993,"price":12.30,"seen":"2026-03-01T13:00:00+01:00","grace":"3d"},{"state":"OLD","limit":1}]}`
	want := []amend.Value{amend.IntOf(1), amend.StringOf("ACTIVE"), amend.IntOf(9007199254740994), amend.IntOf(1230),
		amend.TimeOf(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), amend.DurationOf(72 * time.Hour), amend.StringOf(`A ä "q"`), {}}
	for name, test := range map[string]struct{ read, body, version string }{
		"the answer itself":  {`{get: "/{id}", version: 'header["x-version"]', key: item.id}`, item, "h9"},
		"one item":           {`{get: "/{id}", items: answer.list, version: item.etag}`, `{"list":[` + item + `]}`, "7"},
		"computed items":     {`{get: "/{id}", items: 'answer.pages.filter(p, p.n == 1)[0].rows', version: 'string(item.etag) + "x"'}`, `{"pages":[{"n":0,"rows":[]},{"n":1,"rows":[` + item + `]}]}`, "7x"},
		"a computed key":     {`{get: "/{id}", key: '"cus_" + item.id.substring(4)'}`, item, ""},
		"a list at the root": {`{get: "/{id}", items: answer}`, `[` + item + `]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, _ := answering(t, test.body)
			c := open(t, address, "read: {one: "+test.read+"}", s)
			record, err := c.One(t.Context(), "cus_000001")
			require.NoError(t, err)
			require.Equal(t, amend.Present, record.Presence, record.Reason)
			require.Equal(t, want, record.Values)
			require.Equal(t, test.version, record.Version)
		})
	}
}

// What is decoded as a whole may be nested a hundred deep, which is deeper than
// anybody writes.
func TestDepth(t *testing.T) {
	t.Parallel()
	const deep = "fields are computed from this item, which is nested too deep or has a number that is too large"
	for depth, want := range map[int]string{90: "", 110: deep} {
		address, _ := answering(t, `{"a":["x"],"deep":`+strings.Repeat("[", depth)+strings.Repeat("]", depth)+`}`)
		c := open(t, address, `read: {one: {get: "/{id}"}}`, &amend.Service{Name: "x", Fields: []amend.Field{{Name: "a", Type: amend.String, Path: "item.a[0]"}}})
		record, err := c.One(t.Context(), "cus_000001")
		require.NoError(t, err)
		require.Equal(t, want, record.Reason)
		require.Equal(t, want == "", record.Presence == amend.Present)
	}
}

// A value that nobody has declared, and that only computing fields stumbles over,
// takes one record and not its page.
func TestComputedFieldsOfOneRecord(t *testing.T) {
	t.Parallel()
	s := ledger()
	s.Fields[1].Path = `item.contact.email + ""`
	for name, value := range map[string]string{"too deep": strings.Repeat("[", 101) + strings.Repeat("]", 101), "too large": "1e400"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good, bad := text(t, account("cus_000001")), text(t, account("cus_000002"))
			address, _ := answering(t, page(good+","+bad[:len(bad)-1]+`,"meta":`+value+"}"))
			got, err := open(t, address, reads, s).List(t.Context(), connectors.PageRequest{})
			require.NoError(t, err)
			require.Len(t, got.Records, 2)
			require.Equal(t, amend.Present, got.Records[0].Record.Presence)
			require.Equal(t, "cus_000002", got.Records[1].ID)
			require.Equal(t, amend.Malformed, got.Records[1].Record.Cause)
		})
	}
}

// In one, no item is absence, and two are no answer; a record of somebody else
// is none either.
func TestOneByItems(t *testing.T) {
	t.Parallel()
	other := strings.Replace(whole, "cus_000001", "cus_000002", 1)
	for name, test := range map[string]struct {
		body string
		want amend.Presence
	}{
		"none":          {`{"list":[]}`, amend.Absent},
		"one":           {`{"list":[` + whole + `]}`, amend.Present},
		"two":           {`{"list":[` + whole + `,` + whole + `]}`, amend.Unseen},
		"somebody else": {`{"list":[` + other + `]}`, amend.Unseen},
	} {
		address, _ := answering(t, test.body)
		record, err := open(t, address, `read: {one: {get: "/a", query: {id: "{id}"}, items: answer.list, key: item.id}}`, ledger()).One(t.Context(), "cus_000001")
		require.NoError(t, err)
		require.Equal(t, test.want.String(), record.Presence.String(), "%s: %s", name, record.Reason)
	}
}

// Where a service can be asked for some fields only, it is asked for what is
// declared, the key and the version; where something is computed, for all.
func TestFieldMask(t *testing.T) {
	t.Parallel()
	const list = `read: {one: {get: "/{id}"}, list: {get: /a, query: {fields: "{fields.join(',')}", limit: "{limit}"}, items: answer.list, key: item.id, version: item.meta.etag}}`
	address, asked := answering(t, `{"list":[]}`)
	c := open(t, address, list, ledger())
	_, err := c.List(t.Context(), connectors.PageRequest{})
	require.NoError(t, err)
	require.Equal(t, url.Values{"fields": {"id,status,contact.email,balance.amount,changed_at,note,meta.etag"}, "limit": {"1000"}}, asked())

	computed := ledger()
	computed.Fields[0].Path = `item.states[0]`
	c = open(t, address, list, computed)
	_, err = c.List(t.Context(), connectors.PageRequest{})
	require.NoError(t, err)
	require.Equal(t, url.Values{"limit": {"1000"}}, asked())
}

// Parameters: lists give one value each, null and empty ones are not sent, and
// since is the epoch in a full scan.
func TestListParameters(t *testing.T) {
	t.Parallel()
	address, asked := answering(t, `{"list":[],"more":true,"last":17}`)
	c := open(t, address, `
read:
  one: {get: "/{id}"}
  list: {get: /a, query: {cursor: "{cursor}", since: "{since}", f: "{fields}", on: true, none: null}, items: answer.list, key: item.id, next: 'answer.more ? answer.last : null'}
`, &amend.Service{Name: "x", Fields: []amend.Field{{Name: "a", Type: amend.String}}})
	page, err := c.List(t.Context(), connectors.PageRequest{})
	require.NoError(t, err)
	require.Equal(t, "17", page.Next)
	require.Equal(t, url.Values{"since": {"1970-01-01T00:00:00Z"}, "f": {"id", "a"}, "on": {"true"}}, asked())
	_, err = c.List(t.Context(), connectors.PageRequest{Cursor: "a b&c", Since: time.Date(2026, 3, 1, 13, 0, 0, 0, time.FixedZone("", 3600))})
	require.NoError(t, err)
	require.Equal(t, "a b&c", asked().Get("cursor"))
	require.Equal(t, "2026-03-01T12:00:00Z", asked().Get("since"))
}

// The cursor may stand in the body, in a header, be a number, or be missing at
// the end.
func TestNext(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ next, body, want string }{
		"text":                {"answer.next", `{"list":[],"next":"c2"}`, "c2"},
		"number":              {"answer.next", `{"list":[],"next":2}`, "2"},
		"null":                {"answer.next", `{"list":[],"next":null}`, ""},
		"missing":             {"answer.next", `{"list":[]}`, ""},
		"deep":                {"answer.page.next", `{"page":{"x":1,"next":"c2"},"list":[]}`, "c2"},
		"deep and missing":    {"answer.page.next", `{"list":[],"page":null}`, ""},
		"header":              {"header.link", `{"list":[]}`, ""},
		"header that isthere": {`header["x-version"]`, `{"list":[]}`, "h9"},
		"escaped name":        {"answer.next", `{"list":[],"\u006eext":"c2"}`, "c2"},
	} {
		address, _ := answering(t, test.body)
		c := open(t, address, `read: {one: {get: "/{id}"}, list: {get: /a, query: {c: "{cursor}"}, items: answer.list, key: item.id, next: '`+test.next+`'}}`, ledger())
		page, err := c.List(t.Context(), connectors.PageRequest{})
		require.NoError(t, err, name)
		require.Equal(t, test.want, page.Next, name)
	}
}

// Exceptions refine what a status means, but never make a record, or its
// absence, of an answer that says nothing.
func TestOn(t *testing.T) {
	t.Parallel()
	const on = `
read:
  one:
    get: "/{id}"
    absent: status == 410
    on:
      - {when: 'status == 404 && answer.code == "moved"', is: unseen, say: the account is being moved}
      - {when: 'status == 409', is: retry, say: busy}
      - {when: 'answer.deleted == true', is: absent}
      - {when: 'status == 403', is: absent}
      - {when: 'status == 500', is: present}
`
	for _, test := range []struct {
		status int
		body   string
		want   string
	}{
		{200, whole, "present"},
		{200, `{"deleted":true}`, "absent"},
		{410, `{}`, "absent"},
		{410, `<html>`, "malformed: answered 410; on[2].when: the answer is not whole and valid JSON"},
		{404, `{"code":"moved"}`, "malformed: the account is being moved"},
		{404, `{"code":"none"}`, "malformed: answered 404, but not as declared for absent"},
		{409, ``, "failing: busy"},
		{403, `{}`, "forbidden: answered 403"},
		{500, whole, "failing: answered 500"},
		{502, `<html>`, "failing: answered 502"},
	} {
		server := serve(t, func(w http.ResponseWriter, _ *http.Request) { reply(w, test.status, test.body) })
		record, err := open(t, server.URL, on, ledger()).One(t.Context(), "cus_000001")
		got := record.Presence.String()
		if err != nil {
			got = err.Error()
		}
		require.Equal(t, test.want, got, "%d %s", test.status, test.body)
	}
}

// 404 alone is absence only in one, and only where nothing else is declared.
func TestNotFound(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { reply(w, 404, `{}`) })
	const rest = `, many: {get: /a, query: {ids: "{ids}"}, key: item.id%s}, list: {get: /a, key: item.id}}`
	c := open(t, server.URL, `read: {one: {get: "/{id}"}`+fmt.Sprintf(rest, ""), ledger())
	require.False(t, c.Can().Marker)
	record, err := c.One(t.Context(), "cus_000001")
	require.NoError(t, err)
	require.Equal(t, amend.Absent, record.Presence)
	_, err = c.Many(t.Context(), []string{"cus_000001"})
	require.EqualError(t, err, "malformed: answered 404")
	_, err = c.List(t.Context(), connectors.PageRequest{})
	require.EqualError(t, err, "malformed: answered 404")

	c = open(t, server.URL, `read: {one: {get: "/{id}"}`+fmt.Sprintf(rest, ", absent: status == 404"), ledger())
	records, err := c.Many(t.Context(), []string{"cus_000001", "cus_000002"})
	require.NoError(t, err)
	require.Equal(t, amend.Absent, records[0].Presence)
	require.Equal(t, amend.Absent, records[1].Presence)
}

// What any gateway could answer is no marker: a status that decides alone, and a
// list of nobody (I1).
func TestMarker(t *testing.T) {
	t.Parallel()
	for one, want := range map[string]bool{
		`absent: 'status == 404 && answer.code == "none"'`:                                          true,
		`absent: 'header["x-none"] == "yes"'`:                                                       true,
		`absent: 'status == 404 || answer.state == "gone"'`:                                         false,
		`absent: 'status == 410 || status == 404 && header["x-none"] == "yes"'`:                     false,
		`absent: 'answer.code == "none"', on: [{when: status == 410, is: absent}]`:                  false,
		`absent: 'answer.code == "none"', on: [{when: 'status == 410 || answer.gone', is: absent}]`: false,
		`absent: 'answer.code == "none"', on: [{when: 'status == 410 && answer.gone', is: absent}]`: true,
		`absent: 'status == 404 && answer.code == "none"', items: answer.results, key: item.id`:     false,
	} {
		c := open(t, "https://ledger.bank.example", `read: {one: {get: "/{id}", `+one+`}}`, ledger())
		require.Equal(t, want, c.Can().Marker, one)
	}
}

// Retry-After is honoured in seconds and as a date, and never for longer than
// a quarter of an hour.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "0": 0, "-5": 0, "soon": 0, "1.5": 0, "900": 15 * time.Minute, "901": 15 * time.Minute, "99999999999999999999999": 15 * time.Minute,
		"Sun, 01 Mar 2026 12:00:30 GMT": 30 * time.Second, "Sun, 01 Mar 2026 11:00:00 GMT": 0, "Sun, 01 Mar 2099 12:00:00 GMT": 15 * time.Minute,
	} {
		server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", text)
			reply(w, 429, ``)
		})
		c := openWith(t, "http: {url: '"+server.URL+"'}\n"+reads, ledger(), connectors.Surroundings{Loopback: true, Now: func() time.Time { return noon }})
		_, err := c.One(t.Context(), "cus_000001")
		u := connectors.AsUnseen(err)
		require.Equal(t, amend.Throttled, u.Cause)
		require.Equal(t, want, u.RetryAfter, text)
	}
}
