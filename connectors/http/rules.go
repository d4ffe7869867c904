package http

import (
	"fmt"
	"net/http"
	"sync"

	"amend"
	"amend/conditions"
	"amend/connectors"
)

// rules say what an answer to a read means.
type rules struct {
	single bool // only where one customer was asked for does 404 mean absent
	absent *condition
	on     []on
}

// condition is a condition on an answer. What a status decides alone, which is
// nearly always, is remembered: it is the same for every answer.
type condition struct {
	*conditions.Expression
	byStatus sync.Map // bool by status
}

func newCondition(x *conditions.Expression) *condition {
	if x == nil {
		return nil
	}
	return &condition{Expression: x}
}

// holds computes a condition; anything but true or false is an error.
func (c *condition) holds(a *answer) (bool, error) {
	if known, some := c.byStatus.Load(a.status); some {
		return known.(bool), nil //nolint:forcetypeassert // nothing else is put in
	}
	if !c.Uses("header") {
		out, err := c.Eval(conditions.Vars{"status": int64(a.status)})
		if truth, is := out.(bool); err == nil && is {
			c.byStatus.Store(a.status, truth)
			return truth, nil
		}
	}
	out, err := a.eval(c.Expression)
	if err != nil {
		return false, err
	}
	truth, ok := out.(bool)
	if !ok {
		return false, errNotEvaluable
	}
	return truth, nil
}

// on is one exception from what a status means by itself.
type on struct {
	when *condition
	is   string
	say  string
}

// marked reports whether absence is always known by more than a status, which
// any gateway can give.
func (r *rules) marked() bool {
	if !r.absent.marks() {
		return false
	}
	for _, o := range r.on {
		if o.is == "absent" && !o.when.marks() {
			return false
		}
	}
	return true
}

// marks reports whether it asks for more than a status, and no status that could
// be absence makes it hold whatever else the answer says. No condition marks
// nothing.
func (c *condition) marks() bool {
	if c == nil {
		return false
	}
	for status := int64(200); status < 500; status++ { // all others are mute
		if out, err := c.Eval(conditions.Vars{"status": status}); err == nil && out == true {
			return false
		}
	}
	return c.Uses("answer") || c.Uses("header")
}

// presence says what an answer means: Present or Absent, or an error that says
// why it is neither. The declared exceptions come first, but none of them can
// make more than unseen of an answer that says nothing about the customer.
func (r *rules) presence(a *answer) (amend.Presence, *connectors.Unseen) {
	mute := muteStatus(a)
	for i, o := range r.on {
		holds, err := o.when.holds(a)
		if err != nil && mute != nil {
			return 0, mute
		}
		if err != nil {
			return 0, malformed(fmt.Sprintf("answered %d; on[%d].when: %s", a.status, i, err))
		}
		if holds {
			return o.presence(a, mute)
		}
	}
	if mute != nil {
		return 0, mute
	}
	if r.absent != nil {
		holds, err := r.absent.holds(a)
		if err != nil {
			return 0, malformed(fmt.Sprintf("answered %d; absent: %s", a.status, err))
		}
		if holds {
			return amend.Absent, nil
		}
	}
	switch {
	case a.status == http.StatusResetContent || a.status == http.StatusPartialContent: // nothing, and a part of it
	case a.status >= 200 && a.status < 300:
		return amend.Present, nil
	case a.status == 404 && r.single && r.absent == nil:
		return amend.Absent, nil
	case a.status == 404 && r.absent != nil:
		return 0, malformed("answered 404, but not as declared for absent")
	}
	return 0, malformed(fmt.Sprintf("answered %d", a.status))
}

func (o *on) presence(a *answer, mute *connectors.Unseen) (amend.Presence, *connectors.Unseen) {
	reason := o.say
	if reason == "" {
		reason = fmt.Sprintf("answered %d", a.status)
	}
	switch o.is {
	case "retry":
		return 0, &connectors.Unseen{Cause: amend.Failing, Reason: reason, RetryAfter: a.retryAfter()}
	case "unseen":
		return 0, malformed(reason)
	}
	if mute != nil {
		return 0, mute
	}
	if o.is == "absent" {
		return amend.Absent, nil
	}
	return amend.Present, nil
}

// muteStatus is for answers that never say anything about a customer, whatever
// is declared: they come from what stands before the service, or say that it
// could not, or would not, look.
func muteStatus(a *answer) *connectors.Unseen {
	cause := amend.Malformed
	switch s := a.status; {
	case s == 401 || s == 403:
		cause = amend.Forbidden
	case s == 408:
		cause = amend.TimedOut
	case s == 429:
		cause = amend.Throttled
	case s >= 300 && s < 400:
		cause = amend.Redirected
	case s >= 500:
		cause = amend.Failing
	case s >= 200:
		return nil
	}
	return &connectors.Unseen{Cause: cause, Reason: fmt.Sprintf("answered %d", a.status), RetryAfter: a.retryAfter()}
}

func malformed(reason string) *connectors.Unseen {
	return &connectors.Unseen{Cause: amend.Malformed, Reason: reason}
}
