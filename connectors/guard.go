package connectors

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"amend"
)

const (
	defaultAtOnce  = 8
	defaultRetries = 2

	// The breaker opens when half of at least ten calls within half a minute
	// failed, and lets one call through to see after five seconds.
	breakerShare  = 0.5
	breakerCalls  = 10
	breakerPeriod = 30 * time.Second
	breakerDelay  = 5 * time.Second

	// longestBan is how long a service can ask to be left alone.
	longestBan = 15 * time.Minute
)

// GuardOptions say how a service may be called. Every zero has a meaning.
type GuardOptions struct {
	Name      string                                               // of the service, for the log
	AtOnce    int                                                  // calls in flight; 0: what the connector says, else 8
	PerSecond float64                                              // calls per second; 0: what the connector says, else no limit
	PerHour   int                                                  // calls in a clock hour, of all workers together; 0: what the connector says, else no limit
	Retries   int                                                  // how often a read is asked again; 0: twice, negative: never
	Share     func() Share                                         // of calls at once and per second; nil: all of it
	Reserve   func(context.Context, Reservation) (Reserved, error) // of calls in an hour; nil: none can be had
	Now       func() time.Time                                     // nil: the real clock
	Random    func() float64                                       // from 0 to 1, for jitter; nil: the real one
	Log       *slog.Logger                                         // nil: silent
}

// Guard stands around any connector: a limit of calls at once and a rate, which
// calls wait for by their priority; a limit of calls in an hour, for the next of
// which scans wait, while all others are told; a circuit breaker; a ban for as
// long as the service asks to be left alone (Retry-After, at most 15 minutes),
// both of which scans wait for, within bounds, while all others are told;
// retries with jitter for reads that failed for a temporary cause. An operation
// is never sent again: what was kept back is Failed, so that whoever owns the
// intent decides. A panic of the connector ends here.
func Guard(c Connector, o GuardOptions) Connector {
	o = o.withDefaults(c.Can())
	g := &guard{inner: c, options: o, gate: gate{atOnce: o.AtOnce, perSecond: o.PerSecond, share: o.Share}, breaker: newBreaker(o)}
	if o.PerHour > 0 {
		g.gate.hourly = &hourly{service: o.Name, calls: o.PerHour, reserve: o.Reserve, now: o.Now}
	}
	return g
}

func (o GuardOptions) withDefaults(can Abilities) GuardOptions {
	if o.AtOnce <= 0 {
		o.AtOnce = can.AtOnce
	}
	if o.AtOnce <= 0 {
		o.AtOnce = defaultAtOnce
	}
	if o.PerSecond <= 0 {
		o.PerSecond = can.PerSecond
	}
	if o.PerHour <= 0 {
		o.PerHour = can.PerHour
	}
	if o.Retries == 0 {
		o.Retries = defaultRetries
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	s := Surroundings{Share: o.Share, Reserve: o.Reserve, Now: o.Now, Log: o.Log}.OrReal()
	o.Share, o.Reserve, o.Now, o.Log = s.Share, s.Reserve, s.Now, s.Log
	return o
}

func newBreaker(o GuardOptions) circuitbreaker.CircuitBreaker[any] {
	return circuitbreaker.NewBuilder[any]().
		WithFailureRateThreshold(breakerShare, breakerCalls, breakerPeriod).
		WithSuccessThreshold(1).
		WithDelay(breakerDelay).
		OnStateChanged(func(e circuitbreaker.StateChangedEvent) {
			o.Log.Warn("circuit breaker changed", "service", o.Name, "state", e.NewState.String())
		}).
		Build()
}

type guard struct {
	inner   Connector
	options GuardOptions
	gate    gate
	breaker circuitbreaker.CircuitBreaker[any]
	banned  atomic.Int64              // until when the service wants to be left alone, in Unix nanoseconds
	waiting atomic.Pointer[time.Time] // since when scans have waited without a read that was answered; nil: they haven't
}

// Can passes through.
func (g *guard) Can() Abilities { return g.inner.Can() }

// Prepare passes through: it calls nobody.
func (g *guard) Prepare(call Call) (Request, error) { return g.inner.Prepare(call) }

// Close passes through.
func (g *guard) Close() error { return Close(g.inner) }

// One is part of Connector.
func (g *guard) One(ctx context.Context, id string) (record amend.Record, err error) {
	err = g.read(ctx, oneCall, func() (err error) { record, err = g.inner.One(ctx, id); return err })
	return record, err
}

// Many is part of Connector.
func (g *guard) Many(ctx context.Context, ids []string) (records []amend.Record, err error) {
	err = g.read(ctx, manyCall, func() (err error) { records, err = g.inner.Many(ctx, ids); return err })
	return records, err
}

// List is part of Connector.
func (g *guard) List(ctx context.Context, request PageRequest) (page Page, err error) {
	err = g.read(ctx, listCall, func() (err error) { page, err = g.inner.List(ctx, request); return err })
	return page, err
}

// Send is part of Connector.
func (g *guard) Send(ctx context.Context, request Request) (answer Answer) {
	w, u := g.enter(ctx, sendCall, Repairing, Repairing)
	if u != nil {
		return Answer{Outcome: amend.Failed, Detail: "not sent: " + u.Reason, RetryAfter: u.RetryAfter}
	}
	end := withdrawn
	defer func() { g.gate.leave(w, end) }()
	defer func() {
		if p := recover(); p != nil {
			g.panicked(p)
			answer = Answer{Outcome: amend.Unsettled, Detail: "the connector panicked; what it had sent isn't known"}
			g.breaker.RecordFailure()
		}
	}()
	answer = g.inner.Send(ctx, request)
	end = endingOf(ctx, answer.Status)
	g.ban(answer.RetryAfter)
	if answer.Status == 0 || answer.Status >= 500 || answer.Status == http.StatusRequestTimeout {
		g.fell(ctx)
	} else {
		g.breaker.RecordSuccess()
	}
	return answer
}

// read asks until there is an answer, the cause is not temporary, or it was
// asked often enough.
func (g *guard) read(ctx context.Context, asked kind, ask func() error) error {
	for attempt := 0; ; attempt++ {
		err := g.once(ctx, asked, ask)
		if err == nil {
			return nil
		}
		u := AsUnseen(err)
		if !u.Cause.Temporary() || attempt >= g.options.Retries || ctx.Err() != nil || !g.pause(ctx, attempt, u.RetryAfter) {
			return u
		}
	}
}

func (g *guard) once(ctx context.Context, asked kind, ask func() error) (err error) {
	w, u := g.enter(ctx, asked, PriorityOf(ctx), payerOf(ctx))
	if u != nil {
		return u
	}
	end := answered
	defer func() { g.gate.leave(w, end) }()
	defer func() {
		if p := recover(); p != nil {
			g.panicked(p)
			err = &Unseen{Cause: amend.Malformed, Reason: "the connector panicked"}
			g.breaker.RecordFailure()
		}
	}()
	err = ask()
	if err == nil {
		g.breaker.RecordSuccess()
		if g.waiting.Load() != nil {
			g.waiting.Store(nil)
		}
		return nil
	}
	u = AsUnseen(err)
	g.ban(u.RetryAfter)
	end = endingOfRead(u.Cause)
	switch u.Cause {
	case amend.Unreachable, amend.TimedOut, amend.Failing, amend.NotRead:
		g.fell(ctx)
	default: // it answered; that the answer is no good says nothing of the next one
		g.breaker.RecordSuccess()
	}
	return u
}

// endingOfRead is what a failed read says of the service's load.
func endingOfRead(c amend.Cause) ending {
	switch {
	case c == amend.Throttled || c == amend.Failing:
		return turnedAway
	case c == amend.TimedOut || c == amend.Malformed || c == amend.Forbidden:
		return answered // after a time
	}
	return withdrawn
}

// endingOf is what an answer says of it.
func endingOf(ctx context.Context, status int) ending {
	switch {
	case status == http.StatusTooManyRequests || status >= 500:
		return turnedAway
	case status == 0 && ctx.Err() == context.Canceled:
		return withdrawn
	}
	return answered
}

// fell records a failure, except of a call that was only withdrawn. While the
// breaker is half open it counts all the same, or its one permit would be lost.
func (g *guard) fell(ctx context.Context) {
	if ctx.Err() == context.Canceled && !g.breaker.IsHalfOpen() {
		return
	}
	g.breaker.RecordFailure()
}

// enter waits for the call's turn. Where it returns a waiter the gate must be
// left and the breaker be told how the call went.
func (g *guard) enter(ctx context.Context, asked kind, turn, payer Priority) (*waiter, *Unseen) {
	for {
		w, u := g.tryEnter(ctx, asked, turn, payer)
		if u == nil || turn != Scanning || !g.waitOut(ctx, u) {
			return w, u
		}
	}
}

func (g *guard) tryEnter(ctx context.Context, asked kind, turn, payer Priority) (*waiter, *Unseen) {
	if err := ctx.Err(); err != nil {
		return nil, AsUnseen(err)
	}
	if u := g.keptBack(); u != nil { // nobody queues up for a service that isn't called
		return nil, u
	}
	w, u := g.gate.enter(ctx, asked, turn, payer)
	if u != nil {
		return nil, u
	}
	if w.began.Sub(w.since) > longTurn {
		u = lastWord(ctx)
	}
	if u == nil {
		u = g.admit()
	}
	if u != nil {
		g.gate.leave(w, withdrawn)
		return nil, u
	}
	return w, nil
}

func (g *guard) admit() *Unseen {
	if u := g.keptBack(); u != nil { // things may have changed while waiting
		return u
	}
	if !g.breaker.TryAcquirePermit() {
		return &Unseen{Cause: amend.BreakerOpen, Reason: "it failed too often just now; one call is finding out whether it works again"}
	}
	return nil
}

// keptBack says why nobody may call the service now, if so.
func (g *guard) keptBack() *Unseen {
	now, until := g.options.Now(), g.banned.Load()
	left := time.Unix(0, until).Sub(now)
	if left > longestBan { // nobody asked for that: the clock was put back
		left = longestBan
		g.banned.CompareAndSwap(until, now.Add(left).UnixNano())
	}
	if left > 0 {
		return &Unseen{Cause: amend.Throttled, RetryAfter: left,
			Reason: fmt.Sprintf("it asked to be left alone for another %s", left.Round(time.Second))}
	}
	if left := g.breaker.RemainingDelay(); left > 0 {
		return &Unseen{Cause: amend.BreakerOpen, RetryAfter: left, Reason: "it failed too often just now"}
	}
	return nil
}

// ban keeps everybody from calling for a while. A ban is never shortened.
func (g *guard) ban(d time.Duration) {
	if d <= 0 {
		return
	}
	until := g.options.Now().Add(min(d, longestBan)).UnixNano()
	for {
		current := g.banned.Load()
		if until <= current || g.banned.CompareAndSwap(current, until) {
			return
		}
	}
}

const (
	firstPause   = 100 * time.Millisecond
	longestPause = 2 * time.Second
)

// pause waits before a read is asked again: as long as the service asked for,
// else twice as long each time; with jitter, so that callers who failed
// together don't come back together. It reports false where waiting that long
// makes no sense. A scan that has to wait long waits for its turn.
func (g *guard) pause(ctx context.Context, attempt int, asked time.Duration) bool {
	jitter := g.options.Random()
	wait := time.Duration((0.5 + jitter) * float64(firstPause<<attempt))
	if asked > 0 {
		wait = asked + time.Duration(jitter*float64(firstPause))
	}
	deadline, bounded := ctx.Deadline()
	if bounded && time.Until(deadline) < wait {
		return false
	}
	if wait > longestPause {
		return PriorityOf(ctx) == Scanning
	}
	return sleep(ctx, wait)
}

// sleep waits, and is false where the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (g *guard) panicked(p any) {
	g.options.Log.Error("connector panicked", "service", g.options.Name, "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
}
