package connectors_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
)

// station is a service with a number of servers and a queue before them. What
// comes while the queue is full is turned away.
type station struct {
	mu       sync.Mutex
	random   *rand.Rand
	servers  []time.Time // when each is free
	room     int         // in the queue
	inFlight int
	takes    func(now time.Duration) time.Duration // how long a call takes, on average
	begun    time.Time
	spread   float64 // 0: always as long; 1: anything up to twice
	seconds  []second
}

// second is what was seen of one second.
type second struct{ done, refused, most int }

func newStation(servers, room int, spread float64, takes func(time.Duration) time.Duration) *station {
	return &station{random: rand.New(rand.NewPCG(1, 2)), servers: make([]time.Time, servers), room: room, takes: takes, spread: spread, begun: time.Now()}
}

func (s *station) second() *second {
	i := int(time.Since(s.begun) / time.Second)
	for len(s.seconds) <= i {
		s.seconds = append(s.seconds, second{})
	}
	return &s.seconds[i]
}

// call takes its place in the queue, or is turned away.
func (s *station) call() (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight++
	at := s.second()
	at.most = max(at.most, s.inFlight)
	first := 0
	for i := range s.servers {
		if s.servers[i].Before(s.servers[first]) {
			first = i
		}
	}
	now := time.Now()
	if s.servers[first].After(now) && s.inFlight > len(s.servers)+s.room {
		at.refused++
		return 0, false
	}
	takes := time.Duration(float64(s.takes(now.Sub(s.begun))) * (1 + s.spread*(2*s.random.Float64()-1)))
	begins := now
	if s.servers[first].After(now) {
		begins = s.servers[first]
	}
	s.servers[first] = begins.Add(takes)
	return s.servers[first].Sub(now), true
}

func (s *station) ended(done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
	if done {
		s.second().done++
	}
}

func (s *station) one(ctx context.Context, _ string) (amend.Record, error) {
	d, room := s.call()
	if !room {
		time.Sleep(time.Millisecond)
		s.ended(false)
		return amend.Record{}, unseen(amend.Failing)
	}
	time.Sleep(d)
	s.ended(true)
	return present(), nil
}

// during is how many calls were served in a span of seconds, and turned away,
// and the most that were in flight.
func (s *station) during(from, to int) (done, refused, most int) {
	for _, at := range s.seconds[from:to] {
		done, refused, most = done+at.done, refused+at.refused, max(most, at.most)
	}
	return done, refused, most
}

// fewest is the least of what was in flight at most, of all seconds in a span.
func (s *station) fewest(from, to int) int {
	least := slices.MinFunc(s.seconds[from:to], func(a, b second) int { return a.most - b.most })
	return least.most
}

// usual is the median of what was in flight at most, of all seconds in a span.
func (s *station) usual(from, to int) int {
	span := slices.SortedFunc(slices.Values(s.seconds[from:to]), func(a, b second) int { return a.most - b.most })
	return span[len(span)/2].most
}

// drive has more callers than are allowed at once call for so many seconds.
func (s *station) drive(t *testing.T, c connectors.Connector, atOnce, seconds int) {
	t.Helper()
	g := connectors.Guard(c, connectors.GuardOptions{AtOnce: atOnce})
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(seconds)*time.Second)
	defer cancel()
	var group sync.WaitGroup
	for range 40 {
		group.Go(func() {
			for ctx.Err() == nil {
				if _, err := g.One(ctx, "cus_1"); err != nil {
					time.Sleep(100 * time.Millisecond)
				}
			}
		})
	}
	group.Wait()
}

// slowFor is a service that takes ten times as long from the first to the second
// minute.
func slowFor(d time.Duration) func(time.Duration) time.Duration {
	return func(at time.Duration) time.Duration {
		if at >= time.Minute && at < 2*time.Minute {
			return 10 * d
		}
		return d
	}
}

// Also while a service is ten times as slow, and afterwards, 0.9 times as much is
// done as under the best fixed limit, which is as many calls as there are servers.
// Few are turned away where there is little room, and never are there more than
// at_once.
func TestKneeIsFound(t *testing.T) {
	t.Parallel()
	const atOnce, takes = 16, 20 * time.Millisecond
	for _, test := range []struct {
		servers, room int
		spread        float64
	}{
		{2, 1000, 0.2}, {4, 1000, 0.2}, {4, 1000, 0.8}, {8, 1000, 0.2}, {16, 1000, 0.2}, {16, 1000, 0.8}, {4, 2, 0.2}, {8, 4, 0.8},
	} {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStation(test.servers, test.room, test.spread, slowFor(takes))
				s.drive(t, &fake{one: s.one}, atOnce, 180)
				best := float64(test.servers) / takes.Seconds()
				for _, span := range []struct {
					name     string
					from, to int
					best     float64
				}{{"before", 5, 60, best}, {"slow", 66, 120, best / 10}, {"after", 125, 180, best}} {
					done, refused, most := s.during(span.from, span.to)
					part := float64(done) / float64(span.to-span.from) / span.best
					t.Logf("%s: %.2f of the best, %d in flight at most, %d turned away", span.name, part, most, refused)
					require.GreaterOrEqual(t, part, 0.88, span.name) // chance decides about one or two in a hundred
					require.Less(t, refused, done/50+20, span.name)
				}
				_, _, most := s.during(0, 180)
				require.LessOrEqual(t, most, atOnce)
			})
		})
	}
}

// Not many more calls are in flight than are served at a time, in most seconds
// before a service is ten times as slow for a minute, and when that is over; within
// five seconds of it fewer are. How long a call takes is drawn, a reading can come
// at a bad moment, and then the next one has to tell: of nine services with two,
// five or eight servers each it is so for six at least.
func TestKneeIsKept(t *testing.T) {
	t.Parallel()
	var kept, fell atomic.Int32
	t.Run("services", func(t *testing.T) {
		for i := range 9 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					servers := 2 + i%3*3
					s := newStation(servers, 1000, 0.2, slowFor(20*time.Millisecond))
					s.drive(t, &fake{one: s.one}, 32, 150)
					before, fewest, after := s.usual(15, 60), s.fewest(60, 66), s.usual(130, 150)
					t.Logf("%d servers: %d in flight, %d when it was slow, %d afterwards", servers, before, fewest, after)
					if before <= servers+7 && after <= servers+7 {
						kept.Add(1)
					}
					if fewest <= before-2 {
						fell.Add(1)
					}
				})
			})
		}
	})
	require.GreaterOrEqual(t, kept.Load(), int32(6))
	require.GreaterOrEqual(t, fell.Load(), int32(6))
}

// A service can become slow just when fewer calls are made to see how fast it is:
// that isn't how fast it is with few.
func TestKneeOfAServiceThatSlowsDownWhileItIsTried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStation(8, 1000, 0.2, nil)
		var slow time.Duration
		tried, least := 0, math.MaxInt // in flight
		s.takes = func(at time.Duration) time.Duration {
			if now := int(at / time.Second); slow == 0 && now > 25 && s.inFlight <= s.seconds[now-1].most*6/10 {
				slow, tried = at, s.inFlight
			}
			if slow == 0 {
				return 20 * time.Millisecond
			}
			if at < slow+5*time.Second {
				least = min(least, s.inFlight)
			}
			return 200 * time.Millisecond
		}
		s.drive(t, &fake{one: s.one}, 32, 60)
		require.Positive(t, tried, "the service is tried now and then")
		require.LessOrEqual(t, least, tried*3/4)
	})
}

// Also where calls take seconds there are fewer within five of them.
func TestKneeOfAServiceThatIsVerySlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStation(8, 1000, 0.2, slowFor(300*time.Millisecond))
		s.drive(t, &fake{one: s.one}, 8, 70)
		require.Equal(t, 8, s.fewest(50, 60))
		require.LessOrEqual(t, s.fewest(60, 66), 5)
	})
}

// A service that is down isn't one with little room: when it is up again it is
// called as before.
func TestKneeAfterAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStation(8, 1000, 0.2, slowFor(20*time.Millisecond))
		answers := s.one
		f := &fake{one: func(ctx context.Context, id string) (amend.Record, error) {
			if at := time.Since(s.begun); at > 10*time.Second && at < 20*time.Second {
				time.Sleep(20 * time.Millisecond)
				return amend.Record{}, unseen(amend.Failing)
			}
			return answers(ctx, id)
		}}
		s.drive(t, f, 8, 40)
		done, _, _ := s.during(30, 40)
		require.Greater(t, float64(done)/10, 0.6*8/0.02)
	})
}

// A limit that is never reached doesn't change, however slow the service is.
func TestKneeThatIsNeverReached(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		takes := 10 * time.Millisecond
		f := &fake{one: func(context.Context, string) (amend.Record, error) {
			time.Sleep(takes)
			return present(), nil
		}}
		g := connectors.Guard(f, connectors.GuardOptions{AtOnce: 8})
		for range 3 {
			for range 20 {
				callMany(t, g, 3)
			}
			takes *= 10
		}
		require.Equal(t, 3, f.most)
		callMany(t, g, 8)
		require.Equal(t, 8, f.most)
	})
}

// Questions that take longer than others, as those for a whole page, don't make
// the service slow.
func TestKneeTellsQuestionsApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &paged{fake: fake{one: takes(5 * time.Millisecond)}}
		g := connectors.Guard(f, connectors.GuardOptions{AtOnce: 8})
		begun := time.Now()
		for range 5 {
			callMany(t, g, 400)
			var group sync.WaitGroup
			for range 40 {
				group.Go(func() {
					if _, err := g.List(t.Context(), connectors.PageRequest{}); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
		}
		best := 5 * (400*5*time.Millisecond + 40*500*time.Millisecond) / 8
		t.Logf("%.2f of the shortest time", float64(time.Since(begun))/float64(best))
		require.Less(t, time.Since(begun), best*12/10)
	})
}

// paged takes long to list.
type paged struct{ fake }

func (p *paged) List(ctx context.Context, page connectors.PageRequest) (connectors.Page, error) {
	time.Sleep(500 * time.Millisecond)
	return p.fake.List(ctx, page)
}
