package rules_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/rules"
	"amend/states"
)

// looked is a look that puts a customer where the ledger account is missing.
func (p *parts) looked(t *testing.T, v *amend.View) states.Look {
	t.Helper()
	when, findings := p.env.Condition("ledger.absent || ledger.balance == 0")
	require.Empty(t, findings)
	return states.Look{View: v, Scope: p.env.Scope(v, noon), Verdict: states.Verdict{Name: "ledger_missing", State: &states.State{Name: "ledger_missing", When: when, Coherent: false}}}
}

// TestBasis: what has changed is named, and no value can be read from what is
// kept.
func TestBasis(t *testing.T) {
	t.Parallel()
	p := newParts(t)
	rule := p.rule(`{identity.country == "GB" ? "GBP" : "EUR"}`, "")
	planned := func(look states.Look) rules.Plan {
		t.Helper()
		plan, err := rule.Plan(look.Scope, p.all)
		require.NoError(t, err)
		return plan
	}
	first := p.looked(t, view(identity(amend.StringOf("DE")), absent))
	written, err := json.Marshal(rules.NewBasis(first, rule, planned(first)))
	require.NoError(t, err)
	for _, value := range []string{"DE", "EUR", "absent"} {
		require.NotContains(t, string(written), `"`+value+`"`)
	}
	var basis rules.Basis
	require.NoError(t, json.Unmarshal(written, &basis))
	require.NotEqual(t, basis.Parts, rules.NewBasis(first, rule, planned(first)).Parts, "each has a key of its own")
	for name, test := range map[string]struct {
		view *amend.View
		want []string
	}{
		"the same":                     {view(identity(amend.StringOf("DE")), absent), nil},
		"a field":                      {view(identity(amend.StringOf("FR")), absent), []string{"identity.country"}},
		"a field and an argument":      {view(identity(amend.StringOf("GB")), absent), []string{"identity.country", "ledger.open's currency", "ledger.open's effect on currency"}},
		"a record":                     {view(identity(amend.StringOf("DE")), ledger("open", "EUR", 0)), []string{"ledger.absent", "ledger.balance"}},
		"a field that nothing reads":   {view(amend.Record{Presence: amend.Present, ReadAt: noon, Values: []amend.Value{amend.StringOf("DE"), amend.StringOf("x@y.z"), amend.IntOf(3)}}, absent), nil},
		"what could be read no longer": {view(identity(amend.StringOf("DE")), unseen), []string{"ledger.absent", "ledger.balance"}},
	} {
		look := p.looked(t, test.view)
		require.Equal(t, test.want, basis.Changed(look, rule, planned(look)), name)
	}
	other := p.rule(`{identity.country == "GB" ? "GBP" : "EUR"}`, "")
	other.Version = "2"
	plan, err := other.Plan(first.Scope, p.all)
	require.NoError(t, err)
	require.Equal(t, []string{"the rule open-ledger"}, basis.Changed(first, other, plan))
}

// TestEvidence: an answer is to one step, as it was last sent, and to what
// reading showed then.
func TestEvidence(t *testing.T) {
	t.Parallel()
	p := newParts(t)
	rule := p.rule("EUR", "")
	rule.From = []string{"ledger_missing"}
	look := p.looked(t, view(identity(amend.StringOf("DE")), absent))
	plan, err := rule.Plan(look.Scope, p.all)
	require.NoError(t, err)
	q := rules.Question{Repair: "rep_1", Sent: 1, Step: plan.Steps[0], Rule: rule}
	_, again := q.Again(look, p.all)
	require.True(t, again)
	seen := map[string]string{rules.Evidence(look, p.all, q): "the first"}
	require.Len(t, seen, 1)
	require.Equal(t, "the first", seen[rules.Evidence(look, p.all, q)])
	change := func(name string, look states.Look, change func(*rules.Question)) {
		t.Helper()
		q := q
		change(&q)
		got := rules.Evidence(look, p.all, q)
		require.Empty(t, seen[got], name)
		seen[got] = name
	}
	change("another repair", look, func(q *rules.Question) { q.Repair = "rep_2" })
	change("another step", look, func(q *rules.Question) { q.Number = 1 })
	change("sent again", look, func(q *rules.Question) { q.Sent = 2 })
	change("the rule is gone", look, func(q *rules.Question) { q.Rule = nil })
	change("another record", p.looked(t, view(identity(amend.StringOf("DE")), ledger("open", "EUR", 0))), func(*rules.Question) {})
	change("another value", p.looked(t, view(identity(amend.StringOf("DE")), ledger("frozen", "EUR", 0))), func(*rules.Question) {})
}
