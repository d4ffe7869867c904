package reconciler

import (
	"fmt"
	"time"

	"amend/lifecycle"
	"amend/rules"
	"amend/states"
	"amend/store"
)

// decide takes the one decision on a customer without an open repair, within
// the transaction that makes it true. It is false where a step is to be sent.
func (h *heal) decide(u *store.Update) (bool, error) {
	verdict := h.look.Verdict
	switch verdict.Name {
	case states.Nobody:
		return true, h.close(u, "gone", "Nobody knows this customer any more.")
	case states.Unseen:
		return true, h.waitUnseen(u, verdict.Needs, "It can't be judged: "+h.reason(h.look.View, verdict.Needs)+".")
	}
	if err := h.arrive(u); err != nil {
		return true, err
	}
	since := verdict.Since(h.look.Scope, u.Since)
	if err := h.outdated(u); err != nil {
		return true, err
	}
	if u.Status == lifecycle.Proposed { // also on a coherent customer: a person can want a rule there
		if done, err := h.proposed(u, since); err != nil || u.Status != lifecycle.Watching {
			return done, err
		}
	}
	if verdict.Coherent(since, h.Now()) {
		return true, h.coherent(u, since)
	}
	if u.Status == lifecycle.Escalated {
		u.Release(time.Time{})
		return true, h.answer(u, "people have it.")
	}
	if verdict.Name == states.Unknown {
		return true, h.escalate(u, "unknown", noState(verdict))
	}
	if verdict.Overdue(since, h.Now()) {
		return true, h.escalate(u, "overdue", fmt.Sprintf("It has been %s for longer than %s.", verdict.Name, short(verdict.State.For)))
	}
	rule := h.Rules.For(verdict.Name)
	if rule == nil || rule.Mode == rules.Observe {
		return true, h.nobodyActs(u, rule, since)
	}
	u.Rule = rule.Name
	if u.Attempts >= rule.Attempts {
		return true, h.escalate(u, "attempts", fmt.Sprintf("%s was tried %d times without success.", rule.Name, u.Attempts))
	}
	return h.take(u, rule, since)
}

// arrive brings the case up to the state that this reading shows. A customer
// who has moved on starts afresh: what was proposed is void, and what a person
// had is over.
func (h *heal) arrive(u *store.Update) error {
	verdict := h.look.Verdict
	if u.State == verdict.Name {
		u.Looks++
		u.Since = atMost(u.Since, h.Now()) // a clock that was put back
		return nil
	}
	u.Note("state", "amend", fmt.Sprintf("Now %s, was %s.", verdict.Name, u.State))
	u.State, u.Looks, u.Attempts, u.Rule = verdict.Name, 1, 0, ""
	u.Since = verdict.Since(h.look.Scope, h.Now())
	u.DueAt = time.Time{}
	if verdict.State != nil && verdict.State.Promise > 0 {
		u.DueAt = u.Since.Add(verdict.State.Promise)
	}
	if h.repair.Status == store.RepairProposed {
		if err := h.endRepair(u, store.RepairVoid); err != nil {
			return err
		}
	}
	if verdict.Coherent(u.Since, h.Now()) && !counts(verdict.State) {
		return nil // it ends now, and people are told that it is healed
	}
	switch u.Status {
	case lifecycle.Proposed:
		return h.leave(u, lifecycle.Withdraw, "What was proposed no longer fits.")
	case lifecycle.Escalated:
		return h.leave(u, lifecycle.Reconsider, "The customer is in another state now.")
	case lifecycle.Watching, lifecycle.Healing, lifecycle.Waiting, lifecycle.Healed, lifecycle.Closed:
	}
	return nil
}

// outdated takes back what was proposed by a rule that has changed since:
// people would agree to something else than what would be sent.
func (h *heal) outdated(u *store.Update) error {
	if u.Status != lifecycle.Proposed {
		return nil
	}
	if rule := h.Rules.Rule(h.repair.Rule); rule != nil && rule.Version == h.repair.RuleVersion {
		return nil
	}
	if h.repair.Status == store.RepairProposed {
		if err := h.endRepair(u, store.RepairVoid); err != nil {
			return err
		}
	}
	return h.leave(u, lifecycle.Withdraw, "The rule has changed since it was proposed.")
}

// leave takes a case out of people's hands and closes its incident.
func (h *heal) leave(u *store.Update, event lifecycle.Event, why string) error {
	if err := u.Fire(event); err != nil {
		return err
	}
	if u.Incident != "" {
		if err := u.Resolve(u.Incident, "closed"); err != nil {
			return err
		}
		u.Incident = ""
	}
	u.Reason, u.Why = "moved", why
	return nil
}

// coherent ends the case, or goes on counting where the state is coherent for
// a time only that no field tells.
func (h *heal) coherent(u *store.Update, since time.Time) error {
	state := h.look.Verdict.State
	if counts(state) {
		return h.waitIn(u, since.Add(state.For), "counting", fmt.Sprintf("%s is in order for %s at most.", state.Name, short(state.For)))
	}
	if err := u.Fire(lifecycle.Heal); err != nil {
		return err
	}
	by, err := h.repairedBy(u)
	if err != nil {
		return err
	}
	text := "Reading every service again shows it in order."
	if by == store.EndedByItself {
		text = "It is in order again without a repair."
	}
	return h.end(u, by, "healed", text)
}

// repairedBy says who has brought the customer in order.
func (h *heal) repairedBy(u *store.Update) (string, error) {
	switch {
	case h.ended == "":
		return u.RepairedBy()
	case h.ended == store.Amend:
		return store.EndedByRule, nil
	}
	return store.EndedByPerson, nil
}

// counts reports whether a state is in order for a time only that no field
// tells, so that the case has to count it.
func counts(state *states.State) bool { return state.For > 0 && state.Since == nil }

// nobodyActs handles a state out of which no rule leads by itself.
func (h *heal) nobodyActs(u *store.Update, rule *rules.Rule, since time.Time) error {
	state := h.look.Verdict.State
	if until := since.Add(state.Settle); state.Settle > 0 && h.Now().Before(until) {
		return h.waitIn(u, until, string(rules.Settling), fmt.Sprintf("It must have been so for %s.", short(state.Settle)))
	}
	if rule != nil {
		return h.observe(u, rule)
	}
	return h.escalate(u, "no_rule", "No rule repairs this state; a person is needed.")
}

// observe writes down what a rule would have done, as evidence for people who
// think about letting it act.
func (h *heal) observe(u *store.Update, rule *rules.Rule) error {
	u.Rule = rule.Name
	why := fmt.Sprintf("%s would repair it, but only observes.", rule.Name)
	plan, err := rule.Plan(h.look.Scope, h.Schema)
	if err != nil {
		return h.escalate(u, "observe", fmt.Sprintf("%s only observes, and couldn't be computed for this customer.", rule.Name))
	}
	repair, err := h.planned(rule, plan, store.Repair{Status: store.RepairObserved, StartedBy: store.Amend})
	if err == nil {
		_, err = u.AddRepair(repair)
	}
	if err != nil {
		return err
	}
	return h.escalate(u, "observe", why)
}

// take follows a rule: asks the guards, writes the plan and the intent.
func (h *heal) take(u *store.Update, rule *rules.Rule, since time.Time) (bool, error) {
	decision, err := h.guard(u, rule, since, false)
	if err != nil {
		return true, err
	}
	switch {
	case decision.Reason == rules.Flapping:
		return true, h.escalate(u, string(decision.Reason), decision.Say+".")
	case decision.Trips():
		if err := h.brake(u, rule, decision); err != nil {
			return true, err
		}
	}
	if !decision.Go() {
		return true, h.waitFor(u, rule, decision)
	}
	// A new repair would send it with another key, which no service can recognize.
	if open := h.unproved; open != (store.Call{}) {
		return true, h.escalate(u, "unsettled", fmt.Sprintf("%s.%s was sent before, and no reading has shown whether it happened; only a person may send it again.", open.Service, open.Operation))
	}
	plan, err := rule.Plan(h.look.Scope, h.Schema)
	if err != nil {
		// Not the error itself: it could quote a sensitive value, and this is kept.
		return true, h.escalate(u, "plan", rule.Name+" can't be computed for this customer: an argument has no value, or a wrong type.")
	}
	if _, err := h.Preview(h.look.View, plan); err != nil {
		return true, h.escalate(u, "plan", "The request can't be made: "+err.Error()+".")
	}
	if rule.Mode == rules.Approve {
		return true, h.propose(u, rule, plan, store.Repair{StartedBy: store.Amend})
	}
	return false, h.start(u, rule, plan, store.Repair{StartedBy: "amend"})
}
