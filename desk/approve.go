package desk

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"amend"
	"amend/queue"
	"amend/rules"
	"amend/states"
	"amend/store"
)

// Proposal is a repair that people are asked to agree to, and what they have
// said.
type Proposal struct {
	store.Proposal
	Repair   store.Repair
	Said     []store.Approval // oldest first
	Requests []rules.Preview  // what would be sent, as it was written down
	Changes  []Change
}

// proposal finds what is asked about a repair; nil where it was proposed before
// anybody could be asked.
func (d *Desk) proposal(ctx context.Context, look states.Look, repair store.Repair) (*Proposal, error) {
	asked, found, err := d.Store.Proposal(ctx, repair.ID)
	if err != nil || !found {
		return nil, err
	}
	p := &Proposal{Proposal: asked, Repair: repair}
	if p.Said, err = d.Store.Approvals(ctx, repair.ID); err != nil {
		return nil, err
	}
	var plan rules.Plan
	if err := json.Unmarshal(repair.Plan, &plan); err != nil {
		return nil, fmt.Errorf("read the plan of %s: %w", repair.ID, err)
	}
	p.Requests, p.Changes = d.written(look, plan)
	return p, nil
}

// written renders a plan that was written down. What it calls can have been
// taken out of the configuration since; there is nothing to show then.
func (d *Desk) written(look states.Look, plan rules.Plan) ([]rules.Preview, []Change) {
	requests, err := d.Reader.Preview(look.View, plan)
	if err != nil {
		return nil, nil
	}
	return requests, d.changes(look.View, plan)
}

// Agreement is a person's word about a proposal.
type Agreement struct {
	Request     string // made with the page that asks; sent twice it is one word
	Customer    string
	Repair      string // the one that is proposed
	Fingerprint string // of what the page showed
	Actor       string
	Reason      string
	Agrees      bool // false: refuses
}

// Approve writes down that a person agrees to what is proposed, or refuses it.
// It fails with Conflict where the customer has changed since it was proposed,
// and says in what where it can; store.ErrOwn and store.ErrExpired are told
// apart. Nothing is written then.
func (d *Desk) Approve(ctx context.Context, a Agreement) error {
	if strings.TrimSpace(a.Reason) == "" {
		return amend.Errorf(amend.Invalid, "say why: it is kept with the repair")
	}
	repair, found, err := d.Store.Repair(ctx, a.Repair)
	switch {
	case err != nil:
		return err
	case !found || repair.Customer != a.Customer:
		return amend.Errorf(amend.NotFound, "nobody was asked to agree to this")
	}
	_, twice, err := d.Store.Approval(ctx, a.Request)
	if err != nil {
		return err
	}
	if a.Agrees && !twice && repair.Status == store.RepairProposed {
		if err := d.stands(ctx, repair); err != nil {
			return err
		}
	}
	err = d.Store.Approve(ctx, store.Approval{ID: a.Request, Repair: a.Repair, Actor: a.Actor, Agrees: a.Agrees, Reason: a.Reason}, a.Fingerprint)
	if err == nil {
		d.wake(a.Customer)
	}
	return err
}

// stands reads the customer and fails with Conflict where what was proposed no
// longer fits: then it has the customer looked at, so that people are asked
// anew.
func (d *Desk) stands(ctx context.Context, repair store.Repair) error {
	why, err := d.moved(ctx, repair)
	if err != nil || why == "" {
		return err
	}
	if err := d.Store.Wake(ctx, []string{repair.Customer}); err != nil {
		return err
	}
	d.wake(repair.Customer)
	return &amend.Error{Code: amend.Conflict, Text: why, Next: "look at the customer again"}
}

// moved says what is no longer as it was when a repair was proposed; empty where
// everything is.
func (d *Desk) moved(ctx context.Context, repair store.Repair) (why string, err error) {
	asked, found, err := d.Store.Proposal(ctx, repair.ID)
	if err != nil {
		return "", err
	}
	look, rule := d.Reader.Look(ctx, repair.Customer), d.Rules.Rule(repair.Rule)
	switch {
	case !found:
		return "it was proposed before anybody could agree", nil
	case look.Verdict.Name == states.Unseen:
		return "it can't be judged now: a service could not be read", nil
	case look.Verdict.Name != repair.State:
		return fmt.Sprintf("the customer is %s now, and was %s when it was proposed", look.Verdict.Name, repair.State), nil
	case rule == nil || rule.Version != repair.RuleVersion:
		return fmt.Sprintf("the rule %s has changed since it was proposed", repair.Rule), nil
	}
	plan, unplanned := rule.Plan(look.Scope, d.Schema)
	switch {
	case unplanned != nil:
		why = "what would be sent can no longer be computed"
	case rules.Fingerprint(look, rule, plan) != asked.Fingerprint:
		var basis rules.Basis
		if err := json.Unmarshal(asked.Basis, &basis); err != nil {
			return "", fmt.Errorf("read what %s rests on: %w", repair.ID, err)
		}
		why = "changed since it was proposed: " + strings.Join(basis.Changed(look, rule, plan), ", ")
	}
	return why, nil
}

// wake has a customer worked on, where this process works at all.
func (d *Desk) wake(customer string) {
	if d.Waker != nil {
		d.Waker.Wake(d.Now(), queue.Job{Kind: queue.Heal, Key: customer})
	}
}
