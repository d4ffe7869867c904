package rehearsal

import (
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"
)

// clock is the worker's: it runs with the virtual time, and jumps.
type clock struct {
	mu     sync.RWMutex
	offset time.Duration
	most   time.Duration // the furthest that it was ever ahead
}

// now is the time that the worker's machine shows.
func (c *clock) now() time.Time {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return time.Now().Add(c.offset).Round(0)
}

// jump sets the clock, forward or back.
func (c *clock) jump(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += by
	c.most = max(c.most, c.offset)
}

// right sets the clock so that no time is ahead of it that it has ever shown.
func (c *clock) right() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset = c.most
}

// jitter is a number from 0 to 1 that belongs to a moment: who asks first
// changes nothing.
func (c *clock) jitter() float64 {
	moment := time.Now().UnixNano()
	return rand.New(rand.NewPCG(uint64(moment), 0)).Float64()
}

// stream gives numbers of its own to each use, so that drawing more from one
// leaves the others as they were.
func stream(seed uint64, name string) *rand.Rand {
	sum := fnv.New64a()
	sum.Write([]byte(name))
	return rand.New(rand.NewPCG(seed, sum.Sum64()))
}
