package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend/bench/services"
	"amend/connectors"
	"amend/store"
)

// TestMain lets the harness start this program again, as the services and as a
// sample.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "services" || os.Args[1] == "sample") {
		main()
		return
	}
	os.Exit(m.Run())
}

func harnessed(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, harness(t.Context(), append(args, "-samples", "1"), &out))
	return out.String()
}

// Every way of looking is measured with the real engine, and what it saw and
// sent is held against what there was.
func TestEveryWay(t *testing.T) {
	t.Parallel()
	table := harnessed(t, "-rows", `^amend, (merged|merged, masked|batches|single GETs|what changed, 1 %|merged, while people look at pages|merged, 100 % repaired)$`, "-customers", "1200", "-singles", "150")
	for _, row := range []string{handMerged, "amend, merged", handMasked, "amend, merged, masked", handBatches, "amend, batches", handSingly, "amend, single GETs", "amend, what changed, 1 %", "amend, merged, while people look at pages", "amend, merged, 100 % repaired"} {
		assert.Contains(t, table, "\n| "+row+" | ")
	}
	assert.Equal(t, 2+11, strings.Count(table, "\n"), table)
	assert.Contains(t, table, "≤ 1.2", "goals stand beside ratios")
	assert.Contains(t, table, "(≤ 25", "pages were looked at")
	assert.Regexp(t, `amend, merged, 100 % repaired \|.* [\d.,]+ · [\d.,]+ \|`, table, "how long repairs took is shown")
}

// Memory and CPU are shown for each size.
func TestGrowth(t *testing.T) {
	t.Parallel()
	table := harnessed(t, "-rows", "^amend, merged, masked$", "-growth", "1500,3000")
	assert.Contains(t, table, "| amend, merged, masked | 1,500 | 1 | ")
	assert.Contains(t, table, "| amend, merged, masked | 3,000 | 1 | ")
}

// A row brings those along that it is measured against, and no others.
func TestChoose(t *testing.T) {
	t.Parallel()
	for only, want := range map[string][]string{
		"^amend, single GETs, 3 % repaired$": {controller, riverJobs, "amend, single GETs, 3 % repaired"},
		"^amend, what changed":               {handMerged, amendMerged, "amend, what changed, 1 %"},
	} {
		chosen, err := choose(options{only: only})
		require.NoError(t, err)
		var names []string
		for _, r := range chosen {
			names = append(names, r.name)
		}
		require.Equal(t, want, names)
	}
	for _, only := range []string{"nothing is called so", "("} {
		_, err := choose(options{only: only})
		require.Error(t, err)
	}
	before := map[string]bool{}
	for _, r := range rows {
		for _, g := range r.goals {
			require.True(t, before[g.against], "%s stands after what it is measured against", r.name)
		}
		before[r.name] = true
	}
}

// A sample that scanned too little or sent anything wrong is void.
func TestVerify(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*measured){
		"":                    func(*measured) {},
		"gave 9 records":      func(m *measured) { m.counts.Records[4] = 9 },
		"there were":          func(m *measured) { m.States["active"]-- },
		"it mended 1;":        func(m *measured) { m.counts.Mended-- },
		"it sent 1 twice":     func(m *measured) { m.counts.Twice++ },
		"twice and 1 wrongly": func(m *measured) { m.counts.Wrong++ },
	} {
		m := measured{customers: 10, outcome: outcome{States: map[string]int{"active": 8, services.Broken: 2}}, counts: services.Counts{Records: [services.Count]int64{10, 10, 10, 10, 10}, Mended: 2}}
		change(&m)
		err := m.verify(map[string]int{"active": 8, services.Broken: 2}, 2)
		if name == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, name)
	}
}

// A row is measured soon after, or before, what it is measured against, in an
// order that the seed decides.
func TestShuffled(t *testing.T) {
	t.Parallel()
	chosen := []row{{name: "a"}, {name: "b", goals: []goal{{against: "a"}}}, {name: "c"}, {name: "d", goals: []goal{{against: "c"}}}, {name: "e", goals: []goal{{against: "b"}}}}
	orders := map[string]bool{}
	for seed := range uint64(100) {
		var order string
		for _, r := range shuffled(rand.New(rand.NewPCG(seed, 0)), chosen) {
			order += r.name
		}
		require.Regexp(t, "^([abe]{3}[cd]{2}|[cd]{2}[abe]{3})$", order)
		orders[order] = true
		var again string
		for _, r := range shuffled(rand.New(rand.NewPCG(seed, 0)), chosen) {
			again += r.name
		}
		require.Equal(t, order, again)
	}
	require.Len(t, orders, 2*6*2, "every order occurs")
}

// A goal is missed as soon as the ratio of the medians is beyond it.
func TestTable(t *testing.T) {
	t.Parallel()
	sample := func(cpu, wall time.Duration, calls int64) measured {
		return measured{customers: 1000, outcome: outcome{Used: used{CPU: cpu, Wall: wall, Peak: 65 << 20}, Writes: 3}, counts: services.Counts{Calls: [services.Count]int64{calls}, Bytes: 5000}}
	}
	b := &bench{taken: map[string][]measured{
		"a": {sample(9*time.Millisecond, time.Second, 5), sample(10*time.Millisecond, time.Second, 5), sample(13*time.Millisecond, time.Second, 5)},
		"b": {sample(12*time.Millisecond, 2*time.Second, 6)},
	}}
	b.taken["b"][0].Waits = []time.Duration{3 * time.Millisecond, time.Millisecond, 2 * time.Millisecond, 3 * time.Millisecond, time.Millisecond}
	b.taken["b"] = append(b.taken["b"], b.taken["b"][0], b.taken["b"][0])
	var out bytes.Buffer
	require.NoError(t, b.print(&out, []row{{name: "a"}, {name: "b", by: "amend", calls: 0.005, waits: waits{2, 2.5}, goals: []goal{{"a", 1.2, 0.9}, {"a", 1.1, 0.5}}}}))
	lines := strings.Split(out.String(), "\n")
	require.Equal(t, []string{
		"| a | 1,000 | 10 ± 20 % | 1,000 | 0.005 | 5 | 65 | 0 | 3 |  | | | | |",
		"| b | 1,000 | 12 ± 0 % | 500 | 0.006 (≤ 0.005 **missed**) | 5 | 65 **missed** | 0 | 3 | 2 (≤ 2) · 3 (≤ 2.5 **missed**) | a: 1.2 | ≤ 1.2 | 0.5 | ≥ 0.9 **missed** |",
		"| | | | | | | | | | | a: 1.2 | ≤ 1.1 **missed** | 0.5 | ≥ 0.5 |",
		"",
	}, lines[2:])
}

func TestMiddle(t *testing.T) {
	t.Parallel()
	require.Equal(t, 3.0, middle([]float64{5, 1, 4, 2, 3}))
	require.Equal(t, 2.5, middle([]float64{4, 1, 3, 2}))
	require.Equal(t, 7.0, middle([]float64{7}))
}

// Figures are read by people.
func TestFigure(t *testing.T) {
	t.Parallel()
	for f, want := range map[float64]string{0: "0", 0.00556: "0.00556", 4.1134: "4.11", 115.6: "116", 999.4: "999", 2213: "2,213", 1234567: "1,234,567"} {
		require.Equal(t, want, figure(f))
	}
}

// The CPU of a process and of its children is found in /proc: of those that run,
// and of those that have ended. It isn't parallel: other tests have children, too.
func TestCPUOf(t *testing.T) {
	child := exec.CommandContext(t.Context(), "sh", "-c", "while :; do :; done")
	others := func() time.Duration {
		all, err := cpuOf(os.Getpid())
		require.NoError(t, err)
		own, err := ownCPU()
		require.NoError(t, err)
		return all - own
	}
	before := others()
	require.NoError(t, child.Start())
	require.Eventually(t, func() bool { return others()-before > 200*time.Millisecond }, 30*time.Second, 20*time.Millisecond, "while it runs")
	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait())
	require.Greater(t, others()-before, 150*time.Millisecond, "when it has ended")
}

// amend is offered what a row says, and nothing cheaper.
func TestWays(t *testing.T) {
	t.Parallel()
	for way, want := range map[string]connectors.Abilities{
		merged:  {One: true, List: true},
		masked:  {One: true, List: true},
		batches: {One: true, Many: 100},
		singly:  {One: true},
		visited: {One: true, List: true},
		fresh:   {One: true, Many: 100, List: true, Since: true},
	} {
		at := services.Addresses{}
		for i := range at.Services {
			at.Services[i] = "http://127.0.0.1:1"
		}
		e, err := engine(t.Context(), task{At: at, Way: way}, t.TempDir())
		require.NoError(t, err)
		defer e.Store.Close()
		require.Len(t, e.Rules.Rules, 8, "those of bank.yaml")
		require.True(t, e.Connectors[0].Can().List)
		for _, c := range e.Connectors[1:] {
			can := c.Can()
			require.Equal(t, want, connectors.Abilities{One: can.One, Many: can.Many, List: can.List, Since: can.Since}, way)
		}
	}
}

// A way that there isn't is an error, not a row of zeros.
func TestSampleRefuses(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-at", "x"}, {"-at", "{}", "-by", "hand", "-way", "sideways"}, {"-no-such-flag"}} {
		require.Error(t, sample(context.Background(), args, io.Discard))
	}
}

// Every commit of a store counts, and reading counts for nothing.
func TestTransactions(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), storeFile)
	s, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
	require.NoError(t, err)
	defer s.Close()
	before, err := transactions(path)
	require.NoError(t, err)
	_, _, err = s.OpenScan(t.Context(), store.FullScan)
	require.NoError(t, err)
	same, err := transactions(path)
	require.NoError(t, err)
	require.Equal(t, before, same)
	for i := range 3 {
		_, err := s.Pause(t.Context(), store.Pause{Scope: store.PauseRule, Target: "block-card", By: "a person", Why: fmt.Sprint(i)})
		require.NoError(t, err)
	}
	after, err := transactions(path)
	require.NoError(t, err)
	require.EqualValues(t, 3, after-before)
}
