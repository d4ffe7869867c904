package check_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/bank"
	"amend/conditions"
	"amend/config"
	"amend/rules"
	"amend/states"
)

// The count is that of the language's own page: identity absent or 3 states by
// 2 countries, ledger absent or 3 by 2 balances, cards absent or 3, billing
// absent or 3 by 2 addresses, compliance absent or 2. Nobody, who is absent
// everywhere, isn't counted.
const seenViews = 7*7*4*7*3 - 1

func TestEveryView(t *testing.T) {
	t.Parallel()
	cfg := load(t, bank.Configuration)
	views := newSpace(t, cfg)
	count, reached := 0, map[string]int{}
	views.each(func(choice []int) {
		view := views.view(choice)
		verdict := cfg.Machine.Classify(cfg.Environment.Scope(view, noon))
		if view.Nobody() {
			require.Equal(t, states.Nobody, verdict.Name)
			return
		}
		count++
		require.NotNil(t, verdict.State, "%v is %s: %v", view.Records, verdict.Name, verdict.Err)
		reached[verdict.Name]++
	})
	require.Equal(t, 4115, seenViews)
	require.Equal(t, seenViews, count)
	require.Len(t, cfg.Machine.States, 15)
	for _, s := range cfg.Machine.States {
		require.Positive(t, reached[s.Name], "%s is never reached", s.Name)
	}
}

// TestEveryPath follows amend's rules by what their plans expect: from any view
// it comes to rest where nothing needs to be done, or with a person.
func TestEveryPath(t *testing.T) {
	t.Parallel()
	cfg := load(t, bank.Configuration)
	views := newSpace(t, cfg)
	longest, ends := 0, map[string]int{}
	views.each(func(choice []int) {
		if view := views.view(choice); !view.Nobody() {
			repairs, end := follow(t, cfg, view)
			longest = max(longest, repairs)
			ends[end]++
		}
	})
	require.Equal(t, 3, longest)
	require.Equal(t, []string{"active", "closed", "held", "ledger_unusable", "orphaned", "rejected_with_money", "signing_up"}, sortedKeys(ends))
}

// follow takes rules, also those that people agree to, until the view rests.
func follow(t *testing.T, cfg *config.Config, view *amend.View) (repairs int, end string) {
	t.Helper()
	for ; repairs <= 10; repairs++ {
		scope := cfg.Environment.Scope(view, noon)
		verdict := cfg.Machine.Classify(scope)
		require.NotNil(t, verdict.State, "%v is %s after %d repairs", view.Records, verdict.Name, repairs)
		rule := cfg.Rules.For(verdict.Name)
		if verdict.Coherent(verdict.Since(scope, noon), noon) || rule == nil || !rule.Acts() {
			return repairs, verdict.Name
		}
		plan, err := rule.Plan(scope, cfg.Schema)
		require.NoError(t, err, "%s for %v", rule.Name, view.Records)
		for _, step := range plan.Steps {
			apply(cfg.Schema, view, step)
			require.Equal(t, conditions.True, step.Proved(view, cfg.Schema), "what a plan expects is what proves it")
		}
	}
	require.Fail(t, "the rules go in circles", "%v", view.Records)
	return repairs, ""
}

// apply changes a view as a planned step says that the service will.
func apply(schema *amend.Schema, view *amend.View, step rules.PlannedStep) {
	index, service := schema.Service(step.Service)
	record := view.Records[index]
	values := make([]amend.Value, len(service.Fields))
	copy(values, record.Values)
	for _, want := range step.Expect {
		field, _ := service.Field(want.Field)
		values[field] = want.Value
	}
	record.Presence, record.Values = amend.Present, values
	view.Records[index] = record
}

// TestCoherentForAWhile: the edge of "for" is that of the declared time, not of
// the first look.
func TestCoherentForAWhile(t *testing.T) {
	t.Parallel()
	cfg := load(t, bank.Configuration)
	for age, coherent := range map[time.Duration]bool{0: true, 2*time.Hour - 1: true, 2 * time.Hour: false, 3 * time.Hour: false} {
		_, identity := cfg.Schema.Service("identity")
		record := amend.Record{Presence: amend.Present, ReadAt: noon, Values: make([]amend.Value, len(identity.Fields))}
		for name, v := range map[string]amend.Value{"status": amend.StringOf("pending"), "changed_at": amend.TimeOf(noon.Add(-age))} {
			field, _ := identity.Field(name)
			record.Values[field] = v
		}
		absent := amend.Record{Presence: amend.Absent, ReadAt: noon}
		scope := cfg.Environment.Scope(&amend.View{ID: "cus_123456", Records: []amend.Record{record, absent, absent, absent, absent}}, noon)
		verdict := cfg.Machine.Classify(scope)
		require.Equal(t, "signing_up", verdict.Name)
		require.Equal(t, coherent, verdict.Coherent(verdict.Since(scope, noon), noon), "%s after the change", age)
		require.Nil(t, cfg.Rules.For(verdict.Name), "afterwards it waits for a person")
	}
}

// TestUnseen: with any of the services unseen, a customer is unseen, or in the
// state that they are in whatever the unseen services would have said; and a
// plan, where one can be made, is the plan of all of them too.
func TestUnseen(t *testing.T) {
	t.Parallel()
	cfg := load(t, bank.Configuration)
	seen := newSpace(t, cfg)
	partial := make(space, len(seen))
	for i, records := range seen {
		partial[i] = append(slices.Clone(records), amend.UnseenRecord(amend.TimedOut, "no answer", noon))
	}
	outcomes := map[string]outcome{}
	partial.each(func(choice []int) { outcomes[fmt.Sprint(choice)] = judge(cfg, partial.view(choice)) })
	undecided := 0
	seen.each(func(choice []int) {
		whole := outcomes[fmt.Sprint(choice)]
		for mask := 1; mask < 1<<len(seen); mask++ {
			hidden := slices.Clone(choice)
			for i := range hidden {
				if mask&(1<<i) != 0 {
					hidden[i] = len(seen[i])
				}
			}
			got := outcomes[fmt.Sprint(hidden)]
			if got.state == states.Unseen {
				undecided++
				require.Empty(t, got.plan)
				require.NotZero(t, got.needs, "it says which service it needs")
				require.Zero(t, got.needs&^mask, "it needs only what is unseen")
				continue
			}
			require.Equal(t, whole.state, got.state, "%v hides %v", hidden, choice)
			if got.plan != "" {
				require.Equal(t, whole.plan, got.plan, "%v hides %v", hidden, choice)
			}
		}
	})
	require.Positive(t, undecided)
	require.Nil(t, cfg.Rules.For(states.Unseen))
	require.Empty(t, cfg.Rules.Startable(states.Unseen))
}

// outcome is what amend makes of a view.
type outcome struct {
	state string
	plan  string
	needs int // a bit per service
}

func judge(cfg *config.Config, view *amend.View) outcome {
	scope := cfg.Environment.Scope(view, noon)
	verdict := cfg.Machine.Classify(scope)
	o := outcome{state: verdict.Name}
	for _, service := range verdict.Needs {
		o.needs |= 1 << service
	}
	if rule := cfg.Rules.For(verdict.Name); rule != nil {
		if plan, err := rule.Plan(scope, cfg.Schema); err == nil {
			o.plan = fmt.Sprint(plan.Steps)
		}
	}
	return o
}

// TestMistakesAreSeen: the tests above would notice a configuration that isn't
// whole.
func TestMistakesAreSeen(t *testing.T) {
	t.Parallel()
	without := bytes.Replace(bank.Configuration, []byte(`when: "true"`), []byte(`when: billing.email == identity.email && billing.status == "active"`), 1)
	require.NotEqual(t, bank.Configuration, without)
	cfg := load(t, without)
	views, unknown := newSpace(t, cfg), 0
	views.each(func(choice []int) {
		if cfg.Machine.Classify(cfg.Environment.Scope(views.view(choice), noon)).Name == states.Unknown {
			unknown++
		}
	})
	require.Positive(t, unknown)
}

func sortedKeys(m map[string]int) []string {
	var all []string
	for key := range m {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}
