// Package rules holds the edges of the account machine: which repair leads out
// of which state, the plan of one repair, and the guards, which are pure
// decisions with a named reason.
package rules

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"amend"
	"amend/conditions"
)

// Mode says who may take a rule. Stored data: don't rename.
type Mode string

// The modes, from the most careful.
const (
	Observe Mode = "observe" // only shown
	Manual  Mode = "manual"  // a person starts it
	Approve Mode = "approve" // proposed, people agree
	Auto    Mode = "auto"
)

// Modes are all modes, for error messages and check.
func Modes() []string {
	return []string{string(Observe), string(Manual), string(Approve), string(Auto)}
}

// Rule is one edge: from states, by steps, to states.
type Rule struct {
	Name      string
	From      []string
	To        []string // narrows what the effects would give; empty where not said
	Steps     []Step
	Mode      Mode
	Attempts  int
	Backoff   Backoff
	Limits    Limits
	Approvers int
	Confirm   string // what a person is asked to consider
	About     string
	Was       []string // former names
	Version   string   // hash of all that its decision rests on
}

// Backoff is the wait between attempts: First, doubled each time, at most Max.
type Backoff struct {
	First time.Duration
	Max   time.Duration
}

// After is the wait after so many failed attempts.
func (b Backoff) After(attempts int) time.Duration {
	d := b.First
	for range attempts - 1 {
		if d >= b.Max/2 {
			return b.Max
		}
		d *= 2
	}
	return min(d, b.Max)
}

// Limits bound how much a rule may do.
type Limits struct {
	AtOnce  int     // repairs open at one time
	PerHour int     // repairs started in an hour
	Share   float64 // of all customers in the state, above which something else is wrong
}

// Step is one operation of a rule.
type Step struct {
	Service   int // index into the schema
	Name      string
	Operation *amend.Operation
	Arguments []Argument
	If        *conditions.Condition // nil: always
	Effects   []Effect
	Shown     *conditions.Condition // proves the effect instead of Effects; nil: Effects do
}

// Reads are the names that the step looks at, to decide whether and with what.
func (s *Step) Reads() []conditions.Reference {
	var all []conditions.Reference
	if s.If != nil {
		all = append(all, s.If.Reads()...)
	}
	for _, a := range s.Arguments {
		all = append(all, a.Value.Reads()...)
	}
	return all
}

// Argument is one argument of a step.
type Argument struct {
	Name      string
	Type      amend.Type
	Value     *conditions.Template
	Sensitive bool // it reads a sensitive field
}

// Effect is what one field says afterwards.
type Effect struct {
	Field int
	Any   bool
	Value *conditions.Text // over the step's arguments
}

// Acts reports whether amend itself takes or proposes the rule.
func (r *Rule) Acts() bool { return r.Mode == Auto || r.Mode == Approve }

// Names are the rule's name and its former ones.
func (r *Rule) Names() []string { return append([]string{r.Name}, r.Was...) }

// Set is all rules of one configuration.
type Set struct{ Rules []Rule }

// Rule finds a rule by its name or a former one, else nil.
func (s *Set) Rule(name string) *Rule {
	for i := range s.Rules {
		if s.Rules[i].Name == name || slices.Contains(s.Rules[i].Was, name) {
			return &s.Rules[i]
		}
	}
	return nil
}

// For is the one rule that amend follows out of a state, else nil. Manual
// rules are for people.
func (s *Set) For(state string) *Rule {
	for i := range s.Rules {
		if s.Rules[i].Mode != Manual && slices.Contains(s.Rules[i].From, state) {
			return &s.Rules[i]
		}
	}
	return nil
}

// Startable are the rules that a person may start from a state.
func (s *Set) Startable(state string) []*Rule {
	var all []*Rule
	for i := range s.Rules {
		if slices.Contains(s.Rules[i].From, state) {
			all = append(all, &s.Rules[i])
		}
	}
	return all
}

// Plan is one taking of a rule for one customer, computed once and written
// down before anything is sent. The JSON names are stored data.
type Plan struct {
	Rule    string        `json:"rule"`
	Version string        `json:"version"`
	Steps   []PlannedStep `json:"steps"`
}

// PlannedStep is one operation with its arguments, what it rests on, and what
// will prove it.
type PlannedStep struct {
	Service   string                 `json:"service"`
	Operation string                 `json:"operation"`
	Arguments map[string]amend.Value `json:"arguments,omitempty"`
	Expect    []Expectation          `json:"expect,omitempty"`
	Sensitive []string               `json:"sensitive,omitempty"` // arguments that people aren't shown
}

// Expectation is what a field must say afterwards.
type Expectation struct {
	Field string      `json:"field"`
	Value amend.Value `json:"value"`
}

// Plan computes the steps for a view. It fails where an argument can't be
// computed, or doesn't have its declared type: a repair with a null in it is
// not sent.
func (r *Rule) Plan(scope *conditions.Scope, schema *amend.Schema) (Plan, error) {
	plan := Plan{Rule: r.Name, Version: r.Version}
	for i := range r.Steps {
		step := &r.Steps[i]
		if step.If != nil {
			got := step.If.Eval(scope)
			if got.Truth == conditions.False {
				continue
			}
			if got.Truth != conditions.True {
				return Plan{}, fmt.Errorf("whether %s is needed is %s", step.Name, got.Truth)
			}
		}
		planned, err := step.plan(scope, &schema.Services[step.Service])
		if err != nil {
			return Plan{}, fmt.Errorf("plan %s: %w", step.Name, err)
		}
		plan.Steps = append(plan.Steps, planned)
	}
	if len(plan.Steps) == 0 {
		return Plan{}, fmt.Errorf("the rule %s has nothing to do here", r.Name)
	}
	return plan, nil
}

func (s *Step) plan(scope *conditions.Scope, service *amend.Service) (PlannedStep, error) {
	planned := PlannedStep{Service: service.Name, Operation: s.Operation.Name, Arguments: map[string]amend.Value{}}
	vars := conditions.Vars{"id": scope.View().ID, "entity": scope.View().ID}
	for _, a := range s.Arguments {
		v, err := a.Value.Value(scope)
		if err != nil {
			return PlannedStep{}, cannot("argument "+a.Name, err)
		}
		if v.Type() != a.Type {
			return PlannedStep{}, fmt.Errorf("argument %s is %s, not %s", a.Name, v.Type(), a.Type)
		}
		planned.Arguments[a.Name], vars[a.Name] = v, v
		if a.Sensitive {
			planned.Sensitive = append(planned.Sensitive, a.Name)
		}
	}
	for _, e := range s.Effects {
		if e.Any {
			continue
		}
		got, err := e.Value.Value(vars)
		if err != nil {
			return PlannedStep{}, cannot("effect on "+service.Fields[e.Field].Name, err)
		}
		v, ok := conditions.Plain(got)
		if !ok {
			return PlannedStep{}, fmt.Errorf("effect on %s is not a single value", service.Fields[e.Field].Name)
		}
		planned.Expect = append(planned.Expect, Expectation{service.Fields[e.Field].Name, v})
	}
	return planned, nil
}

// cannot says what can't be computed, but not CEL's own words: those may quote
// a sensitive value, and the error is shown and kept.
func cannot(what string, err error) error {
	if errors.Is(err, conditions.ErrUnseen) {
		return fmt.Errorf("%s: %w", what, conditions.ErrUnseen)
	}
	return fmt.Errorf("the %s can't be computed for this customer", what)
}

// Proved says whether a view shows the effect of a planned step: the service's
// record is present and every expected field has its value. Undecided where
// the record is unseen.
func (s *PlannedStep) Proved(view *amend.View, schema *amend.Schema) conditions.Truth {
	index, service := schema.Service(s.Service)
	if service == nil {
		return conditions.Undecided
	}
	record := &view.Records[index]
	if record.Presence != amend.Present {
		if record.Presence == amend.Unseen {
			return conditions.Undecided
		}
		return conditions.False
	}
	for _, want := range s.Expect {
		field, _ := service.Field(want.Field)
		if field < 0 || record.Value(field) != want.Value {
			return conditions.False
		}
	}
	return conditions.True
}
