// Package states is the account machine: it says which state a View puts a
// customer in. States stand in order, and the first whose condition holds is
// the customer's.
package states

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"amend"
	"amend/conditions"
)

// The built-in states. Stored data: don't rename.
const (
	Unseen  = "unseen"  // a record that the state depends on could not be read
	Unknown = "unknown" // no declared state fits, or a condition erred
	Nobody  = "nobody"  // absent everywhere: no customer at all
)

// Severity says how urgent a state is for people.
type Severity string

// The severities, from the least urgent.
const (
	Low    Severity = "low"
	Normal Severity = "normal"
	High   Severity = "high"
)

// State is one declared state.
type State struct {
	Name     string
	Coherent bool
	When     *conditions.Condition
	For      time.Duration        // coherent at most so long; 0 for ever
	Since    *conditions.Template // from when For, Settle and Promise count; nil: the first look
	Settle   time.Duration        // how long it must have been so before anything acts
	Severity Severity
	Owner    string // a service
	About    string // for staff
	Tell     *conditions.Template
	Promise  time.Duration // when it is due; 0 where nothing is promised
	Escalate Escalate
}

// Escalate says whom to tell.
type Escalate struct {
	To     string
	Remind time.Duration
}

// Machine classifies views.
type Machine struct {
	Environment *conditions.Environment
	States      []State
}

// State finds a declared state by name, else nil.
func (m *Machine) State(name string) *State {
	for i := range m.States {
		if m.States[i].Name == name {
			return &m.States[i]
		}
	}
	return nil
}

// Look is one reading of one customer: what every service said, and where that
// puts them.
type Look struct {
	View    *amend.View
	Scope   *conditions.Scope
	Verdict Verdict
}

// Tell is what to tell the customer; empty where nothing is declared, or it
// can't be said now.
func (l Look) Tell() string {
	if l.Verdict.State == nil || l.Verdict.State.Tell == nil {
		return ""
	}
	v, err := l.Verdict.State.Tell.Value(l.Scope)
	if err != nil {
		return ""
	}
	return v.String()
}

// Verdict is where a view puts a customer.
type Verdict struct {
	Name  string
	State *State // nil for the built-in states
	Needs []int  // services whose records would have decided, where unseen
	Err   error  // why, where unknown; may quote values
	At    string // the state whose condition erred, where unknown
}

// Classify finds the state of a view: the first whose condition is true, if
// every condition before it is false. An undecided condition before it makes
// the customer unseen, one that errs makes it unknown; no rule acts on either.
func (m *Machine) Classify(scope *conditions.Scope) Verdict {
	if needs, maybe := maybeNobody(scope.View()); maybe {
		if len(needs) > 0 {
			return Verdict{Name: Unseen, Needs: needs}
		}
		return Verdict{Name: Nobody}
	}
	for i := range m.States {
		state := &m.States[i]
		switch got := state.When.Eval(scope); got.Truth {
		case conditions.True:
			return Verdict{Name: state.Name, State: state}
		case conditions.Undecided:
			return Verdict{Name: Unseen, Needs: got.Needs}
		case conditions.Erred:
			return Verdict{Name: Unknown, At: state.Name, Err: fmt.Errorf("the condition of %s: %w", state.Name, got.Err)}
		case conditions.False:
		}
	}
	return Verdict{Name: Unknown}
}

// maybeNobody reports whether no service is known to have a record, and which
// could still have one. Nobody is a condition like the declared ones, before all
// of them: an ID that the services in reach don't know is not yet an orphan.
func maybeNobody(view *amend.View) (needs []int, maybe bool) {
	for i := range view.Records {
		switch view.Records[i].Presence {
		case amend.Present:
			return nil, false
		case amend.Unseen:
			needs = append(needs, i)
		case amend.Absent:
		}
	}
	return needs, true
}

// Since is the time from which the state counts for this customer: what the
// state declares, else the first look. A declared time that is null, or can't
// be computed, is the first look too.
func (v Verdict) Since(scope *conditions.Scope, firstLook time.Time) time.Time {
	if v.State == nil || v.State.Since == nil {
		return firstLook
	}
	at, err := v.State.Since.Value(scope)
	if err != nil || at.Type() != amend.Timestamp {
		return firstLook
	}
	return at.Time()
}

// Coherent reports whether nothing needs to be done for a customer that has
// been in the state since a time: a coherent state is so only for as long as
// it says.
func (v Verdict) Coherent(since, now time.Time) bool {
	return v.State != nil && v.State.Coherent && !v.Overdue(since, now)
}

// Overdue reports whether a coherent state has lasted longer than it may.
func (v Verdict) Overdue(since, now time.Time) bool {
	return v.State != nil && v.State.For > 0 && now.Sub(since) >= v.State.For
}

// Explanation is one condition with its truth and the values that it read.
type Explanation struct {
	State  string
	When   string
	Truth  conditions.Truth
	Reads  []conditions.Reference
	Reason string // why it is undecided or erred
}

// Explain evaluates conditions in order, up to and with the one that decided.
func (m *Machine) Explain(scope *conditions.Scope) []Explanation {
	if needs, maybe := maybeNobody(scope.View()); maybe && len(needs) > 0 {
		return []Explanation{{State: Nobody, When: "every service says that it doesn't know the customer", Truth: conditions.Undecided, Reason: reason(scope.View(), needs)}}
	}
	var all []Explanation
	for i := range m.States {
		got := m.States[i].When.Eval(scope)
		e := Explanation{State: m.States[i].Name, When: m.States[i].When.Text(), Truth: got.Truth, Reads: m.States[i].When.Reads()}
		e.Reason = reason(scope.View(), got.Needs)
		if got.Err != nil {
			e.Reason = got.Err.Error()
		}
		all = append(all, e)
		if got.Truth != conditions.False {
			break
		}
	}
	return all
}

// reason says why records are unseen, each reason once.
func reason(view *amend.View, needs []int) string {
	var all []string
	for _, service := range needs {
		if r := view.Records[service].Reason; !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	return strings.Join(all, "; ")
}
