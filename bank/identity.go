package bank

import "time"

// newIdentity is who the customers are. It can only be read, in all three
// ways, with a bearer token.
func (b *Bank) newIdentity() *service {
	s := b.newService(identityName, identityShape(), func(r *record) bool { return r.c.identity != nil })
	s.token = b.token
	s.read("GET /customers/{id}", single, s.one("no_customer"))
	s.read("POST /customers:batchGet", batch, s.many("customers", idsInBody("ids")))
	s.read("GET /customers", list, s.list(listing{
		items: "customers", cursor: "cursor", next: "next_cursor", most: 1000, masked: true, since: true,
	}))
	return s
}

func identityShape() *shape {
	return newShape(1,
		text("id", func(r *record) string { return r.c.id }),
		text("status", func(r *record) string { return r.c.identity.status }),
		text("country", func(r *record) string { return r.c.identity.country }),
		text("name.given", givenName),
		text("name.family", familyName),
		text("contact.email", func(r *record) string { return r.c.identity.email }),
		coded("contact.phone", "+99 555 ", 7),
		text("contact.language", language),
		text("born_on", bornOn),
		text("address.street", street),
		coded("address.postcode", "", 5),
		text("address.city", func(r *record) string { return cities[r.c.country()] }),
		constant("kyc.provider", `"verity"`),
		coded("kyc.reference", "kyc_", 14),
		constant("kyc.level", `"full"`),
		constant("segment", `"retail"`),
		constant("terms.version", `"2026-01"`),
		constant("terms.newsletter", "false"),
		instant("created_at", func(r *record) time.Time { return r.c.identity.created }),
		instant("updated_at", func(r *record) time.Time { return r.c.identity.changed }),
	)
}
