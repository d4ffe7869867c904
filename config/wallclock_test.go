package config_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/robfig/cron/v3"
	"github.com/stretchr/testify/require"
)

// scheduled is the schedule of full scans with a cron expression.
func scheduled(t *testing.T, expression, zone string) cron.Schedule {
	t.Helper()
	return mustBank(t, `{cron: "0 2 * * *", zone: Europe/Berlin}`, `{cron: "`+expression+`", zone: `+zone+`}`).Scans.Full
}

// runs are all times of a schedule between two.
func runs(s cron.Schedule, from, to time.Time) []time.Time {
	var all []time.Time
	for at := s.Next(from); at.Before(to); at = s.Next(at) {
		all = append(all, at)
	}
	return all
}

// TestClocksChange: on both days nothing is left out and nothing runs twice
// (T31).
func TestClocksChange(t *testing.T) {
	t.Parallel()
	const minute = "2006-01-02 15:04 MST"
	for name, c := range map[string]struct {
		cron, zone, from string
		want             []string
	}{
		"Nightly/Forward":    {"0 2 * * *", "Europe/Berlin", "2026-03-28", []string{"2026-03-28 02:00 CET", "2026-03-29 03:00 CEST", "2026-03-30 02:00 CEST"}},
		"Nightly/Back":       {"0 2 * * *", "Europe/Berlin", "2026-10-24", []string{"2026-10-24 02:00 CEST", "2026-10-25 02:00 CEST", "2026-10-26 02:00 CET"}},
		"InTheGap/Forward":   {"30 2 * * *", "Europe/Berlin", "2026-03-28", []string{"2026-03-28 02:30 CET", "2026-03-29 03:30 CEST", "2026-03-30 02:30 CEST"}},
		"InTheGap/Back":      {"30 2 * * *", "Europe/Berlin", "2026-10-24", []string{"2026-10-24 02:30 CEST", "2026-10-25 02:30 CEST", "2026-10-26 02:30 CET"}},
		"Midnight/Forward":   {"0 0 * * *", "Africa/Cairo", "2026-04-23", []string{"2026-04-23 00:00 EET", "2026-04-24 01:00 EEST", "2026-04-25 00:00 EEST"}},
		"HalfAnHour/Back":    {"45 1 * * *", "Australia/Lord_Howe", "2026-04-04", []string{"2026-04-04 01:45 +11", "2026-04-05 01:45 +11", "2026-04-06 01:45 +1030"}},
		"TwoAtOnce/Forward":  {"30 2,3 * * 0", "Europe/Berlin", "2026-03-28", []string{"2026-03-29 03:30 CEST"}},
		"OutOfOrder/Forward": {"20,40 2 * * *", "Australia/Lord_Howe", "2026-10-04", []string{"2026-10-04 02:40 +11", "2026-10-04 02:50 +11", "2026-10-05 02:20 +11"}},
		"EveryHour/Forward":  {"30 * * * *", "Europe/Berlin", "2026-03-29", []string{"2026-03-29 00:30 CET", "2026-03-29 01:30 CET", "2026-03-29 03:30 CEST", "2026-03-29 04:30 CEST"}},
		"EveryHour/Back":     {"30 * * * *", "Europe/Berlin", "2026-10-25", []string{"2026-10-25 00:30 CEST", "2026-10-25 01:30 CEST", "2026-10-25 02:30 CEST", "2026-10-25 02:30 CET", "2026-10-25 03:30 CET"}},
		"CertainHours/Back":  {"0 1-3 * * *", "Europe/Berlin", "2026-10-25", []string{"2026-10-25 01:00 CEST", "2026-10-25 02:00 CEST", "2026-10-25 03:00 CET"}},
		"NeverChange":        {"30 2 * * *", "UTC", "2026-03-28", []string{"2026-03-28 02:30 UTC", "2026-03-29 02:30 UTC", "2026-03-30 02:30 UTC"}},
		"OnceInFourYears":    {"30 2 29 2 *", "Europe/Berlin", "2026-03-28", []string{"2028-02-29 02:30 CET"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zone, err := time.LoadLocation(c.zone)
			require.NoError(t, err)
			s := scheduled(t, c.cron, c.zone)
			at, err := time.ParseInLocation(time.DateOnly, c.from, zone)
			require.NoError(t, err)
			at = at.Add(-time.Nanosecond)
			for _, want := range c.want {
				at = s.Next(at)
				require.Equal(t, want, at.In(zone).Format(minute))
			}
		})
	}
	require.True(t, scheduled(t, "0 0 30 2 *", "UTC").Next(noon).IsZero(), "a day that never comes")
}

// TestOnceADay asks from many moments, those around the changes among
// them: every day has one run, whoever asks when.
func TestOnceADay(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"Europe/Berlin", "America/New_York", "Africa/Cairo", "Australia/Lord_Howe", "Antarctica/Troll", "Asia/Kolkata", "America/St_Johns"} {
		t.Run(zone, func(t *testing.T) {
			t.Parallel()
			location, err := time.LoadLocation(zone)
			require.NoError(t, err)
			rng := rand.New(rand.NewPCG(7, 7))
			first, last := time.Date(2026, 1, 1, 0, 0, 0, 0, location), time.Date(2027, 1, 1, 0, 0, 0, 0, location)
			for _, expression := range []string{"0 0 * * *", "45 1 * * *", "0 2 * * *", "30 2 * * *", "59 23 * * *"} {
				s := scheduled(t, expression, zone)
				all := runs(s, first.Add(-time.Nanosecond), last)
				require.Len(t, all, 365, expression)
				for range 500 {
					from := first.Add(time.Duration(rng.Int64N(int64(last.Sub(first)))))
					if near := rng.IntN(3); near > 0 { // half an hour about a run
						from = all[rng.IntN(len(all)-1)].Add(time.Duration(rng.IntN(3600)-1800) * time.Second)
					}
					at, found := slices.BinarySearchFunc(all, from, time.Time.Compare)
					if found {
						at++
					}
					if at < len(all) {
						require.True(t, all[at].Equal(s.Next(from)), "%s after %s: %s instead of %s", expression, from, s.Next(from), all[at])
					}
				}
			}
		})
	}
}
