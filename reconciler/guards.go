package reconciler

import (
	"fmt"
	"strings"
	"time"

	"amend"
	"amend/conditions"
	"amend/rules"
	"amend/states"
	"amend/store"
)

// guard asks every guard, with counts that nothing can change before the
// decision is written.
func (h *heal) guard(u *store.Update, rule *rules.Rule, since time.Time, byPerson bool) (rules.Decision, store.Load, error) {
	load, err := h.load(u, rule)
	if err != nil {
		return rules.Decision{}, load, err
	}
	why, resumes, err := h.paused(u, rule.Name, services(rule))
	if err != nil {
		return rules.Decision{}, load, err
	}
	settle := time.Duration(0)
	if state := h.look.Verdict.State; state != nil {
		settle = state.Settle
	}
	return rules.Guard(rules.Facts{Now: h.Now(), Rule: rule, ByPerson: byPerson, Paused: why, Resumes: resumes, Windows: h.Windows, View: h.look.View, Schema: h.Schema,
		Rests: h.restsOn(rule), Since: since, Settle: settle, Looks: u.Looks, Customers: load.Customers,
		InState: load.InStates, Open: load.Open, LastHour: load.LastHour}), load, nil
}

// restsOn lists the services that the decision rests on: what the conditions
// up to the customer's state read, and what the rule calls.
func (h *heal) restsOn(rule *rules.Rule) []int {
	seen := make([]bool, len(h.Schema.Services))
	for i := range h.Machine.States {
		for _, r := range h.Machine.States[i].When.Reads() {
			if r.Service >= 0 && h.decided(r) {
				seen[r.Service] = true
			}
		}
		if h.Machine.States[i].Name == h.look.Verdict.Name {
			break
		}
	}
	for _, s := range rule.Steps {
		seen[s.Service] = true
		for _, a := range s.Arguments {
			for _, r := range a.Value.Reads() {
				if r.Service >= 0 {
					seen[r.Service] = true
				}
			}
		}
	}
	var rests []int
	for i := range seen {
		if seen[i] {
			rests = append(rests, i)
		}
	}
	return rests
}

// decided reports whether a reading took part in the decision: a condition can
// be false whatever an unseen record would say, and then doesn't rest on it.
func (h *heal) decided(r conditions.Reference) bool {
	return h.look.View.Records[r.Service].Presence != amend.Unseen
}

// unproved names an operation of the rule that was sent for this customer in an
// earlier repair and may still take effect: a new repair would send it with
// another key, which no service can recognize.
func (h *heal) unproved(u *store.Update, rule *rules.Rule) (string, error) {
	for _, s := range rule.Steps {
		name := h.Schema.Services[s.Service].Name
		open, err := u.Unproved(name, s.Operation.Name)
		if err != nil || open {
			return s.Name, err
		}
	}
	return "", nil
}

// paused says who has stopped what a rule would do now, and why; empty where
// nobody has.
func (h *heal) paused(u *store.Update, rule string, through []string) (why string, until time.Time, err error) {
	p, is, err := u.Paused(rule, through)
	if err != nil || !is {
		return "", time.Time{}, err
	}
	what := "all repairs"
	if p.Scope != store.PauseAll {
		what = "the repairs of " + p.Target
	}
	return fmt.Sprintf("%s has paused %s: %s", p.By, what, p.Why), p.Until, nil
}

// services are those that a rule calls.
func services(rule *rules.Rule) []string {
	var names []string
	for _, s := range rule.Steps {
		name, _, _ := strings.Cut(s.Name, ".")
		names = append(names, name)
	}
	return names
}

// mayResend asks what must hold before anything of an open repair is sent: what
// was begun counts as one repair, so only pauses and a whole view are asked
// again. The rule is nil where it is no longer declared.
func (h *heal) mayResend(u *store.Update, rule *rules.Rule) (rules.Decision, error) {
	facts := rules.Facts{Now: h.Now(), Rule: rule, ByPerson: true, Windows: h.Windows, View: h.look.View, Schema: h.Schema}
	var through []string
	for _, s := range h.plan.Steps {
		through = append(through, s.Service)
	}
	if rule != nil {
		facts.Rests = h.restsOn(rule)
	}
	var err error
	if facts.Paused, facts.Resumes, err = h.paused(u, h.plan.Rule, through); err != nil {
		return rules.Decision{}, err
	}
	return rules.GuardAgain(facts), nil
}

// shareCause is the incident of a rule that holds everything back.
func shareCause(rule *rules.Rule) string { return "share/" + rule.Name }

// brake opens one incident for a rule that holds everything back.
func (h *heal) brake(u *store.Update, rule *rules.Rule, why string) error {
	_, err := u.Escalate(store.Incident{Cause: shareCause(rule), Severity: "high", State: u.State, Rule: rule.Name, RuleVersion: rule.Version,
		About: "The rule has stopped.", Why: why + ".", Next: "It goes on by itself when fewer customers are affected.", Since: h.Now()})
	return err
}

// unbrake closes that incident where a customer whom the rule would repair has
// left the rule's states by themselves, and so few are left that the rule would
// act again: nobody else may come who could say so.
func (h *heal) unbrake(u *store.Update) error {
	rule := h.Rules.Rule(u.Rule)
	if !h.lease.Braked || rule == nil || u.State == h.look.Verdict.Name || h.look.Verdict.Name == states.Unseen {
		return nil
	}
	load, err := h.load(u, rule)
	if err != nil || !load.Braked {
		return err
	}
	// The one who leaves is still counted.
	left := rules.Facts{Now: h.Now(), Rule: rule, View: h.look.View, Schema: h.Schema, Customers: load.Customers, InState: load.InStates - 1}
	if rules.Guard(left).Reason == rules.Share {
		return nil
	}
	return u.ResolveCause(shareCause(rule), "healed")
}
