package bank

import (
	"net/http"
	"slices"
	"time"
)

// Character is what a service makes of a request that it may have had before.
type Character string

// The characters.
const (
	// HonoursKeys acts once for each idempotency key and replays the answer;
	// refusals and failures leave the key free.
	HonoursKeys Character = ""
	// IgnoresKeys takes no keys, and every POST takes effect, also where the caller
	// has gone.
	IgnoresKeys Character = "ignores_keys"
	// WantsVersion takes no keys either, and changes a record of the ledger or of
	// billing only for who names its version in If-Match.
	WantsVersion Character = "wants_version"
	// ReplaysErrors keeps refusals and failures, too: a 500 stays that 500 for
	// its key.
	ReplaysErrors Character = "replays_errors"
	// ReplaysAnyBody replays the answer for a key also where the body differs.
	ReplaysAnyBody Character = "replays_any_body"
	// Finishes does what a POST has begun also where the caller has gone, and
	// answers its key with 409 until then.
	Finishes Character = "finishes"
)

var characters = []Character{HonoursKeys, IgnoresKeys, WantsVersion, ReplaysErrors, ReplaysAnyBody, Finishes}

func (c Character) known() bool { return slices.Contains(characters, c) }

// takesKeys reports whether the service looks at idempotency keys.
func (c Character) takesKeys() bool { return c != IgnoresKeys && c != WantsVersion }

// finishes reports whether what has begun takes effect whoever waits for it.
// What may be repeated without harm is let go of by all services: it makes no
// difference to anybody but the judge.
func (c command) finishes() bool {
	return c.op.keyed && (c.character == Finishes || c.character == IgnoresKeys)
}

// keyed reports whether the service looks at the command's key.
func (c command) keyed() bool { return c.op.keyed && c.character.takesKeys() }

// outdated refuses a change that was meant for another version of the record.
func (c command) outdated(etag string) (refusal answer, outdated bool) {
	switch {
	case c.ifMatch == "" && c.character == WantsVersion:
		return refuse(http.StatusPreconditionRequired, "version_wanted", "an If-Match is wanted"), true
	case !matches(c.ifMatch, etag):
		return refuse(http.StatusPreconditionFailed, "changed", "the record has changed since"), true
	}
	return answer{}, false
}

// glimpse is a customer as one service's reads go on showing them for a while.
type glimpse struct {
	service string
	until   time.Time
	was     *customer
}

// copy keeps the records as they are: operations change them in place.
func (c *customer) copy() *customer {
	was := *c
	was.account, was.card, was.plan = copied(c.account), copied(c.card), copied(c.plan)
	if was.card != nil {
		was.card.previous = copied(was.card.previous)
	}
	return &was
}

func copied[T any](record *T) *T {
	if record == nil {
		return nil
	}
	another := *record
	return &another
}

// hide has reads of a service show the customer as they were, for a while.
func (c *customer) hide(g glimpse, now time.Time) {
	over := func(g glimpse) bool { return !now.Before(g.until) }
	c.glimpses = append(slices.DeleteFunc(c.glimpses, over), g)
}

// seenBy is the customer as reads of a service show them: with none of the
// effects that are still hidden.
func (c *customer) seenBy(service string, now time.Time) *customer {
	for i := range c.glimpses {
		if g := &c.glimpses[i]; g.service == service && now.Before(g.until) {
			return g.was
		}
	}
	return c
}

// hidden reports whether some service doesn't show yet what is true.
func (c *customer) hidden(now time.Time) bool {
	return slices.ContainsFunc(c.glimpses, func(g glimpse) bool { return now.Before(g.until) })
}
