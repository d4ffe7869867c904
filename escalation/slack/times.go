package slack

import (
	"fmt"
	"time"
)

// instant writes t in UTC with as much of the date as a reader at now needs.
func instant(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	switch {
	case t.Year() != now.Year():
		return t.Format("2 Jan 2006 15:04 UTC")
	case t.YearDay() != now.YearDay():
		return t.Format("2 Jan 15:04 UTC")
	default:
		return t.Format("15:04 UTC")
	}
}

// past writes when something began: "12:30 UTC, 2 h 2 min ago". Zero is empty.
func past(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	age := now.Sub(t)
	if now.IsZero() || age < time.Minute {
		return instant(t, now)
	}
	return instant(t, now) + ", " + span(age) + " ago"
}

// deadline writes by when: "16:30 UTC, in 1 h 58 min" or "14:10 UTC, overdue
// 22 min". Zero is empty.
func deadline(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	left := t.Sub(now)
	switch {
	case now.IsZero():
		return instant(t, now)
	case left <= -time.Minute:
		return instant(t, now) + ", overdue " + span(-left)
	case left < time.Minute:
		return instant(t, now) + ", now"
	default:
		return instant(t, now) + ", in " + span(left)
	}
}

// span writes a duration of a minute or more in its two largest units.
func span(d time.Duration) string {
	days, hours, minutes := int(d/(24*time.Hour)), int(d/time.Hour)%24, int(d/time.Minute)%60
	switch {
	case days > 0 && hours > 0:
		return fmt.Sprintf("%d d %d h", days, hours)
	case days > 0:
		return fmt.Sprintf("%d d", days)
	case hours > 0 && minutes > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	case hours > 0:
		return fmt.Sprintf("%d h", hours)
	default:
		return fmt.Sprintf("%d min", minutes)
	}
}
