package connectors_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"amend"
	"amend/connectors"
)

// fake is a service whose answers are functions of the customer, and which
// counts what it was asked.
type fake struct {
	can   connectors.Abilities
	one   func(ctx context.Context, id string) (amend.Record, error)
	send  func() connectors.Answer
	page  connectors.Page
	calls atomic.Int64

	mu       sync.Mutex
	inFlight int
	most     int
	at       []time.Time
}

func (f *fake) Can() connectors.Abilities { return f.can }

func (f *fake) enter() func() {
	f.calls.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = append(f.at, time.Now())
	f.inFlight++
	f.most = max(f.most, f.inFlight)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.inFlight--
	}
}

func (f *fake) One(ctx context.Context, id string) (amend.Record, error) {
	defer f.enter()()
	return f.one(ctx, id)
}

func (f *fake) Many(ctx context.Context, ids []string) ([]amend.Record, error) {
	defer f.enter()()
	var records []amend.Record
	for _, id := range ids {
		r, err := f.one(ctx, id)
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}

func (f *fake) List(context.Context, connectors.PageRequest) (connectors.Page, error) {
	defer f.enter()()
	return f.page, nil
}

func (f *fake) Prepare(connectors.Call) (connectors.Request, error) {
	return connectors.Request{Operation: "open"}, nil
}

func (f *fake) Send(context.Context, connectors.Request) connectors.Answer {
	defer f.enter()()
	return f.send()
}

func present() amend.Record { return amend.Record{Presence: amend.Present, ReadAt: time.Now()} }

func absent() amend.Record { return amend.Record{Presence: amend.Absent, ReadAt: time.Now()} }

func unseen(cause amend.Cause) error { return &connectors.Unseen{Cause: cause, Reason: "so it is"} }

func cause(err error) string {
	if u, ok := errors.AsType[*connectors.Unseen](err); ok {
		return u.Cause.String()
	}
	return "none"
}
