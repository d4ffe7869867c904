package http

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"

	"amend"
	"amend/connectors"
)

// Send is part of connectors.Connector: one request on the wire, whatever
// happens to it.
func (c *connector) Send(ctx context.Context, request connectors.Request) connectors.Answer {
	op := c.operations[request.Operation]
	if op == nil {
		return kept("there is no such operation any more")
	}
	ctx, cancel := context.WithTimeout(ctx, c.client.timeout)
	defer cancel()
	var wire wire
	req, err := c.client.restore(httptrace.WithClientTrace(ctx, wire.trace()), request)
	if err != nil {
		return kept(err.Error())
	}
	if ctx.Err() != nil {
		return kept("no time is left")
	}
	resp, err := c.client.sender(req).RoundTrip(req)
	if err != nil {
		unseen := c.client.broken(ctx, err)
		if wire.untouched() {
			return kept(unseen.Reason)
		}
		return connectors.Answer{Outcome: amend.Unsettled, Detail: unseen.Reason}
	}
	a, cut := c.client.receive(ctx, resp)
	defer a.release()
	return op.outcome(a, cut)
}

func kept(reason string) connectors.Answer {
	return connectors.Answer{Outcome: amend.Failed, Detail: "not sent: " + reason}
}

// wire watches how far a request came.
type wire struct {
	asked     atomic.Bool // for a connection
	connected atomic.Bool
}

func (w *wire) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) { w.asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { w.connected.Store(true) },
	}
}

// untouched reports whether certainly nothing was written. A transport that
// reports nothing proves nothing.
func (w *wire) untouched() bool { return w.asked.Load() && !w.connected.Load() }

// oneShot is a body that can be read once. Nothing can rewind it, so the
// transport can't send it a second time behind our back.
type oneShot struct{ io.Reader }

func (oneShot) Close() error { return nil }

// restore makes a request of what was stored with the intent. Its errors hold
// no value.
func (c *client) restore(ctx context.Context, stored connectors.Request) (*http.Request, error) {
	at, err := url.Parse(stored.URL)
	if err != nil || at.Scheme != c.base.Scheme || at.Host != c.base.Host || at.User != nil {
		return nil, errors.New("it was prepared for another host than the one that is declared now")
	}
	req, err := c.request(ctx, stored.Method, at.RequestURI(), nil)
	if err != nil {
		return nil, err
	}
	for name, value := range stored.Header {
		req.Header.Set(name, value)
	}
	if len(stored.Body) > 0 {
		req.Body, req.ContentLength = oneShot{bytes.NewReader(stored.Body)}, int64(len(stored.Body))
	}
	return req, nil
}

// sender is the transport that sends a request once. A transport repeats a
// request by itself, without an error, where a kept connection dies, the body
// can be rewound or is empty, and the header names an idempotency key. So a
// body is one shot, and a request without one gets a connection of its own.
func (c *client) sender(req *http.Request) http.RoundTripper {
	if req.Body == nil {
		return c.fresh
	}
	return c.kept
}

// outcome says what became of a request that was answered. What isn't certain
// is unsettled: reading settles it.
func (o *operation) outcome(a *answer, cut *connectors.Unseen) connectors.Answer {
	got := connectors.Answer{Status: a.status, RetryAfter: a.retryAfter(), Detail: fmt.Sprintf("answered %d", a.status)}
	for i, on := range o.on {
		holds, err := on.when.holds(a)
		if err != nil {
			got.Detail += fmt.Sprintf("; on[%d].when: %s", i, err)
			return got
		}
		if holds {
			got.Outcome = amend.ParseOutcome(on.is)
			if on.say != "" {
				got.Detail = on.say
			}
			return got
		}
	}
	switch s := a.status; {
	case s >= 200 && s < 300:
		return o.confirmed(got, a, cut)
	case s == http.StatusPreconditionFailed:
		got.Outcome, got.Detail = amend.Refused, "answered 412: it has changed since"
	case s == http.StatusTooManyRequests:
		got.Outcome = amend.Failed
	case s >= 400 && s < 500 && s != http.StatusRequestTimeout:
		got.Outcome = amend.Refused
	}
	return got
}

// confirmed is for a 2xx: done if the answer came whole and, where declared,
// says so itself.
func (o *operation) confirmed(got connectors.Answer, a *answer, cut *connectors.Unseen) connectors.Answer {
	if o.done == nil {
		if cut != nil && cut.Cause != amend.Malformed { // too large a body is whole enough where nobody reads it
			got.Detail += ", but " + cut.Reason
			return got
		}
		got.Outcome = amend.Done
		return got
	}
	holds, err := o.done.holds(a)
	switch {
	case err != nil:
		got.Detail += "; done: " + err.Error()
	case !holds:
		got.Detail += ", but the answer does not say that it is done"
	default:
		got.Outcome = amend.Done
	}
	return got
}
