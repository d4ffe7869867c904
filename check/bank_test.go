package check_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/check"
	"amend/conditions"
	"amend/config"
	"amend/connectors"
	httpkind "amend/connectors/http"
	sqlkind "amend/connectors/sql"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// load reads a configuration with the real kinds; nothing is called.
func load(t testing.TB, text []byte) *config.Config {
	t.Helper()
	folder := t.TempDir()
	path := filepath.Join(folder, "bank.yaml")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	env := map[string]string{
		"IDENTITY_URL": "http://127.0.0.1:1", "IDENTITY_TOKEN": "token", "LEDGER_URL": "http://127.0.0.1:2",
		"CARDS_URL": "http://127.0.0.1:3", "BILLING_URL": "http://127.0.0.1:4",
		"COMPLIANCE_DSN": "sqlite:" + filepath.Join(folder, "compliance.db"),
	}
	cfg, err := config.Load(config.Options{
		Path: path, Kinds: []connectors.Kind{httpkind.Kind(), sqlkind.Kind()},
		Surroundings: connectors.Surroundings{Loopback: true},
		Getenv:       func(name string) (string, bool) { v, ok := env[name]; return v, ok },
	})
	require.NoError(t, err)
	return cfg
}

// findings are what check says of a loaded configuration.
func findings(cfg *config.Config) amend.Findings {
	return check.Rules(cfg.Schema, cfg.Machine, cfg.Rules, func(service int) bool {
		return cfg.Schema.Services[service].Sentinels.Declared() || cfg.Connectors[service].Can().Marker
	})
}

// space is every view of a configuration that its conditions and arguments can
// tell apart: for each service the records that it can give. An optional field
// may be null; a listed value outside the list makes the record unseen, so it
// needs no view of its own.
type space [][]amend.Record

// samples are the values for fields without a list: the constants that the
// reference example compares them with, and one other value. The addresses are
// those of identity; billing has one that is equal and one that differs.
var samples = map[string][]amend.Value{
	"identity.country":     {amend.StringOf("GB"), amend.StringOf("DE")},
	"identity.email":       {amend.StringOf("a@bank.example")},
	"billing.email":        {amend.StringOf("a@bank.example"), amend.StringOf("b@bank.example")},
	"identity.changed_at":  {amend.TimeOf(noon.Add(-time.Hour))},
	"compliance.placed_at": {amend.TimeOf(noon.Add(-time.Hour))},
}

func newSpace(t testing.TB, cfg *config.Config) space {
	t.Helper()
	read := reads(cfg)
	all := make(space, len(cfg.Schema.Services))
	for i, service := range cfg.Schema.Services {
		rows := [][]amend.Value{nil}
		for f, field := range service.Fields {
			values := valuesOf(t, service.Name, field)
			if !read[[2]int{i, f}] {
				values = values[:1]
			}
			rows = times(rows, values)
		}
		all[i] = []amend.Record{{Presence: amend.Absent, ReadAt: noon}}
		for _, row := range rows {
			all[i] = append(all[i], amend.Record{Presence: amend.Present, Values: row, ReadAt: noon})
		}
	}
	return all
}

// reads are the fields that a condition or an argument looks at.
func reads(cfg *config.Config) map[[2]int]bool {
	read := map[[2]int]bool{}
	take := func(references []conditions.Reference) {
		for _, r := range references {
			read[[2]int{r.Service, r.Field}] = true
		}
	}
	for _, s := range cfg.Machine.States {
		take(s.When.Reads())
	}
	for _, r := range cfg.Rules.Rules {
		for _, step := range r.Steps {
			for _, a := range step.Arguments {
				take(a.Value.Reads())
			}
		}
	}
	return read
}

func valuesOf(t testing.TB, service string, field amend.Field) []amend.Value {
	t.Helper()
	values := samples[service+"."+field.Name]
	for _, text := range field.Values {
		values = append(values, amend.StringOf(text))
	}
	switch {
	case len(values) > 0:
	case field.Type == amend.Int:
		values = []amend.Value{amend.IntOf(0), amend.IntOf(1230)}
	case field.Type == amend.Bool:
		values = []amend.Value{amend.BoolOf(true), amend.BoolOf(false)}
	default:
		values = []amend.Value{amend.StringOf("some")}
	}
	if field.Optional {
		values = append(values, amend.Value{})
	}
	return values
}

func times(rows [][]amend.Value, values []amend.Value) [][]amend.Value {
	var all [][]amend.Value
	for _, row := range rows {
		for _, v := range values {
			all = append(all, append(append([]amend.Value(nil), row...), v))
		}
	}
	return all
}

// each visits every combination of one choice per service.
func (s space) each(visit func(choice []int)) {
	choice := make([]int, len(s))
	for {
		visit(choice)
		at := len(s) - 1
		for ; at >= 0; at-- {
			if choice[at]++; choice[at] < len(s[at]) {
				break
			}
			choice[at] = 0
		}
		if at < 0 {
			return
		}
	}
}

func (s space) view(choice []int) *amend.View {
	view := &amend.View{ID: "cus_123456"}
	for i, c := range choice {
		view.Records = append(view.Records, s[i][c])
	}
	return view
}
