package states_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/conditions"
	"amend/states"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var (
	absent = amend.Record{Presence: amend.Absent, ReadAt: noon}
	unseen = amend.UnseenRecord(amend.TimedOut, "no answer in 2 s", noon)
	cut    = amend.UnseenRecord(amend.Unreachable, "the connection was cut", noon)
)

// machine has two services, and states in which each truth decides once.
func machine(t *testing.T) *states.Machine {
	t.Helper()
	schema := &amend.Schema{Services: []amend.Service{
		{Name: "identity", Fields: []amend.Field{{Name: "status", Type: amend.String}, {Name: "at", Type: amend.Timestamp, Optional: true}}},
		{Name: "ledger", Fields: []amend.Field{{Name: "balance", Type: amend.Int, Optional: true}}},
	}}
	env, err := conditions.New(schema)
	require.NoError(t, err)
	m := &states.Machine{Environment: env}
	for _, s := range []struct{ name, when string }{
		{"orphaned", "identity.absent"}, {"pending", `identity.status == "pending"`}, {"in_debt", "ledger.balance < 0"}, {"missing", "ledger.absent"}, {"rich", "ledger.balance > 5"},
	} {
		state := states.State{Name: s.name, Coherent: s.name == "pending" || s.name == "rich"}
		var findings amend.Findings
		state.When, findings = env.Condition(s.when)
		require.Empty(t, findings)
		m.States = append(m.States, state)
	}
	m.State("pending").For = 2 * time.Hour
	var findings amend.Findings
	m.State("pending").Since, findings = env.Expression("identity.at")
	require.Empty(t, findings)
	m.State("pending").Tell, findings = env.Template("You are {identity.status}; {ledger.balance}.")
	require.Empty(t, findings)
	return m
}

func identity(status string, at amend.Value) amend.Record {
	return amend.Record{Presence: amend.Present, ReadAt: noon, Values: []amend.Value{amend.StringOf(status), at}}
}

func ledger(balance amend.Value) amend.Record {
	return amend.Record{Presence: amend.Present, ReadAt: noon, Values: []amend.Value{balance}}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	m := machine(t)
	null := amend.Value{}
	for _, test := range []struct {
		name     string
		identity amend.Record
		ledger   amend.Record
		want     string
		needs    []int
	}{
		{"TheFirstThatHolds", identity("pending", null), ledger(amend.IntOf(-1)), "pending", nil},
		{"TheNextOne", identity("x", null), ledger(amend.IntOf(-1)), "in_debt", nil},
		{"WhatIsDecidedBeforeTheUnseen", identity("pending", null), unseen, "pending", nil},
		{"UnseenDecides", identity("x", null), unseen, states.Unseen, []int{1}},
		{"NoneHolds", identity("x", null), ledger(amend.IntOf(3)), states.Unknown, nil},
		{"AnErrorIsUnknown", identity("x", null), ledger(null), states.Unknown, nil},
		{"AbsentEverywhere", absent, absent, states.Nobody, nil},
		{"AnOrphan", absent, ledger(amend.IntOf(3)), "orphaned", nil},
		{"PerhapsNobody", absent, unseen, states.Unseen, []int{1}},
		{"NothingCouldBeRead", unseen, cut, states.Unseen, []int{0, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			scope := m.Environment.Scope(&amend.View{ID: "cus_1", Records: []amend.Record{test.identity, test.ledger}}, noon)
			got := m.Classify(scope)
			require.Equal(t, test.want, got.Name)
			require.Equal(t, test.needs, got.Needs)
			require.Equal(t, m.State(test.want), got.State)
			require.Equal(t, test.name == "AnErrorIsUnknown", got.Err != nil)
			explained := m.Explain(scope)
			last := explained[len(explained)-1]
			switch test.want {
			case states.Unseen:
				require.Equal(t, conditions.Undecided, last.Truth)
				require.NotEmpty(t, last.Reason)
			case states.Unknown, states.Nobody:
			default:
				require.Equal(t, test.want, last.State)
				require.Equal(t, conditions.True, last.Truth)
			}
		})
	}
	all := m.Explain(m.Environment.Scope(&amend.View{Records: []amend.Record{unseen, cut}}, noon))
	require.Len(t, all, 1)
	require.Equal(t, "no answer in 2 s; the connection was cut", all[0].Reason)
}

func TestSince(t *testing.T) {
	t.Parallel()
	m := machine(t)
	look := noon.Add(-time.Minute)
	at := func(record amend.Record) (states.Verdict, time.Time) {
		scope := m.Environment.Scope(&amend.View{Records: []amend.Record{record, absent}}, noon)
		v := m.Classify(scope)
		return v, v.Since(scope, look)
	}
	verdict, since := at(identity("pending", amend.TimeOf(noon.Add(-2*time.Hour))))
	require.Equal(t, noon.Add(-2*time.Hour), since)
	require.True(t, verdict.Overdue(since, noon))
	require.False(t, verdict.Coherent(since, noon))
	require.True(t, verdict.Coherent(since, noon.Add(-1)), "until the time is over")
	_, since = at(identity("pending", amend.Value{}))
	require.Equal(t, look, since, "null is the first look")
	verdict, since = at(identity("x", amend.TimeOf(noon)))
	require.Equal(t, look, since, "where nothing is declared")
	require.False(t, verdict.Coherent(since, noon))
	require.False(t, states.Verdict{Name: states.Unseen}.Coherent(look, noon))
	require.Equal(t, look, states.Verdict{Name: states.Unseen}.Since(nil, look))
}

func TestTell(t *testing.T) {
	t.Parallel()
	m := machine(t)
	tell := func(records ...amend.Record) string {
		scope := m.Environment.Scope(&amend.View{Records: records}, noon)
		return states.Look{Scope: scope, Verdict: m.Classify(scope)}.Tell()
	}
	require.Equal(t, "You are pending; 5.", tell(identity("pending", amend.Value{}), ledger(amend.IntOf(5))))
	require.Equal(t, "You are pending; .", tell(identity("pending", amend.Value{}), absent))
	require.Empty(t, tell(identity("pending", amend.Value{}), unseen), "what can't be said now isn't said by halves")
	require.Empty(t, tell(identity("x", amend.Value{}), absent))
}
