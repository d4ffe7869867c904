// Package connectors reads one service and sends it one operation. It holds
// the port that every kind of service implements, and what stands around any of
// them: retries for reads, limits, a circuit breaker, proof of absence.
package connectors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"amend"
)

// Connector reads one service and sends it one operation. All methods are safe
// for concurrent use and obey the context's deadline.
//
// A read that fails as a whole returns an *Unseen error and no records. A
// record that can't be believed alone is unseen inside the result.
type Connector interface {
	// Can says which ways of reading the service offers.
	Can() Abilities
	// One reads one customer.
	One(ctx context.Context, id string) (amend.Record, error)
	// Many reads up to Abilities.Many customers; records come in the order of ids.
	Many(ctx context.Context, ids []string) ([]amend.Record, error)
	// List reads one page. An empty Page.Next ends the list.
	List(ctx context.Context, page PageRequest) (Page, error)
	// Prepare renders the exact request of an operation without sending
	// anything. What it returns is stored with the intent and sent as it is.
	Prepare(call Call) (Request, error)
	// Send sends one request once: no retry, no redirect, one request on the
	// wire. It never fails: what isn't known is Unsettled.
	Send(ctx context.Context, request Request) Answer
}

// Abilities are the ways of reading that a service offers, and its limits.
type Abilities struct {
	One        bool
	Many       int     // customers per call; 0 where it can't
	List       bool    // all customers, page by page
	Since      bool    // List can be asked for what changed since a time
	Marker     bool    // One knows absence by a marker of the service's own, so it needs no proof
	AtOnce     int     // calls in flight that the service allows; 0 where it doesn't say
	PerSecond  float64 // calls per second that the service allows; 0 where it doesn't say
	PerHour    int     // calls in a clock hour that the service allows; 0 where it doesn't say
	Operations bool
}

// PageRequest asks for one page of a list.
type PageRequest struct {
	Cursor string    // empty for the first page
	Since  time.Time // zero for all
	// Into is the records of a page that nobody needs any more, or nil: the new
	// records may take their memory. Copies of the old records stay as they are,
	// as their values are left alone.
	Into []Keyed
}

// Page is one page of a list, in the order of the service. A customer occurs
// once at most: one that the service gives twice is unseen.
type Page struct {
	Records []Keyed
	Next    string
	Skipped int // rows that nobody can be named for: no key, or one that is no ID
}

// Keyed is a record with the customer that it belongs to.
type Keyed struct {
	ID     string
	Record amend.Record
}

// Unseen is the error of a read that failed as a whole.
type Unseen struct {
	Cause      amend.Cause
	Reason     string        // a sentence for people; holds no secret
	RetryAfter time.Duration // what the service asked for; 0 where it didn't
}

// Error is the reason with its cause.
func (u *Unseen) Error() string { return fmt.Sprintf("%s: %s", u.Cause, u.Reason) }

// AsUnseen finds the Unseen in an error. Another error's text is not repeated,
// since nobody knows what it quotes.
func AsUnseen(err error) *Unseen {
	if u, ok := errors.AsType[*Unseen](err); ok {
		return u
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &Unseen{Cause: amend.TimedOut, Reason: "no answer in time"}
	case errors.Is(err, context.Canceled):
		return &Unseen{Cause: amend.NotRead, Reason: "the question was withdrawn"}
	}
	return &Unseen{Cause: amend.Unreachable, Reason: "the connector failed for a reason of its own"}
}

// Record is the record of one customer whom the error leaves unseen.
func (u *Unseen) Record(at time.Time) amend.Record {
	return amend.UnseenRecord(u.Cause, u.Reason, at)
}

// Call is one operation to be prepared.
type Call struct {
	Operation string
	ID        string
	Arguments map[string]amend.Value
	Key       string // idempotency key
	Version   string // of the record that the decision rests on; sent where the operation declares if_unchanged
}

// Request is one operation exactly as it goes over the wire, without
// credentials: those are added when it is sent. It is stored with the intent,
// so the JSON names are stored data.
type Request struct {
	Operation string            `json:"operation"`
	Method    string            `json:"method"`
	URL       string            `json:"url"`
	Header    map[string]string `json:"header,omitempty"`
	Body      []byte            `json:"body,omitempty"`
}

// Answer is what became of one request.
type Answer struct {
	Outcome    amend.Outcome
	Status     int           // HTTP status; 0 where there was none
	Detail     string        // a sentence for people; holds no secret and no field value
	RetryAfter time.Duration // what the service asked for
}

// Kind makes connectors of one kind. A new kind is one new folder and one line
// in the registry of whoever wires the program.
type Kind struct {
	// Name is the key below a service that selects the kind: http, sql.
	Name string
	// New compiles a declaration. Findings are at paths below the service.
	New func(Declaration, Surroundings) (Connector, amend.Findings)
}

// Declaration is one service as written.
type Declaration struct {
	Service *amend.Service
	Entity  *amend.Entity
	// Decode fills a struct from the service's part of the document, by its
	// yaml tags. It may be called several times with different structs; keys
	// that nobody decodes are reported as unknown.
	Decode func(into any)
}

// Surroundings are what a connector uses of the outside world. The zero value
// is the real world.
type Surroundings struct {
	// Transport, where set, replaces the transport made for each service. An
	// *http.Transport is copied, and the copy never follows, proxies or replays.
	Transport http.RoundTripper
	// Loopback allows services on this machine, for demos and tests. Without it
	// a name that resolves to this machine is refused when it is dialled.
	Loopback bool
	// Share is this process's part of what services allow. It is asked before
	// every call.
	Share func() Share
	// Reserve takes calls of services that allow so many in an hour, for all
	// workers together. Without it such services can't be called.
	Reserve func(context.Context, Reservation) (Reserved, error)
	Now     func() time.Time
	Log     *slog.Logger
}

// errUncounted is why calls can't be reserved where nobody counts them.
var errUncounted = errors.New("nobody counts calls here")

// OrReal fills what is missing with the real clock, a silent log, and services
// that are shared with nobody.
func (s Surroundings) OrReal() Surroundings {
	if s.Share == nil {
		s.Share = func() Share { return Share{Of: 1} }
	}
	if s.Reserve == nil {
		s.Reserve = func(context.Context, Reservation) (Reserved, error) { return Reserved{}, errUncounted }
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	return s
}
