package hand

import (
	"bytes"

	"amend/bench/services"
)

// The services, in the order of services.Names.
const (
	identity = iota
	ledger
	cards
	billing
	compliance
)

// view is a customer in all services.
type view [services.Count]*record

// The states of bank.yaml, in its order.
const (
	held = iota
	orphaned
	rejectedWithMoney
	rejectedWithCard
	rejectedWithPlan
	rejectedButOpen
	isClosed
	signingUp
	ledgerMissing
	ledgerUnusable
	cardMissing
	cardBlocked
	billingMissing
	emailDiffers
	active
	states
)

var names = [states]string{"held", "orphaned", "rejected_with_money", "rejected_with_card", "rejected_with_plan", "rejected_but_open", "closed",
	"signing_up", "ledger_missing", "ledger_unusable", "card_missing", "card_blocked", "billing_missing", "email_differs", "active"}

// classify says which state a customer is in.
func classify(v *view) int {
	person, account, card, plan := v[identity], v[ledger], v[cards], v[billing]
	switch {
	case v[compliance].hold:
		return held
	case !person.present:
		return orphaned
	case person.status == rejected:
		return classifyRejected(account, card, plan)
	case person.status == pending:
		return signingUp
	case !account.present:
		return ledgerMissing
	case account.status != open:
		return ledgerUnusable
	case !card.present:
		return cardMissing
	case card.status == blocked:
		return cardBlocked
	case !plan.present:
		return billingMissing
	case !bytes.Equal(plan.email, person.email):
		return emailDiffers
	}
	return active
}

func classifyRejected(account, card, plan *record) int {
	isOpen := account.present && account.status != closed
	switch {
	case isOpen && account.balance != 0:
		return rejectedWithMoney
	case card.present && card.status != blocked:
		return rejectedWithCard
	case plan.present && plan.status != cancelled:
		return rejectedWithPlan
	case isOpen:
		return rejectedButOpen
	}
	return isClosed
}

// tally counts customers by state.
type tally [states]int

func (t *tally) add(other *tally) {
	for i := range t {
		t[i] += other[i]
	}
}

func (t *tally) byName() map[string]int {
	named := map[string]int{}
	for i, n := range t {
		if n > 0 {
			named[names[i]] = n
		}
	}
	return named
}
