package connectors_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
)

// book counts calls of one service as the store does, for one worker.
type book struct {
	mu    sync.Mutex
	taken map[time.Time]int // by when the hour ends
	asked []connectors.Reservation
	back  time.Duration // by which the clock was put back
	away  bool
	hold  chan struct{} // while it is open scans wait for an answer
}

func (b *book) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Now().UTC().Add(-b.back)
}

func (b *book) reserve(_ context.Context, r connectors.Reservation) (connectors.Reserved, error) {
	if b.hold != nil && r.Limit == 90 {
		<-b.hold
	}
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, r)
	if b.away {
		return connectors.Reserved{}, errors.New("it is away")
	}
	end := now.Truncate(time.Hour).Add(time.Hour)
	given := max(0, min(r.Calls, r.Limit-b.taken[end]))
	b.taken[end] += given
	if given == 0 {
		return connectors.Reserved{Until: end}, nil
	}
	return connectors.Reserved{Calls: given, Until: end.Add(-time.Second)}, nil
}

// reservations are what was asked for until now.
func (b *book) reservations() []connectors.Reservation {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.asked)
}

// takenIn is how many calls were taken of the first hour of all, the second ...
func (b *book) takenIn(hour int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.taken[midnight().Add(time.Duration(hour)*time.Hour)]
}

func (b *book) goAway(away bool) { b.mu.Lock(); defer b.mu.Unlock(); b.away = away }

// limited is a service that allows so many calls an hour, in a bubble whose time
// begins at midnight.
type limited struct {
	*testing.T
	*fake
	*book
	connectors.Connector // guarded
	group                sync.WaitGroup
}

func inHours(t *testing.T, perHour int, test func(l *limited)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &limited{T: t, fake: &fake{can: connectors.Abilities{PerHour: perHour, AtOnce: 50}}, book: &book{taken: map[time.Time]int{}}}
		l.one = func(context.Context, string) (amend.Record, error) { return present(), nil }
		l.send = func() connectors.Answer { return connectors.Answer{Outcome: amend.Done, Status: 200} }
		l.Connector = connectors.Guard(l.fake, connectors.GuardOptions{Name: "ledger", Reserve: l.reserve, Now: l.now})
		defer l.group.Wait()
		test(l)
	})
}

func (l *limited) call(p connectors.Priority) error {
	_, err := l.Connector.One(connectors.WithPriority(l.Context(), p), "cus_1")
	return err
}

// calls makes so many calls, each of which must be answered.
func (l *limited) calls(p connectors.Priority, n int) {
	l.Helper()
	for range n {
		require.NoError(l, l.call(p))
	}
}

// requireSpent holds that a call is refused until a time of the first day.
func (l *limited) requireSpent(err error, until time.Duration) {
	l.Helper()
	u := connectors.AsUnseen(err)
	require.Equal(l, amend.Spent, u.Cause, u.Reason)
	require.Equal(l, midnight().Add(until), l.now().Add(u.RetryAfter))
}

// midnight is when time begins in a bubble.
func midnight() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

// Scans use nine tenths of an hour's calls and wait for the next hour; looks go
// on, but for what is kept for operations and what proves them; then those.
func TestScansLeaveCallsOfAnHourToOthers(t *testing.T) {
	inHours(t, 100, func(l *limited) {
		l.calls(connectors.Scanning, 90)
		waited := make(chan time.Duration, 1)
		l.group.Go(func() {
			begun := time.Now()
			assert.NoError(l, l.call(connectors.Scanning))
			waited <- time.Since(begun)
		})
		synctest.Wait()
		l.calls(connectors.Looking, 5)
		l.requireSpent(l.call(connectors.Looking), time.Hour)
		for range 3 {
			require.Equal(l, amend.Done, l.Connector.Send(l.Context(), connectors.Request{}).Outcome)
		}
		l.calls(connectors.Repairing, 2)
		l.requireSpent(l.call(connectors.Repairing), time.Hour)
		answer := l.Connector.Send(l.Context(), connectors.Request{})
		require.Equal(l, amend.Failed, answer.Outcome)
		require.Contains(l, answer.Detail, "not sent: the 100 calls that it allows in an hour are used up; there are more from 01:00 UTC")
		require.EqualValues(l, 100, l.fake.calls.Load())
		require.InDelta(l, time.Hour, <-waited, float64(time.Second))
		l.calls(connectors.Looking, 10)
	})
}

// A scan that waits for the next hour keeps nobody else back, even those whose
// turn it is for having waited longest.
func TestAScanThatWaitsForAnHourKeepsNobodyBack(t *testing.T) {
	inHours(t, 1000, func(l *limited) {
		l.calls(connectors.Scanning, 900)
		l.group.Go(func() { assert.NoError(l, l.call(connectors.Scanning)) })
		synctest.Wait()
		begun := time.Now()
		l.calls(connectors.Looking, 40)
		require.Zero(l, time.Since(begun))
	})
}

// While a scan waits for the next hour others still have their turns by priority,
// though it has waited longer than all of them.
func TestAScanThatWaitsForAnHourLeavesPrioritiesAsTheyAre(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &book{taken: map[time.Time]int{}}
		c := newCrowd(connectors.GuardOptions{PerHour: 1000, Reserve: b.reserve, Now: b.now})
		b.taken[midnight().Add(time.Hour)] = 900
		c.asks(t, connectors.Scanning, "scan")
		for i := range 12 {
			c.asks(t, connectors.Repairing, fmt.Sprint("proof ", i))
		}
		time.Sleep(10500 * time.Millisecond)
		c.asks(t, connectors.Looking, "heal")
		c.asks(t, connectors.Repairing, "last proof")
		c.group.Wait()
		require.Less(t, slices.Index(c.order, "last proof"), slices.Index(c.order, "heal"))
		require.Equal(t, "scan", c.order[len(c.order)-1])
	})
}

// A scan that waits for an hour can be stopped, and says what it waited for.
func TestAScanThatWaitsForAnHourCanBeStopped(t *testing.T) {
	inHours(t, 100, func(l *limited) {
		l.calls(connectors.Scanning, 90)
		ctx, cancel := context.WithTimeout(connectors.WithPriority(l.Context(), connectors.Scanning), time.Minute)
		defer cancel()
		asked := len(l.reservations())
		_, err := l.Connector.One(ctx, "cus_1")
		require.Equal(l, amend.TimedOut, connectors.AsUnseen(err).Cause)
		require.ErrorContains(l, err, "what scans may use of the 100 calls that it allows in an hour is used up")
		require.Len(l, l.reservations(), asked+1, "it doesn't ask again and again")
	})
}

// Calls are reserved in blocks that fit what is used: hardly any are lost, and
// a block is a hundredth of the hour at most.
func TestCallsAreReservedInBlocks(t *testing.T) {
	inHours(t, 10_000, func(l *limited) {
		for range 1000 { // 20 calls a second
			l.calls(connectors.Scanning, 1)
			time.Sleep(50 * time.Millisecond)
		}
		reservations, taken := len(l.reservations()), l.takenIn(1)
		l.Logf("%d reservations of %d calls for 1000", reservations, taken)
		require.Less(l, reservations, 100)
		require.Less(l, taken, 1050)

		l.calls(connectors.Scanning, 2000) // as fast as it goes
		for _, r := range l.reservations() {
			require.LessOrEqual(l, r.Calls, 100)
		}
		require.Less(l, len(l.reservations())-reservations, 60)
	})
}

// Who makes a call now and then loses none; what was reserved and not used is
// nobody's afterwards.
func TestReservedCallsLastAMoment(t *testing.T) {
	inHours(t, 1000, func(l *limited) {
		for range 20 {
			l.calls(connectors.Looking, 1)
			time.Sleep(20 * time.Second)
		}
		require.Equal(l, 20, l.takenIn(1))
		l.calls(connectors.Scanning, 16) // blocks of 1, 2, 4, 8 and, of 10, one
		before := len(l.reservations())
		time.Sleep(3 * time.Second)
		l.calls(connectors.Scanning, 1)
		require.Len(l, l.reservations(), before+1)
	})
}

// What was reserved in one hour isn't used in the next.
func TestReservedCallsDontOutliveTheirHour(t *testing.T) {
	inHours(t, 1000, func(l *limited) {
		time.Sleep(time.Hour - 1100*time.Millisecond)
		l.calls(connectors.Scanning, 4) // of 1, 2 and 4
		begun := time.Now()
		time.Sleep(200 * time.Millisecond)
		require.NoError(l, l.call(connectors.Scanning))
		require.GreaterOrEqual(l, time.Since(begun), 1100*time.Millisecond, "in the last second none begins: it would arrive in the next hour")
		require.Less(l, l.takenIn(1), 20, "nor is more reserved than a try costs")
		require.Positive(l, l.takenIn(2))
	})
}

// Where the store doesn't answer nobody is called: looks are told, and scans go
// on when it does.
func TestNobodyIsCalledWhereCallsCannotBeCounted(t *testing.T) {
	inHours(t, 1000, func(l *limited) {
		l.goAway(true)
		l.group.Go(func() { assert.NoError(l, l.call(connectors.Scanning)) })
		synctest.Wait()
		err := l.call(connectors.Repairing)
		require.Equal(l, amend.NotRead, connectors.AsUnseen(err).Cause)
		require.ErrorContains(l, err, "the store doesn't answer")
		require.Equal(l, amend.Failed, l.Connector.Send(l.Context(), connectors.Request{}).Outcome)
		time.Sleep(time.Minute)
		require.Zero(l, l.fake.calls.Load())
		require.Less(l, len(l.reservations()), 70)
		l.goAway(false)
		time.Sleep(2 * time.Second)
		l.calls(connectors.Repairing, 1)
		require.EqualValues(l, 2, l.fake.calls.Load(), "the scan's, too")
	})
}

// Without a store that counts its calls such a service isn't called at all.
func TestAnHourNeedsAStore(t *testing.T) {
	t.Parallel()
	f := &fake{can: connectors.Abilities{PerHour: 100}}
	_, err := connectors.Around(f, &amend.Service{Name: "ledger"}, connectors.Surroundings{}).One(t.Context(), "cus_1")
	require.Equal(t, amend.NotRead, connectors.AsUnseen(err).Cause)
	require.Zero(t, f.calls.Load())
}

// A clock that is put back has the worker ask again, and wait no longer than the
// store then says.
func TestAWaitEndsWhereTheClockIsPutBack(t *testing.T) {
	inHours(t, 100, func(l *limited) {
		time.Sleep(3 * time.Hour)
		l.calls(connectors.Scanning, 90)
		l.group.Go(func() { assert.NoError(l, l.call(connectors.Scanning)) })
		synctest.Wait()
		l.book.mu.Lock()
		l.back = 2 * time.Hour
		l.book.mu.Unlock()
		begun := time.Now()
		l.group.Wait()
		require.LessOrEqual(l, time.Since(begun), time.Second)
	})
}

// What proves a scan's absences is paid by scans, which wait for it; what proves
// a repair's isn't kept back by them.
func TestProofsOfScansLeaveCallsOfAnHourToOthers(t *testing.T) {
	inHours(t, 100, func(l *limited) {
		l.one = func(_ context.Context, id string) (amend.Record, error) {
			if id == "there" {
				return present(), nil
			}
			return absent(), nil
		}
		c := connectors.Prove(l.Connector, amend.Sentinels{Present: "there", Absent: "nowhere"}, connectors.DefaultWindow, l.now)
		prover := c.(connectors.Prover)
		scanning := connectors.WithPriority(l.Context(), connectors.Scanning)
		for l.takenIn(1) < 90 {
			require.NoError(l, prover.Proof(scanning, l.now()))
			time.Sleep(time.Millisecond) // so that the next needs one of its own
		}
		l.hold = make(chan struct{})
		l.group.Go(func() { assert.NoError(l, prover.Proof(scanning, l.now())) })
		synctest.Wait()
		for range 5 {
			require.NoError(l, prover.Proof(connectors.WithPriority(l.Context(), connectors.Repairing), l.now()))
			time.Sleep(time.Millisecond)
		}
		err := prover.Proof(connectors.WithPriority(l.Context(), connectors.Repairing), l.now())
		require.Equal(l, amend.Spent, connectors.AsUnseen(err).Cause)
		close(l.hold)
		l.group.Wait() // what proved the repairs proves its absences, too

		begun := time.Now()
		require.NoError(l, prover.Proof(scanning, l.now()))
		require.InDelta(l, time.Hour, time.Since(begun), float64(3*time.Second))

		ctx, cancel := context.WithCancel(scanning)
		time.Sleep(time.Millisecond)
		for l.takenIn(2) < 90 {
			l.calls(connectors.Scanning, 1)
		}
		l.group.Go(func() { assert.Error(l, prover.Proof(ctx, l.now())) })
		time.Sleep(time.Minute)
		cancel()
	})
}
