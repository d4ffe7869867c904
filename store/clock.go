package store

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"
)

// clock is the database's, as seen from here: workers whose own clocks differ,
// or jump, must agree on when a lease ends (invariant I26). Between two looks
// it runs on this machine's monotonic time.
type clock struct {
	db     *sql.DB
	cancel context.CancelFunc
	done   chan struct{}

	mu   sync.RWMutex
	base time.Time // the database's time …
	at   time.Time // … at this moment here
}

const (
	// clockEvery is how often the database's clock is looked at: a machine's
	// clock runs off by less than 30 ms in that time.
	clockEvery = time.Minute
	// clockTrip is the longest answer that tells the time well enough.
	clockTrip = 200 * time.Millisecond
)

func startClock(ctx context.Context, db *sql.DB) (*clock, error) {
	c := &clock{db: db, done: make(chan struct{})}
	for tries := 0; ; tries++ {
		exact, err := c.look(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the store's clock: %w", err)
		}
		if exact || tries == 5 {
			break
		}
	}
	ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go c.run(ctx)
	return c, nil
}

func (c *clock) run(ctx context.Context) {
	defer close(c.done)
	ticker := time.NewTicker(clockEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			c.look(ctx) //nolint:errcheck // what is known stays good; whoever works on the store says that it is away
		case <-ctx.Done():
			return
		}
	}
}

// look asks for the time. An answer that took long is taken only where there is
// no better one.
func (c *clock) look(ctx context.Context) (exact bool, err error) {
	asked := time.Now()
	var micros int64
	if err := c.db.QueryRowContext(ctx, `select (extract(epoch from clock_timestamp()) * 1000000)::bigint`).Scan(&micros); err != nil {
		return false, err
	}
	trip := time.Since(asked)
	exact = trip < clockTrip
	c.mu.Lock()
	defer c.mu.Unlock()
	if exact || c.base.IsZero() {
		c.base, c.at = time.UnixMicro(micros).UTC(), asked.Add(trip/2)
	}
	return exact, nil
}

func (c *clock) now() time.Time {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.base.Add(time.Since(c.at))
}

func (c *clock) stop() {
	c.cancel()
	<-c.done
}
