package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"amend"
	"amend/conditions"
	"amend/states"
)

// Fingerprint hashes what a repair rests on and does: customer, state, rule
// version, steps with arguments, and the values that were read. Record versions
// and ages are no part of it. If any of it changes, what a person agreed to no
// longer stands.
func Fingerprint(look states.Look, rule *Rule, plan Plan) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q\n", look.View.ID, look.Verdict.Name, plan.Rule, plan.Version)
	for _, s := range plan.Steps {
		fmt.Fprintf(h, "%q.%q\n", s.Service, s.Operation)
		for _, name := range slices.Sorted(maps.Keys(s.Arguments)) {
			fmt.Fprintf(h, "%q %s\n", name, typed(s.Arguments[name]))
		}
		for _, want := range s.Expect {
			fmt.Fprintf(h, "%q %s\n", want.Field, typed(want.Value))
		}
	}
	for _, r := range reads(look, rule) {
		if r.Service < 0 {
			continue
		}
		record := &look.View.Records[r.Service]
		fmt.Fprintf(h, "%q %s", r.Name, record.Presence)
		if r.Field >= 0 {
			fmt.Fprintf(h, " %s", typed(record.Value(r.Field)))
		}
		fmt.Fprintln(h)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// StartFingerprint is the same of what a person starts. They have seen what was
// sent until now: the newest repair is part of it.
func StartFingerprint(look states.Look, rule *Rule, plan Plan, newest string) string {
	return Fingerprint(look, rule, plan) + "." + newest
}

// typed writes a value so that no other value is written the same.
func typed(v amend.Value) string { return fmt.Sprintf("%s %q", v.Type(), v.String()) }

func reads(look states.Look, rule *Rule) []conditions.Reference {
	var all []conditions.Reference
	if look.Verdict.State != nil {
		all = append(all, look.Verdict.State.When.Reads()...)
	}
	for i := range rule.Steps {
		all = append(all, rule.Steps[i].Reads()...)
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
