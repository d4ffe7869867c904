package http

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// dialer looks at the address that is really dialled, whatever a name
// resolved to at that moment.
func dialer(loopback bool) *net.Dialer {
	return &net.Dialer{
		Timeout:   5 * time.Second,
		KeepAlive: 30 * time.Second,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil {
				return &refusedAddress{"its address can't be read"}
			}
			if reason := refusedIP(at.Addr(), loopback); reason != "" {
				return &refusedAddress{reason}
			}
			return nil
		},
	}
}

// refusedAddress is the error of a name that leads where no service is.
type refusedAddress struct{ reason string }

func (e *refusedAddress) Error() string {
	return "its host name leads where no service is: " + e.reason
}

// refusedHost says why a host as written can't be a service's, if so.
func refusedHost(host string, loopback bool) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if !loopback && (host == "localhost" || strings.HasSuffix(host, ".localhost")) {
		return "that is this machine itself"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return "" // a name: judged when it is dialled
	}
	return refusedIP(ip, loopback)
}

// refusedNetworks lead somewhere else than they say, or to no service of
// anybody. Private networks are not among them: that is where services live.
var refusedNetworks = []struct {
	reason string
	prefix netip.Prefix
}{
	{"that is no host", netip.MustParsePrefix("0.0.0.0/8")},
	{"that is the provider's own network", netip.MustParsePrefix("100.64.0.0/10")},
	{"that is a reserved network", netip.MustParsePrefix("192.0.0.0/24")},
	{"that is a network for examples", netip.MustParsePrefix("192.0.2.0/24")},
	{"that is a network for examples", netip.MustParsePrefix("198.51.100.0/24")},
	{"that is a network for examples", netip.MustParsePrefix("203.0.113.0/24")},
	{"that is a reserved network", netip.MustParsePrefix("240.0.0.0/4")},
	{"that leads on to IPv4", netip.MustParsePrefix("64:ff9b::/96")},
	{"that leads on to IPv4", netip.MustParsePrefix("64:ff9b:1::/48")},
	{"that leads on to IPv4", netip.MustParsePrefix("2002::/16")},
	{"that leads on to IPv4", netip.MustParsePrefix("2001::/32")},
	{"that leads on to IPv4", netip.MustParsePrefix("::/96")},
	{"that is a network for examples", netip.MustParsePrefix("2001:db8::/32")},
	{"that is where cloud providers keep credentials", netip.MustParsePrefix("fd00:ec2::254/128")},
}

func refusedIP(ip netip.Addr, loopback bool) string {
	ip = ip.Unmap().WithZone("")
	switch {
	case ip.IsLoopback() && loopback:
		return ""
	case ip.IsLoopback():
		return "that is this machine itself"
	case ip.IsUnspecified():
		return "that is no host"
	case ip.IsLinkLocalUnicast():
		return "that is a link-local address, where cloud providers keep credentials"
	case ip.IsMulticast():
		return "that is more than one host"
	}
	for _, n := range refusedNetworks {
		if n.prefix.Contains(ip) {
			return n.reason
		}
	}
	return ""
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

func isTLS(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	_, ok := errors.AsType[tls.AlertError](err)
	return ok
}
