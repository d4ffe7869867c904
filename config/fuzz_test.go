package config_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"amend/bank"
	"amend/config"
	"amend/connectors"
)

// FuzzLoad: whatever a file holds, loading ends with a configuration or with
// problems that can be shown, each at a place inside the file, never in a
// panic.
func FuzzLoad(f *testing.F) {
	text := string(bank.Configuration)
	f.Add(text)
	for _, test := range messages {
		for i := 0; i < len(test.edit); i += 2 {
			f.Add(strings.Replace(text, test.edit[i], test.edit[i+1], 1))
		}
		for _, file := range test.files {
			if len(file) < 10_000 {
				f.Add(file)
			}
		}
	}
	for _, section := range strings.Split(text, "\n\n") {
		f.Add("version: 1\n" + section)
	}
	folder := f.TempDir()
	path := filepath.Join(folder, "fuzz.yaml")
	require.NoError(f, os.WriteFile(path, nil, 0o600))
	f.Fuzz(func(t *testing.T, text string) {
		// A data source of its own could make files anywhere.
		if strings.Contains(text, "sqlite") || strings.Contains(text, "postgres") {
			return
		}
		o := options(path, environment(folder))
		o.ReadFile = func(string) ([]byte, error) { return []byte(text), nil }
		cfg, err := config.Load(o)
		require.Equal(t, cfg == nil, err != nil)
		if err != nil {
			require.NotEmpty(t, err.Error())
			requirePlaces(t, path, text, err.Error())
			return
		}
		for _, c := range cfg.Connectors {
			require.NoError(t, connectors.Close(c))
		}
	})
}

// requirePlaces requires that each line and column that is named exists; behind
// the last character of a line something may be missing.
func requirePlaces(t *testing.T, path, text, shown string) {
	t.Helper()
	lines := strings.Split(text, "\n")
	place := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(path) + `:(-?\d+):(-?\d+): `)
	for _, found := range place.FindAllStringSubmatch(shown, -1) {
		line, err := strconv.Atoi(found[1])
		require.NoError(t, err)
		column, err := strconv.Atoi(found[2])
		require.NoError(t, err)
		require.True(t, line >= 1 && line <= len(lines), "line %d of %d: %s", line, len(lines), shown)
		require.True(t, column >= 1 && column <= utf8.RuneCountInString(lines[line-1])+1, "column %d of %q: %s", column, lines[line-1], shown)
	}
}
