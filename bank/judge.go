package bank

// Operation is what a mutation asks a service to do, as bank.yaml names it.
type Operation string

// The operations of all services.
const (
	LedgerOpen      Operation = "ledger.open"
	LedgerClose     Operation = "ledger.close"
	CardsOrder      Operation = "cards.order"
	CardsBlock      Operation = "cards.block"
	BillingStart    Operation = "billing.start"
	BillingCancel   Operation = "billing.cancel"
	BillingSetEmail Operation = "billing.set_email"
)

// operations lists all, in the order in which needs are shown.
var operations = [...]Operation{
	LedgerOpen, LedgerClose, CardsOrder, CardsBlock, BillingStart, BillingCancel, BillingSetEmail,
}

// asksFor says in which states bank.yaml's rules ask for an operation.
var asksFor = map[Operation][]string{
	LedgerOpen:      {"ledger_missing"},
	LedgerClose:     {"rejected_but_open"},
	CardsOrder:      {"card_missing", "card_blocked"},
	CardsBlock:      {"rejected_with_card"},
	BillingStart:    {"billing_missing"},
	BillingCancel:   {"rejected_with_plan"},
	BillingSetEmail: {"email_differs"},
}

// need is one occasion on which a customer lacks what an operation brings. It
// begins with the drift that takes it away and ends when it is there again; it
// stays known afterwards, so that what comes too late is told apart from what
// was never wanted. The next drift begins a new need.
type need struct {
	outstanding bool
	keys        []string // distinct idempotency keys sent for it
	effects     int      // how often an operation for it took effect
}

// verdict is what the judge says of one mutation when it is received, before
// any fault can swallow it.
type verdict struct {
	wrong      string // why the precondition is false; "" where it is true
	outOfOrder bool
	secondKey  bool
}

// judge compares a mutation with the truth at receipt. What the service will
// only replay, or is still working on under the same key and body, was judged
// when it first came.
func (w *world) judge(c *customer, cmd command) verdict {
	match := keyNew
	if cmd.keyed() {
		match = w.keys.match(cmd, w.now())
	}
	if match == keyReplay || match == keyInFlight {
		return verdict{}
	}
	v := verdict{wrong: c.wrong(cmd), outOfOrder: w.outOfOrder(c, cmd)}
	if match == keyMismatch {
		v.wrong = "the key was used with another body"
	}
	if cmd.op.keyed && cmd.key != "" {
		n := c.need(cmd.op.name)
		v.secondKey = n.addKey(cmd.key)
		w.mostKeys = max(w.mostKeys, len(n.keys))
	}
	return v
}

// wrong says why the mutation ought not to have been sent; "" means rightly
// sent.
func (c *customer) wrong(cmd command) string {
	switch {
	case cmd.problem != "":
		return cmd.problem
	case c.isReissue(cmd.op.name):
		return ""
	}
	if why := c.unneeded(cmd.op.name); why != "" {
		return why
	}
	return c.wrongValue(cmd)
}

// isReissue reports whether blocking means that a person reissues the card: the
// customer is in order and reported it lost.
func (c *customer) isReissue(op Operation) bool {
	return op == CardsBlock && !isSentinel(c.id) && !c.held() && c.is(statusApproved) && c.hasLiveCard()
}

// unneeded says why the customer doesn't need the operation; "" means that it
// is needed.
func (c *customer) unneeded(op Operation) string {
	switch {
	case isSentinel(c.id):
		return "a sentinel is no customer"
	case c.held():
		return "compliance holds the customer"
	}
	switch op {
	case LedgerOpen, CardsOrder, BillingStart, BillingSetEmail:
		return c.unneededByApproved(op)
	case LedgerClose, CardsBlock, BillingCancel:
		return c.unneededByRejected(op)
	}
	return "no such operation"
}

// unneededByApproved covers what completes a sign-up and keeps it right. An
// account that is closed or frozen counts as one: only the ledger team may say
// why it is, so opening another beside it is never wanted.
func (c *customer) unneededByApproved(op Operation) string {
	switch {
	case !c.is(statusApproved):
		return "the customer is not approved"
	case op == LedgerOpen && c.account != nil:
		return "the customer has an account"
	case op == CardsOrder && c.hasLiveCard():
		return "the customer has a live card"
	case op == BillingStart && c.plan != nil:
		return "the customer has a plan"
	case op == BillingSetEmail && c.plan == nil:
		return "the customer has no plan"
	case op == BillingSetEmail && c.plan.email == c.identity.email:
		return "the plan has the customer's address"
	}
	return ""
}

// unneededByRejected covers what ends the business of a rejected customer.
// Money has to be given back by a person before its account may be closed.
func (c *customer) unneededByRejected(op Operation) string {
	switch {
	case !c.is(statusRejected):
		return "the customer is not rejected"
	case op == LedgerClose && !c.hasOpenAccount():
		return "the customer has no open account"
	case op == LedgerClose && c.account.cents != 0:
		return "the account holds money"
	case op == CardsBlock && !c.hasLiveCard():
		return "the customer has no live card"
	case op == BillingCancel && !c.hasLivePlan():
		return "the customer has no running plan"
	}
	return ""
}

// wrongValue says what is wrong with the value that a needed operation brings.
func (c *customer) wrongValue(cmd command) string {
	switch cmd.op.name {
	case LedgerOpen:
		if cmd.value != currencyOf(c.identity.country) {
			return "not the currency of the customer's country"
		}
	case BillingStart, BillingSetEmail:
		if cmd.value != c.identity.email {
			return "not the customer's address"
		}
	default: // the others bring nothing that could be wrong
	}
	return ""
}

// outOfOrder reports whether the customer needs the operation, but is in a
// state that asks for another one first: whoever sent it did not see all.
func (w *world) outOfOrder(c *customer, cmd command) bool {
	if c.unneeded(cmd.op.name) != "" {
		return false
	}
	state := c.state(w.now())
	for _, asking := range asksFor[cmd.op.name] {
		if state == asking {
			return false
		}
	}
	return true
}

// need returns the customer's latest need for the operation, outstanding or
// not.
func (c *customer) need(op Operation) *need {
	if c.needs == nil {
		c.needs = make(map[Operation]*need)
	}
	if c.needs[op] == nil {
		c.needs[op] = &need{}
	}
	return c.needs[op]
}

// addKey notes a key and reports whether another was sent for the need before.
func (n *need) addKey(key string) bool {
	for _, known := range n.keys {
		if known == key {
			return false
		}
	}
	n.keys = append(n.keys, key)
	return len(n.keys) > 1
}

// addEffect notes that an operation took effect and reports whether that was
// once too often: for a need already served, or for none.
func (n *need) addEffect() bool {
	n.effects++
	return !n.outstanding || n.effects > 1
}

// settle brings the needs in line with the truth after a change of c, and notes
// when c became coherent or ceased to be. It is called in the same hold of the
// lock as the change, whoever made it: seed, drift or an operation. A need that
// ended and begins again is a new one, with no keys and no effects.
func (w *world) settle(c *customer) {
	now := w.now()
	if coherent := isCoherent(c.state(now)); coherent != c.coherent {
		c.coherent, c.turned = coherent, append(c.turned, now)
	}
	for _, op := range operations {
		wanted := c.unneeded(op) == ""
		known := c.needs[op]
		switch {
		case wanted && (known == nil || !known.outstanding):
			*c.need(op) = need{outstanding: true}
			w.open[op]++
		case !wanted && known != nil && known.outstanding:
			known.outstanding = false
			w.open[op]--
		}
	}
}

// hasNeed reports whether anything is outstanding.
func (c *customer) hasNeed() bool {
	for _, n := range c.needs {
		if n.outstanding {
			return true
		}
	}
	return false
}
