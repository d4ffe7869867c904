package http_test

import (
	"encoding/json"
	"strings"
	"testing"

	"amend"
	"amend/connectors"
)

// Whatever a service sends, nothing panics, and what is believed is JSON and
// names its customers.
func FuzzAnswers(f *testing.F) {
	for _, l := range lies() {
		if len(l.body) < 1000 {
			f.Add(l.body)
		}
	}
	f.Add(page(whole))
	f.Add(page(whole + "," + strings.Replace(whole, "cus_000001", "cus_000002", 1)))
	computed := ledger()
	computed.Fields[1].Path = `item.contact["email"]`
	var answer canned
	var made []connectors.Connector
	for _, s := range []*amend.Service{ledger(), computed} {
		made = append(made, openWith(f, "http: {url: 'https://x.example'}\n"+reads, s, connectors.Surroundings{Transport: &answer}))
	}
	f.Fuzz(func(t *testing.T, body string) {
		answer = canned(body)
		for _, c := range made {
			if record, err := c.One(t.Context(), "cus_000001"); err == nil && record.Presence != amend.Unseen && !json.Valid([]byte(body)) {
				t.Errorf("%s, of what is no JSON", record.Presence)
			}
			listed, err := c.List(t.Context(), connectors.PageRequest{})
			if err == nil && !json.Valid([]byte(body)) {
				t.Error("a list, of what is no JSON")
			}
			for _, k := range listed.Records {
				if !entity.Valid(k.ID) {
					t.Errorf("%q is no ID", k.ID)
				}
			}
			records, err := c.Many(t.Context(), []string{"cus_000001", "cus_000002"})
			if err == nil && len(records) != 2 {
				t.Errorf("%d records of two", len(records))
			}
		}
	})
}
