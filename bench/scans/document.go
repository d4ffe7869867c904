package main

import (
	_ "embed" // the services
	"errors"
	"strings"

	"amend/bank"
)

// The ways of reading that the services offer to amend.
const (
	merged  = "merged"  // every service lists its customers
	masked  = "masked"  // and gives the declared fields alone
	batches = "batches" // identity lists, the others answer for 100 at once
	singly  = "singly"  // identity lists, the others answer for one at a time
	fresh   = "fresh"   // all of these, and every list can tell what changed; only that is looked at
	visited = "visited" // as merged, while somebody looks at customers' pages
)

//go:embed services.yaml
var servicesYAML string

const (
	readOne  = `one: {get: "/customers/{id}", absent: 'status == 404 && answer.code == "no_such_customer"'}`
	readMany = `many: {get: "/customers", query: {ids: "{ids.join(',')}"}, max: 100, items: answer.items, key: item.customer}`
	readList = `list: {get: "/customers", query: {limit: "{limit}", cursor: "{cursor}"}, max: 1000, items: answer.items, key: item.customer, next: answer.next}`
	tellList = `list: {get: "/customers", query: {limit: "{limit}", cursor: "{cursor}", since: "{since}"}, max: 1000, items: answer.items, key: item.customer, next: answer.next}`
	maskList = `list: {get: "/customers", query: {limit: "{limit}", cursor: "{cursor}", fields: "{fields.join(',')}"}, max: 1000, items: answer.items, key: item.customer, next: answer.next}`
)

// document is a configuration with the states and rules of bank.yaml and the
// services of the benchmark. Its brakes are opened: so many inconsistent
// customers would trip them.
func document(way string) (string, error) {
	_, rest, found := strings.Cut(string(bank.Configuration), "\nstates:\n")
	states, _, closed := strings.Cut(rest, "\nscans:\n")
	const rule = "do: [{cards.block: {}}]\n    mode: auto\n"
	if !found || !closed || strings.Count(states, rule) != 1 {
		return "", errors.New("bank.yaml isn't written as it was: states, rules, scans, with a rule that blocks cards")
	}
	states = strings.Replace(states, rule, rule+"    limits: {at_once: 1000000, per_hour: 100000000, share: 100%}\n", 1)
	list, others, source := readList, readList, "[identity, ledger, cards]"
	switch way {
	case masked:
		list, others = maskList, maskList
	case fresh:
		list, others = tellList+"\n      "+readMany, tellList+"\n      "+readMany
	case batches:
		others, source = readMany, "[identity]"
	case singly:
		others, source = "", "[identity]"
	}
	services := strings.NewReplacer("LISTED", readOne+"\n      "+list, "READ", readOne+"\n      "+others).Replace(servicesYAML)
	return services + "\nstates:\n" + states + "\nscans:\n  source: " + source + "\n", nil
}
