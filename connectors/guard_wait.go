package connectors

import (
	"context"
	"time"

	"amend"
)

// breakerPatience is how long scans wait, in a row, for a service that the
// breaker keeps calls back from. For one that asks to be left alone they wait as
// long as it can ask for.
const breakerPatience = 12 * breakerDelay

// waitOut has a scan wait where nobody may call the service now: it would run
// through everybody meanwhile and see nobody, and a list that breaks off is read
// from its beginning again. It is false where there is nothing to wait for, where
// the context ends first, and where nothing was answered for so long that scans
// had better end than wait.
func (g *guard) waitOut(ctx context.Context, u *Unseen) bool {
	var patience time.Duration
	switch u.Cause {
	case amend.Throttled:
		patience = longestBan
	case amend.BreakerOpen:
		patience = breakerPatience
	default:
		return false
	}
	wait := max(u.RetryAfter, firstPause)
	deadline, bounded := ctx.Deadline()
	if bounded && time.Until(deadline) < wait || g.waited(u) >= patience {
		return false
	}
	return sleep(ctx, min(wait, hourLook))
}

// waited is for how long scans have waited by now, whatever for.
func (g *guard) waited(u *Unseen) time.Duration {
	now := time.Now()
	if g.waiting.CompareAndSwap(nil, &now) {
		g.options.Log.Info("scans wait for a service", "service", g.options.Name, "reason", u.Reason)
		return 0
	}
	if since := g.waiting.Load(); since != nil {
		return now.Sub(*since)
	}
	return 0
}
