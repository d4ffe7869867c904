package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"amend/conditions"
	"amend/states"
)

// Fingerprint hashes what a repair rests on and does: customer, state, rule
// version, steps with arguments, and the values that were read. Record versions
// and ages are no part of it. If any of it changes, what a person agreed to no
// longer stands.
func Fingerprint(look states.Look, rule *Rule, plan Plan) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s %s\n", look.View.ID, look.Verdict.Name, plan.Rule, plan.Version)
	for _, s := range plan.Steps {
		fmt.Fprintf(h, "%s.%s %v %v\n", s.Service, s.Operation, s.Arguments, s.Expect)
	}
	for _, r := range reads(look, rule) {
		if r.Service < 0 {
			continue
		}
		record := &look.View.Records[r.Service]
		fmt.Fprintf(h, "%s %s", r.Name, record.Presence)
		if r.Field >= 0 {
			fmt.Fprintf(h, " %s", record.Value(r.Field))
		}
		fmt.Fprintln(h)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func reads(look states.Look, rule *Rule) []conditions.Reference {
	var all []conditions.Reference
	if look.Verdict.State != nil {
		all = append(all, look.Verdict.State.When.Reads()...)
	}
	for _, step := range rule.Steps {
		for _, a := range step.Arguments {
			all = append(all, a.Value.Reads()...)
		}
	}
	return all
}

// Preview is one request of a plan as it would go over the wire, for people.
type Preview struct {
	Service   string
	Operation string
	Method    string
	URL       string
	Body      string
}
