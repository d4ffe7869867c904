package desk

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"amend"
	"amend/rules"
	"amend/states"
	"amend/store"
)

// Question is a step that was sent and of which no reading tells whether it
// happened, with all that is known of it.
type Question struct {
	Repair      store.Repair
	Step        store.Step
	Requests    []rules.Preview // what was sent; empty where it can no longer be shown
	Shown       []Change        // what reading shows now, and what it would show
	Again       []rules.Preview // what is sent if it didn't happen; empty where the rule no longer fits
	Asks        bool            // others must agree before that
	Fingerprint string
}

// question finds the step that a person is asked about; nil where there is
// none.
func (d *Desk) question(ctx context.Context, look states.Look, c store.Case) (*Question, error) {
	step, open, err := d.Store.Unanswered(ctx, c)
	if err != nil || !open {
		return nil, err
	}
	q := &Question{Step: step}
	if q.Repair, _, err = d.Store.Repair(ctx, step.Repair); err != nil {
		return nil, err
	}
	var plan rules.Plan
	if err := json.Unmarshal(q.Repair.Plan, &plan); err != nil {
		return nil, fmt.Errorf("read the plan of %s: %w", q.Repair.ID, err)
	}
	if step.Number >= len(plan.Steps) {
		return nil, nil
	}
	about := rules.Question{Repair: q.Repair.ID, Number: step.Number, Sent: step.Sent, Step: plan.Steps[step.Number], Rule: d.Rules.Rule(q.Repair.Rule)}
	q.Requests, q.Shown = d.written(look, rules.Plan{Steps: plan.Steps[step.Number : step.Number+1]})
	if again, fits := about.Again(look, d.Schema); fits {
		q.Again, _ = d.written(look, again)
		q.Asks = about.Rule.Mode == rules.Approve
	}
	q.Fingerprint = rules.Evidence(look, d.Schema, about)
	return q, nil
}

// Answer is a person's word on whether a step happened.
type Answer struct {
	Request     string // made with the page that asks; sent twice it is one word
	Customer    string
	Fingerprint string // of what the page showed
	Actor       string
	Reason      string
	Happened    bool // false: it didn't, and its rule is taken again in the person's name
}

// Answer writes down what a person says of a step of which no reading tells. It
// fails with Conflict where nothing is asked, or the customer has changed since
// the page was shown: nothing is written then.
func (d *Desk) Answer(ctx context.Context, a Answer) error {
	if strings.TrimSpace(a.Reason) == "" {
		return amend.Errorf(amend.Invalid, "say why you know: it is kept with the repair")
	}
	if _, twice, err := d.Store.Asked(ctx, a.Request); err != nil || twice {
		return err
	}
	sheet, err := d.Customer(ctx, a.Customer)
	if err != nil {
		return err
	}
	switch {
	case sheet.Question == nil:
		return &amend.Error{Code: amend.Conflict, Text: "nothing is asked about this customer", Next: "look at the customer again"}
	case sheet.Question.Fingerprint != a.Fingerprint:
		return &amend.Error{Code: amend.Conflict, Text: "the customer has changed since the page was shown", Next: "look at it again"}
	}
	kind := store.AskDidNot
	if a.Happened {
		kind = store.AskHappened
	}
	_, err = d.Store.Ask(ctx, store.Request{ID: a.Request, Customer: a.Customer, Kind: kind, Rule: sheet.Question.Repair.Rule, Fingerprint: a.Fingerprint, Actor: a.Actor, Reason: a.Reason})
	if err == nil {
		d.wake(a.Customer)
	}
	return err
}
