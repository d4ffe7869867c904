package http_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"amend"
	"amend/connectors"
)

// crowd is a page of records of about 500 bytes, four fields of which are
// declared.
func crowd(n int) string {
	var b strings.Builder
	b.WriteString(`{"customers":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"cus_%06d","status":"approved","name":{"first":"Ada","last":"Lovelace"},"contact":{"email":"ada%d@example.org","phone":"+49 30 1234567"},"country":"DE","address":{"street":"Unter den Linden 1","city":"Berlin","zip":"10117"},"tags":["a","b","c"],"kyc":{"provider":"x","score":0.93,"checks":[{"n":"id","ok":true},{"n":"face","ok":true}]},"created_at":"2026-01-02T03:04:05Z","updated_at":"2026-03-01T12:00:00.123Z","note":"lorem ipsum dolor sit amet consectetur adipiscing elit"}`, i, i)
	}
	return b.String() + `],"next_cursor":""}`
}

// masked is the same page of a service that can be asked for some fields only.
func masked(n int) string {
	var b strings.Builder
	b.WriteString(`{"customers":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"cus_%06d","status":"approved","contact":{"email":"ada%d@example.org"},"country":"DE","updated_at":"2026-03-01T12:00:00.123Z"}`, i, i)
	}
	return b.String() + `],"next_cursor":""}`
}

// canned is a service without a network, so that only our own work is
// measured.
type canned string

func (c canned) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}},
		Body: body{strings.NewReader(string(c))}, ContentLength: int64(len(c))}, nil
}

type body struct{ *strings.Reader }

func (body) Close() error { return nil }

func BenchmarkList(b *testing.B) {
	s := &amend.Service{Name: "identity", Fields: []amend.Field{
		{Name: "status", Type: amend.String, Values: []string{"pending", "approved", "rejected"}},
		{Name: "email", Type: amend.String, Path: "item.contact.email"},
		{Name: "country", Type: amend.String},
		{Name: "changed_at", Type: amend.Timestamp, Path: "item.updated_at"},
	}}
	const records = 1000
	var answer canned
	c := openWith(b, `
http: {url: "https://identity.bank.example"}
read:
  one: {get: "/{id}"}
  list: {get: "/customers", query: {limit: "{limit}", cursor: "{cursor}"}, items: answer.customers, key: item.id, next: answer.next_cursor}
`, s, connectors.Surroundings{Transport: &answer})
	for _, run := range []struct {
		name, page string
		again      bool // the memory of the page before is used again
	}{{"whole", crowd(records), false}, {"masked", masked(records), false}, {"whole, again", crowd(records), true}, {"masked, again", masked(records), true}} {
		b.Run(run.name, func(b *testing.B) {
			page, request := run.page, connectors.PageRequest{}
			answer = canned(page)
			b.SetBytes(int64(len(page)))
			b.ReportAllocs()
			for b.Loop() {
				got, err := c.List(context.Background(), request)
				if err != nil || len(got.Records) != records || got.Records[7].Record.Presence != amend.Present {
					b.Fatal(err, got.Records[:8])
				}
				if run.again {
					request.Into = got.Records
				}
			}
			b.ReportMetric(float64(b.N)*records/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64(len(page))/records, "B/record")
		})
	}
}
