package dashboard

import (
	"fmt"
	"strings"
	"time"

	"amend"
	"amend/desk"
	"amend/lifecycle"
	"amend/states"
	"amend/store"
)

// The looks of a verdict. Each has a mark and a word beside its colour.
const (
	good  = "good"
	bad   = "bad"
	warn  = "warn"
	quiet = "quiet"
)

// verdict says where a customer is, what that means, and what happens next.
type verdict struct {
	Name  string // of the state, as declared
	Words string
	Kind  string // good, bad, warn, quiet
	Mark  string // the kind in words
	Since *moment
	About string
	Tell  string // ready to be said to the customer
	Due   *due
	Owner *owner
	Case  *work
	Next  string // what happens next, where no case is open
}

// owner is the team that a state or a service belongs to.
type owner struct {
	Team, Slack string
	Runbook     string // a web address, or empty
}

// work is the customer's newest case.
type work struct {
	Status   string
	Kind     string
	Open     bool
	Why      string
	Next     string
	Wake     *moment // when amend looks again
	Attempts string
	Moved    string // the reading that this page shows is ahead of the case
	Ended    *moment
	By       string
}

func (s *Server) verdict(sheet *desk.Sheet) verdict {
	look := sheet.Look
	v := verdict{Name: look.Verdict.Name, Words: inWords(look.Verdict.Name), Tell: look.Tell(), Due: s.clock().due(s.promised(sheet)), Case: s.work(sheet)}
	v.Kind, v.Mark = s.kind(sheet)
	if since, known := knownSince(sheet); known {
		v.Since = s.clock().at(since)
	}
	v.About = s.meaning(look.Verdict)
	if v.Case == nil || !v.Case.Open {
		v.Next = s.nextWithoutCase(sheet)
	}
	if state := look.Verdict.State; state != nil && state.Owner != "" {
		v.Owner = s.owner(state.Owner)
	}
	return v
}

func (s *Server) kind(sheet *desk.Sheet) (kind, mark string) {
	switch v := sheet.Look.Verdict; {
	case v.State == nil:
		return quiet, "Not judged"
	case sheet.Coherent:
		return good, "In order"
	case v.State.Coherent:
		return warn, "Takes too long"
	case v.State.Severity == states.High:
		return bad, "Out of order, high severity"
	}
	return warn, "Out of order"
}

// knownSince is from when the state counts; unknown where neither a field nor a
// case tells it.
func knownSince(sheet *desk.Sheet) (time.Time, bool) {
	if sheet.Open() && sheet.Case.State == sheet.Look.Verdict.Name {
		return sheet.Since, true
	}
	declared := sheet.Look.Verdict.Since(sheet.Look.Scope, time.Time{})
	return declared, !declared.IsZero()
}

// promised is when the customer was told that it would be in order.
func (s *Server) promised(sheet *desk.Sheet) time.Time {
	state := sheet.Look.Verdict.State
	if sheet.Open() && sheet.Case.State == sheet.Look.Verdict.Name {
		return sheet.Case.DueAt
	}
	since, known := knownSince(sheet)
	if state == nil || state.Promise == 0 || !known {
		return time.Time{}
	}
	return since.Add(state.Promise)
}

func (s *Server) meaning(v states.Verdict) string {
	switch v.Name {
	case states.Unseen:
		text := "A service that would decide could not be read:"
		for i, at := range v.Needs {
			if i > 0 {
				text += ","
			}
			text += " " + s.options.Desk.Schema.Services[at].Name
		}
		return text + ". No rule acts until it answers."
	case states.Unknown:
		return "The services say something that the configuration doesn't foresee. No rule acts; a person has to look."
	case states.Nobody:
		return "Every service says that it has no such " + s.options.Desk.Schema.Entity.Name + "."
	}
	return v.State.About
}

func (s *Server) nextWithoutCase(sheet *desk.Sheet) string {
	switch state := sheet.Look.Verdict.State; {
	case state == nil:
		return "Nothing by itself. Check again later."
	case sheet.Coherent && state.For > 0:
		return fmt.Sprintf("This state is in order for %s at most; then a person is called.", span(state.For))
	case sheet.Coherent:
		return "Nothing. All is as it should be."
	}
	return "The next scan opens a case."
}

func (s *Server) work(sheet *desk.Sheet) *work {
	c := sheet.Case
	if c == nil {
		return nil
	}
	now := s.clock()
	w := &work{Status: capital(string(c.Status)), Kind: statusKind(c.Status), Open: c.Open(), Why: s.say(c.Why), Next: s.say(c.Next)}
	if !c.Open() {
		w.Ended, w.By = now.at(c.EndedAt), endedBy(c)
		return w
	}
	if c.Status == lifecycle.Waiting && !c.Held(time.Time(now)) && c.WakeAt.After(time.Time(now)) {
		w.Next, w.Wake = strings.TrimSuffix(w.Next, "."), now.at(c.WakeAt)
	}
	if rule := s.options.Desk.Rules.Rule(c.Rule); rule != nil && c.Attempts > 0 {
		w.Attempts = fmt.Sprintf("%s has failed %d of %d times.", rule.Name, c.Attempts, rule.Attempts)
	}
	if c.State != sheet.Look.Verdict.Name {
		w.Moved = fmt.Sprintf("The case still says %q; its next look brings it up to date.", inWords(c.State))
	}
	return w
}

func statusKind(s lifecycle.Status) string {
	switch s {
	case lifecycle.Healed:
		return good
	case lifecycle.Escalated, lifecycle.Proposed:
		return warn
	case lifecycle.Watching, lifecycle.Healing, lifecycle.Waiting, lifecycle.Closed:
	}
	return quiet
}

func endedBy(c *store.Case) string {
	switch c.EndedBy {
	case store.EndedByRule:
		return "by a rule"
	case store.EndedByPerson:
		return "by a person"
	}
	return "by itself"
}

func (s *Server) owner(service string) *owner {
	_, found := s.options.Desk.Schema.Service(service)
	if found == nil || found.Owner == (amend.Owner{}) {
		return nil
	}
	o := &owner{Team: found.Owner.Team, Slack: found.Owner.Slack}
	if webAddress(found.Owner.Runbook) {
		o.Runbook = found.Owner.Runbook
	}
	return o
}
