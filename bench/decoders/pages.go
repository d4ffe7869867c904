package main

import (
	"fmt"
	"time"
)

var (
	statuses  = []string{"approved", "approved", "approved", "pending", "rejected"}
	countries = []string{"DE", "GB", "FR", "NL"}
	names     = [][2]string{{"Ada", "Lovelace"}, {"Grace", "Hopper"}, {"Alan", "Turing"}, {"Edsger", "Dijkstra"}, {"Barbara", "Liskov"}}
	streets   = []string{"Unter den Linden", "Marylebone Road", "Rue de Rivoli", "Herengracht"}
)

// wholeRecords is a page as an identity service writes it, and what is declared
// of it.
func wholeRecords(n int) ([]byte, []record) {
	page, all := []byte(`{"customers":[`), customers(n)
	for i, r := range all {
		if i > 0 {
			page = append(page, ',')
		}
		name := names[i%len(names)]
		page = fmt.Appendf(page, `{"id":%q,"status":%q,"name":{"first":%q,"last":%q},"contact":{"email":%q,"phone":"+49 30 %07d","language":"de"},`+
			`"country":%q,"address":{"street":"%s %d","city":"Berlin","zip":"%05d"},"birth_date":"19%02d-%02d-%02d","tags":["retail","web","newsletter"],`+
			`"kyc":{"provider":"veritas","score":0.%02d,"checks":[{"name":"document","passed":true},{"name":"face","passed":%t}]},`+
			`"limits":{"daily":%d,"monthly":%d},"created_at":"2025-%02d-02T03:04:05Z","updated_at":%q,"segment":"private","note":null}`,
			r.ID, r.Status, name[0], name[1], r.Email, i*7919%10_000_000, r.Country, streets[i%4], i%200, i*31%100_000, 50+i%50, 1+i%12, 1+i%28,
			i%100, i%9 != 0, 100*(i%50), 1000*(i%50), 1+i%12, r.ChangedAt.Format(time.RFC3339Nano))
	}
	return append(page, `],"next_cursor":"c1000"}`...), all
}

// maskedRecords is the same page of a service that was asked for some fields
// only.
func maskedRecords(n int) ([]byte, []record) {
	page, all := []byte(`{"customers":[`), customers(n)
	for i, r := range all {
		if i > 0 {
			page = append(page, ',')
		}
		page = fmt.Appendf(page, `{"id":%q,"status":%q,"contact":{"email":%q},"country":%q,"updated_at":%q}`,
			r.ID, r.Status, r.Email, r.Country, r.ChangedAt.Format(time.RFC3339Nano))
	}
	return append(page, `],"next_cursor":"c1000"}`...), all
}

func customers(n int) []record {
	all := make([]record, n)
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i := range all {
		id := fmt.Sprintf("cus_%06d", i)
		all[i] = record{ID: id, Status: statuses[i%len(statuses)], Email: id + "@mail.example.org", Country: countries[i%len(countries)],
			ChangedAt: begin.Add(time.Duration(i) * 1237 * time.Millisecond)}
	}
	return all
}
