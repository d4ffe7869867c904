package connectors_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
)

// failing answers with errors in this order, and then with a record.
func failing(errs ...error) func(context.Context, string) (amend.Record, error) {
	var mu sync.Mutex
	return func(context.Context, string) (amend.Record, error) {
		mu.Lock()
		defer mu.Unlock()
		if len(errs) == 0 {
			return present(), nil
		}
		err := errs[0]
		errs = errs[1:]
		return amend.Record{}, err
	}
}

func middle() float64 { return 0.5 }

func TestGuardRetries(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		errs  []error
		calls int64
		want  string
	}{
		"a temporary failure is asked again":  {[]error{unseen(amend.Failing), unseen(amend.TimedOut)}, 3, "none"},
		"but not for ever":                    {[]error{unseen(amend.Failing), unseen(amend.Failing), unseen(amend.Unreachable)}, 3, "unreachable"},
		"what won't change isn't asked again": {[]error{unseen(amend.Forbidden)}, 1, "forbidden"},
		"nor what isn't as declared":          {[]error{unseen(amend.Malformed)}, 1, "malformed"},
		"nor a redirect":                      {[]error{unseen(amend.Redirected)}, 1, "redirected"},
		"an error of another kind is unseen":  {[]error{errors.New("token=canary"), errors.New("b"), errors.New("c")}, 3, "unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &fake{one: failing(test.errs...)}
				_, err := connectors.Guard(f, connectors.GuardOptions{}).One(t.Context(), "cus_1")
				require.Equal(t, test.want, cause(err))
				require.Equal(t, test.calls, f.calls.Load())
				if err != nil {
					require.NotContains(t, err.Error(), "canary")
				}
			})
		})
	}
}

// Pauses grow, carry jitter, and are as long as the service asked for.
func TestGuardPauses(t *testing.T) {
	t.Parallel()
	throttled := &connectors.Unseen{Cause: amend.Throttled, RetryAfter: time.Second}
	for name, test := range map[string]struct {
		errs []error
		want time.Duration
	}{
		"growing":     {[]error{unseen(amend.Failing), unseen(amend.Failing)}, 300 * time.Millisecond},
		"Retry-After": {[]error{throttled}, 1050 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				_, err := connectors.Guard(&fake{one: failing(test.errs...)}, connectors.GuardOptions{Random: middle}).One(t.Context(), "cus_1")
				require.NoError(t, err)
				require.Equal(t, test.want, time.Since(begun))
			})
		})
	}
}

// There is no use in waiting longer than the caller does.
func TestGuardDoesNotOutwaitTheCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		f := &fake{one: failing(unseen(amend.Failing))}
		begun := time.Now()
		_, err := connectors.Guard(f, connectors.GuardOptions{Random: middle}).One(ctx, "cus_1")
		require.Equal(t, "failing", cause(err))
		require.Zero(t, time.Since(begun))
	})
}

// While a service asks to be left alone it is left alone, by reads and by
// operations, for a quarter of an hour at most.
func TestGuardBan(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ asked, held time.Duration }{
		"as long as asked": {time.Minute, time.Minute}, "not for ever": {time.Hour, 15 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &fake{one: failing(&connectors.Unseen{Cause: amend.Throttled, RetryAfter: test.asked}), send: func() connectors.Answer { return connectors.Answer{Outcome: amend.Done, Status: 200} }}
				g := connectors.Guard(f, connectors.GuardOptions{})
				_, err := g.One(t.Context(), "cus_1")
				require.Equal(t, "throttled", cause(err))
				time.Sleep(test.held - time.Second)
				_, err = g.One(t.Context(), "cus_1")
				require.Equal(t, "none", cause(err), "a second is short enough to wait for")
				require.EqualValues(t, 2, f.calls.Load())
				require.Equal(t, test.held, f.at[1].Sub(f.at[0]).Truncate(time.Second))
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		f := &fake{send: func() connectors.Answer {
			return connectors.Answer{Outcome: amend.Failed, Status: 429, RetryAfter: time.Minute}
		}}
		g := connectors.Guard(f, connectors.GuardOptions{})
		g.Send(t.Context(), connectors.Request{})
		got := g.Send(t.Context(), connectors.Request{})
		require.Equal(t, connectors.Answer{Outcome: amend.Failed, Detail: "not sent: it asked to be left alone for another 1m0s", RetryAfter: time.Minute}, got)
		require.EqualValues(t, 1, f.calls.Load())
	})
}

// A clock that is put back makes no ban longer than a quarter of an hour (I26).
func TestGuardBanAfterTheClockWasPutBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ahead := 24 * time.Hour
		f := &fake{send: func() connectors.Answer {
			return connectors.Answer{Outcome: amend.Failed, Status: 429, RetryAfter: time.Minute}
		}}
		g := connectors.Guard(f, connectors.GuardOptions{Now: func() time.Time { return time.Now().Add(ahead) }})
		g.Send(t.Context(), connectors.Request{})
		ahead = 0
		g.Send(t.Context(), connectors.Request{})
		require.EqualValues(t, 1, f.calls.Load())
		time.Sleep(15 * time.Minute)
		g.Send(t.Context(), connectors.Request{})
		require.EqualValues(t, 2, f.calls.Load())
	})
}

// Who queued up before the ban is kept back as well, and who has no time left
// sends nothing.
func TestGuardKeepsBackTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{send: func() connectors.Answer {
			time.Sleep(time.Second)
			return connectors.Answer{Outcome: amend.Failed, Status: 429, RetryAfter: time.Minute}
		}}
		g := connectors.Guard(f, connectors.GuardOptions{AtOnce: 1})
		var group sync.WaitGroup
		for range 5 {
			group.Go(func() { g.Send(t.Context(), connectors.Request{}) })
		}
		group.Wait()
		require.EqualValues(t, 1, f.calls.Load())
	})
	f := &fake{send: func() connectors.Answer { return connectors.Answer{Outcome: amend.Done, Status: 200} }}
	g := connectors.Guard(f, connectors.GuardOptions{})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 {
		require.Equal(t, amend.Failed, g.Send(ended, connectors.Request{}).Outcome)
	}
	require.Zero(t, f.calls.Load())
}

// A service that fails is not asked, until one call shows that it works again.
func TestGuardBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := true
		f := &fake{
			one: func(context.Context, string) (amend.Record, error) {
				if down {
					return amend.Record{}, unseen(amend.TimedOut)
				}
				return present(), nil
			},
			send: func() connectors.Answer { return connectors.Answer{Outcome: amend.Done, Status: 200} },
		}
		g := connectors.Guard(f, connectors.GuardOptions{Retries: -1})
		for range 10 {
			_, err := g.One(t.Context(), "cus_1")
			require.Equal(t, "timed out", cause(err))
		}
		_, err := g.One(t.Context(), "cus_1")
		require.Equal(t, "breaker open", cause(err))
		got := g.Send(t.Context(), connectors.Request{})
		require.Equal(t, amend.Failed, got.Outcome)
		require.Equal(t, 5*time.Second, got.RetryAfter)
		require.EqualValues(t, 10, f.calls.Load())

		time.Sleep(5 * time.Second) // one call finds out that nothing is better
		_, err = g.One(t.Context(), "cus_1")
		require.Equal(t, "timed out", cause(err))
		_, err = g.One(t.Context(), "cus_1")
		require.Equal(t, "breaker open", cause(err))

		down = false
		time.Sleep(5 * time.Second)
		_, err = g.One(t.Context(), "cus_1")
		require.NoError(t, err)
		require.Equal(t, amend.Done, g.Send(t.Context(), connectors.Request{}).Outcome)
	})
}

// While one call finds out, the others are kept back.
func TestGuardHalfOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := make(chan struct{})
		calls := 0
		f := &fake{one: func(context.Context, string) (amend.Record, error) {
			if calls++; calls <= 10 {
				return amend.Record{}, unseen(amend.Failing)
			}
			<-slow
			return present(), nil
		}}
		g := connectors.Guard(f, connectors.GuardOptions{Retries: -1})
		for range 10 {
			_, err := g.One(t.Context(), "cus_1")
			require.Error(t, err)
		}
		time.Sleep(5 * time.Second)
		go func() { _, _ = g.One(t.Context(), "cus_1") }() // what it finds is seen below
		synctest.Wait()
		_, err := g.One(t.Context(), "cus_2")
		require.Equal(t, "breaker open", cause(err))
		close(slow)
		synctest.Wait()
		_, err = g.One(t.Context(), "cus_2")
		require.NoError(t, err)
	})
}

// An answer that is no good, or a call that is withdrawn, says nothing of the
// next call.
func TestGuardBreakerCountsOutagesOnly(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(context.Context, string) (amend.Record, error){
		"malformed": func(context.Context, string) (amend.Record, error) { return amend.Record{}, unseen(amend.Malformed) },
		"forbidden": func(context.Context, string) (amend.Record, error) { return amend.Record{}, unseen(amend.Forbidden) },
		"not read": func(ctx context.Context, _ string) (amend.Record, error) {
			<-ctx.Done()
			return amend.Record{}, ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := connectors.Guard(&fake{one: answer}, connectors.GuardOptions{})
				for range 30 {
					ctx, cancel := context.WithCancel(t.Context())
					time.AfterFunc(time.Millisecond, cancel)
					_, err := g.One(ctx, "cus_1")
					require.Equal(t, name, cause(err))
				}
			})
		})
	}
}

// An operation is sent once, whatever becomes of it.
func TestGuardSendsOnce(t *testing.T) {
	t.Parallel()
	for _, answer := range []connectors.Answer{{Outcome: amend.Unsettled}, {Outcome: amend.Failed, Status: 429}, {Outcome: amend.Refused, Status: 409}, {Outcome: amend.Unsettled, Status: 503}} {
		f := &fake{send: func() connectors.Answer { return answer }}
		require.Equal(t, answer, connectors.Guard(f, connectors.GuardOptions{}).Send(t.Context(), connectors.Request{}))
		require.EqualValues(t, 1, f.calls.Load())
	}
}

func TestGuardLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{can: connectors.Abilities{AtOnce: 3, PerSecond: 100}, one: func(context.Context, string) (amend.Record, error) {
			time.Sleep(50 * time.Millisecond)
			return present(), nil
		}}
		g := connectors.Guard(f, connectors.GuardOptions{})
		var group sync.WaitGroup
		for range 30 {
			group.Go(func() {
				_, err := g.One(t.Context(), "cus_1")
				if err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		require.Equal(t, 3, f.most)
		for i := 1; i < len(f.at); i++ {
			require.GreaterOrEqual(t, f.at[i].Sub(f.at[i-1]), 10*time.Millisecond)
		}
	})
}

// Who can't wait for a slot or for the rate has sent nothing.
func TestGuardWaitsNoLongerThanTheCaller(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]connectors.GuardOptions{"slots": {AtOnce: 1}, "rate": {AtOnce: 5, PerSecond: 0.1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &fake{one: func(ctx context.Context, _ string) (amend.Record, error) {
					<-ctx.Done()
					return amend.Record{}, ctx.Err()
				}}
				g := connectors.Guard(f, options)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				go func() { _, _ = g.One(ctx, "cus_1") }() // holds the slot
				synctest.Wait()
				_, err := g.One(ctx, "cus_2")
				require.Equal(t, "timed out", cause(err))
				again, cancelAgain := context.WithTimeout(t.Context(), 0)
				defer cancelAgain()
				require.Equal(t, amend.Failed, g.Send(again, connectors.Request{}).Outcome)
				require.EqualValues(t, 1, f.calls.Load())
			})
		})
	}
}

// A panic of a connector ends with its own call, is logged once, and leaves an
// operation unsettled.
func TestGuardPanic(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	f := &fake{one: func(context.Context, string) (amend.Record, error) { panic("canary") }, send: func() connectors.Answer { panic("canary") }}
	g := connectors.Guard(f, connectors.GuardOptions{AtOnce: 1, Name: "ledger", Log: slog.New(slog.NewTextHandler(&log, nil))})
	_, err := g.One(t.Context(), "cus_1")
	require.Equal(t, "malformed", cause(err))
	require.Equal(t, amend.Unsettled, g.Send(t.Context(), connectors.Request{}).Outcome)
	require.Equal(t, 2, bytes.Count(log.Bytes(), []byte("connector panicked")))
	require.NotContains(t, log.String(), "canary")
}
