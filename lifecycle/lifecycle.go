// Package lifecycle is what can happen to a case, as one table. Nothing else
// moves a case: whoever wants to names the event, and the table says where it
// leads or that it can't be.
package lifecycle

//go:generate go test . -update

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/looplab/fsm"

	"amend"
)

// Status is where a case is. Stored data: don't rename.
type Status string

// The statuses, in the order in which a case goes through them.
const (
	Watching  Status = "watching"  // seen out of coherence; nothing is decided yet
	Proposed  Status = "proposed"  // a repair is written down and people are asked
	Healing   Status = "healing"   // a repair is under way
	Waiting   Status = "waiting"   // for a time, which is always known, and a reason
	Escalated Status = "escalated" // a person has it, always with an incident
	Healed    Status = "healed"    // a reading showed the customer coherent
	Closed    Status = "closed"    // the customer is gone, or a person said that it is no problem
)

// Event is what happens to a case. Stored data: don't rename.
type Event string

// The events, in the order of the table.
const (
	Start      Event = "start"      // guards passed, or a person started a rule
	Propose    Event = "propose"    // the rule wants people to agree
	Agree      Event = "agree"      // they did
	Withdraw   Event = "withdraw"   // what the proposal rests on has changed
	Wait       Event = "wait"       // not now: settle, backoff, a limit, an unseen service
	Look       Event = "look"       // the time has come; no repair is open
	Resume     Event = "resume"     // the time has come; a repair goes on
	Advance    Event = "advance"    // the repair is proved, the customer is in another state
	Escalate   Event = "escalate"   // amend has come to its end
	TakeOver   Event = "take_over"  // a person starts a rule or answers
	Reconsider Event = "reconsider" // a reading shows another state than the one that a person has
	Heal       Event = "heal"       // a reading shows the customer coherent, no repair is open
	Close      Event = "close"      // nobody is there any more, or a person says it is no problem
)

// Transition is one row of the table.
type Transition struct {
	Event Event
	From  []Status
	To    Status
	When  string // for people and the diagram
}

// Table is every way in which a case can move. A case begins as Watching; one
// that a person starts goes on to Healing or Proposed at once.
func Table() []Transition {
	return []Transition{
		{Start, []Status{Watching}, Healing, "the rule is automatic and its guards pass, or a person starts it"},
		{Propose, []Status{Watching, Escalated}, Proposed, "the rule wants approval; a person starts one"},
		{Agree, []Status{Proposed}, Healing, "enough people agreed"},
		{Withdraw, []Status{Proposed}, Watching, "what the proposal rests on has changed"},
		{Wait, []Status{Watching, Healing}, Waiting, "settling, backing off, limited, or a service is unseen"},
		{Look, []Status{Waiting}, Watching, "the time has come and no repair is open"},
		{Resume, []Status{Waiting}, Healing, "the time has come and a repair is open"},
		{Advance, []Status{Healing}, Watching, "the repair is proved; the customer is in another state"},
		{Escalate, []Status{Watching, Proposed, Healing}, Escalated, "no rule acts here, or the rule gave up"},
		{TakeOver, []Status{Escalated}, Healing, "a person starts a rule or answers"},
		{Reconsider, []Status{Escalated}, Watching, "a reading shows another state than the one that was escalated"},
		{Heal, []Status{Watching, Proposed, Healing, Waiting, Escalated}, Healed, "a reading shows the customer coherent"},
		{Close, []Status{Watching, Proposed, Healing, Waiting, Escalated}, Closed, "the customer is gone, or a person says it is no problem"},
	}
}

// Open reports whether somebody or something still works on a case.
func (s Status) Open() bool { return s != Healed && s != Closed }

// Fire says where an event leads. It fails with a Conflict where the table has
// no such row, so an impossible move is never written.
func Fire(from Status, event Event) (Status, error) {
	machine := machineAt(from)
	if err := machine.Event(context.Background(), string(event)); err != nil {
		return from, &amend.Error{Code: amend.Conflict, Text: fmt.Sprintf("a case that is %s can't %s", from, event), Err: err}
	}
	return Status(machine.Current()), nil
}

// machineAt makes a machine of one's own: a shared one is not safe for
// goroutines, and making one costs 3 µs.
func machineAt(from Status) *fsm.FSM {
	var events fsm.Events
	for _, t := range Table() {
		var sources []string
		for _, s := range t.From {
			sources = append(sources, string(s))
		}
		events = append(events, fsm.EventDesc{Name: string(t.Event), Src: sources, Dst: string(t.To)})
	}
	return fsm.NewFSM(string(from), events, nil)
}

// Diagram is the table as a Mermaid state diagram, for docs.
func Diagram() (string, error) {
	text, err := fsm.VisualizeForMermaidWithGraphType(machineAt(Watching), fsm.StateDiagram)
	return strings.TrimSpace(text), err
}

// Validate finds what looplab/fsm accepts silently: two rows for one event and
// status, a status that can't be reached, one that can't end.
func Validate(table []Transition) error {
	leads := map[string]Status{}
	reached := []Status{Watching}
	for _, t := range table {
		for _, from := range t.From {
			key := string(t.Event) + " from " + string(from)
			if to, twice := leads[key]; twice {
				return fmt.Errorf("%s leads to both %s and %s", key, to, t.To)
			}
			if !from.Open() {
				return fmt.Errorf("%s: an ended case stays ended", key)
			}
			leads[key] = t.To
		}
		reached = append(reached, t.To)
	}
	for _, s := range []Status{Watching, Proposed, Healing, Waiting, Escalated, Healed, Closed} {
		if !slices.Contains(reached, s) {
			return fmt.Errorf("nothing leads to %s", s)
		}
		if _, ends := leads[string(Heal)+" from "+string(s)]; s.Open() && !ends {
			return fmt.Errorf("a case that is %s can't end", s)
		}
	}
	return nil
}
