package amend

import "time"

// Presence says what a service said of a customer. The zero Presence is
// Unseen: what nobody has read is never taken for absent.
type Presence uint8

// The three things that a look at one service can end with.
const (
	Unseen  Presence = iota // it could not be read, or can't be believed
	Present                 // the service has a record
	Absent                  // the service said, believably, that it has none
)

// String is the word that people see.
func (p Presence) String() string { return [...]string{"unseen", "present", "absent"}[p] }

// Cause says why a record is unseen.
type Cause uint8

// The causes, from the network outwards to what the answer said.
const (
	NotRead     Cause = iota // nobody has asked yet
	Unreachable              // refused, DNS, TLS, cut connection
	TimedOut                 // no answer in time
	Failing                  // 5xx
	Throttled                // 429
	Forbidden                // 401, 403: the credential is wrong
	Redirected               // any 3xx: never followed
	Malformed                // not what was declared: type, size, JSON, a missing field
	Unproven                 // it said absent, but the proof of absence failed
	BreakerOpen              // not asked: it failed too often just now
	Stale                    // older than max_age
	Spent                    // not asked: it allows no more calls in this hour
)

var causeNames = [...]string{
	"not read", "unreachable", "timed out", "failing", "throttled", "forbidden",
	"redirected", "malformed", "absence unproven", "breaker open", "stale", "no calls left in this hour",
}

// String is the cause in words.
func (c Cause) String() string { return causeNames[c] }

// Temporary reports whether asking again soon may help.
func (c Cause) Temporary() bool {
	switch c {
	case Unreachable, TimedOut, Failing, Throttled:
		return true
	case NotRead, Forbidden, Redirected, Malformed, Unproven, BreakerOpen, Stale, Spent:
	}
	return false
}

// Record is what one service says of one customer at one time.
type Record struct {
	Presence Presence
	Cause    Cause     // why it is unseen
	Reason   string    // the cause in a sentence, for people; holds no secret and no field value
	Values   []Value   // by Field index where present, else nil
	Version  string    // what If-Match sends back; empty where the service has none
	ReadAt   time.Time // when the answer came
}

// UnseenRecord is a record that could not be read.
func UnseenRecord(cause Cause, reason string, at time.Time) Record {
	return Record{Presence: Unseen, Cause: cause, Reason: reason, ReadAt: at}
}

// Value is the field's value; null where the record isn't present.
func (r *Record) Value(field int) Value {
	if r.Presence != Present {
		return Value{}
	}
	return r.Values[field]
}

// View is all records of one customer at one time, by Schema.Services index.
type View struct {
	ID      string
	Records []Record
}

// Nobody reports whether every service says, believably, that it doesn't know
// this ID.
func (v *View) Nobody() bool {
	for i := range v.Records {
		if v.Records[i].Presence != Absent {
			return false
		}
	}
	return true
}

// Oldest is the time of the oldest reading in the view.
func (v *View) Oldest() time.Time {
	var oldest time.Time
	for i := range v.Records {
		if at := v.Records[i].ReadAt; oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
	}
	return oldest
}
