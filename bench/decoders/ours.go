package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"

	"github.com/goccy/go-yaml"

	"amend"
	"amend/connectors"
	httpkind "amend/connectors/http"
)

const declaration = `
http: {url: "https://identity.bank.example"}
read:
  one: {get: "/{id}"}
  list: {get: "/customers", query: {limit: "{limit}", cursor: "{cursor}"}, items: answer.customers, key: item.id, next: answer.next_cursor}
`

// amends reads pages with amend's own connector for HTTP, without a network. It
// does more than the others: it makes the request, reads the answer's body,
// puts the records into a page and finds the next cursor.
func amends() func(page []byte) ([]record, error) {
	service := &amend.Service{Name: "identity", Fields: []amend.Field{
		{Name: "status", Type: amend.String, Values: []string{"pending", "approved", "rejected"}},
		{Name: "email", Type: amend.String, Path: "item.contact.email"},
		{Name: "country", Type: amend.String},
		{Name: "changed_at", Type: amend.Timestamp, Path: "item.updated_at"},
	}}
	network := &canned{}
	c, found := httpkind.Kind().New(connectors.Declaration{
		Service: service,
		Entity:  &amend.Entity{Name: "customer", ID: regexp.MustCompile(`^cus_[0-9]{6,}$`)},
		Decode: func(into any) {
			if err := yaml.Unmarshal([]byte(declaration), into); err != nil {
				panic(err) // the declaration is right above
			}
		},
	}, connectors.Surroundings{Transport: network})
	if len(found) > 0 {
		panic(fmt.Sprint(found))
	}
	var all []record
	var request connectors.PageRequest
	return func(page []byte) ([]record, error) {
		network.page = page
		got, err := c.List(context.Background(), request)
		if err != nil {
			return nil, err
		}
		request.Into = got.Records
		all = all[:0]
		for i := range got.Records {
			r := &got.Records[i].Record
			if r.Presence != amend.Present {
				return nil, fmt.Errorf("%s is %s: %s", got.Records[i].ID, r.Presence, r.Reason)
			}
			all = append(all, record{got.Records[i].ID, r.Values[0].Text(), r.Values[1].Text(), r.Values[2].Text(), r.Values[3].Time()})
		}
		return all, nil
	}
}

// canned is a service without a network.
type canned struct {
	page []byte
	left []byte
}

func (c *canned) RoundTrip(*http.Request) (*http.Response, error) {
	c.left = c.page
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(c), ContentLength: int64(len(c.page))}, nil
}

func (c *canned) Read(into []byte) (int, error) {
	n := copy(into, c.left)
	c.left = c.left[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
