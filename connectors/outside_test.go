package connectors_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"amend"
	"amend/bank"
	"amend/config"
	"amend/connectors"
	"amend/connectors/connectortest"
	httpkind "amend/connectors/http"
	sqlkind "amend/connectors/sql"
)

// elsewhere loads bank.yaml with all five services at one address, over the
// network as it is.
func elsewhere(t *testing.T, url, dsn string) []connectors.Connector {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bank.yaml")
	require.NoError(t, os.WriteFile(path, bank.Configuration, 0o600))
	cfg, err := config.Load(config.Options{Path: path, Kinds: []connectors.Kind{httpkind.Kind(), sqlkind.Kind()},
		Surroundings: connectors.Surroundings{Loopback: true},
		Getenv: func(name string) (string, bool) {
			v, known := map[string]string{"IDENTITY_URL": url, "IDENTITY_TOKEN": "canary", "LEDGER_URL": url, "CARDS_URL": url, "BILLING_URL": url, "COMPLIANCE_DSN": dsn}[name]
			return v, known
		}})
	require.NoError(t, err)
	t.Cleanup(func() {
		for _, c := range cfg.Connectors {
			require.NoError(t, connectors.Close(c))
		}
	})
	return cfg.Connectors
}

// address listens, and does with each connection what it is told.
func address(t *testing.T, talk func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() }) // also where the test closed it
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go talk(conn)
		}
	}()
	return listener.Addr().String()
}

// secured serves honest answers, with a certificate of its own making.
func secured(t *testing.T, host string, from, until time.Time) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: until, DNSNames: []string{host}, IsCA: true, BasicConstraintsValid: true}
	if ip := net.ParseIP(host); ip != nil {
		template.DNSNames, template.IPAddresses = nil, []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s was sent over a connection that can't be trusted", r.URL)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// I1, T11, S48: what is wrong with the network leaves everybody unseen in all
// five services, and no credential goes over a connection that can't be
// trusted. There is no way to skip the check.
func TestOutside(t *testing.T) {
	t.Parallel()
	hour := time.Hour
	now := time.Now()
	plain := address(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n"); _ = c.Close() })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	refused := listener.Addr().String()
	require.NoError(t, listener.Close())
	reset := address(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		_ = c.(*net.TCPConn).SetLinger(0) // so that closing it resets
		_ = c.Close()
	})
	halfOpen := address(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	garbage := address(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "R\x00\x00\x00\x08\x00\x00\x00\x00\xff\xff\xff\xff\xff")
		_ = c.Close()
	})
	for name, test := range map[string]struct {
		scheme, address, sslmode string
		cause                    amend.Cause
	}{
		"signed by itself":       {"https", secured(t, "127.0.0.1", now.Add(-hour), now.Add(hour)), "verify-full", amend.Unreachable},
		"expired":                {"https", secured(t, "127.0.0.1", now.Add(-2*hour), now.Add(-hour)), "verify-full", amend.Unreachable},
		"not valid yet":          {"https", secured(t, "127.0.0.1", now.Add(hour), now.Add(2*hour)), "verify-full", amend.Unreachable},
		"another name":           {"https", secured(t, "other.example", now.Add(-hour), now.Add(hour)), "verify-full", amend.Unreachable},
		"plain, where TLS is":    {"https", plain, "verify-full", amend.Unreachable},
		"TLS, where plain is":    {"http", secured(t, "127.0.0.1", now.Add(-hour), now.Add(hour)), "disable", amend.Malformed},
		"refused":                {"http", refused, "disable", amend.Unreachable},
		"reset":                  {"http", reset, "disable", amend.Unreachable},
		"half open":              {"http", halfOpen, "disable", amend.TimedOut},
		"garbage":                {"http", garbage, "disable", amend.Unreachable},
		"a name that isn't":      {"http", "nowhere.invalid:80", "disable", amend.Unreachable},
		"half open, and encoded": {"https", halfOpen, "verify-full", amend.TimedOut},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := elsewhere(t, test.scheme+"://"+test.address, "postgres://amend:canary@"+test.address+"/x?sslmode="+test.sslmode)
			var group sync.WaitGroup
			for i, c := range all {
				group.Go(func() { requireOutside(t, i, c, test.cause) })
			}
			group.Wait()
		})
	}
}

func requireOutside(t *testing.T, service int, c connectors.Connector, cause amend.Cause) {
	limit := 30 * time.Second // for what fails by itself, however busy the machine
	if cause == amend.TimedOut {
		limit = time.Second
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	record := connectors.Read(ctx, []connectors.Connector{c}, here, time.Now).Records[0]
	if record.Presence != amend.Unseen || service < 4 && record.Cause != cause {
		t.Errorf("service %d is %s (%s): %s", service, record.Presence, record.Cause, record.Reason)
	}
	if _, err := c.Many(ctx, []string{here}); err == nil {
		t.Errorf("service %d answers a batch", service)
	} else if text := err.Error(); len(text) > 200 {
		t.Errorf("service %d quotes: %s", service, text)
	}
	if _, err := c.List(ctx, connectors.PageRequest{}); err == nil {
		t.Errorf("service %d answers a list", service)
	}
}

// T12: whatever stands where the compliance database should be leaves
// everybody unseen, by the deadline, and is given no more memory than a row
// may take: PostgreSQL's protocol lets anybody announce gigabytes, and "HTTP/1.1"
// is read as 1.4 of them.
func TestHostileDatabase(t *testing.T) {
	var document struct{ Services map[string]map[string]any }
	require.NoError(t, yaml.Unmarshal(bank.Configuration, &document))
	said := map[string][]byte{}
	for _, l := range lies() {
		if bytes := []byte(l.tells(`{"status":""}`)); l.then == hangsUp && len(bytes) < 1<<16 { // memory is counted below
			said[l.name] = bytes
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for name, bytes := range said {
		document.Services["compliance"]["sql"].(map[string]any)["dsn"] = "postgres://amend:canary@" + address(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1))
			_, _ = c.Write(bytes)
			_ = c.Close()
		}) + "/x?sslmode=disable"
		text, err := yaml.Marshal(document.Services["compliance"])
		require.NoError(t, err)
		c, found := sqlkind.Kind().New(connectors.Declaration{Service: &amend.Service{Name: "compliance"}, Entity: &amend.Entity{},
			Decode: connectortest.Decode(t, string(text))}, connectors.Surroundings{})
		require.Empty(t, found)
		_, err = c.One(t.Context(), here)
		require.Contains(t, []amend.Cause{amend.Unreachable, amend.Malformed}, connectors.AsUnseen(err).Cause, "%s: %v", name, err)
		require.NoError(t, connectors.Close(c))
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(128<<20))
}
