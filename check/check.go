// Package check finds mistakes in states and rules without calling any
// service.
package check

import (
	"fmt"
	"slices"

	"amend"
	"amend/rules"
	"amend/states"
)

// Rules finds rules that must not run, and states that people would wonder
// about. proves says whether a service can prove that "not found" means not
// found. Findings stand at paths of the document.
func Rules(schema *amend.Schema, machine *states.Machine, set *rules.Set, proves func(service int) bool) amend.Findings {
	var found amend.Findings
	leads := map[string]string{}
	for i := range set.Rules {
		rule := &set.Rules[i]
		path := "rules." + rule.Name
		if rule.Mode != rules.Manual {
			for _, from := range rule.From {
				if other, taken := leads[from]; taken {
					found.Add(path+".from", "%s already leads out of %s; only manual rules may stand beside it", other, from)
				}
				leads[from] = rule.Name
			}
		}
		found.Take(path, automatic(rule))
		if rule.Acts() {
			found.Take(path, unproven(schema, machine, rule, proves))
		}
	}
	for i := range machine.States {
		found.Take("states."+machine.States[i].Name, silent(&machine.States[i]))
	}
	return found
}

// automatic asks more of a rule that nobody watches: one operation, which can
// be verified and may be repeated.
func automatic(rule *rules.Rule) amend.Findings {
	var found amend.Findings
	for i, step := range rule.Steps {
		path := fmt.Sprintf("do[%d]", i)
		if !step.Operation.Verifiable() {
			found = append(found, amend.Finding{Path: path, Text: fmt.Sprintf("nothing says what %s does, so it can't be verified", step.Name), Hint: "declare sets, shown or done at the operation"})
		}
		if rule.Mode == rules.Auto && step.Operation.Repeat.How == amend.RepeatNever {
			found = append(found, amend.Finding{Path: path, Text: fmt.Sprintf("%s must never be repeated, so no automatic rule may use it", step.Name), Hint: "declare repeat: safe, or a key, if the service honours one"})
		}
	}
	if rule.Mode == rules.Auto && len(rule.Steps) > 1 {
		found = append(found, amend.Finding{Path: "do", Text: fmt.Sprintf("an automatic rule is one operation, this one has %d", len(rule.Steps)), Hint: "let the next state's rule do what follows"})
	}
	return found
}

// unproven finds a rule that acts on the absence of a record of a service that
// can't prove absence.
func unproven(schema *amend.Schema, machine *states.Machine, rule *rules.Rule, proves func(int) bool) amend.Findings {
	seen := map[int]bool{}
	var found amend.Findings
	for _, name := range rule.From {
		state := machine.State(name)
		if state == nil || state.When == nil {
			continue
		}
		for _, r := range state.When.Reads() {
			if r.Service >= 0 && r.Name == schema.Services[r.Service].Name+".absent" && !proves(r.Service) && !seen[r.Service] {
				seen[r.Service] = true
				found = append(found, amend.Finding{Path: "from", Text: fmt.Sprintf("%s rests on %s, and %s can't prove absence", rule.Name, r.Name, schema.Services[r.Service].Name),
					Hint: "declare sentinels, or a marker of the service's own in absent"})
			}
		}
	}
	return found
}

// silent warns of states that leave staff without words.
func silent(state *states.State) amend.Findings {
	var found amend.Findings
	if !state.Coherent && state.About == "" && state.Tell == nil {
		found = append(found, amend.Finding{Text: fmt.Sprintf("%s says neither what it means (about) nor what to tell the customer (tell)", state.Name), Warning: true})
	}
	if !state.Coherent && state.Promise == 0 && !slices.Contains([]states.Severity{states.Low}, state.Severity) {
		found = append(found, amend.Finding{Text: fmt.Sprintf("%s has no promise: nobody knows when it is due", state.Name), Warning: true})
	}
	return found
}
