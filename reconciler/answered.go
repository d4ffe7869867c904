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
			u.Note("refused", q.Actor, "The answer was not taken: "+refusal)
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
	word := saying{Request: q, step: step, about: about, last: step.Number == len(plan.Steps)-1}
	if q.Kind == store.AskHappened {
		return "", h.happened(u, word)
	}
	return h.didNot(u, word)
}

// saying is a person's word on a step.
type saying struct {
	store.Request
	step  store.Step
	about rules.Question
	last  bool // of the repair's steps
}

func (s *saying) name() string { return s.step.Service + "." + s.step.Operation }

// happened takes a step as proved by a person's word. A customer who is still
// where the rule leads out of stays with people: it doesn't do what it says.
func (h *heal) happened(u *store.Update, word saying) error {
	if err := h.settled(u, word, fmt.Sprintf("Says that %s happened: %s", word.name(), word.Reason)); err != nil {
		return err
	}
	if word.last {
		if err := u.SetRepair(word.step.Repair, store.RepairDone); err != nil {
			return err
		}
	}
	if rule := word.about.Rule; rule == nil || !slices.Contains(rule.From, h.look.Verdict.Name) {
		return h.reconsider(u)
	}
	if err := h.takeBack(u); err != nil {
		return err
	}
	return h.escalate(u, "no_effect", fmt.Sprintf("%s says that %s happened, and the customer is still %s.", word.Actor, word.name(), h.look.Verdict.Name))
}

// didNot takes a step as certainly not done, and its rule again where it still
// leads out of the customer's state.
func (h *heal) didNot(u *store.Update, word saying) (refusal string, err error) {
	text := fmt.Sprintf("Says that %s did not happen: %s", word.name(), word.Reason)
	plan, again := word.about.Again(h.look, h.Schema)
	if !again {
		if err := h.settled(u, word, text); err != nil {
			return "", err
		}
		return "", h.reconsider(u)
	}
	if refusal = h.unsendable(plan); refusal != "" {
		return refusal, nil
	}
	decision, err := h.guard(u, word.about.Rule, h.Now(), true)
	if err != nil {
		return "", err
	}
	if !decision.Go() {
		return decision.Say + ".", nil
	}
	if err := h.settled(u, word, text); err != nil {
		return "", err
	}
	return "", h.inName(u, word.about.Rule, plan, store.Repair{StartedBy: word.Actor, Reason: word.Reason})
}

// unsendable says why the requests of a plan can't be made; empty where they
// can.
func (h *heal) unsendable(plan rules.Plan) string {
	_, err := h.Preview(h.look.View, plan)
	if err == nil {
		return ""
	}
	return err.Error() + "."
}

// settled writes a person's word about a step down.
func (h *heal) settled(u *store.Update, word saying, text string) error {
	if err := u.Answer(word.step, word.Kind == store.AskHappened, word.Actor); err != nil {
		return err
	}
	u.Note("answered", word.Actor, text)
	return nil
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
