// Package escalation calls people for what no rule heals. It decides which
// case belongs to which incident and when to tell whom; a Messenger carries
// the words. One incident is one message, edited in place as the incident
// moves on, so that people read what is so and not what once was.
package escalation

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Status is where an incident stands.
type Status string

// An incident is open until its cases are healed, or until a person closes it.
const (
	StatusOpen   Status = "open"
	StatusHealed Status = "healed"
	StatusClosed Status = "closed"
)

// Severity is how much an incident matters, as its state declares it.
type Severity string

// The severities, from the least to the most urgent.
const (
	SeverityLow    Severity = "low"
	SeverityNormal Severity = "normal"
	SeverityHigh   Severity = "high"
)

// Notice is what people are told of one incident: all of it, each time, since
// a message is replaced as a whole. A customer is named by ID alone; no other
// field may carry anything personal. Text is plain: a Messenger escapes and
// shortens it for its service. What is empty or zero is left out.
type Notice struct {
	Incident string
	CaseID   string // of the only or the first case
	Status   Status
	Severity Severity

	State     string   // the state's name, as declared
	About     string   // what the state means, for staff
	Customers []string // IDs, the first few are enough
	Count     int      // of all customers affected

	Since time.Time // since when it has been so
	Due   time.Time // by when it must have ended
	Owner string    // who has taken it; empty: nobody

	Tried string // what was done so far
	Next  string // what happens next, or who is waited for
	Why   string // why a person is needed
	Tell  string // ready words for the customer

	URL         string // the page of the customer or the incident
	Rule        string
	RuleVersion string

	// UpdatedAt is when the notice was true. Spans ("in 2 h") count from here,
	// so the same notice always makes the same message.
	UpdatedAt time.Time
}

// Receipt says where a message stands, in the service's own words. It is all
// that is needed to edit the message later, and is kept with the incident.
type Receipt struct {
	Channel string // Slack: the channel's ID, also where a name was given
	Message string // Slack: the message's ts
}

// Messenger carries notices to one service. Its errors are RetryAfter, Gone
// and Refused; every other error is temporary: the same call may be made again
// later. After such an error from Post nobody knows whether the message stands.
type Messenger interface {
	// Post sends a new message. The same key posted twice gives one message
	// wherever the service can tell, and then the first one's receipt. A key
	// is used up by its message: posting anew after Gone needs another key.
	Post(ctx context.Context, channel, key string, n Notice) (Receipt, error)
	// Update makes the message say n instead. Repeating it does no harm.
	Update(ctx context.Context, r Receipt, n Notice) error
}

// Finder is a Messenger that can read back. Before a key is posted a second
// time, because nobody knows what became of the first, Find settles it.
type Finder interface {
	// Find returns the receipt of the message posted to channel under key, not
	// earlier than since. ErrNotFound means that there is none.
	Find(ctx context.Context, channel, key string, since time.Time) (Receipt, error)
}

// ErrNotFound is Find's answer when no message was posted under the key.
var ErrNotFound = errors.New("no message under this key")

// RetryAfter says that the service takes no more for a while. Nothing was
// posted or edited.
type RetryAfter struct{ After time.Duration }

func (e RetryAfter) Error() string {
	return fmt.Sprintf("rate limited, again after %s", e.After)
}

// Gone says that what was written to is no longer there. Nothing was posted
// or edited.
type Gone struct {
	// Channel is true where the whole channel is archived or unknown, so that
	// posting there again can't help, and false where only the message is.
	Channel bool
	Reason  string // the service's code, such as "is_archived"
}

func (e Gone) Error() string {
	if e.Channel {
		return "channel gone: " + e.Reason
	}
	return "message gone: " + e.Reason
}

// Refused says that the same call can't succeed until a person acts: the token
// is revoked, a permission is missing, the message is malformed. Nothing was
// posted or edited.
type Refused struct{ Reason string }

func (e Refused) Error() string { return "refused: " + e.Reason }
