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
	httpkind "amend/connectors/http"
	sqlkind "amend/connectors/sql"
)

// environment is what the reference example needs, without any real service.
func environment(folder string) map[string]string {
	return map[string]string{
		"IDENTITY_URL": "http://127.0.0.1:1", "IDENTITY_TOKEN": "token", "LEDGER_URL": "http://127.0.0.1:2",
		"CARDS_URL": "http://127.0.0.1:3", "BILLING_URL": "http://127.0.0.1:4",
		"COMPLIANCE_DSN": "sqlite:" + filepath.Join(folder, "compliance.db"),
	}
}

func options(path string, env map[string]string) config.Options {
	return config.Options{
		Path: path, Kinds: []connectors.Kind{httpkind.Kind(), sqlkind.Kind()},
		Surroundings: connectors.Surroundings{Loopback: true},
		Getenv:       func(name string) (string, bool) { v, ok := env[name]; return v, ok },
	}
}

// loadFiles loads a folder of files.
func loadFiles(t *testing.T, files map[string]string, env map[string]string) (*config.Config, error) {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	if env == nil {
		env = environment(folder)
	}
	return config.Load(options(folder, env))
}

// loadBank loads the reference example with one text replaced by another.
func loadBank(t *testing.T, pairs ...string) (*config.Config, error) {
	t.Helper()
	return loadFiles(t, map[string]string{"bank.yaml": bankWith(t, pairs...)}, nil)
}

func bankWith(t *testing.T, pairs ...string) string {
	t.Helper()
	text := string(bank.Configuration)
	for i := 0; i < len(pairs); i += 2 {
		require.Contains(t, text, pairs[i])
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

func mustBank(t *testing.T, pairs ...string) *config.Config {
	t.Helper()
	cfg, err := loadBank(t, pairs...)
	require.NoError(t, err)
	return cfg
}
