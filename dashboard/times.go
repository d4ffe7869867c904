package dashboard

import (
	"fmt"
	"time"
)

// clock is the time at which a page is made; everything on the page is told
// from it.
type clock time.Time

// moment is a time both ways: as people say it, and as the clock shows it.
type moment struct {
	ISO   string // for machines
	Ago   string // "2 min ago", "in 12 min"
	Clock string // "14:32 UTC"
}

// at tells a time; nil where there is none.
func (c clock) at(t time.Time) *moment {
	if t.IsZero() {
		return nil
	}
	m := &moment{ISO: t.UTC().Format(time.RFC3339), Clock: c.wall(t), Ago: "just now"}
	switch d := time.Time(c).Sub(t); {
	case d >= justNow:
		m.Ago = span(d) + " ago"
	case d <= -time.Second:
		m.Ago = "in " + span(-d)
	case d < 0:
		m.Ago = "in a moment"
	}
	return m
}

// justNow is how old a thing is at most that has happened just now.
const justNow = 5 * time.Second

// wall is the time on the clock: with seconds where they matter, with the day
// where it isn't today.
func (c clock) wall(t time.Time) string {
	now, t := time.Time(c).UTC(), t.UTC()
	switch d := now.Sub(t).Abs(); {
	case now.Year() != t.Year():
		return t.Format("2 Jan 2006, 15:04 UTC")
	case now.YearDay() != t.YearDay():
		return t.Format("2 Jan, 15:04 UTC")
	case d < time.Minute:
		return t.Format("15:04:05 UTC")
	}
	return t.Format("15:04 UTC")
}

// due is a time by which something was promised.
type due struct {
	ISO     string
	Overdue bool
	Text    string // "today 16:30 UTC"
	Left    string // "in 1 h 58 min", "overdue by 20 min"
}

// due tells a promise; nil where there is none.
func (c clock) due(t time.Time) *due {
	if t.IsZero() {
		return nil
	}
	now, t := time.Time(c).UTC(), t.UTC()
	d := &due{ISO: t.Format(time.RFC3339), Text: t.Format("2 Jan 15:04 UTC")}
	switch midnight := now.Truncate(24 * time.Hour); t.Truncate(24 * time.Hour) {
	case midnight:
		d.Text = t.Format("today 15:04 UTC")
	case midnight.AddDate(0, 0, 1):
		d.Text = t.Format("tomorrow 15:04 UTC")
	case midnight.AddDate(0, 0, -1):
		d.Text = t.Format("yesterday 15:04 UTC")
	}
	left := t.Sub(now)
	if d.Overdue = left <= 0; d.Overdue {
		d.Left = "overdue by " + span(-left)
	} else {
		d.Left = "in " + span(left)
	}
	return d
}

// span is a length of time in its two largest units that matter.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Second:
		return "less than 1 s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < day:
		return two(d, unit{time.Hour, "h"}, unit{time.Minute, "min"})
	case d < 3*day:
		return two(d, unit{day, "d"}, unit{time.Hour, "h"})
	}
	return fmt.Sprintf("%d days", d/day)
}

// unit is a length of time with its sign.
type unit struct {
	long time.Duration
	sign string
}

func two(d time.Duration, large, small unit) string {
	text := fmt.Sprintf("%d %s", d/large.long, large.sign)
	if rest := d % large.long / small.long; rest > 0 {
		text += fmt.Sprintf(" %d %s", rest, small.sign)
	}
	return text
}
