package http

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"amend"
	"amend/connectors"
)

// client sends requests to one service. It uses transports directly instead
// of an http.Client: nothing follows redirects, keeps cookies or puts URLs into
// errors.
type client struct {
	base    *url.URL
	kept    http.RoundTripper // keeps connections
	fresh   http.RoundTripper // opens one for each request
	secrets []credential
	timeout time.Duration
	limit   int64 // of a body
	now     func() time.Time
}

// credential is one header that is added when a request is sent and never
// stored.
type credential struct {
	name  string
	value amend.Secret
}

func (c *compiler) client(spec *httpSpec, s connectors.Surroundings) *client {
	made := &client{base: c.base(spec.URL, s), secrets: c.credentials(spec), timeout: spec.Timeout, limit: int64(spec.MaxBody), now: s.Now}
	if made.timeout <= 0 {
		made.timeout = defaultTimeout
	}
	if made.limit <= 0 {
		made.limit = int64(defaultMaxBody)
	}
	if spec.AtOnce < 0 || spec.PerSecond < 0 {
		c.found.Add("http", "at_once and per_second are limits; they can't be negative")
	}
	connectors.CheckPerHour(&c.found, "http.per_hour", spec.PerHour)
	atOnce := spec.AtOnce
	if atOnce <= 0 {
		atOnce = defaultAtOnce
	}
	made.kept, made.fresh = transports(s, atOnce)
	return made
}

func (c *compiler) base(text string, s connectors.Surroundings) *url.URL {
	const at = "http.url"
	base, err := url.Parse(text)
	switch {
	case text == "":
		c.found.Add(at, "the service's address is missing")
	case err != nil: // the error quotes the address, which may hold a password
		c.found.Add(at, "this is not an address such as https://ledger.bank.example/v1")
	case base.Scheme != "http" && base.Scheme != "https" || base.Hostname() == "":
		c.found.Add(at, "an address begins with https:// or http:// and names a host")
	case base.User != nil:
		c.found.Add(at, "credentials belong below http.auth, where they can't be printed")
	case base.RawQuery != "" || base.ForceQuery || base.Fragment != "":
		c.found.Add(at, "an address has neither ? nor #; parameters belong below query")
	case s.Transport == nil:
		if reason := refusedHost(base.Hostname(), s.Loopback); reason != "" {
			c.found = append(c.found, amend.Finding{Path: at, Text: fmt.Sprintf("%s can't be called: %s", base.Hostname(), reason), Hint: "--allow-loopback lets services on this machine be called"})
		}
	}
	if base == nil {
		base = &url.URL{}
	}
	base.Path, base.RawPath = strings.TrimRight(base.EscapedPath(), "/"), ""
	return base
}

func (c *compiler) credentials(spec *httpSpec) []credential {
	var all []credential
	for _, name := range slices.Sorted(maps.Keys(spec.Headers)) {
		c.header("http.headers."+name, name, spec.Headers[name])
		all = append(all, credential{name, spec.Headers[name]})
	}
	if spec.Auth == nil {
		return all
	}
	before := len(all)
	if a := spec.Auth.Bearer; !a.Empty() {
		all = append(all, credential{"Authorization", amend.NewSecret("Bearer " + a.Reveal())})
	}
	if a := spec.Auth.Basic; a != nil {
		pair := base64.StdEncoding.EncodeToString([]byte(a.User + ":" + a.Password.Reveal()))
		all = append(all, credential{"Authorization", amend.NewSecret("Basic " + pair)})
	}
	if a := spec.Auth.Header; a != nil {
		c.header("http.auth.header", a.Name, a.Value)
		all = append(all, credential{a.Name, a.Value})
	}
	if len(all) != before+1 {
		c.found.Add("http.auth", "exactly one of bearer, basic and header belongs here, and not empty")
	}
	return all
}

// transportHeaders are set by the transport alone.
var transportHeaders = []string{"Host", "Content-Length", "Transfer-Encoding", "Connection", "Accept-Encoding", "Trailer", "Upgrade", "Te", "Expect"}

func (c *compiler) header(at, name string, value amend.Secret) {
	switch {
	case !isToken(name):
		c.found.Add(at, "%q is not the name of a header", name)
	case slices.Contains(transportHeaders, http.CanonicalHeaderKey(name)):
		c.found.Add(at, "the header %s is set by amend itself", name)
	case !isHeaderValue(value.Reveal()):
		c.found.Add(at, "the value of the header %s holds a line break or another control character", name)
	}
}

func isToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

func isHeaderValue(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// transports makes the two ways to a service. Both speak HTTP/1.1 to the
// declared host and nothing else: no proxy, no compression that a small body
// could explode from.
func transports(s connectors.Surroundings, atOnce int) (kept, fresh http.RoundTripper) {
	var made *http.Transport
	switch given := s.Transport.(type) {
	case nil:
		made = &http.Transport{DialContext: dialer(s.Loopback).DialContext}
	case *http.Transport:
		made = given.Clone()
	default:
		return given, given
	}
	made.Proxy = nil
	made.DisableCompression = true
	made.Protocols = new(http.Protocols)
	made.Protocols.SetHTTP1(true)
	made.MaxIdleConns, made.MaxIdleConnsPerHost = atOnce, atOnce
	made.IdleConnTimeout = time.Minute
	made.TLSHandshakeTimeout = 10 * time.Second
	made.MaxResponseHeaderBytes = 64 << 10
	made.WriteBufferSize, made.ReadBufferSize = 16<<10, 32<<10
	single := made.Clone()
	single.DisableKeepAlives = true
	return made, single
}

func (c *client) close() {
	for _, t := range []http.RoundTripper{c.kept, c.fresh} {
		if closer, ok := t.(interface{ CloseIdleConnections() }); ok {
			closer.CloseIdleConnections()
		}
	}
}

// request makes a request to the service with its credentials.
func (c *client) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base.Scheme+"://"+c.base.Host+path, body)
	if err != nil {
		return nil, errors.New("this is not a request that can be sent")
	}
	if req.URL.Host != c.base.Host || req.URL.User != nil {
		return nil, errors.New("this would call another host than the declared one")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "amend")
	for _, s := range c.secrets {
		req.Header.Set(s.name, s.value.Reveal())
	}
	return req, nil
}

// ask sends a read and reads the whole answer.
func (c *client) ask(ctx context.Context, method string, r rendered) (*answer, *connectors.Unseen) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := c.request(ctx, method, c.base.Path+r.path, bytes.NewReader(r.body))
	if err != nil {
		return nil, &connectors.Unseen{Cause: amend.Malformed, Reason: err.Error()}
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	resp, err := c.kept.RoundTrip(req)
	if err != nil {
		return nil, c.broken(ctx, err)
	}
	return c.receive(ctx, resp)
}

// receive reads an answer up to the limit. The body of an answer that switches
// protocols is the connection itself, whose reading no deadline ends: it is closed
// unread.
func (c *client) receive(ctx context.Context, resp *http.Response) (*answer, *connectors.Unseen) {
	defer resp.Body.Close() //nolint:errcheck // what was read is all that matters
	a := &answer{status: resp.StatusCode, header: resp.Header, at: c.now(), body: buffers.Get().(*bytes.Buffer)}
	switch {
	case a.status < 200:
		a.release()
		return a, malformed(fmt.Sprintf("answered %d", a.status))
	case resp.ContentLength > c.limit:
		a.release()
		return a, tooLarge(c.limit)
	}
	a.body.Grow(int(max(resp.ContentLength, 0)) + bytes.MinRead)
	n, err := a.body.ReadFrom(io.LimitReader(resp.Body, c.limit+1))
	a.at = c.now()
	switch {
	case err != nil:
		a.release()
		return a, c.broken(ctx, err)
	case n > c.limit:
		a.release()
		return a, tooLarge(c.limit)
	}
	return a, nil
}

// buffers hold bodies while they are read. Values never point into them.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// broken says what kept an answer from coming, in words of its own: errors of
// the transport can quote what the service sent.
func (c *client) broken(ctx context.Context, err error) *connectors.Unseen {
	unreachable := func(reason string) *connectors.Unseen {
		return &connectors.Unseen{Cause: amend.Unreachable, Reason: reason}
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return connectors.AsUnseen(context.Canceled)
	}
	if ctx.Err() != nil || isTimeout(err) {
		return &connectors.Unseen{Cause: amend.TimedOut, Reason: "no whole answer in " + c.timeout.String()}
	}
	if refused, ok := errors.AsType[*refusedAddress](err); ok {
		return unreachable(refused.Error())
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return unreachable("its host name can't be resolved")
	}
	if isTLS(err) {
		return unreachable("its certificate can't be trusted")
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return unreachable("no connection could be made")
	}
	return unreachable("the connection broke before the answer was whole")
}
