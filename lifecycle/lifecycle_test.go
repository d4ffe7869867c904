package lifecycle_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/lifecycle"
)

var update = flag.Bool("update", false, "write docs/lifecycle.md")

func TestTableIsSound(t *testing.T) {
	t.Parallel()
	require.NoError(t, lifecycle.Validate(lifecycle.Table()))
	require.ErrorContains(t, lifecycle.Validate(append(lifecycle.Table(),
		lifecycle.Transition{Event: lifecycle.Start, From: []lifecycle.Status{lifecycle.Watching}, To: lifecycle.Healed})),
		"start from watching leads to both")
	require.ErrorContains(t, lifecycle.Validate(slices.Delete(lifecycle.Table(), 4, 5)), "nothing leads to waiting")
	require.ErrorContains(t, lifecycle.Validate(append(lifecycle.Table(),
		lifecycle.Transition{Event: lifecycle.Look, From: []lifecycle.Status{lifecycle.Healed}, To: lifecycle.Watching})),
		"an ended case stays ended")
}

// Every pair of status and event leads where the table says, or is refused.
func TestFireFollowsTheTable(t *testing.T) {
	t.Parallel()
	want := map[string]lifecycle.Status{}
	events := map[lifecycle.Event]bool{}
	for _, row := range lifecycle.Table() {
		events[row.Event] = true
		for _, from := range row.From {
			want[string(from)+" "+string(row.Event)] = row.To
		}
	}
	for _, from := range []lifecycle.Status{"watching", "proposed", "healing", "waiting", "escalated", "healed", "closed"} {
		for event := range events {
			to, err := lifecycle.Fire(from, event)
			expected, allowed := want[string(from)+" "+string(event)]
			if !allowed {
				require.Equal(t, amend.Conflict, amend.CodeOf(err), "%s %s", from, event)
				require.Equal(t, from, to)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, expected, to)
		}
	}
}

func TestDocsShowTheTable(t *testing.T) {
	t.Parallel()
	diagram, err := lifecycle.Diagram()
	require.NoError(t, err)
	var b strings.Builder
	fmt.Fprintf(&b, "# The lifecycle of a case\n\nGenerated from the table in package `lifecycle` by `go test ./lifecycle -update`.\n\n```mermaid\n%s\n```\n\n", diagram)
	b.WriteString("| event | from | to | when |\n|---|---|---|---|\n")
	for _, row := range lifecycle.Table() {
		var from []string
		for _, s := range row.From {
			from = append(from, string(s))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", row.Event, strings.Join(from, ", "), row.To, row.When)
	}
	const file = "../docs/lifecycle.md"
	if *update {
		require.NoError(t, os.MkdirAll("../docs", 0o755))
		require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o644))
	}
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, b.String(), string(written), "docs are behind the table: go test ./lifecycle -update")
}
