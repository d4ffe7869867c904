// Package hand holds loops that look at all customers of a bank and are written
// for nothing else: the fields, the states and the ways of reading stand in the
// code. They are the limit that amend is measured against: they check less than
// it does, write nothing down, and don't try again.
package hand

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"amend/bench/services"
)

// Bank is where the services are.
type Bank struct {
	Services [services.Count]string // addresses, by services.Names
	Masked   bool                   // asks for the declared fields alone
}

// masks are the declared fields of each service.
var masks = [services.Count]string{"customer,status,contact.email,country,updated_at", "customer,status,currency,balance.amount", "customer,status",
	"customer,status,email", "customer,hold,reason,placed_at"}

// client reads one service.
type client struct {
	base      *url.URL
	mask      string
	transport *http.Transport
}

func (b Bank) clients(atOnce int) (all [services.Count]*client, err error) {
	for i, address := range b.Services {
		base, err := url.Parse(address)
		if err != nil {
			return all, fmt.Errorf("address of %s: %w", services.Names[i], err)
		}
		all[i] = &client{base: base, transport: &http.Transport{MaxIdleConnsPerHost: atOnce, DisableCompression: true, ReadBufferSize: 32 << 10}}
		if b.Masked {
			all[i].mask = "&fields=" + masks[i]
		}
	}
	return all, nil
}

func hangUp(all [services.Count]*client) {
	for _, c := range all {
		c.transport.CloseIdleConnections()
	}
}

// get reads an answer into a buffer, which grows where it must.
func (c *client) get(ctx context.Context, path, query string, buffer []byte) (body []byte, found bool, err error) {
	request := (&http.Request{Method: http.MethodGet, Host: c.base.Host, Header: http.Header{},
		URL: &url.URL{Scheme: c.base.Scheme, Host: c.base.Host, Path: path, RawQuery: query}}).WithContext(ctx)
	answer, err := c.transport.RoundTrip(request)
	if err != nil {
		return nil, false, err
	}
	defer answer.Body.Close() //nolint:errcheck // it has been read
	if n := int(answer.ContentLength); n > cap(buffer) {
		buffer = make([]byte, n)
	}
	buffer = buffer[:max(0, answer.ContentLength)]
	if _, err := io.ReadFull(answer.Body, buffer); err != nil {
		return nil, false, err
	}
	switch answer.StatusCode {
	case http.StatusOK:
		return buffer, true, nil
	case http.StatusNotFound:
		return nil, false, nil
	}
	return nil, false, fmt.Errorf("%s %s: status %d", c.base, path, answer.StatusCode)
}
