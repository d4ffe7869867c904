package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"amend/bank"
	"amend/config"
	"amend/connectors"
)

// FuzzLoad: whatever a file holds, loading ends with a configuration or with
// problems that can be shown, never in a panic.
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
			return
		}
		for _, c := range cfg.Connectors {
			require.NoError(t, connectors.Close(c))
		}
	})
}
