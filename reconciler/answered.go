package reconciler

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"amend/lifecycle"
	"amend/rules"
	"amend/store"
)

// settleAsked carries out what a person says of a step of which no reading
// tells: that it happened, or that it didn't. Then its rule is taken again in
// that person's name.
func (h *heal) settleAsked(ctx context.Context, q store.Request) (done bool, err error) {
	var result string
	err = h.update(ctx, func(u *store.Update) error {
		refusal, err := h.settleByPerson(u, q)
		if err != nil {
			return err
		}
		switch {
		case refusal != "":
			result = "refused: " + refusal
			if err := u.Note("refused", q.Actor, "The answer was not taken: "+refusal); err != nil {
				return err
			}
		case h.repair.Status == store.RepairOpen:
			result = "started"
		case u.Status == lifecycle.Proposed:
			result = "proposed"
		default:
			result = "settled"
		}
		done = u.Released()
		return u.Take(q.ID, result)
	})
	if err != nil || result != "started" {
		return done, err
	}
	return false, h.send(ctx)
}

// settleByPerson takes an answer, or says why not.
func (h *heal) settleByPerson(u *store.Update, q store.Request) (refusal string, err error) {
	step, open, err := u.Unanswered()
	if err != nil {
		return "", err
	}
	if !open {
		return "it is known by now.", nil
	}
	repair, err := u.Repair(step.Repair)
	if err != nil {
		return "", err
	}
	var plan rules.Plan
	if err := json.Unmarshal(repair.Plan, &plan); err != nil {
		return "", fmt.Errorf("read the plan of %s: %w", repair.ID, err)
	}
	about := rules.Question{Repair: repair.ID, Number: step.Number, Sent: step.Sent, Step: plan.Steps[step.Number], Rule: h.Rules.Rule(repair.Rule)}
	switch {
	case h.Now().Sub(q.CreatedAt) > wishLimit:
		return "it was said too long ago; say it again if it still holds.", nil
	case rules.Evidence(h.look, h.Schema, about) != q.Fingerprint:
		return "the customer has changed since the page was shown.", nil
	}
	last := step.Number == len(plan.Steps)-1
	if q.Kind == store.AskHappened {
		return "", h.happened(u, q, step, about, last)
	}
	return h.didNot(u, q, step, about)
}

// happened takes a step as proved by a person's word. A customer who is still
// where the rule leads out of stays with people: it doesn't do what it says.
func (h *heal) happened(u *store.Update, q store.Request, step store.Step, about rules.Question, last bool) error {
	name := step.Service + "." + step.Operation
	if err := h.settled(u, q, step, fmt.Sprintf("Says that %s happened: %s", name, q.Reason)); err != nil {
		return err
	}
	if last {
		if err := u.SetRepair(step.Repair, store.RepairDone); err != nil {
			return err
		}
	}
	if about.Rule == nil || !slices.Contains(about.Rule.From, h.look.Verdict.Name) {
		return h.reconsider(u)
	}
	if err := h.takeBack(u); err != nil {
		return err
	}
	return h.escalate(u, "no_effect", fmt.Sprintf("%s says that %s happened, and the customer is still %s.", q.Actor, name, h.look.Verdict.Name))
}

// didNot takes a step as certainly not done, and its rule again where it still
// leads out of the customer's state.
func (h *heal) didNot(u *store.Update, q store.Request, step store.Step, about rules.Question) (refusal string, err error) {
	text := fmt.Sprintf("Says that %s.%s did not happen: %s", step.Service, step.Operation, q.Reason)
	plan, again := about.Again(h.look, h.Schema)
	if !again {
		if err := h.settled(u, q, step, text); err != nil {
			return "", err
		}
		return "", h.reconsider(u)
	}
	if _, err := h.Preview(h.look.View, plan); err != nil {
		return err.Error() + ".", nil
	}
	decision, err := h.guard(u, about.Rule, h.Now(), true)
	if err != nil {
		return "", err
	}
	if !decision.Go() {
		return decision.Say + ".", nil
	}
	if err := h.settled(u, q, step, text); err != nil {
		return "", err
	}
	return "", h.inName(u, about.Rule, plan, store.Repair{StartedBy: q.Actor, Reason: q.Reason})
}

// settled writes a person's word about a step down.
func (h *heal) settled(u *store.Update, q store.Request, step store.Step, text string) error {
	if err := u.Answer(step, q.Kind == store.AskHappened, q.Actor); err != nil {
		return err
	}
	return u.Note("answered", q.Actor, text)
}

// reconsider has a case decided anew that a person has answered for.
func (h *heal) reconsider(u *store.Update) error {
	if u.Status == lifecycle.Escalated {
		if err := u.Fire(lifecycle.TakeOver); err != nil {
			return err
		}
		return h.leave(u, lifecycle.Advance, "A person has said what became of it.")
	}
	return h.void(u)
}

// takeBack brings a case that people have to where it can be given to them for
// another reason.
func (h *heal) takeBack(u *store.Update) error {
	if u.Status == lifecycle.Escalated {
		return u.Fire(lifecycle.TakeOver)
	}
	return h.void(u)
}
