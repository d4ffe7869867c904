package connectors

import (
	"context"
	"time"

	"amend"
)

// Share is the part that this process has of what services allow: all workers
// on a store have it together.
type Share struct {
	Rank int // from 0
	Of   int // workers; 0 where it isn't known, and nobody may be called
}

// slots is how many of the calls at once are this worker's: what can't be
// divided goes to the first. Each may do one at least.
func (s Share) slots(atOnce int) int {
	part := atOnce / s.Of
	if s.Rank < atOnce%s.Of {
		part++
	}
	return max(1, part)
}

// every is the time between two calls of this worker; 0 where there is no limit.
func (s Share) every(perSecond float64) time.Duration {
	if perSecond <= 0 {
		return 0
	}
	return time.Duration(float64(s.Of) / perSecond * float64(time.Second))
}

// Priority says whose call goes first where several wait for one service.
type Priority uint8

// The priorities, the highest last. A call without one is Looking.
const (
	Scanning   Priority = iota // through many customers
	Looking                    // at one customer, about whom something is to be decided
	Repairing                  // an operation, or the look that proves it
	priorities = iota
)

type priorityKey struct{}

// WithPriority gives the calls that are made with the context a priority.
// Operations have the highest, whatever the context says.
func WithPriority(ctx context.Context, p Priority) context.Context {
	return context.WithValue(ctx, priorityKey{}, p)
}

// longTurn is how long a sending may wait for its turn before it is asked once more
// whether it may go: half of the second within which a pause holds.
const longTurn = 500 * time.Millisecond

type lastWordKey struct{}

// WithLastWord has a sending that is made with the context, and had to wait for its
// turn, ask once more whether it may go: things may have changed meanwhile. The
// answer says why not, and is empty where it may.
func WithLastWord(ctx context.Context, ask func() (why string)) context.Context {
	return context.WithValue(ctx, lastWordKey{}, ask)
}

func lastWord(ctx context.Context) *Unseen {
	if ask, some := ctx.Value(lastWordKey{}).(func() string); some {
		if why := ask(); why != "" {
			return &Unseen{Cause: amend.NotRead, Reason: why}
		}
	}
	return nil
}

// PriorityOf is the priority of calls that are made with the context.
func PriorityOf(ctx context.Context) Priority {
	if p, given := ctx.Value(priorityKey{}).(Priority); given {
		return p
	}
	return Looking
}
