package dashboard

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// headers stand on every answer. The policy allows nothing inline: whatever
// slips through escaping can't run. Referrer-Policy is same-origin and not
// no-referrer because with the latter browsers send "Origin: null" with our own
// forms; to other sites it tells just as little.
var headers = map[string]string{
	"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
		"form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
	"Referrer-Policy":              "same-origin",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Permissions-Policy":           "camera=(), geolocation=(), microphone=()",
	"Cache-Control":                "no-store",
}

// guarded sets the headers, and answers only to names of this machine: a page
// elsewhere whose own name was made to resolve to 127.0.0.1 would otherwise be
// of our origin.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		if !loopback(r.Host) {
			http.Error(w, "This dashboard answers to loopback names only, such as 127.0.0.1 and localhost.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// loopback reports whether "host" or "host:port" names this machine. An empty
// host means all addresses, and doesn't.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Zone() == "" && ip.Unmap().IsLoopback()
}

// sameOrigin refuses a change that another site's page has sent. The standard
// library lets requests pass that carry neither header, as programs send them;
// a session belongs to a browser, and every browser sends one of the two.
func sameOrigin(r *http.Request) error {
	origin := r.Header.Get("Origin")
	foreign := fault{status: http.StatusForbidden, title: "This was not sent from a page of this dashboard", text: "Nothing was changed.",
		next: "Open the customer's page here and start again."}
	switch {
	case origin == "" && r.Header.Get("Sec-Fetch-Site") == "":
		return foreign
	case origin != "" && origin != "http://"+r.Host:
		return foreign
	}
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		foreign.err = err
		return foreign
	}
	return nil
}
