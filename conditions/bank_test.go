package conditions_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/bank"
	"amend/conditions"
	"amend/config"
	"amend/connectors"
	httpkind "amend/connectors/http"
	sqlkind "amend/connectors/sql"
)

// bankConfig loads the reference configuration; nothing is called.
func bankConfig(t *testing.T) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bank.yaml")
	require.NoError(t, os.WriteFile(path, bank.Configuration, 0o600))
	env := map[string]string{
		"IDENTITY_URL": "http://127.0.0.1:1", "IDENTITY_TOKEN": "token", "LEDGER_URL": "http://127.0.0.1:2",
		"CARDS_URL": "http://127.0.0.1:3", "BILLING_URL": "http://127.0.0.1:4", "COMPLIANCE_DSN": "sqlite:" + filepath.Join(t.TempDir(), "compliance.db"),
	}
	cfg, err := config.Load(config.Options{
		Path: path, Kinds: []connectors.Kind{httpkind.Kind(), sqlkind.Kind()}, Surroundings: connectors.Surroundings{Loopback: true},
		Getenv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
	})
	require.NoError(t, err)
	return cfg
}

// recordsOf are all records of a service that the conditions of bank.yaml can
// tell apart: unseen, absent, and each combination of the listed values, of two
// others where there is no list, and of null.
func recordsOf(service *amend.Service) []amend.Record {
	rows := [][]amend.Value{nil}
	for _, field := range service.Fields {
		values := []amend.Value{{}}
		for _, text := range field.Values {
			values = append(values, amend.StringOf(text))
		}
		switch {
		case field.Name == "email":
			values = append(values, amend.StringOf("a@bank.example"), amend.StringOf("b@bank.example"))
		case field.Type == amend.Bool:
			values = append(values, amend.BoolOf(true), amend.BoolOf(false))
		case field.Type == amend.Int:
			values = append(values, amend.IntOf(0), amend.IntOf(1230))
		case field.Name != "status": // no condition reads it
			values = values[:1]
		}
		var longer [][]amend.Value
		for _, row := range rows {
			for _, v := range values {
				longer = append(longer, append(append([]amend.Value(nil), row...), v))
			}
		}
		rows = longer
	}
	records := []amend.Record{unseen, absent}
	for _, row := range rows {
		records = append(records, present(row...))
	}
	return records
}

// TestBankIsCompiled: every condition of bank.yaml is compiled, and is cel-go's
// over its whole finite space.
func TestBankIsCompiled(t *testing.T) {
	t.Parallel()
	cfg := bankConfig(t)
	for _, state := range cfg.Machine.States {
		require.True(t, state.When.Compiled(), state.Name)
		truths := map[conditions.Truth]int{}
		services := involved(state.When)
		view := &amend.View{Records: make([]amend.Record, len(cfg.Schema.Services))}
		scope := cfg.Environment.Scope(view, noon)
		var each func(int)
		each = func(i int) {
			if i == len(services) {
				fast, odd, slow := state.When.Both(scope)
				require.False(t, odd, state.Name)
				require.Equal(t, slow.Truth, fast.Truth, "%s of %v", state.Name, view.Records)
				require.Equal(t, slow.Needs, fast.Needs, "%s of %v", state.Name, view.Records)
				truths[slow.Truth]++
				return
			}
			for _, record := range recordsOf(&cfg.Schema.Services[services[i]]) {
				view.Records[services[i]] = record
				each(i + 1)
			}
		}
		each(0)
		require.Positive(t, truths[conditions.True], state.Name)
		require.Equal(t, len(services) == 0, truths[conditions.False] == 0, state.Name)
	}
}

// involved are the services that a condition reads. The others can't matter.
func involved(c *conditions.Condition) []int {
	var all []int
	seen := map[int]bool{}
	for _, r := range c.Reads() {
		if r.Service >= 0 && !seen[r.Service] {
			seen[r.Service] = true
			all = append(all, r.Service)
		}
	}
	return all
}
