package slack

import (
	"io"
	"net/http"
	"time"
)

const (
	callTimeout = 10 * time.Second
	maxAnswer   = 4 << 20 // bytes; a page of history may be large
)

// wire sends one request for one call: it follows no redirect, which would
// hand the token in the form to another host, and reads no endless answer.
type wire struct{ client *http.Client }

func newWire(given *http.Client) wire {
	var c http.Client
	if given != nil {
		c = *given
	}
	if c.Timeout == 0 {
		c.Timeout = callTimeout
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return wire{client: &c}
}

// Do implements what slack-go asks of a client.
func (w wire) Do(req *http.Request) (*http.Response, error) {
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, err
	}
	resp.Body = limited{Reader: io.LimitReader(resp.Body, maxAnswer), Closer: resp.Body}
	return resp, nil
}

type limited struct {
	io.Reader
	io.Closer
}
