package config

import (
	"time"

	"github.com/robfig/cron/v3"
)

// wallClock is a cron schedule for certain hours of the day, which takes place
// once on the days when the clocks change, too. A time that the clocks skip is
// as long after their last change as on the day before: 02:30 becomes 03:30. A
// time that they show twice is the first of the two. Without it a nightly scan,
// or the pause for a settlement, would be left out once a year, and another
// would run twice.
//
// A schedule for every hour goes by the time that passes and needs none of this.
type wallClock struct {
	shown    cron.SpecSchedule // over what clocks show, without a zone
	location *time.Location
}

func newWallClock(spec *cron.SpecSchedule) wallClock {
	shown := *spec
	shown.Location = time.UTC
	return wallClock{shown, spec.Location}
}

// everyHour reports whether a schedule holds in all hours of its days.
func everyHour(spec *cron.SpecSchedule) bool {
	const all = 1<<24 - 1
	return spec.Hour&all == all
}

// aDay is longer than any zone turns its clocks back or forward at once.
const aDay = 24 * time.Hour

// Next is part of cron.Schedule.
func (w wallClock) Next(t time.Time) time.Time {
	// What was skipped within the last day may still be ahead.
	from := w.shows(t)
	if skipped := w.offset(t) - w.offset(t.Add(-aDay)); skipped > 0 {
		from = from.Add(-skipped)
	}
	var next time.Time
	for shown := w.shown.Next(from); !shown.IsZero(); shown = w.shown.Next(shown) {
		if !next.IsZero() && shown.After(w.shows(next)) {
			return next
		}
		// A later time of the day can come before one that was skipped.
		if at := w.at(shown); at.After(t) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// at is when clocks show a time first, or would if they had not been changed.
func (w wallClock) at(shown time.Time) time.Time {
	y, m, d := shown.Date()
	near := time.Date(y, m, d, shown.Hour(), shown.Minute(), 0, 0, w.location)
	before := shown.Add(-w.offset(near.Add(-aDay))) // had there been no change since the day before
	if w.shows(before).Equal(shown) || !w.shows(near).Equal(shown) {
		return before.In(w.location)
	}
	return near
}

// shows is what clocks in the zone show, as a time without a zone.
func (w wallClock) shows(t time.Time) time.Time { return t.UTC().Add(w.offset(t)) }

func (w wallClock) offset(t time.Time) time.Duration {
	_, seconds := t.In(w.location).Zone()
	return time.Duration(seconds) * time.Second
}
