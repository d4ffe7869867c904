package conditions_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/conditions"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func schema() *amend.Schema {
	return &amend.Schema{
		Entity: amend.Entity{Name: "customer"},
		Services: []amend.Service{
			{Name: "identity", Fields: []amend.Field{
				{Name: "status", Type: amend.String, Values: []string{"pending", "approved", "rejected"}},
				{Name: "email", Type: amend.String}, {Name: "changed_at", Type: amend.Timestamp}, {Name: "country", Type: amend.String},
			}},
			{Name: "ledger", Fields: []amend.Field{
				{Name: "status", Type: amend.String}, {Name: "balance", Type: amend.Int}, {Name: "locked", Type: amend.Bool},
			}},
		},
	}
}

func environment(t *testing.T) *conditions.Environment {
	t.Helper()
	env, err := conditions.New(schema())
	require.NoError(t, err)
	return env
}

func present(values ...amend.Value) amend.Record {
	return amend.Record{Presence: amend.Present, Values: values, ReadAt: noon}
}

func approved() amend.Record {
	return present(amend.StringOf("approved"), amend.StringOf("a@b.c"), amend.TimeOf(noon.Add(-time.Hour)), amend.StringOf("DE"))
}

var (
	absent = amend.Record{Presence: amend.Absent, ReadAt: noon}
	unseen = amend.UnseenRecord(amend.TimedOut, "no answer in 2 s", noon)
)

func TestCondition(t *testing.T) {
	t.Parallel()
	open := present(amend.StringOf("open"), amend.IntOf(1230), amend.BoolOf(false))
	tests := []struct {
		name, when string
		ledger     amend.Record
		want       conditions.Truth
	}{
		{"a field of a present record", `ledger.status == "open"`, open, conditions.True},
		{"a field of an absent record is null", `ledger.status == null`, absent, conditions.True},
		{"null differs from a text", `ledger.status != "open"`, absent, conditions.True},
		{"an unseen record leaves it open", `ledger.status == "open"`, unseen, conditions.Undecided},
		{"unseen is never absent", `ledger.absent`, unseen, conditions.Undecided},
		{"unseen is never present", `ledger.present`, unseen, conditions.Undecided},
		{"false decides beside unseen", `identity.status == "rejected" && ledger.absent`, unseen, conditions.False},
		{"true decides beside unseen", `identity.status == "approved" || ledger.absent`, unseen, conditions.True},
		{"unseen decides where nothing else does", `identity.status == "approved" && ledger.absent`, unseen, conditions.Undecided},
		{"less than null is an error", `ledger.balance < 5`, absent, conditions.Erred},
		{"a bare null bool is an error", `ledger.locked`, absent, conditions.Erred},
		{"a guarded null is not", `ledger.balance != null && ledger.balance < 5`, absent, conditions.False},
		{"ages and days", `now - identity.changed_at < duration("3d") && ledger.age < duration("1m")`, open, conditions.True},
	}
	env := environment(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, findings := env.Condition(test.when)
			require.Empty(t, findings)
			got := c.Eval(env.Scope(&amend.View{Records: []amend.Record{approved(), test.ledger}}, noon))
			require.Equal(t, test.want.String(), got.Truth.String(), "%v", got.Err)
			if test.want == conditions.Undecided {
				require.Equal(t, []int{1}, got.Needs)
			}
		})
	}
}

func TestConditionFindings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, when string
		offset     int
		text, hint string
	}{
		{"a misspelt field", `true && ledger.statsu == "open"`, 8, "ledger has no field statsu", "did you mean status?"},
		{"a misspelt service", `ledgr.status == "open"`, 0, "there is no service ledgr", "did you mean ledger?"},
		{"a service alone", `ledger == null`, 0, "ledger is a service; say which field", ""},
		{"a value that never occurs", `identity.status == "aproved"`, 19, `identity.status is never "aproved"`, "did you mean approved?"},
		{"types that don't go together", `ledger.balance == "12"`, 15, "these types don't go together: '==' applied to '(int, string)'", ""},
		{"not a condition", `ledger.balance`, 0, "a condition must be true or false, this is int", ""},
		{"empty", ` `, 0, "the expression is empty", ""},
		{"cut off", `ledger.status == `, 17, "", ""},
	}
	env := environment(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, findings := env.Condition(test.when)
			require.NotEmpty(t, findings)
			require.Equal(t, test.offset, findings[0].Offset, findings[0].Text)
			require.Contains(t, findings[0].Text, test.text)
			if test.hint != "" {
				require.Equal(t, test.hint, findings[0].Hint)
			}
		})
	}
}

// A hostile expression ends by its cost, not by its time.
func TestConditionCostIsLimited(t *testing.T) {
	t.Parallel()
	env := environment(t)
	c, findings := env.Condition(`[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, a+b+c+d+e > 0)))))`)
	require.Empty(t, findings)
	got := c.Eval(env.Scope(&amend.View{Records: []amend.Record{approved(), absent}}, noon))
	require.Equal(t, conditions.Erred, got.Truth)
	require.ErrorContains(t, got.Err, "cost limit")
}

func TestTemplate(t *testing.T) {
	t.Parallel()
	env := environment(t)
	scope := env.Scope(&amend.View{Records: []amend.Record{approved(), unseen}}, noon)
	tests := []struct {
		name, text string
		want       amend.Value
	}{
		{"literal", "plain", amend.StringOf("plain")},
		{"braces", "a {{b}} c", amend.StringOf("a {b} c")},
		{"one expression keeps its type", "{1 + 1}", amend.IntOf(2)},
		{"quotes and braces inside", `{identity.country == "}" ? "GBP" : "EUR"}`, amend.StringOf("EUR")},
		{"mixed", "for {identity.email}, {identity.country}", amend.StringOf("for a@b.c, DE")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tmpl, findings := env.Template(test.text)
			require.Empty(t, findings)
			got, err := tmpl.Value(scope)
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
	tmpl, findings := env.Template("{ledger.status}")
	require.Empty(t, findings)
	require.Equal(t, amend.String, tmpl.Type())
	_, err := tmpl.Value(scope)
	require.ErrorIs(t, err, conditions.ErrUnseen)
}

func TestTemplateFindings(t *testing.T) {
	t.Parallel()
	env := environment(t)
	for text, want := range map[string]amend.Finding{
		"ab {identity.emial}": {Offset: 4, Text: "identity has no field emial", Hint: "did you mean email?"},
		"ab {identity.email":  {Offset: 3, Text: "this { is never closed", Hint: "write {{ for a brace"},
		"ab }":                {Offset: 3, Text: "a } without its {", Hint: "write }} for a brace"},
	} {
		_, findings := env.Template(text)
		require.Equal(t, amend.Findings{want}, findings)
	}
}

func TestDynamic(t *testing.T) {
	t.Parallel()
	d, err := conditions.NewDynamic(conditions.Variable{Name: "status", Type: amend.Int},
		conditions.Variable{Name: "answer"}, conditions.Variable{Name: "ids", List: true})
	require.NoError(t, err)
	vars := conditions.Vars{
		"status": int64(404), "ids": []string{"a", "b"},
		"answer": map[string]any{"code": "none", "cards": []any{map[string]any{"state": "ACTIVE"}, map[string]any{"state": "OLD"}}},
	}
	for text, want := range map[string]any{
		`status == 404 && answer.code == "none"`:              true,
		`answer.missing == null`:                              true,
		`ids.join(",")`:                                       "a,b",
		`answer.cards.filter(c, c.state == "ACTIVE").size()`:  int64(1),
		`sum(answer.cards.map(c, c.state == "OLD" ? 2 : 40))`: int64(42),
	} {
		x, findings := d.Expression(text)
		require.Empty(t, findings, text)
		got, err := x.Eval(vars)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	x, _ := d.Expression("answer.page.next")
	require.Equal(t, []string{"answer", "page", "next"}, x.Path())
	_, findings := d.Expression("anwser.code")
	require.Equal(t, "did you mean answer?", findings[0].Hint)
	_, findings = d.Expression("has(answer.code)")
	require.NotEmpty(t, findings)

	list, findings := d.Text("{ids}")
	require.Empty(t, findings)
	require.True(t, list.Uses("ids"))
	v, err := list.Value(vars)
	require.NoError(t, err)
	require.Equal(t, []any{"a", "b"}, v)
}
