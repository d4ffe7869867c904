package http_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"amend"
	"amend/connectors"
)

// told is a service that gives the same answer to everybody.
type told struct {
	status      int
	contentType string
	body        string
}

func (a *told) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a.status, Header: http.Header{"Content-Type": {a.contentType}},
		Body: io.NopCloser(strings.NewReader(a.body)), ContentLength: int64(len(a.body))}, nil
}

// FuzzClassification holds what is believed of an answer against a second
// reading of it, by encoding/json: nobody is present without every declared
// field in its type, nobody absent without the marker, or a whole batch of
// others who were asked for (I1).
func FuzzClassification(f *testing.F) {
	for _, l := range lies() {
		if len(l.body) < 1000 {
			f.Add(l.status, "application/json", l.body)
		}
	}
	second := strings.Replace(whole, "cus_000001", "cus_000002", 1)
	f.Add(200, "application/json", whole)
	f.Add(200, "application/problem+json; charset=UTF-8", page(whole+","+second))
	f.Add(200, "application/json", page(second))
	f.Add(200, "application/json", `{"data":{"accounts":[]},"next":7}`)
	f.Add(404, "application/json", `{"code":"none"}`)
	answer := &told{}
	c := openWith(f, "http: {url: 'https://x.example'}\n"+reads, ledger(), connectors.Surroundings{Transport: answer})
	asked := []string{"cus_000001", "cus_000002"}
	f.Fuzz(func(t *testing.T, status int, contentType, body string) {
		*answer = told{status, contentType, body}
		record, err := c.One(t.Context(), asked[0])
		if err == nil && record.Presence != amend.Unseen {
			reread(t, answer).one(asked[0], &record)
		}
		records, err := c.Many(t.Context(), asked)
		if err == nil && len(records) != len(asked) {
			t.Fatalf("%d records of %d", len(records), len(asked))
		}
		for i := range records {
			if err == nil && records[i].Presence != amend.Unseen {
				reread(t, answer).many(asked, asked[i], &records[i])
			}
		}
		listed, err := c.List(t.Context(), connectors.PageRequest{Cursor: "c0"})
		if err == nil {
			reread(t, answer).list("c0", &listed)
		}
	})
}

// reading is an answer as encoding/json reads it.
type reading struct {
	t      *testing.T
	status int
	root   any
}

func reread(t *testing.T, a *told) *reading {
	kind, parameters, err := mime.ParseMediaType(a.contentType)
	if err != nil || !strings.HasSuffix(kind, "json") || parameters["charset"] != "" && !strings.EqualFold(parameters["charset"], "utf-8") {
		t.Fatalf("%q was read as JSON", a.contentType)
	}
	decoder := json.NewDecoder(bytes.NewBufferString(a.body))
	decoder.UseNumber()
	r := &reading{t: t, status: a.status}
	if err := decoder.Decode(&r.root); err != nil || !json.Valid([]byte(a.body)) {
		t.Fatalf("what is no JSON was read: %v", err)
	}
	return r
}

func (r *reading) at(from any, path ...string) any {
	for _, name := range path {
		object, _ := from.(map[string]any)
		from = object[name]
	}
	return from
}

func (r *reading) ok() {
	if r.status < 200 || r.status > 299 || r.status == 205 || r.status == 206 {
		r.t.Errorf("%d was believed", r.status)
	}
}

func (r *reading) one(id string, record *amend.Record) {
	if record.Presence == amend.Absent {
		if r.status != 404 || r.at(r.root, "code") != "none" {
			r.t.Errorf("absent without the marker, with %d", r.status)
		}
		return
	}
	r.ok()
	if key := r.at(r.root, "id"); key != nil && key != id {
		r.t.Errorf("the record of %v was taken for that of %s", key, id)
	}
	r.present(r.root, record)
}

// present compares a record's values with the item.
func (r *reading) present(item any, record *amend.Record) {
	status, _ := r.at(item, "status").(string)
	if !slices.Contains([]string{"open", "closed"}, status) || record.Values[0].Text() != status {
		r.t.Errorf("status is %v, not %s", r.at(item, "status"), record.Values[0].String())
	}
	if email, isText := r.at(item, "contact", "email").(string); !isText || record.Values[1].Text() != email {
		r.t.Errorf("email is %v", r.at(item, "contact", "email"))
	}
	switch amount := r.at(item, "balance", "amount").(type) {
	case string, json.Number:
		if record.Values[2].Type() != amend.Int || !strings.ContainsAny(fmt.Sprint(amount), "0123456789") {
			r.t.Errorf("amount is %v", amount)
		}
	default:
		r.t.Errorf("amount is %v", amount)
	}
	text, _ := r.at(item, "changed_at").(string)
	if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
		r.t.Errorf("changed_at is %v", r.at(item, "changed_at"))
	}
	switch note := r.at(item, "note").(type) {
	case string:
	case nil:
		if !record.Values[4].IsNull() {
			r.t.Error("a note out of nothing")
		}
	default:
		r.t.Errorf("note is %v", note)
	}
}

func (r *reading) items() []any {
	r.ok()
	items, isList := r.at(r.root, "data", "accounts").([]any)
	if !isList {
		r.t.Error("records out of no list")
	}
	return items
}

// key is whose an item is: a text, or a whole number's digits.
func (r *reading) key(item any) string {
	switch key := r.at(item, "id").(type) {
	case string:
		return key
	case json.Number:
		return key.String()
	}
	return ""
}

func (r *reading) many(asked []string, id string, record *amend.Record) {
	count := 0
	for _, item := range r.items() {
		switch key := r.key(item); {
		case key == id:
			if count++; record.Presence == amend.Present {
				r.present(item, record)
			}
		case !slices.Contains(asked, key) && record.Presence == amend.Absent:
			r.t.Errorf("%s is absent beside a record of %q", id, key)
		}
	}
	if want := map[amend.Presence]int{amend.Present: 1}[record.Presence]; count != want {
		r.t.Errorf("%s is %s, with %d records", id, record.Presence, count)
	}
}

func (r *reading) list(sent string, page *connectors.Page) {
	items := r.items()
	if len(page.Records)+page.Skipped > len(items) {
		r.t.Errorf("%d records of %d items", len(page.Records)+page.Skipped, len(items))
	}
	for i := range page.Records {
		k := &page.Records[i]
		at := slices.IndexFunc(items, func(item any) bool { return r.key(item) == k.ID })
		if at < 0 || !entity.Valid(k.ID) || k.Record.Presence == amend.Absent {
			r.t.Fatalf("%q is %s in a list", k.ID, k.Record.Presence)
		}
		if k.Record.Presence == amend.Present {
			r.present(items[at], &k.Record)
		}
	}
	switch next := r.at(r.root, "next").(type) {
	case nil:
		if page.Next != "" {
			r.t.Errorf("a cursor %q out of nothing", page.Next)
		}
	case string:
		if page.Next != next || next != "" && next == sent {
			r.t.Errorf("the cursor is %q, not %q", next, page.Next)
		}
	case json.Number:
		if page.Next != next.String() || strings.ContainsAny(page.Next, ".eE") {
			r.t.Errorf("the cursor is %q, not %q", next, page.Next)
		}
	default:
		r.t.Errorf("a list goes on at %v", next)
	}
}

// FuzzCursor: a list goes on exactly where the service says, ends only where
// it says so, and what was sent as a cursor is a single parameter on the wire.
func FuzzCursor(f *testing.F) {
	for _, next := range []string{`"c2"`, `""`, `null`, `7`, `-0`, `1.5`, `1e3`, `{}`, `[]`, `true`, `"\u0000"`, `"c0"`, `"a&limit=1"`, `9007199254740993`, `"%00"`, `"\ud800"`, `"../x?#"`} {
		f.Add(next)
	}
	var seen []string
	var body, wrong string
	transport := roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path != "/accounts" || len(r.URL.Query()["cursor"]) > 1 || r.URL.Query().Get("limit") != "2" {
			wrong = r.URL.String()
		}
		seen = append(seen, r.URL.Query().Get("cursor"))
		return (&told{200, "application/json", body}).RoundTrip(r)
	})
	c := openWith(f, "http: {url: 'https://x.example'}\n"+reads, ledger(), connectors.Surroundings{Transport: transport})
	f.Fuzz(func(t *testing.T, next string) {
		seen, body = nil, `{"data":{"accounts":[`+whole+`]},"next":`+next+`}`
		page, err := c.List(t.Context(), connectors.PageRequest{})
		if err != nil {
			return
		}
		reread(t, &told{200, "application/json", body}).list("", &page)
		if page.Next == "" {
			return
		}
		if _, err := c.List(t.Context(), connectors.PageRequest{Cursor: page.Next}); err == nil || len(seen) != 2 || seen[1] != page.Next || wrong != "" {
			t.Errorf("%q was sent back as %q, by %s: %v", page.Next, seen, wrong, err)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
