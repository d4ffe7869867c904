package cmd

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/bank"
	"amend/connectors"
	connhttp "amend/connectors/http"
	connsql "amend/connectors/sql"
	"amend/lifecycle"
)

// TestObserve is the whole way of a hint: a service names a customer whom it has
// just changed, and the worker looks, finds them out of coherence and heals them,
// long before a scan would.
func TestObserve(t *testing.T) {
	t.Parallel()
	const token = "0123456789abcdef0123456789abcdef"
	b, err := bank.New(bank.Options{Customers: 200, Seed: 3})
	require.NoError(t, err)
	require.NoError(t, b.Start())
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	customer := ""
	for id, state := range b.Planted() {
		if state == "active" && id != "cus_000001" {
			customer = id
		}
	}

	folder := t.TempDir()
	env := b.Env()
	env["SETTLE"], env["OBSERVE_TOKEN"] = "50ms", token
	config := strings.Replace(string(bank.Configuration), "  fresh: {every: 1m}", "  observe: {token: \"${OBSERVE_TOKEN}\"}", 1)
	require.NotEqual(t, string(bank.Configuration), config)
	path := filepath.Join(folder, "bank.yaml")
	require.NoError(t, os.WriteFile(path, []byte(config+"\nstore: {url: \"sqlite:"+filepath.Join(folder, "amend.db")+"\"}\n"), 0o600))

	a := &app{stdout: io.Discard, stderr: io.Discard, kinds: []connectors.Kind{connhttp.Kind(), connsql.Kind()}, loopback: true}
	log := a.logger(0)
	cfg, err := a.loadFrom(path, func(name string) (string, bool) { v, set := env[name]; return v, set }, log)
	require.NoError(t, err)
	s, end, err := openStore(t.Context(), cfg, log)
	require.NoError(t, err)
	defer func() { require.NoError(t, end()) }()
	q, _, err := openQueue(t.Context(), cfg, s, log)
	require.NoError(t, err)
	p := a.wire(cfg, s, q, log)
	server, err := p.dashboard("127.0.0.1:0", "", func(string) {})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.run(ctx, nil, server.Serve) }()
	defer func() { stop(); require.NoError(t, <-done) }()

	require.Eventually(t, func() bool {
		scan, any, err := s.LastScan(t.Context(), "full", true)
		return err == nil && any && !scan.Open()
	}, time.Minute, 20*time.Millisecond, "no scan")
	change(t, http.MethodPatch, env["BILLING_URL"]+"/subscriptions/"+customer, "", `{"email":"other@bank.example"}`, http.StatusOK)
	require.False(t, b.Coherent(customer))
	change(t, http.MethodPost, server.URL()+"/api/v1/observe", token, `{"ids": ["`+customer+`"]}`, http.StatusAccepted)
	require.Eventually(t, func() bool { return b.Coherent(customer) }, time.Minute, 20*time.Millisecond, "it is not repaired")
	require.Eventually(t, func() bool {
		c, any, err := s.LastCase(t.Context(), customer)
		return err == nil && any && c.Status == lifecycle.Healed
	}, time.Minute, 20*time.Millisecond, "it is not healed")
}

func change(t *testing.T, method, url, token, body string, want int) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	q.Header.Set("Content-Type", "application/json")
	if token != "" {
		q.Header.Set("Authorization", "Bearer "+token)
	}
	got, err := http.DefaultClient.Do(q)
	require.NoError(t, err)
	text, err := io.ReadAll(got.Body)
	require.NoError(t, err)
	require.NoError(t, got.Body.Close())
	require.Equal(t, want, got.StatusCode, string(text))
}
