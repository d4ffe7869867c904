package reconciler

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"amend/lifecycle"
	"amend/rules"
	"amend/store"
)

// sendWithin is how long what people have agreed to may still be sent: they
// agreed to it for now.
const sendWithin = 15 * time.Minute

// proposed goes on with a case about which people are asked. What they say is in
// the store; here it is carried out, after everything was read again. It is
// false where a step is to be sent. A case that is Watching afterwards is to be
// decided as any other.
func (h *heal) proposed(u *store.Update, since time.Time) (done bool, err error) {
	p, asked, err := u.Proposal(h.repair.ID)
	switch {
	case err != nil:
		return true, err
	case !asked:
		return true, h.withdraw(u, "It was proposed before anybody could agree to it.")
	case p.RefusedBy != "":
		return true, h.unagreed(u, since, "declined", fmt.Sprintf("%s has refused %s: %s", p.RefusedBy, h.repair.Rule, p.Refusal))
	case p.AgreedAt.IsZero() && p.Over(h.Now()):
		return true, h.unagreed(u, since, "expired", fmt.Sprintf("Of %d people who must agree to %s, %d did in time.", p.Needs, h.repair.Rule, p.Agreed))
	}
	rule := h.Rules.Rule(h.repair.Rule) // outdated has seen to it that it is the same one
	plan, err := rule.Plan(h.look.Scope, h.Schema)
	if err == nil {
		_, err = h.Preview(h.look.View, plan)
	}
	if err != nil {
		return true, h.unagreed(u, since, "plan", rule.Name+" can no longer be computed for this customer: an argument has no value, or a wrong type.")
	}
	if p.Fingerprint != rules.Fingerprint(h.look, rule, plan) {
		return true, h.proposeAnew(u, rule, plan, "What was proposed no longer stands: "+h.changed(p, rule, plan)+" changed. Whoever agreed has to do so again.")
	}
	if p.AgreedAt.IsZero() {
		u.Release(p.Until)
		return true, h.answer(u, "people are asked to agree.")
	}
	return h.agreed(u, p, rule, since)
}

// agreed sends what people have agreed to: soon after, and only if what a person
// can't overrule allows it.
func (h *heal) agreed(u *store.Update, p store.Proposal, rule *rules.Rule, since time.Time) (done bool, err error) {
	// A clock that was put back prolongs no agreement.
	if age := h.Now().Sub(p.AgreedAt); age >= sendWithin || age < -store.ClockSlack {
		return true, h.proposeAnew(u, rule, h.plan, fmt.Sprintf("What was agreed to could not be sent within %s. Whoever agreed has to do so again.", short(sendWithin)))
	}
	decision, err := h.guard(u, rule, since, true)
	if err != nil {
		return true, err
	}
	if !decision.Go() {
		return true, h.hold(u, decision, p.AgreedAt.Add(sendWithin))
	}
	if err := u.Fire(lifecycle.Agree); err != nil {
		return true, err
	}
	if err := u.OpenProposed(h.repair.ID); err != nil {
		return true, err
	}
	repair := h.repair
	repair.Status, repair.CreatedAt = store.RepairOpen, u.Now()
	u.Attempts = 0
	return false, h.begin(u, rule, h.plan, repair)
}

// hold has what was agreed to wait for what holds it back, as long as it may
// still be sent.
func (h *heal) hold(u *store.Update, d rules.Decision, last time.Time) error {
	if err := h.answer(u, d.Say+"."); err != nil {
		return err
	}
	if u.Reason != string(d.Reason) {
		u.Note("waiting", store.Amend, d.Say+".")
	}
	u.Reason, u.Next = string(d.Reason), fmt.Sprintf("It is agreed to and waits: %s.", d.Say)
	if d.Until.Before(last) {
		last = d.Until
	}
	u.Release(last)
	return nil
}

// changed names what is no longer as it was when people were asked.
func (h *heal) changed(p store.Proposal, rule *rules.Rule, plan rules.Plan) string {
	var basis rules.Basis
	if err := json.Unmarshal(p.Basis, &basis); err == nil {
		if names := basis.Changed(h.look, rule, plan); len(names) > 0 {
			return strings.Join(names, ", ")
		}
	}
	return "what it rests on has"
}

// proposeAnew asks people again, in the same person's name: what they said
// before was about something else.
func (h *heal) proposeAnew(u *store.Update, rule *rules.Rule, plan rules.Plan, why string) error {
	by := store.Repair{StartedBy: h.repair.StartedBy, Reason: h.repair.Reason}
	if err := h.void(u); err != nil {
		return err
	}
	u.Note("void", store.Amend, why)
	return h.propose(u, rule, plan, by)
}

// unagreed gives a case to people to which nobody will agree any more. A
// customer who is in order, for whom a person wanted something, stays so.
func (h *heal) unagreed(u *store.Update, since time.Time, reason, why string) error {
	if !h.look.Verdict.Coherent(since, h.Now()) {
		if err := h.endRepair(u, store.RepairVoid); err != nil {
			return err
		}
		return h.escalate(u, reason, why)
	}
	u.Note(reason, store.Amend, why)
	if err := h.withdraw(u, why); err != nil {
		return err
	}
	return h.coherent(u, since)
}

// withdraw takes back what was proposed, and people's part with it.
func (h *heal) withdraw(u *store.Update, why string) error {
	if h.repair.Status == store.RepairProposed {
		if err := h.endRepair(u, store.RepairVoid); err != nil {
			return err
		}
	}
	return h.leave(u, lifecycle.Withdraw, why)
}

// void takes back what was proposed, where people go on having the case.
func (h *heal) void(u *store.Update) error {
	if h.repair.Status == store.RepairProposed {
		if err := h.endRepair(u, store.RepairVoid); err != nil {
			return err
		}
	}
	if u.Status != lifecycle.Proposed {
		return nil
	}
	return u.Fire(lifecycle.Withdraw)
}
