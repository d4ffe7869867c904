package services

import (
	"bytes"
	"fmt"
	"strings"
)

// recordSize is how long a full record is, in bytes.
const recordSize = 600

// digits is how long the number in a customer's ID is, so that the order of
// IDs is the order of numbers.
const digits = 9

// variants are as many records of a kind as differ in country and balance.
const variants = 4

var (
	countries = [variants]string{"DE", "GB", "FR", "NL"}
	balances  = [variants]string{"12.30", "0.07", "1024.00", "99999.99"}
)

// template is a record with holes for the customer's number.
type template struct {
	text  []byte
	holes []int
}

const hole = "#########"

func newTemplate(text string) template {
	t := template{text: []byte(text)}
	for from := 0; ; {
		i := bytes.Index(t.text[from:], []byte(hole))
		if i < 0 {
			return t
		}
		t.holes = append(t.holes, from+i)
		from += i + len(hole)
	}
}

func (t *template) append(to, number []byte) []byte {
	begin := len(to)
	to = append(to, t.text...)
	for _, at := range t.holes {
		copy(to[begin+at:], number)
	}
	return to
}

// templates holds every record that there can be, by service, kind and variant.
type templates [Count][kinds][variants]template

func makeTemplates(masked bool) *templates {
	var all templates
	for service := range all {
		for k := range kinds {
			for variant := range variants {
				text := full(service, k, variant)
				if masked {
					text = declared(service, k, variant)
				}
				all[service][k][variant] = newTemplate(text)
			}
		}
	}
	return &all
}

// says are the values in which kinds of customers differ.
type says struct{ identity, ledger, cards, billing, hold, placed string }

func (k kind) says(variant int) (s says, balance string) {
	s, balance = says{"approved", "open", "active", "active", "false", "null"}, balances[variant]
	switch k {
	case closed, mended:
		s, balance = says{"rejected", "closed", "blocked", "cancelled", "false", "null"}, "0.00"
	case held:
		s.hold, s.placed = "true", `"2026-03-01T12:00:00Z"`
	case broken:
		s, balance = says{"rejected", "closed", "active", "cancelled", "false", "null"}, "0.00"
	case active, kinds: // as they stand above
	}
	return s, balance
}

// declared is a record of the fields that bank.yaml declares.
func declared(service int, k kind, variant int) string {
	s, balance := k.says(variant)
	id := `{"customer":"cus_` + hole + `"`
	switch service {
	case identity:
		return id + fmt.Sprintf(`,"status":%q,"contact":{"email":"c%s@mail.example"},"country":%q,"updated_at":"2026-03-01T12:00:00Z"}`, s.identity, hole, countries[variant])
	case ledger:
		return id + fmt.Sprintf(`,"status":%q,"currency":"EUR","balance":{"amount":%q}}`, s.ledger, balance)
	case cards:
		return id + fmt.Sprintf(`,"status":%q}`, s.cards)
	case billing:
		return id + fmt.Sprintf(`,"status":%q,"email":"c%s@mail.example"}`, s.billing, hole)
	}
	return id + fmt.Sprintf(`,"hold":%s,"reason":"none","placed_at":%s}`, s.hold, s.placed)
}

// full is the same record with what a service of a bank says beside that: some
// objects, an array, numbers, an escaped quote, and a remark that fills it up.
func full(service int, k kind, variant int) string {
	s, balance := k.says(variant)
	text := `{"customer":"cus_` + hole + `","object":"` + Names[service] + `","revision":17,"created_at":"2024-11-05T08:15:30.123Z",`
	switch service {
	case identity:
		text += fmt.Sprintf(`"name":{"given":"Ada Maria","family":"O\"Neill-Lovelace","title":null},"status":%q,`+
			`"contact":{"phone":"+49 30 1234567","email":"c%s@mail.example","verified":true},"country":%q,`+
			`"kyc":{"provider":"checkers","score":0.93,"checks":[{"name":"document","passed":true},{"name":"face","passed":true}]},`+
			`"updated_at":"2026-03-01T12:00:00Z"`, s.identity, hole, countries[variant])
	case ledger:
		text += fmt.Sprintf(`"iban":"DE02120300000000202051","status":%q,"currency":"EUR",`+
			`"balance":{"amount":%q,"available":"0.00","reserved":"0.00"},"limits":{"daily":500000,"monthly":2000000},`+
			`"postings":[{"at":"2026-02-27T10:00:00Z","amount":-1200},{"at":"2026-02-28T10:00:00Z","amount":4500}],"branch":7`, s.ledger, balance)
	case cards:
		text += fmt.Sprintf(`"scheme":"debit","last_four":"4242","expires":{"month":11,"year":2029},"status":%q,`+
			`"wallets":[{"name":"phone","active":true},{"name":"watch","active":false}],"limits":{"shop":100000,"cash":50000},"holder":"A M O\"NEILL"`, s.cards)
	case billing:
		text += fmt.Sprintf(`"plan":{"name":"basic","price":{"amount":"4.90","currency":"EUR"},"every":"month"},"email":"c%s@mail.example",`+
			`"status":%q,"invoices":[{"number":"2026-02","paid":true},{"number":"2026-01","paid":true}],"next_at":"2026-04-01T00:00:00Z"`, hole, s.billing)
	case compliance:
		text += fmt.Sprintf(`"hold":%s,"reason":"none","placed_at":%s,"lists":[{"name":"sanctions","hit":false},{"name":"exposed","hit":false}],`+
			`"risk":{"score":12.5,"band":"low","model":"2026-01"},"reviewer":null`, s.hold, s.placed)
	}
	text += `,"remark":"`
	return text + strings.Repeat("nothing of note ", recordSize/16)[:recordSize-2-len(text)] + `"}`
}
