package connectors_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
	"amend/internal/testpg"
	"amend/internal/testproxy"
	"amend/store"
)

// shared is two services that all workers of a store call as much as they may.
type shared struct {
	*testing.T
	server *testpg.Server
	slow   *fake // where the calls at once are the limit
	quick  *fake // where the rate is
}

const (
	sharedAtOnce    = 5
	sharedPerSecond = 60
	sharedLimit     = time.Minute // of each wait
)

// caller is a worker with a way to the store of its own.
type caller struct {
	*shared
	proxy *testproxy.Proxy
	store *store.Store
	end   func()
	calls atomic.Int64 // that it was let make
}

func (s *shared) start() *caller {
	s.Helper()
	c := &caller{shared: s, proxy: testproxy.Start(s, s.server.Address())}
	var err error
	c.store, err = store.Open(s.Context(), s.server.URLVia(c.proxy.Address()), store.Options{})
	require.NoError(s, err)
	ctx, cancel := context.WithCancel(s.Context())
	var group sync.WaitGroup
	share := func() connectors.Share {
		rank, of := c.store.Share()
		return connectors.Share{Rank: rank, Of: of}
	}
	for _, f := range []*fake{s.slow, s.quick} {
		g := connectors.Guard(f, connectors.GuardOptions{Share: share})
		for range 2 * sharedAtOnce {
			group.Go(func() {
				for ctx.Err() == nil {
					if _, err := g.One(ctx, "cus_1"); err == nil {
						c.calls.Add(1)
					}
				}
			})
		}
	}
	c.end = sync.OnceFunc(func() { cancel(); group.Wait() })
	s.Cleanup(func() { c.proxy.Pass(); c.end(); c.store.Close() })
	return c
}

// has waits until the worker's place among all is this one, 0 of 0 where it has
// none.
func (c *caller) has(rank, of int) {
	c.Helper()
	require.Eventually(c, func() bool {
		r, o := c.store.Share()
		return r == rank && o == of
	}, sharedLimit, 10*time.Millisecond)
}

// callsOn waits for some more calls.
func (c *caller) callsOn() {
	c.Helper()
	want := c.calls.Load() + 20
	require.Eventually(c, func() bool { return c.calls.Load() >= want }, sharedLimit, 10*time.Millisecond)
}

// A service's limits hold for all workers together, counted by the service:
// while they join, are cut off from the store and come back, die and leave.
func TestLimitsHoldForAllWorkersTogether(t *testing.T) {
	t.Parallel()
	answer := func(d time.Duration) func(context.Context, string) (amend.Record, error) {
		return func(context.Context, string) (amend.Record, error) { <-time.After(d); return present(), nil }
	}
	s := &shared{T: t, server: testpg.Start(t),
		slow:  &fake{can: connectors.Abilities{AtOnce: sharedAtOnce}, one: answer(100 * time.Millisecond)},
		quick: &fake{can: connectors.Abilities{AtOnce: 50, PerSecond: sharedPerSecond}, one: answer(time.Millisecond)}}
	one := s.start()
	one.has(0, 1)
	one.callsOn()
	two, three := s.start(), s.start()
	for _, c := range []*caller{one, two, three} {
		c.callsOn()
	}

	one.proxy.Blackhole()
	one.has(0, 0)
	silent := one.calls.Load()
	two.has(0, 2)
	three.callsOn()
	require.LessOrEqual(t, one.calls.Load()-silent, int64(sharedAtOnce), "but those that were under way")
	one.proxy.Pass()
	one.callsOn() // though others have its share now

	two.proxy.Blackhole() // it dies
	two.end()
	three.has(1, 2)
	three.callsOn()
	three.end()
	require.NoError(t, three.store.Close())
	one.has(0, 1)
	one.callsOn()

	s.slow.mu.Lock()
	defer s.slow.mu.Unlock()
	require.Equal(t, sharedAtOnce, s.slow.most, "all of it is used, and never more")
	s.requireRate(3)
}

// requireRate looks at every second: each worker may make one call at its
// beginning, as a single one may.
func (s *shared) requireRate(workers int) {
	s.Helper()
	s.quick.mu.Lock()
	defer s.quick.mu.Unlock()
	at := slices.Clone(s.quick.at)
	most := 0
	for first, i := 0, 0; i < len(at); i++ {
		for at[i].Sub(at[first]) >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	s.Logf("%d calls, %d in the busiest second of %d that are allowed", len(at), most, sharedPerSecond)
	require.LessOrEqual(s, most, sharedPerSecond+workers)
	require.GreaterOrEqual(s, most, sharedPerSecond*8/10)
}
