package conditions_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/conditions"
)

// TestCompiled says what is left to cel-go.
func TestCompiled(t *testing.T) {
	t.Parallel()
	env := environment(t)
	for when, compiled := range map[string]bool{
		`identity.status == "approved" && (ledger.absent || ledger.balance != 0)`:   true,
		`identity.country in ["DE", "AT"] ? ledger.balance + 1 > 5 : ledger.locked`: true,
		`now - identity.changed_at < duration("3d") && ledger.age < duration("1m")`: true,
		`identity.email.endsWith("@bank.example") && size(identity.email) < 100`:    true,
		`["a", "b"].exists(x, x == identity.email)`:                                 false,
		`identity.email.matches("^a")`:                                              false,
		`identity.email.lowerAscii() == "a@b.c"`:                                    false,
		`identity.email + "x" == "a@b.cx"`:                                          false,
		`1.0 / -0.0 < 0.0`:                                                          false,
		`identity.email == "` + strings.Repeat("x", 300) + `"`:                      false,
		// Each of these may cost 676: what could reach the limit isn't compiled.
		strings.TrimSuffix(strings.Repeat(`identity.email.contains(ledger.status) || `, 60), " || "): true,
		strings.TrimSuffix(strings.Repeat(`identity.email.contains(ledger.status) || `, 80), " || "): false,
	} {
		c, findings := env.Condition(when)
		require.Empty(t, findings, when)
		require.Equal(t, compiled, c.Compiled(), when)
	}
}

// TestCompiledKeepsTheCostLimit: a text too long for it is left to cel-go, which
// refuses to compare it.
func TestCompiledKeepsTheCostLimit(t *testing.T) {
	t.Parallel()
	env := environment(t)
	c, findings := env.Condition("identity.email == ledger.status")
	require.Empty(t, findings)
	require.True(t, c.Compiled())
	identity := approved()
	identity.Values[1] = amend.StringOf(longText)
	view := &amend.View{Records: []amend.Record{identity, present(amend.StringOf(longText), amend.IntOf(0), amend.BoolOf(true))}}
	scope := env.Scope(view, noon)
	require.ErrorContains(t, c.Eval(scope).Err, "cost limit")
	view.Records[0] = approved()
	require.Equal(t, conditions.Result{Truth: conditions.False}, c.Eval(scope), "the next view is taken as before")

	// The dearest condition that is compiled, on the longest texts.
	identity.Values[1], view.Records[0] = amend.StringOf(longText[:255]+"y"), identity
	view.Records[1].Values[0] = amend.StringOf(longText[:256])
	for n := 1; c.Compiled(); n++ {
		fast, odd, slow := c.Both(scope)
		require.False(t, odd)
		require.Equal(t, slow, fast)
		c, findings = env.Condition(strings.TrimSuffix(strings.Repeat(`identity.email.contains(ledger.status) || `, n), " || "))
		require.Empty(t, findings)
		require.Less(t, n, 80)
	}
}

// TestCompiledTimes: the difference of two times is cel-go's to the nanosecond,
// and overflows where cel-go's does.
func TestCompiledTimes(t *testing.T) {
	t.Parallel()
	env, err := conditions.New(grammarSchema())
	require.NoError(t, err)
	condition, findings := env.Condition("a.t0 - a.t1 == a.p0")
	require.Empty(t, findings)
	times := []time.Time{{}, time.Unix(math.MaxInt64, 999_999_999), time.Unix(math.MinInt64, 0), time.Unix(math.MaxInt64/1_000_000_000, 0)}
	for _, at := range []time.Time{noon, time.Unix(0, 0), time.Unix(0, 999_999_999)} {
		for _, edge := range []time.Duration{0, math.MaxInt64, math.MinInt64} {
			for _, near := range []time.Duration{0, 1, -1, time.Second, -time.Second, 145_224_193} {
				times = append(times, at.Add(edge).Add(near))
			}
		}
	}
	n := tally{truths: map[conditions.Truth]int{}}
	record := present(make([]amend.Value, len(grammarSchema().Services[0].Fields))...)
	for _, to := range times {
		for _, from := range times {
			record.Values[8], record.Values[9], record.Values[10] = amend.TimeOf(to), amend.TimeOf(from), amend.DurationOf(to.Sub(from))
			n.hold(t, condition, env.Scope(&amend.View{Records: []amend.Record{record, absent}}, noon))
		}
	}
	require.Greater(t, n.truths[conditions.True], 100)
	require.Greater(t, n.truths[conditions.Erred], 100)
}

// TestCompiledLeavesOddRecords: what isn't as declared, which no connector
// gives, ends as it does in cel-go, and not in a panic.
func TestCompiledLeavesOddRecords(t *testing.T) {
	t.Parallel()
	env := environment(t)
	for when, ledger := range map[string]amend.Record{
		`ledger.status < "p"`:     present(amend.IntOf(1), amend.IntOf(2), amend.BoolOf(true)),
		`ledger.balance % 2 == 0`: present(amend.StringOf("open"), amend.DoubleOf(2), amend.BoolOf(true)),
		`ledger.locked == true`:   present(amend.StringOf("open")),
	} {
		c, findings := env.Condition(when)
		require.Empty(t, findings)
		scope := env.Scope(&amend.View{Records: []amend.Record{approved(), ledger}}, noon)
		_, odd, slow := c.Both(scope)
		require.True(t, odd, when)
		require.Equal(t, conditions.Erred, slow.Truth, when)
		require.Equal(t, slow, c.Eval(scope), when)
		scope.Reset(&amend.View{Records: []amend.Record{approved()}}, noon)
		require.Equal(t, conditions.Erred, c.Eval(scope).Truth, "a view that lacks a service")
	}
}

// TestManyServices: the 65th service is left to cel-go.
func TestManyServices(t *testing.T) {
	t.Parallel()
	all, view := &amend.Schema{}, &amend.View{}
	for i := range 70 {
		all.Services = append(all.Services, amend.Service{Name: fmt.Sprintf("s%d", i)})
		view.Records = append(view.Records, unseen)
	}
	env, err := conditions.New(all)
	require.NoError(t, err)
	for i, compiled := range map[int]bool{0: true, 63: true, 64: false, 69: false} {
		c, findings := env.Condition(fmt.Sprintf("s%d.absent", i))
		require.Empty(t, findings)
		require.Equal(t, compiled, c.Compiled(), i)
		require.Equal(t, conditions.Result{Truth: conditions.Undecided, Needs: []int{i}}, c.Eval(env.Scope(view, noon)))
	}
}

// tally counts what has been compared.
type tally struct {
	written, compiled, odd int
	truths                 map[conditions.Truth]int
}

// compare writes a condition, and holds its closures against cel-go on some
// views: the same truth, and the same services where that is undecided.
func (n *tally) compare(t *testing.T, env *conditions.Environment, conditionBytes, viewBytes []byte) {
	t.Helper()
	from := choices(conditionBytes)
	text := from.boolean(1 + from.below(4))
	condition, findings := env.Condition(text)
	if len(findings) > 0 { // a list of durations can't hold null, and the like
		return
	}
	n.written++
	if !condition.Compiled() {
		return
	}
	n.compiled++
	views := choices(viewBytes)
	for range 8 {
		view, now := views.view(grammarSchema())
		n.hold(t, condition, env.Scope(view, now))
	}
}

func (n *tally) hold(t *testing.T, condition *conditions.Condition, scope *conditions.Scope) {
	t.Helper()
	fast, odd, slow := condition.Both(scope)
	if odd {
		n.odd++
	} else {
		n.truths[slow.Truth]++
		require.Equal(t, slow.Truth.String(), fast.Truth.String(), "%s of %.200v at %v: %v", condition.Text(), scope.View().Records, scope.Now(), slow.Err)
		require.Equal(t, slow.Needs, fast.Needs, "%s of %.200v", condition.Text(), scope.View().Records)
	}
	require.Equal(t, slow, condition.Eval(scope), condition.Text())
}

// TestCompiledOperators gives each operator every combination of what is known,
// null, unseen and wrong.
func TestCompiledOperators(t *testing.T) {
	t.Parallel()
	env, err := conditions.New(grammarSchema())
	require.NoError(t, err)
	record := func(i0, i1 int64) amend.Record {
		record := present(make([]amend.Value, len(grammarSchema().Services[0].Fields))...)
		record.Values[2], record.Values[3] = amend.IntOf(i0), amend.IntOf(i1)
		return record
	}
	records := []amend.Record{record(1, 0), record(2, 1), absent, unseen}
	parts := []string{"1", "null", "a.i0", "b.i1", "1 / 0", "(1 / b.i1)"}
	n := tally{truths: map[conditions.Truth]int{}}
	for _, form := range []string{
		"%s == %s || %s > 1", "%s != %s && %s > 1", "%s < %s && %s == 1", "%s in [%s, %s]", "!(%s <= %s) || !(%s >= 1)",
		"%s + %s == %s", "-(%s) == %s - %s", "(%s > 1 ? %s : %s) == 1", "%s > 1 ? %s == 1 : %s == 1", "(%s == 1) == (%s == %s)",
	} {
		for i := range len(parts) * len(parts) * len(parts) {
			condition, findings := env.Condition(fmt.Sprintf(form, parts[i%6], parts[i/6%6], parts[i/36]))
			if len(findings) > 0 || !condition.Compiled() { // null + null, and the like
				continue
			}
			n.compiled++
			for j := range len(records) * len(records) {
				n.hold(t, condition, env.Scope(&amend.View{Records: []amend.Record{records[j%4], records[j/4]}}, noon))
			}
		}
	}
	require.Greater(t, n.compiled, 1000)
}

// TestCompiledIsCEL compares conditions by chance, and sees that there is
// something to compare.
func TestCompiledIsCEL(t *testing.T) {
	t.Parallel()
	env, err := conditions.New(grammarSchema())
	require.NoError(t, err)
	random := rand.NewChaCha8([32]byte{1})
	n := tally{truths: map[conditions.Truth]int{}}
	for range 2000 {
		condition, views := make([]byte, 80), make([]byte, 300)
		random.Read(condition)
		random.Read(views)
		n.compare(t, env, condition, views)
	}
	t.Logf("%+v", n)
	require.Greater(t, n.compiled, 2*(n.written-n.compiled), "most of the grammar is compiled")
	require.Positive(t, n.odd)
	for _, truth := range []conditions.Truth{conditions.True, conditions.False, conditions.Undecided, conditions.Erred} {
		require.Greater(t, n.truths[truth], 500, truth.String())
	}
}

func FuzzCompiled(f *testing.F) {
	env, err := conditions.New(grammarSchema())
	require.NoError(f, err)
	random := rand.NewChaCha8([32]byte{2})
	for range 50 {
		condition, views := make([]byte, 60), make([]byte, 250)
		random.Read(condition)
		random.Read(views)
		f.Add(condition, views)
	}
	f.Fuzz(func(t *testing.T, condition, views []byte) {
		n := tally{truths: map[conditions.Truth]int{}}
		n.compare(t, env, condition, views)
	})
}
