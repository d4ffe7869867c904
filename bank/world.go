package bank

import (
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// What the services say of a customer's record. The words are bank.yaml's.
const (
	statusPending  = "pending"
	statusApproved = "approved"
	statusRejected = "rejected"

	statusOpen   = "open"
	statusFrozen = "frozen"
	statusClosed = "closed"

	statusOrdered = "ordered"
	statusActive  = "active"
	statusBlocked = "blocked"

	statusPastDue   = "past_due"
	statusCancelled = "cancelled"
)

// customerID is the only form of customer ID that the services take.
var customerID = regexp.MustCompile(`^cus_[0-9]{6,}$`)

// world is everything that is true in the bank, under one lock: what the
// services hold, what customers need, and the idempotency keys. One lock makes
// every judgement exact, because nothing moves between looking and acting.
type world struct {
	mu    sync.RWMutex
	byID  map[string]*customer
	order []*customer // by ID, in byte order
	keys  *keyStore
	open  map[Operation]int // needs outstanding

	mostEffects, mostKeys int // of any one need

	now            func() time.Time
	cardDelay      time.Duration
	cardActivation time.Duration
}

// customer is one customer in all services. A nil record means that the service
// doesn't know them.
type customer struct {
	id       string
	seed     uint64 // makes up the details that no state depends on
	identity *identity
	account  *account
	card     *card
	plan     *plan
	hold     *hold // what the compliance table says

	planted  string // the state last planted
	needs    map[Operation]*need
	touched  time.Time // when a mutation or a drift last came
	inFlight int       // mutations received and not yet answered

	glimpses []glimpse // what reads show instead; the oldest first

	coherent bool        // when last settled
	turned   []time.Time // when that changed, the oldest first
}

// identity is who the customer is.
type identity struct {
	status  string
	email   string
	country string
	moves   int // how often the address changed
	created time.Time
	changed time.Time
}

// account is the customer's money.
type account struct {
	status   string
	currency string
	cents    int64
	version  int // what the ETag says; never falls, so an old one never fits again
	opened   time.Time
	changed  time.Time
}

// card is the latest card, or the one before it.
type card struct {
	status   string
	number   int // tells a customer's cards apart
	ordered  time.Time
	changed  time.Time
	active   time.Time // when an ordered card turns active; zero is never
	shown    time.Time // before this, reads show previous
	previous *card
}

// plan is what the customer pays each month.
type plan struct {
	status  string
	email   string
	started time.Time
	changed time.Time
}

// hold is the compliance table's row, which the bank never changes after it is
// planted.
type hold struct {
	hold   bool
	reason string
	placed time.Time
}

// newWorld is a world without customers. Its clock has the precision of the
// times that services show, so that what is compared is what was shown.
func newWorld(o Options) *world {
	return &world{
		byID:           make(map[string]*customer, o.Customers),
		order:          make([]*customer, 0, o.Customers),
		keys:           newKeyStore(o.KeyWindow),
		open:           make(map[Operation]int),
		now:            func() time.Time { return o.Now().UTC().Truncate(time.Millisecond) },
		cardDelay:      o.CardDelay,
		cardActivation: o.CardActivation,
	}
}

// customer returns who has this ID. Somebody new is added, without any record,
// since the services let a caller make records for people they don't know.
func (w *world) customer(id string) *customer {
	if c, ok := w.byID[id]; ok {
		return c
	}
	c := &customer{id: id, seed: mix(id)}
	w.byID[id] = c
	w.order = slices.Insert(w.order, w.after(id), c)
	return c
}

// after returns the place in order of the first customer behind id.
func (w *world) after(id string) int {
	if n := len(w.order); n == 0 || strings.Compare(w.order[n-1].id, id) <= 0 {
		return n // new customers have the highest numbers
	}
	return sort.Search(len(w.order), func(i int) bool { return w.order[i].id > id })
}

// holds returns who has a row in the compliance table, in order.
func (w *world) holds() []*customer {
	w.mu.RLock()
	defer w.mu.RUnlock()
	var with []*customer
	for _, c := range w.order {
		if c.hold != nil {
			with = append(with, c)
		}
	}
	return with
}

// shownCard is the card as reads show it; the processor tells late.
func (c *customer) shownCard(now time.Time) *card {
	if c.card != nil && now.Before(c.card.shown) {
		return c.card.previous
	}
	return c.card
}

// statusAt is the card's status, which turns active by itself.
func (k *card) statusAt(now time.Time) string {
	if k.status == statusOrdered && !k.active.IsZero() && !now.Before(k.active) {
		return statusActive
	}
	return k.status
}

func (c *customer) held() bool            { return c.hold != nil && c.hold.hold }
func (c *customer) is(status string) bool { return c.identity != nil && c.identity.status == status }
func (c *customer) hasLiveCard() bool     { return c.card != nil && c.card.status != statusBlocked }
func (c *customer) hasLivePlan() bool     { return c.plan != nil && c.plan.status != statusCancelled }
func (c *customer) hasOpenAccount() bool  { return c.account != nil && c.account.status != statusClosed }

// nobody reports whether no service at all knows the customer.
func (c *customer) nobody() bool {
	return c.identity == nil && c.account == nil && c.card == nil && c.plan == nil && c.hold == nil
}

// isSentinel reports whether id proves presence or absence and is otherwise to
// be left alone.
func isSentinel(id string) bool { return id == sentinelPresent || id == sentinelAbsent }

// currencyOf is the currency of an account in this country.
func currencyOf(country string) string {
	if country == "GB" {
		return "GBP"
	}
	return "EUR"
}
