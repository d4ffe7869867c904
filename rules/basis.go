package rules

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"amend"
	"amend/states"
)

// Basis is what a repair rests on and does, each part as a fingerprint of its
// own: where one Fingerprint differs from another it says in what. The values
// themselves are no part of it, since some are sensitive. The JSON names are
// stored data.
type Basis struct {
	Key   string            `json:"key"` // of the fingerprints, random
	Parts map[string]string `json:"parts"`
}

// NewBasis takes down what a repair rests on, as a look shows it.
func NewBasis(look states.Look, rule *Rule, plan Plan) Basis {
	b := Basis{Key: rand.Text()}
	b.Parts = b.parts(look, rule, plan)
	return b
}

// Changed names what a look shows to be different now: fields, or arguments of
// operations. It is empty where nothing is.
func (b Basis) Changed(look states.Look, rule *Rule, plan Plan) (names []string) {
	now := b.parts(look, rule, plan)
	for name := range now {
		if _, known := b.Parts[name]; !known {
			names = append(names, name)
		}
	}
	for name, was := range b.Parts {
		if now[name] != was {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (b Basis) parts(look states.Look, rule *Rule, plan Plan) map[string]string {
	parts := map[string]string{"the state": b.mark(look.Verdict.Name), "the rule " + plan.Rule: b.mark(plan.Version)}
	for _, s := range plan.Steps {
		name := s.Service + "." + s.Operation
		parts[name] = b.mark("")
		for _, want := range s.Expect {
			parts[name+"'s effect on "+want.Field] = b.mark(typed(want.Value))
		}
		for argument, v := range s.Arguments {
			parts[name+"'s "+argument] = b.mark(typed(v))
		}
	}
	for _, r := range reads(look, rule) {
		if r.Service < 0 {
			continue
		}
		record := &look.View.Records[r.Service]
		text := record.Presence.String()
		if r.Field >= 0 {
			text += " " + typed(record.Value(r.Field))
		}
		parts[r.Name] = b.mark(text)
	}
	return parts
}

func (b Basis) mark(text string) string {
	mac := hmac.New(sha256.New, []byte(b.Key))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// Question is a step that was sent, and of which no reading tells whether it
// happened.
type Question struct {
	Repair string
	Number int
	Sent   int // how often
	Step   PlannedStep
	Rule   *Rule // nil where it is no longer declared
}

// Evidence hashes what a person sees who is asked whether the step happened:
// the step as it was last sent, what its service says, and what its rule would
// do now. If any of it changes, the answer is to something else.
func Evidence(look states.Look, schema *amend.Schema, q Question) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %d %d\n", look.View.ID, look.Verdict.Name, q.Repair, q.Number, q.Sent)
	if index, service := schema.Service(q.Step.Service); service != nil {
		record := &look.View.Records[index]
		fmt.Fprintln(h, record.Presence)
		for _, want := range q.Step.Expect {
			if at, field := service.Field(want.Field); field != nil && record.Presence == amend.Present {
				fmt.Fprintf(h, "%q %s\n", want.Field, typed(record.Value(at)))
			}
		}
	}
	if plan, again := q.Again(look, schema); again {
		fmt.Fprintln(h, Fingerprint(look, q.Rule, plan))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Again is what the rule would do now if the step has not happened; false where
// it no longer leads out of the customer's state, or can't be computed.
func (q Question) Again(look states.Look, schema *amend.Schema) (Plan, bool) {
	if q.Rule == nil || !slices.Contains(q.Rule.From, look.Verdict.Name) {
		return Plan{}, false
	}
	plan, err := q.Rule.Plan(look.Scope, schema)
	return plan, err == nil
}
