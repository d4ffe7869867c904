package bank

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// newLedger is the money accounts. Every record has a version, its ETag.
func (b *Bank) newLedger() *service {
	s := b.newService(ledgerName, ledgerShape(), func(r *record) bool { return r.c.account != nil })
	some := s.many("accounts", idsInQuery("owner"))
	all := s.list(listing{items: "accounts", cursor: "after", next: "next", most: 1000, masked: true})
	s.read("GET /accounts/{id}", single, s.one("no_account"))
	s.read("GET /accounts", accountsKind, func(r *http.Request, body []byte) answer {
		if namesOwners(r) {
			return some(r, body)
		}
		return all(r, body)
	})
	s.handle("POST /accounts", s.operate(&operation{
		name: LedgerOpen, keyed: true, body: []string{"owner", "currency"}, who: "owner", value: "currency", apply: s.openAccount,
	}))
	s.handle("PUT /accounts/{id}/status", s.operate(&operation{
		name: LedgerClose, body: []string{"status"}, status: statusClosed, apply: s.closeAccount,
	}))
	return s
}

// namesOwners tells a batch from a list, which share a path. An empty list of
// owners is a batch, and refused.
func namesOwners(r *http.Request) bool { return r.URL.Query().Has("owner") }

func accountsKind(r *http.Request) func(*Reads) {
	if namesOwners(r) {
		return batch(r)
	}
	return list(r)
}

// openAccount refuses while the customer has an account that isn't closed.
func (s *service) openAccount(c *customer, cmd command) answer {
	if c.hasOpenAccount() && cmd.character != IgnoresKeys {
		return refuse(http.StatusConflict, "account_exists", "the customer has an account")
	}
	if cmd.value != "EUR" && cmd.value != "GBP" {
		return refuse(http.StatusBadRequest, "bad_request", "the currency is EUR or GBP")
	}
	version := 1
	if c.account != nil {
		version = c.account.version + 1
	}
	now := s.world.now()
	c.account = &account{status: statusOpen, currency: cmd.value, version: version, opened: now, changed: now}
	return s.applied(c, http.StatusCreated)
}

// closeAccount honours If-Match, and refuses while the account holds money.
// Closing what is closed changes nothing.
func (s *service) closeAccount(c *customer, cmd command) answer {
	if c.account == nil {
		return refuse(http.StatusNotFound, "no_account", "not known here")
	}
	if refusal, outdated := cmd.outdated(c.account.etag()); outdated {
		return refusal
	}
	switch {
	case c.account.status == statusClosed:
		return s.unchanged(c)
	case c.account.cents != 0:
		return refuse(http.StatusConflict, "not_empty", "the account holds money")
	}
	c.account.status = statusClosed
	c.account.touch(s.world.now())
	return s.applied(c, http.StatusOK)
}

// matches compares If-Match as RFC 9110 wants it: a list of quoted versions or
// an asterisk. Without it everything matches.
func matches(ifMatch, etag string) bool {
	if ifMatch == "" || ifMatch == "*" {
		return true
	}
	for candidate := range strings.SplitSeq(ifMatch, ",") {
		if strings.TrimSpace(candidate) == etag {
			return true
		}
	}
	return false
}

// touch gives the account a new version.
func (a *account) touch(now time.Time) {
	a.version++
	a.changed = now
}

func (a *account) etag() string { return `"a` + strconv.Itoa(a.version) + `"` }

func ledgerShape() *shape {
	return newShape(2,
		text("owner", func(r *record) string { return r.c.id }),
		text("etag", func(r *record) string { return r.c.account.etag() }),
		coded("iban", "XX00BANK", 14),
		constant("bic", `"BANKXX00"`),
		constant("product", `"current"`),
		text("status", func(r *record) string { return r.c.account.status }),
		text("currency", func(r *record) string { return r.c.account.currency }),
		amount("balance.amount", func(r *record) int64 { return r.c.account.cents }),
		text("balance.currency", func(r *record) string { return r.c.account.currency }),
		amount("available.amount", func(r *record) int64 { return r.c.account.cents }),
		text("available.currency", func(r *record) string { return r.c.account.currency }),
		constant("overdraft.limit", `"0.00"`),
		constant("overdraft.agreed", "false"),
		coded("branch.code", "", 4),
		text("branch.city", func(r *record) string { return cities[r.c.country()] }),
		constant("interest.rate", `"0.25"`),
		constant("interest.basis", `"act/365"`),
		constant("statement.cycle", `"monthly"`),
		text("statement.language", language),
		instant("opened_at", func(r *record) time.Time { return r.c.account.opened }),
		instant("updated_at", func(r *record) time.Time { return r.c.account.changed }),
	)
}
