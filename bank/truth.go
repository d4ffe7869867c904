package bank

import "time"

// Names of states that the code itself asks for.
const (
	stateActive    = "active"
	stateSigningUp = "signing_up"
	stateOverdue   = "signing_up_overdue"

	// signUpLimit is how long a sign-up may be pending and still be coherent.
	signUpLimit = 2 * time.Hour
)

// accountState is one state of bank.yaml, written a second time in Go so that
// the judge never depends on the engine that it judges.
type accountState struct {
	name     string
	coherent bool
	when     func(c *customer) bool
}

// accountStates are bank.yaml's states in their order: the first that holds is
// the customer's. Only identity's status may be taken for granted further down.
var accountStates = []accountState{
	{"held", true, (*customer).held},
	{"orphaned", false, func(c *customer) bool { return c.identity == nil }},
	{"rejected_with_money", false, func(c *customer) bool {
		return c.is(statusRejected) && c.hasOpenAccount() && c.account.cents != 0
	}},
	{"rejected_with_card", false, func(c *customer) bool { return c.is(statusRejected) && c.hasLiveCard() }},
	{"rejected_with_plan", false, func(c *customer) bool { return c.is(statusRejected) && c.hasLivePlan() }},
	{"rejected_but_open", false, func(c *customer) bool { return c.is(statusRejected) && c.hasOpenAccount() }},
	{"closed", true, func(c *customer) bool { return c.is(statusRejected) }},
	{stateSigningUp, true, func(c *customer) bool { return c.is(statusPending) }},
	{"ledger_missing", false, func(c *customer) bool { return c.account == nil }},
	{"ledger_unusable", false, func(c *customer) bool { return c.account.status != statusOpen }},
	{"card_missing", false, func(c *customer) bool { return c.card == nil }},
	{"card_blocked", false, func(c *customer) bool { return c.card.status == statusBlocked }},
	{"billing_missing", false, func(c *customer) bool { return c.plan == nil }},
	{"email_differs", false, func(c *customer) bool { return c.plan.email != c.identity.email }},
	{stateActive, true, func(*customer) bool { return true }},
}

// state says where the customer is, in truth.
func (c *customer) state(now time.Time) string {
	if c.nobody() {
		return ""
	}
	for _, s := range accountStates {
		if !s.when(c) {
			continue
		}
		if s.name == stateSigningUp && now.Sub(c.identity.changed) > signUpLimit {
			return stateOverdue
		}
		return s.name
	}
	return "" // never: the last state always holds
}

// coherentWithin reports whether c was coherent at some moment from one time to
// another. It goes back through what settle has noted.
func (c *customer) coherentWithin(from, to time.Time) bool {
	coherent, until := c.coherent, to
	for i := len(c.turned) - 1; i >= 0; i-- {
		turned := c.turned[i]
		if coherent && !turned.After(to) && !until.Before(from) {
			return true
		}
		coherent, until = !coherent, turned
	}
	return coherent && !until.Before(from)
}

// isCoherent reports whether nothing needs to be done about a state.
func isCoherent(state string) bool {
	for _, s := range accountStates {
		if s.name == state {
			return s.coherent
		}
	}
	return false
}
