package reconciler

import (
	"fmt"
	"strings"
	"time"

	"amend"
	"amend/conditions"
	"amend/rules"
	"amend/store"
)

// guard asks every guard, with counts that nothing can change before the
// decision is written.
func (h *heal) guard(u *store.Update, rule *rules.Rule, since time.Time, byPerson bool) (rules.Decision, error) {
	facts, err := h.facts(u, rule)
	if err != nil {
		return rules.Decision{}, err
	}
	load := facts.Load
	why, resumes := told(facts.Pause, facts.Paused)
	h.unproved = facts.Unproved
	settle := time.Duration(0)
	if state := h.look.Verdict.State; state != nil {
		settle = state.Settle
	}
	rests := h.restsOn(rule)
	return rules.Guard(rules.Facts{Now: h.Now(), Rule: rule, ByPerson: byPerson, Paused: why, Resumes: resumes, Windows: h.Windows, View: h.look.View, Schema: h.Schema,
		Rests: rests, Blind: h.blind(rests), Since: since, Settle: settle, Looks: u.Looks, Customers: load.Customers,
		InState: load.InStates, Usual: h.crowds.usual(rule), Released: load.Released, Open: load.Open, LastHour: load.LastHour, OnHim: load.OnHim,
		Proved: load.Proved, Begun: load.Begun, Failed: load.Failed}), nil
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

// told says who has stopped what a rule would do now, why and until when; empty
// where nobody has.
func told(p store.Pause, is bool) (why string, until time.Time) {
	if !is {
		return "", time.Time{}
	}
	what := "all repairs"
	if p.Scope != store.PauseAll {
		what = "the repairs of " + p.Target
	}
	return fmt.Sprintf("%s has paused %s: %s", p.By, what, p.Why), p.Until
}

// calls are the operations of a rule.
func (h *heal) calls(rule *rules.Rule) []store.Call {
	all := make([]store.Call, len(rule.Steps))
	for i, s := range rule.Steps {
		all[i] = store.Call{Service: h.Schema.Services[s.Service].Name, Operation: s.Operation.Name}
	}
	return all
}

// mayResend asks what must hold before anything of an open repair is sent: what
// was begun counts as one repair, so only pauses and a whole view are asked
// again. The rule is nil where it is no longer declared.
func (h *heal) mayResend(u *store.Update, rule *rules.Rule) (rules.Decision, error) {
	facts := rules.Facts{Now: h.Now(), Rule: rule, ByPerson: true, Windows: h.Windows, View: h.look.View, Schema: h.Schema}
	var calls []store.Call
	for _, s := range h.plan.Steps {
		calls = append(calls, store.Call{Service: s.Service, Operation: s.Operation})
	}
	names := []string{h.plan.Rule}
	if rule != nil {
		facts.Rests = h.restsOn(rule)
		names = append(names, rule.Names()...) // it may have had another name when it began
	}
	pause, is, err := u.Paused(names, calls)
	if err != nil {
		return rules.Decision{}, err
	}
	facts.Paused, facts.Resumes = told(pause, is)
	return rules.GuardAgain(facts), nil
}

// brake stops a rule, with one incident that says what is known.
func (h *heal) brake(u *store.Update, rule *rules.Rule, d rules.Decision) error {
	p := store.Pause{Target: rule.Name, Why: d.Say, Brake: store.BrakeCanary}
	about := "A changed rule was stopped at one of its first repairs."
	if d.Reason == rules.Share {
		p.Brake, p.States = store.BrakeShare, rule.From
		about = "A rule was stopped: so many customers at once have something else in common."
	}
	crowd, err := u.Crowd(rule.From)
	if err != nil {
		return err
	}
	return u.Brake(p, store.Incident{Severity: "high", State: u.State, RuleVersion: rule.Version, About: about, Since: h.Now(),
		Why:  fmt.Sprintf("%s. In its states: %s.", d.Say, diagnosis(crowd)),
		Next: fmt.Sprintf("Nothing is repaired by %s until a person has looked and says so: amend resume --rule %s.", rule.Name, rule.Name)})
}

// diagnosis says what the customers of a rule have in common.
func diagnosis(crowd []store.Crowd) string {
	var parts []string
	for _, c := range crowd {
		parts = append(parts, fmt.Sprintf("%s %d, of them %d opened within 10 minutes", c.State, c.Open, c.Recent))
	}
	return strings.Join(parts, "; ")
}
