package bank

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// newBilling is the monthly plans. It has no list, and its 404 says by a code
// of its own that there is no plan.
func (b *Bank) newBilling() *service {
	s := b.newService(billingName, billingShape(), func(r *record) bool { return r.c.plan != nil })
	s.read("GET /subscriptions/{id}", single, s.one("no_subscription"))
	s.read("POST /subscriptions:batchGet", batch, s.many("subscriptions", idsInBody("customers")))
	s.handle("POST /subscriptions", s.operate(&operation{
		name: BillingStart, keyed: true, body: []string{"customer", "email"}, who: "customer", value: "email", apply: s.startPlan,
	}))
	s.handle("DELETE /subscriptions/{id}", s.operate(&operation{name: BillingCancel, apply: s.cancelPlan}))
	s.handle("PATCH /subscriptions/{id}", s.operate(&operation{
		name: BillingSetEmail, body: []string{"email"}, value: "email", apply: s.setPlanEmail,
	}))
	return s
}

// startPlan refuses while a plan is running; a cancelled one is begun anew.
func (s *service) startPlan(c *customer, cmd command) answer {
	if c.hasLivePlan() && cmd.character != IgnoresKeys {
		return refuse(http.StatusConflict, "subscription_exists", "the customer has a running plan")
	}
	if !isAddress(cmd.value) {
		return refuse(http.StatusBadRequest, "bad_request", "email is not an address")
	}
	now := s.world.now()
	c.plan = &plan{status: statusActive, email: cmd.value, started: now, changed: now}
	return s.applied(c, http.StatusCreated)
}

// cancelPlan keeps the record; cancelling twice changes nothing.
func (s *service) cancelPlan(c *customer, cmd command) answer {
	if c.plan == nil {
		return refuse(http.StatusNotFound, "no_subscription", "not known here")
	}
	if refusal, outdated := cmd.outdated(c.plan.etag()); outdated {
		return refusal
	}
	if c.plan.status == statusCancelled {
		return s.unchanged(c)
	}
	c.plan.status, c.plan.changed = statusCancelled, s.world.now()
	return s.applied(c, http.StatusOK)
}

// setPlanEmail changes the address that bills go to.
func (s *service) setPlanEmail(c *customer, cmd command) answer {
	if c.plan == nil {
		return refuse(http.StatusNotFound, "no_subscription", "not known here")
	}
	if refusal, outdated := cmd.outdated(c.plan.etag()); outdated {
		return refusal
	}
	switch {
	case !isAddress(cmd.value):
		return refuse(http.StatusBadRequest, "bad_request", "email is not an address")
	case c.plan.email == cmd.value:
		return s.unchanged(c)
	}
	c.plan.email, c.plan.changed = cmd.value, s.world.now()
	return s.applied(c, http.StatusOK)
}

// etag differs wherever the plan does.
func (p *plan) etag() string {
	return `"p` + strconv.FormatUint(mix(p.status+" "+p.email+" "+p.changed.String()), 36) + `"`
}

// isAddress is as strict as billing systems are: something on both sides.
func isAddress(email string) bool {
	local, domain, ok := strings.Cut(email, "@")
	return ok && local != "" && domain != ""
}

func billingShape() *shape {
	return newShape(1,
		text("customer", func(r *record) string { return r.c.id }),
		text("etag", func(r *record) string { return r.c.plan.etag() }),
		coded("subscription", "sub_", 12),
		text("status", func(r *record) string { return r.c.plan.status }),
		text("email", func(r *record) string { return r.c.plan.email }),
		constant("plan.code", `"basic-monthly"`),
		constant("plan.name", `"Basic account"`),
		constant("plan.price", `"4.90"`),
		constant("plan.interval", `"month"`),
		text("payer.given", givenName),
		text("payer.family", familyName),
		text("payer.country", func(r *record) string { return r.c.country() }),
		constant("payment.method", `"account"`),
		coded("payment.mandate", "mnd_", 14),
		constant("invoice.channel", `"email"`),
		text("invoice.language", language),
		coded("invoice.last", "inv_", 10),
		constant("tax.rate", `"19.0"`),
		constant("tax.included", "true"),
		instant("started_at", func(r *record) time.Time { return r.c.plan.started }),
		instant("updated_at", func(r *record) time.Time { return r.c.plan.changed }),
	)
}
