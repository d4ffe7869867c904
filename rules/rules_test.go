package rules_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/conditions"
	"amend/rules"
	"amend/states"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func schema() *amend.Schema {
	open := amend.Operation{Name: "open", With: []amend.Parameter{{Name: "currency", Type: amend.String}}}
	return &amend.Schema{Services: []amend.Service{
		{Name: "identity", MaxAge: 30 * time.Second, Fields: []amend.Field{
			{Name: "country", Type: amend.String, Optional: true}, {Name: "email", Type: amend.String, Sensitive: true}, {Name: "level", Type: amend.Int},
		}},
		{Name: "ledger", MaxAge: 30 * time.Second, Operations: []amend.Operation{open}, Fields: []amend.Field{
			{Name: "status", Type: amend.String}, {Name: "currency", Type: amend.String}, {Name: "balance", Type: amend.Int},
		}},
	}}
}

// parts makes a rule with one step, ledger.open, and what it needs.
type parts struct {
	t   *testing.T
	env *conditions.Environment
	all *amend.Schema
}

func newParts(t *testing.T) parts {
	t.Helper()
	all := schema()
	env, err := conditions.New(all)
	require.NoError(t, err)
	return parts{t, env, all}
}

func (p parts) rule(argument, condition string) *rules.Rule {
	p.t.Helper()
	value, findings := p.env.Template(argument)
	require.Empty(p.t, findings)
	effects, err := conditions.NewDynamic(conditions.Variable{Name: "currency", Type: amend.String})
	require.NoError(p.t, err)
	text := func(s string) *conditions.Text {
		made, findings := effects.Text(s)
		require.Empty(p.t, findings)
		return made
	}
	step := rules.Step{Service: 1, Name: "ledger.open", Operation: &p.all.Services[1].Operations[0],
		Arguments: []rules.Argument{{Name: "currency", Type: amend.String, Value: value, Sensitive: true}},
		Effects:   []rules.Effect{{Field: 0, Value: text("open")}, {Field: 1, Value: text("{currency}")}, {Field: 2, Any: true}}}
	if condition != "" {
		step.If, findings = p.env.Condition(condition)
		require.Empty(p.t, findings)
	}
	return &rules.Rule{Name: "open-ledger", Version: "1", From: []string{"ledger_missing"}, Steps: []rules.Step{step}}
}

func identity(country amend.Value) amend.Record {
	return amend.Record{Presence: amend.Present, ReadAt: noon, Values: []amend.Value{country, amend.StringOf("a@b.c"), amend.IntOf(3)}}
}

func ledger(status, currency string, balance int64) amend.Record {
	return amend.Record{Presence: amend.Present, ReadAt: noon, Values: []amend.Value{amend.StringOf(status), amend.StringOf(currency), amend.IntOf(balance)}}
}

var (
	absent = amend.Record{Presence: amend.Absent, ReadAt: noon}
	null   = amend.Value{}
	unseen = amend.UnseenRecord(amend.TimedOut, "no answer in 2 s", noon)
)

func view(records ...amend.Record) *amend.View { return &amend.View{ID: "cus_1", Records: records} }

func TestPlan(t *testing.T) {
	t.Parallel()
	p := newParts(t)
	german := identity(amend.StringOf("DE"))
	for _, test := range []struct {
		name, argument, condition string
		view                      *amend.View
		currency, fails           string
	}{
		{"AnArgumentIsComputed", `{identity.country == "GB" ? "GBP" : "EUR"}`, "", view(german, absent), "EUR", ""},
		{"NullIsNotSent", `{identity.country}`, "", view(identity(amend.Value{}), absent), "", "argument currency is null, not string"},
		{"AbsentIsNull", `{identity.country}`, "", view(absent, absent), "", "argument currency is null, not string"},
		{"AnotherTypeIsNotSent", `{identity.level}`, "", view(german, absent), "", "argument currency is int, not string"},
		{"UnseenIsNotSent", `{identity.country}`, "", view(unseen, absent), "", "unseen"},
		{"AnErrorIsNotSent", `{identity.country.substring(5)}`, "", view(german, absent), "", "argument currency"},
		{"IfItIsNeeded", "EUR", "ledger.absent", view(german, absent), "EUR", ""},
		{"IfItIsNotNeeded", "EUR", "ledger.present", view(german, absent), "", "nothing to do"},
		{"IfNobodyKnows", "EUR", "ledger.absent", view(german, unseen), "", "is undecided"},
		{"IfItErrs", "EUR", "ledger.balance < 5", view(german, absent), "", "is error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newParts(t)
			plan, err := p.rule(test.argument, test.condition).Plan(p.env.Scope(test.view, noon), p.all)
			if test.fails != "" {
				require.ErrorContains(t, err, test.fails)
				require.Empty(t, plan.Steps)
				return
			}
			require.NoError(t, err)
			require.Equal(t, rules.Plan{Rule: "open-ledger", Version: "1", Steps: []rules.PlannedStep{{
				Service: "ledger", Operation: "open", Arguments: map[string]amend.Value{"currency": amend.StringOf(test.currency)}, Sensitive: []string{"currency"},
				Expect: []rules.Expectation{{"status", amend.StringOf("open")}, {"currency", amend.StringOf(test.currency)}},
			}}}, plan)
			stored, err := json.Marshal(plan)
			require.NoError(t, err)
			var read rules.Plan
			require.NoError(t, json.Unmarshal(stored, &read))
			require.Equal(t, plan, read, "a plan survives the store")
		})
	}
	plan, err := p.rule("EUR", "").Plan(p.env.Scope(view(german, absent), noon), p.all)
	require.NoError(t, err)
	for name, test := range map[string]struct {
		record amend.Record
		want   conditions.Truth
	}{
		"as expected":         {ledger("open", "EUR", 99), conditions.True},
		"one field otherwise": {ledger("open", "GBP", 99), conditions.False},
		"absent":              {absent, conditions.False},
		"unseen":              {unseen, conditions.Undecided},
	} {
		require.Equal(t, test.want, plan.Steps[0].Proved(view(german, test.record), p.all), name)
	}
	other := plan.Steps[0]
	other.Service = "gone"
	require.Equal(t, conditions.Undecided, other.Proved(view(german, absent), p.all), "a service that is no longer declared")
	other = plan.Steps[0]
	other.Expect = []rules.Expectation{{"gone", amend.IntOf(1)}}
	require.Equal(t, conditions.False, other.Proved(view(german, ledger("open", "EUR", 0)), p.all), "a field that is no longer declared")
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	b := rules.Backoff{First: 10 * time.Second, Max: time.Minute}
	for attempts, want := range map[int]time.Duration{0: 10 * time.Second, 1: 10 * time.Second, 2: 20 * time.Second, 3: 40 * time.Second, 4: time.Minute, 1000: time.Minute} {
		require.Equal(t, want, b.After(attempts), "%d", attempts)
	}
	require.Equal(t, time.Second, rules.Backoff{First: time.Minute, Max: time.Second}.After(1))
	odd := rules.Backoff{First: 1, Max: 1<<63 - 1}
	require.Equal(t, odd.Max, odd.After(1<<20), "no overflow")
}

func TestSet(t *testing.T) {
	t.Parallel()
	set := rules.Set{Rules: []rules.Rule{
		{Name: "lost", From: []string{"active"}, Mode: rules.Manual},
		{Name: "fix", From: []string{"broken", "active"}, Mode: rules.Auto, Was: []string{"repair"}},
	}}
	require.Equal(t, "fix", set.For("active").Name, "manual rules are for people")
	require.Nil(t, set.For("other"))
	require.Equal(t, "fix", set.Rule("repair").Name)
	require.Equal(t, "fix", set.Rule("fix").Name)
	require.Nil(t, set.Rule("other"))
	require.Len(t, set.Startable("active"), 2)
	require.Len(t, set.Startable("broken"), 1)
	for mode, acts := range map[rules.Mode]bool{rules.Observe: false, rules.Manual: false, rules.Approve: true, rules.Auto: true} {
		require.Equal(t, acts, (&rules.Rule{Mode: mode}).Acts(), mode)
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	p := newParts(t)
	when, findings := p.env.Condition("ledger.absent || ledger.balance == 0")
	require.Empty(t, findings)
	state := &states.State{Name: "ledger_missing", When: when}
	print := func(name string, rule *rules.Rule, v *amend.View, now time.Time) string {
		t.Helper()
		scope := p.env.Scope(v, now)
		plan, err := rule.Plan(scope, p.all)
		require.NoError(t, err)
		return rules.Fingerprint(states.Look{View: v, Scope: scope, Verdict: states.Verdict{Name: name, State: state}}, rule, plan)
	}
	const argument = `{identity.country == "GB" ? "GBP" : "EUR"}`
	first := print("ledger_missing", p.rule(argument, ""), view(identity(amend.StringOf("DE")), absent), noon)
	changed := map[string]string{
		"another state":     print("other", p.rule(argument, ""), view(identity(amend.StringOf("DE")), absent), noon),
		"another argument":  print("ledger_missing", p.rule(argument, ""), view(identity(amend.StringOf("GB")), absent), noon),
		"another value":     print("ledger_missing", p.rule(argument, ""), view(identity(amend.StringOf("FR")), absent), noon),
		"another presence":  print("ledger_missing", p.rule(argument, ""), view(identity(amend.StringOf("DE")), ledger("open", "EUR", 0)), noon),
		"read by its if":    print("ledger_missing", p.rule(argument, "identity.level != 0"), view(identity(amend.StringOf("DE")), absent), noon),
		"a customer":        print("ledger_missing", p.rule(argument, ""), &amend.View{ID: "cus_2", Records: []amend.Record{identity(amend.StringOf("DE")), absent}}, noon),
		"another version":   print("ledger_missing", func() *rules.Rule { r := p.rule(argument, ""); r.Version = "2"; return r }(), view(identity(amend.StringOf("DE")), absent), noon),
		"null and its word": print("ledger_missing", p.rule("EUR{identity.country}", ""), view(identity(amend.StringOf("null")), absent), noon),
		"null":              print("ledger_missing", p.rule(`{identity.country == null ? "EURnull" : "x"}`, ""), view(identity(amend.Value{}), absent), noon),
	}
	seen := map[string]string{first: "the first"}
	for name, got := range changed {
		require.Empty(t, seen[got], "%s and %s are told apart", name, seen[got])
		seen[got] = name
	}

	same := view(identity(amend.StringOf("DE")), absent)
	same.Records[0].Version, same.Records[0].ReadAt = "v2", noon.Add(time.Minute)
	same.Records[0].Values[1] = amend.StringOf("not read by the rule")
	require.Equal(t, first, print("ledger_missing", p.rule(argument, ""), same, noon.Add(time.Hour)), "versions, ages and other fields are no part of it")
}
