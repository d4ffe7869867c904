package reconciler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/robfig/cron/v3"

	"amend"
	"amend/internal/crash"
	"amend/queue"
	"amend/store"
)

// scanRetry is when a full scan that didn't end well is begun again.
const scanRetry = 30 * time.Second

// beginDue begins the scans whose time has come. One that is late is caught up
// once, and none begins while another of its kind is under way. Where there has
// been no full scan yet one begins at once: no automatic repair starts before
// it.
func (e *Engine) beginDue(ctx context.Context) error {
	var errs []error
	for _, kind := range []string{store.FullScan, store.FreshScan} {
		if err := e.beginIfDue(ctx, kind); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", kind, err))
		}
	}
	return errors.Join(errs...)
}

func (e *Engine) beginIfDue(ctx context.Context, kind string) error {
	due, last, err := e.due(ctx, kind)
	if err != nil || due.IsZero() || due.After(e.Now()) {
		return err
	}
	_, page, err := e.Store.StartDue(ctx, kind, last)
	if amend.CodeOf(err) == amend.Conflict {
		return nil // somebody else was first
	}
	if err == nil {
		crash.At(crash.ScanBegun)
		e.Queue.Wake(e.Now(), queue.Job{Kind: queue.Page, Key: page})
	}
	return err
}

// NextScan is when the schedule begins a scan of a kind; zero where it doesn't,
// or one is under way. A time that has passed is one to catch up.
func (e *Engine) NextScan(ctx context.Context, kind string) (time.Time, error) {
	due, _, err := e.due(ctx, kind)
	return due, err
}

// due is when a scan is to begin, and the one from which that was counted. The
// time is zero where none is to begin.
func (e *Engine) due(ctx context.Context, kind string) (at time.Time, last store.Scan, err error) {
	now := e.Now()
	last, any, err := e.Store.LastScanAt(ctx, kind, false, now)
	switch {
	case err != nil || any && last.Open():
		return time.Time{}, last, err
	case kind == store.FreshScan:
		at, err = e.freshDue(ctx, last, now)
		return at, last, err
	case !any:
		return now, last, nil
	}
	return e.fullDue(last, now), last, nil
}

// fullDue counts from the beginning of the last full scan, so that one which
// took longer than its interval is followed by the next at once: customers whom
// it looked at first haven't been looked at since. One that was cancelled is not
// made up for.
func (e *Engine) fullDue(last store.Scan, now time.Time) time.Time {
	switch last.Status {
	case store.ScanPartial, store.ScanFailed:
		return earlier(ended(last, now).Add(scanRetry), next(e.Full, ended(last, now)))
	case store.ScanCancelled:
		return next(e.Full, ended(last, now))
	}
	return next(e.Full, last.StartedAt)
}

// freshDue counts from the end of the last scan: a full one has looked at what
// changed, too. Before the first full one there is nothing that it could
// complete.
func (e *Engine) freshDue(ctx context.Context, last store.Scan, now time.Time) (time.Time, error) {
	full, any, err := e.Store.LastScanAt(ctx, store.FullScan, true, now)
	if err != nil || !any {
		return time.Time{}, err
	}
	since := ended(full, now)
	if end := ended(last, now); end.After(since) {
		since = end
	}
	return next(e.Fresh, since), nil
}

// ended is when a scan ended. Where the clock was put back since, so that it is
// still ahead, it counts as if it had ended when it began (T31).
func ended(s store.Scan, now time.Time) time.Time {
	if s.EndedAt.After(now) {
		return s.StartedAt
	}
	return s.EndedAt
}

// next is a schedule's next time; zero where there is no schedule.
func next(s cron.Schedule, after time.Time) time.Time {
	if s == nil {
		return time.Time{}
	}
	return s.Next(after)
}

// earlier is the earlier of two times, where zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
