package rehearsal

import (
	"fmt"
	"time"
)

const (
	// personKey begins the idempotency keys of what people send.
	personKey = "person-"
	// humanMargin is how long amend may go on after a person has changed a
	// customer without having seen it: a call that had begun, with all its time.
	humanMargin = 30 * time.Second
)

// human has a person put something right by hand, or block the card of a
// customer who has lost it.
func (r *run) human(e Event) {
	all := r.customers()
	customer := all[e.N%len(all)]
	for i := range all { // rather somebody who needs it
		if candidate := all[(e.N+i)%len(all)]; !r.bank.Coherent(candidate) && e.N%3 != 0 {
			customer = candidate
			break
		}
	}
	key := fmt.Sprintf("%s%d-%d", personKey, e.N, e.At)
	truth := r.bank.Truth(customer)
	r.touched[customer] = time.Now()
	r.line("a person changes %s, who is %s", customer, truth)
	switch truth {
	case "ledger_missing":
		r.person("ledger", key, personCall{"POST", "/accounts", fmt.Sprintf(`{"owner":%q,"currency":"EUR"}`, customer)})
	case "card_missing", "card_blocked":
		r.person("cards", key, personCall{"POST", "/cards", fmt.Sprintf(`{"customer":%q}`, customer)})
	case "rejected_with_card":
		r.person("cards", key, personCall{"PUT", "/cards/" + customer + "/status", `{"status":"blocked"}`})
	case "rejected_with_plan":
		r.person("billing", key, personCall{"DELETE", "/subscriptions/" + customer, ""})
	case "rejected_but_open":
		r.person("ledger", key, personCall{"PUT", "/accounts/" + customer + "/status", `{"status":"closed"}`})
	case "active":
		r.person("cards", key, personCall{"PUT", "/cards/" + customer + "/status", `{"status":"blocked"}`})
	}
}
