package bank

import (
	"net/http"
	"time"
)

// newCards is the card processor. It has no batches, and an order takes a while
// to show.
func (b *Bank) newCards() *service {
	s := b.newService(cardsName, cardsShape(), func(r *record) bool { return r.card != nil })
	s.read("GET /cards/{id}", single, s.one("no_card"))
	s.read("GET /cards", list, s.list(listing{items: "cards", cursor: "page", next: "next_page", most: 500}))
	s.handle("POST /cards", s.operate(&operation{
		name: CardsOrder, keyed: true, body: []string{"customer"}, who: "customer", apply: s.orderCard,
	}))
	s.handle("PUT /cards/{id}/status", s.operate(&operation{
		name: CardsBlock, body: []string{"status"}, status: statusBlocked, apply: s.blockCard,
	}))
	return s
}

// orderCard refuses where a live card shows. While an order doesn't show yet
// the processor takes another one, as a service that is eventually consistent
// does: then two cards are made, which is what idempotency keys are for.
func (s *service) orderCard(c *customer, cmd command) answer {
	now := s.world.now()
	previous := c.shownCard(now)
	if previous != nil && previous.status != statusBlocked && cmd.character != IgnoresKeys {
		return refuse(http.StatusConflict, "card_exists", "the customer has a live card")
	}
	number := 1
	if c.card != nil {
		number = c.card.number + 1
	}
	if previous != nil {
		previous.previous = nil // only one card back is ever shown
	}
	c.card = &card{
		status: statusOrdered, number: number, ordered: now, changed: now,
		shown: now.Add(s.world.cardDelay), active: now.Add(s.world.cardActivation), previous: previous,
	}
	return s.applied(c, http.StatusCreated)
}

// blockCard blocks the latest card; blocking a blocked one changes nothing.
func (s *service) blockCard(c *customer, _ command) answer {
	switch {
	case c.card == nil:
		return refuse(http.StatusNotFound, "no_card", "not known here")
	case c.card.status == statusBlocked:
		return s.unchanged(c)
	}
	c.card.status, c.card.changed = statusBlocked, s.world.now()
	return s.applied(c, http.StatusOK)
}

func cardsShape() *shape {
	return newShape(1,
		text("customer", func(r *record) string { return r.c.id }),
		coded("card", "card_", 12),
		field{path: "number", append: func(b []byte, r *record) []byte { return appendDigits(b, uint64(r.card.number), 1) }},
		text("status", func(r *record) string { return r.card.statusAt(r.now) }),
		constant("scheme", `"visa"`),
		constant("form", `"plastic"`),
		coded("last4", "", 4),
		field{path: "expires.month", append: func(b []byte, r *record) []byte { return appendDigits(b, 1+r.c.seed%12, 1) }},
		field{path: "expires.year", append: func(b []byte, r *record) []byte {
			return appendDigits(b, uint64(r.card.ordered.Year()+4), 4)
		}},
		text("holder.given", givenName),
		text("holder.family", familyName),
		constant("limits.daily", `"1000.00"`),
		constant("limits.monthly", `"5000.00"`),
		constant("limits.contactless", "true"),
		constant("processor.name", `"cardworks"`),
		coded("processor.reference", "cw-", 16),
		constant("delivery.method", `"letter"`),
		text("delivery.city", func(r *record) string { return cities[r.c.country()] }),
		instant("ordered_at", func(r *record) time.Time { return r.card.ordered }),
		instant("updated_at", func(r *record) time.Time { return r.card.changed }),
	)
}
