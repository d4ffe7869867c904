package connectors_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
)

// crowd is callers who wait for a service that takes one call at a time; order
// is how they had their turns.
type crowd struct {
	*fake
	connectors.Connector // guarded
	group                sync.WaitGroup
	order                []string
}

func newCrowd(o connectors.GuardOptions) *crowd {
	c := &crowd{fake: &fake{send: func() connectors.Answer { return connectors.Answer{Outcome: amend.Done, Status: 200} }}}
	c.one = func(_ context.Context, id string) (amend.Record, error) {
		c.order = append(c.order, id)
		time.Sleep(time.Second)
		return present(), nil
	}
	o.AtOnce = 1
	c.Connector = connectors.Guard(c.fake, o)
	return c
}

// asks has somebody wait for a call; who comes later asks later.
func (c *crowd) asks(t *testing.T, p connectors.Priority, id string) {
	t.Helper()
	c.group.Go(func() { c.ask(connectors.WithPriority(t.Context(), p), t, id) })
	synctest.Wait()
	time.Sleep(time.Microsecond)
}

func (c *crowd) ask(ctx context.Context, t *testing.T, id string) {
	t.Helper()
	if _, err := c.Connector.One(ctx, id); err != nil {
		t.Error(err)
	}
}

// Who proves a repair goes before who looks at one customer, and these before
// scans; within one priority in the order of their coming.
func TestGateServesByPriority(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]connectors.GuardOptions{"slots": {}, "rate": {PerSecond: 0.5}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCrowd(o)
				c.asks(t, connectors.Scanning, "holds it")
				c.asks(t, connectors.Scanning, "scan 1")
				c.asks(t, connectors.Looking, "heal 1")
				c.asks(t, connectors.Scanning, "scan 2")
				c.asks(t, connectors.Repairing, "proof 1")
				c.group.Go(func() { c.ask(t.Context(), t, "somebody") })
				synctest.Wait()
				c.asks(t, connectors.Repairing, "proof 2")
				c.group.Wait()
				require.Equal(t, []string{"holds it", "proof 1", "proof 2", "heal 1", "somebody", "scan 1", "scan 2"}, c.order)
			})
		})
	}
}

// An operation has the highest priority, whatever its context says.
func TestGateServesOperationsFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(connectors.GuardOptions{})
		c.send = func() connectors.Answer {
			c.order = append(c.order, "operation")
			return connectors.Answer{Outcome: amend.Done, Status: 200}
		}
		c.asks(t, connectors.Looking, "holds it")
		c.asks(t, connectors.Looking, "heal")
		c.group.Go(func() {
			c.Connector.Send(connectors.WithPriority(t.Context(), connectors.Scanning), connectors.Request{})
		})
		synctest.Wait()
		c.group.Wait()
		require.Equal(t, []string{"holds it", "operation", "heal"}, c.order)
	})
}

// Every eighth turn goes to whoever has waited longest, so that a steady stream
// of repairs starves neither heals nor scans.
func TestGateStarvesNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(connectors.GuardOptions{})
		c.asks(t, connectors.Repairing, "holds it")
		c.asks(t, connectors.Scanning, "scan")
		c.asks(t, connectors.Looking, "heal")
		for i := range 30 {
			c.asks(t, connectors.Repairing, fmt.Sprint("proof ", i))
		}
		c.group.Wait()
		require.Equal(t, 8, slices.Index(c.order, "scan"))
		require.Equal(t, 16, slices.Index(c.order, "heal"))
	})
}

// A worker's part of a limit is what the others leave, all of it together being
// the whole; each may do one call at least.
func TestGateTakesItsShare(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		atOnce int
		want   []int // by rank
	}{{8, []int{8}}, {8, []int{4, 4}}, {8, []int{3, 3, 2}}, {2, []int{1, 1}}, {2, []int{1, 1, 1}}} {
		for rank, want := range test.want {
			t.Run(fmt.Sprint(test, rank), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					share := connectors.Share{Rank: rank, Of: len(test.want)}
					f := &fake{one: takes(time.Second)}
					callMany(t, connectors.Guard(f, connectors.GuardOptions{AtOnce: test.atOnce, Share: func() connectors.Share { return share }}), 20)
					require.Equal(t, want, f.most)
				})
			})
		}
	}
	synctest.Test(t, func(t *testing.T) {
		f := &fake{one: takes(0)}
		callMany(t, connectors.Guard(f, connectors.GuardOptions{PerSecond: 10, Share: func() connectors.Share { return connectors.Share{Rank: 3, Of: 4} }}), 11)
		require.Equal(t, 4*time.Second, f.at[10].Sub(f.at[0]))
	})
}

func takes(d time.Duration) func(context.Context, string) (amend.Record, error) {
	return func(context.Context, string) (amend.Record, error) { time.Sleep(d); return present(), nil }
}

func callMany(t *testing.T, c connectors.Connector, n int) {
	t.Helper()
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			if _, err := c.One(t.Context(), "cus_1"); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// While its share isn't known a worker calls nobody: who waits is served when it
// is, or told why not. Around passes the share on.
func TestGateWaitsForItsShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		share := func() connectors.Share {
			if time.Since(begun) < 3*time.Second {
				return connectors.Share{}
			}
			return connectors.Share{Of: 1}
		}
		f := &fake{one: takes(0), send: func() connectors.Answer { return connectors.Answer{Outcome: amend.Done, Status: 200} }}
		c := connectors.Around(f, &amend.Service{Name: "ledger"}, connectors.Surroundings{Share: share})
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.One(short, "cus_1")
		require.EqualError(t, err, "timed out: what part of its limits is this worker's isn't known")
		again, cancelAgain := context.WithTimeout(t.Context(), time.Second)
		defer cancelAgain()
		require.Equal(t, amend.Failed, c.Send(again, connectors.Request{}).Outcome)
		require.Zero(t, f.calls.Load())
		callMany(t, c, 1)
		require.Equal(t, 3*time.Second, time.Since(begun).Truncate(100*time.Millisecond))
	})
}

// A share that grows is used by who waits already, and one that shrinks lets
// nobody in until enough have ended.
func TestGateFollowsItsShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		share := func() connectors.Share {
			switch at := time.Since(begun); {
			case at < 10*time.Second:
				return connectors.Share{Of: 2}
			case at < 20*time.Second:
				return connectors.Share{Of: 1}
			}
			return connectors.Share{Of: 4}
		}
		f := &fake{one: takes(time.Second)}
		g := connectors.Guard(f, connectors.GuardOptions{AtOnce: 8, Share: share})
		callMany(t, g, 8)
		require.Equal(t, 4, f.most)
		time.Sleep(10*time.Second - time.Since(begun))
		callMany(t, g, 8)
		require.Equal(t, 8, f.most)
		f.most = 0
		time.Sleep(20*time.Second - time.Since(begun))
		callMany(t, g, 10)
		require.LessOrEqual(t, f.most, 2)
	})
}

// Who gives up waiting leaves nothing behind: no slot that is never free again,
// and no place in the queue.
func TestGateForgetsWhoGaveUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{one: takes(time.Second)}
		g := connectors.Guard(f, connectors.GuardOptions{AtOnce: 2, Retries: -1})
		for i := range 50 { // some give up in the very moment in which their turn comes
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%5)*500*time.Millisecond)
			var group sync.WaitGroup
			for range 6 {
				group.Go(func() { _, _ = g.One(ctx, "cus_1") }) // what becomes of them is not asked
			}
			group.Wait()
			cancel()
		}
		begun := time.Now()
		callMany(t, g, 8)
		require.Equal(t, 4*time.Second, time.Since(begun))
	})
}

// Probes of the sentinels have the highest priority, whoever began them: a
// repair may wait for what a scan has begun.
func TestGateProbesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := map[string]connectors.Priority{}
		var mu sync.Mutex
		f := &fake{one: func(ctx context.Context, id string) (amend.Record, error) {
			mu.Lock()
			defer mu.Unlock()
			asked[id] = connectors.PriorityOf(ctx)
			if id == "there" {
				return present(), nil
			}
			return absent(), nil
		}}
		c := connectors.Around(f, &amend.Service{Sentinels: amend.Sentinels{Present: "there", Absent: "nowhere"}}, connectors.Surroundings{})
		_, err := c.One(connectors.WithPriority(t.Context(), connectors.Scanning), "cus_1")
		require.NoError(t, err)
		require.Equal(t, map[string]connectors.Priority{"cus_1": connectors.Scanning, "there": connectors.Repairing, "nowhere": connectors.Repairing}, asked)
	})
}

// A call that had to wait for a slot doesn't bring the next one forward.
func TestGateKeepsCallsApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		long := false
		f := &fake{one: func(context.Context, string) (amend.Record, error) {
			if long = !long; long {
				time.Sleep(14 * time.Millisecond)
			}
			return present(), nil
		}}
		callMany(t, connectors.Guard(f, connectors.GuardOptions{AtOnce: 1, PerSecond: 100}), 20)
		for i := 1; i < len(f.at); i++ {
			require.GreaterOrEqual(t, f.at[i].Sub(f.at[i-1]), 10*time.Millisecond)
		}
	})
}
