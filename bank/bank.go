// Package bank is the demo: a small bank whose five services drift apart on
// purpose.
//
// Identity, ledger, cards and billing speak HTTP on loopback listeners;
// compliance is a table in SQLite or Postgres. A seed decides which customers
// are inconsistent and how. A [Journal] keeps every mutation that the services
// received and judges it against the truth: it is what shows that an engine
// which repairs the bank did nothing twice and nothing wrong.
package bank

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// present is a customer whom every service knows; absent one whom none
	// does. With them a caller proves that "not found" means not found.
	sentinelPresent = "cus_000001"
	sentinelAbsent  = "cus_000000"

	defaultActivation = 15 * time.Minute
	defaultKeyWindow  = 24 * time.Hour
)

// Options say what bank New makes. The zero value of everything but Customers
// is useful.
type Options struct {
	// Customers is how many are planted, the sentinel cus_000001 included.
	// Below about 30 there is not room for every state.
	Customers int
	// Seed decides who is inconsistent and how.
	Seed uint64
	// CardDelay is how long an ordered card stays hidden from reads. Zero
	// shows it at once.
	CardDelay time.Duration
	// CardActivation is how long after an order its card turns from ordered
	// to active. Zero means 15 minutes, longer than an engine waits for the
	// order to show.
	CardActivation time.Duration
	// KeyWindow is how long idempotency keys are kept. Zero means 24 hours.
	KeyWindow time.Duration
	// ComplianceDSN is where the table of holds is made: a postgres:// URL or
	// sqlite:PATH. Empty means a temporary SQLite file, which Close removes.
	ComplianceDSN string
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
	// Rand gives the randomness of one stream, such as "drift". Nil derives
	// every stream from Seed.
	Rand func(stream string) *mathrand.Rand
	// Listen gives the listener of a service, for a network in memory; it is
	// closed by Close. Nil listens on a free port of 127.0.0.1.
	Listen func(service string) (net.Listener, error)
	// Around puts more around a service's handler, such as faults that the bank
	// doesn't have. Nil puts nothing.
	Around func(service string, h http.Handler) http.Handler
	// Log takes what the servers have to say. Nil discards it.
	Log *slog.Logger
}

// Bank is the five services, what they know, and what they were asked to do.
// Its methods may be called from any goroutine.
type Bank struct {
	options  Options
	world    *world
	journal  *Journal
	services []*service
	token    string // what identity wants as bearer

	ctx    context.Context // ends with Close and frees hanging requests
	cancel context.CancelFunc

	mu        sync.Mutex // guards what Start makes
	listeners []*listener
	holds     *holdsTable
	closed    bool
}

// New plants the customers in memory; nothing listens before Start. It refuses
// options that make no bank.
func New(options Options) (*Bank, error) {
	if options.Customers < 1 {
		return nil, fmt.Errorf("a bank has at least 1 customer, not %d", options.Customers)
	}
	if options.CardDelay < 0 || options.CardActivation < 0 || options.KeyWindow < 0 {
		return nil, errors.New("card delay, card activation and key window are never negative")
	}
	options = withDefaults(options)
	b := &Bank{options: options, world: newWorld(options), journal: newJournal(), token: "demo-" + rand.Text()}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.services = []*service{b.newIdentity(), b.newLedger(), b.newCards(), b.newBilling()}
	plant(b.world, options)
	return b, nil
}

func withDefaults(o Options) Options {
	if o.CardActivation == 0 {
		o.CardActivation = defaultActivation
	}
	if o.KeyWindow == 0 {
		o.KeyWindow = defaultKeyWindow
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		seed := o.Seed
		o.Rand = func(stream string) *mathrand.Rand { return seeded(seed, stream) }
	}
	if o.Listen == nil {
		o.Listen = func(string) (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }
	}
	if o.Around == nil {
		o.Around = func(_ string, h http.Handler) http.Handler { return h }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// seeded gives each stream numbers of its own, so that drawing more from one
// leaves the others as they were.
func seeded(seed uint64, stream string) *mathrand.Rand {
	name := fnv.New64a()
	name.Write([]byte(stream))
	return mathrand.New(mathrand.NewPCG(seed, name.Sum64()))
}

// Journal returns the record of all that the services received.
func (b *Bank) Journal() *Journal { return b.journal }

// Planted returns the state of each customer when the bank or its drift last
// planted it: a state of bank.yaml, or "signing_up_overdue" for a sign-up that
// has been pending for too long.
func (b *Bank) Planted() map[string]string {
	b.world.mu.RLock()
	defer b.world.mu.RUnlock()
	planted := make(map[string]string, len(b.world.order))
	for _, c := range b.world.order {
		if c.planted != "" {
			planted[c.id] = c.planted
		}
	}
	return planted
}

// Truth returns the customer's state now, computed from what the services
// really hold, also where reads don't show it yet. It is "" for nobody and
// "signing_up_overdue" for a sign-up that has been pending for too long.
func (b *Bank) Truth(id string) string {
	b.world.mu.RLock()
	defer b.world.mu.RUnlock()
	c, ok := b.world.byID[id]
	if !ok {
		return ""
	}
	return c.state(b.world.now())
}

// CoherentWithin reports whether the customer was, in truth, in a coherent state
// at some moment from one time to another: what somebody says who has read the
// customer then can be right. A sign-up that becomes overdue by itself counts as
// coherent until something happens to it.
func (b *Bank) CoherentWithin(id string, from, to time.Time) bool {
	b.world.mu.RLock()
	defer b.world.mu.RUnlock()
	c, ok := b.world.byID[id]
	return ok && c.coherentWithin(from, to)
}

// Coherent reports whether the customer is, in truth, in a coherent state. Who
// isn't a customer isn't coherent.
func (b *Bank) Coherent(id string) bool { return isCoherent(b.Truth(id)) }
