package bank_test

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"amend/bank"
)

// A caller that orders a second card with another key, because it doesn't see
// the first one yet, is found out.
func Example() {
	b, err := bank.New(bank.Options{Customers: 200, Seed: 7, CardDelay: time.Minute})
	if err != nil {
		panic(err)
	}
	if err := b.Start(); err != nil {
		panic(err)
	}
	defer b.Close()

	var id string
	for customer, state := range b.Planted() {
		if state == "card_missing" {
			id = customer
		}
	}
	for _, key := range []string{"first", "first", "second"} {
		body := strings.NewReader(`{"customer":"` + id + `"}`)
		request, err := http.NewRequest("POST", b.Env()["CARDS_URL"]+"/cards", body)
		if err != nil {
			panic(err)
		}
		request.Header.Set("Idempotency-Key", key)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			panic(err)
		}
		answer.Body.Close()
		fmt.Println(key, answer.Status)
	}
	counts := b.Count()
	fmt.Println("sent", counts.RepairsSent, "replayed", counts.Replays, "double", counts.DoubleEffects)
	// Output:
	// first 201 Created
	// first 201 Created
	// second 201 Created
	// sent 3 replayed 1 double 1
}
