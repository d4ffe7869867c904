package rules_test

import (
	"testing"
	"time"

	"github.com/robfig/cron/v3"
	"github.com/stretchr/testify/require"

	"amend/rules"
)

// calm are facts that nothing holds back, each number at its last harmless
// value.
func calm() rules.Facts {
	return rules.Facts{
		Now: noon.Add(30 * time.Second), Rule: &rules.Rule{Name: "open-ledger", Mode: rules.Auto, Limits: rules.Limits{AtOnce: 8, PerHour: 500, Share: 0.02}},
		View: view(identity(null), absent), Schema: schema(), Rests: []int{0, 1},
		Since: noon.Add(30*time.Second - 5*time.Minute), Settle: 5 * time.Minute, Looks: 2,
		Customers: 10_000, InState: 200, Open: 7, LastHour: 499, Proved: rules.CanarySize,
	}
}

func TestGuard(t *testing.T) {
	t.Parallel()
	require.Equal(t, rules.Decision{Reason: rules.Allowed}, rules.Guard(calm()))
	require.True(t, rules.Guard(calm()).Go())
	weekly := rules.Window{Start: parse(t, "CRON_TZ=UTC 0 12 * * *"), For: time.Minute, Why: "settlement"}
	for _, test := range []struct {
		name   string
		change func(*rules.Facts)
		want   rules.Reason
		until  time.Duration // from now
		person rules.Reason  // what a person is told
	}{
		{"Observing", func(f *rules.Facts) { f.Rule.Mode = rules.Observe }, rules.Observing, -1, rules.Allowed},
		{"InWindow", func(f *rules.Facts) { f.Windows = []rules.Window{weekly} }, rules.InWindow, 30 * time.Second, rules.InWindow},
		{"Partial", func(f *rules.Facts) { f.View.Records[1] = unseen }, rules.Partial, 15 * time.Second, rules.Partial},
		{"PartialElsewhere", func(f *rules.Facts) { f.View.Records[1], f.Rests = unseen, []int{0} }, rules.Allowed, 0, rules.Allowed},
		{"Outage", func(f *rules.Facts) { f.Blind = "cards could not be read" }, rules.Outage, 15 * time.Second, rules.Allowed},
		{"TooOld", func(f *rules.Facts) { f.Now, f.Since = f.Now.Add(1), f.Since.Add(1) }, rules.TooOld, 0, rules.TooOld},
		{"FromTheFuture", func(f *rules.Facts) { f.View.Records[0].ReadAt = f.Now.Add(time.Hour) }, rules.Allowed, 0, rules.Allowed},
		{"Settling", func(f *rules.Facts) { f.Since = f.Since.Add(1) }, rules.Settling, 1, rules.Allowed},
		{"SeenOnce", func(f *rules.Facts) { f.Looks = 1 }, rules.Settling, time.Second, rules.Allowed},
		{"SeenOnceWithoutSettle", func(f *rules.Facts) { f.Looks, f.Settle = 1, 0 }, rules.Allowed, 0, rules.Allowed},
		{"FirstPass", func(f *rules.Facts) { f.Customers = -1 }, rules.FirstPass, 5 * time.Minute, rules.Allowed},
		{"Share", func(f *rules.Facts) { f.InState = 201 }, rules.Share, 10 * time.Minute, rules.Allowed},
		{"ShareOfAWeek", func(f *rules.Facts) { f.InState, f.Usual = 205, 41 }, rules.Allowed, 0, rules.Allowed},
		{"MoreThanInAWeek", func(f *rules.Facts) { f.InState, f.Usual = 206, 41 }, rules.Share, 10 * time.Minute, rules.Allowed},
		{"AsManyAsWereReleased", func(f *rules.Facts) { f.InState, f.Released = 500, 250 }, rules.Allowed, 0, rules.Allowed},
		{"MoreThanWereReleased", func(f *rules.Facts) { f.InState, f.Released = 501, 250 }, rules.Share, 10 * time.Minute, rules.Allowed},
		{"Flapping", func(f *rules.Facts) { f.OnHim = 3 }, rules.Flapping, 15 * time.Second, rules.Allowed},
		{"NotFlapping", func(f *rules.Facts) { f.OnHim = 2 }, rules.Allowed, 0, rules.Allowed},
		{"TheVeryFirst", func(f *rules.Facts) { f.Proved, f.Begun = 0, 0 }, rules.Allowed, 0, rules.Allowed},
		{"BesideTheFirst", func(f *rules.Facts) { f.Proved, f.Begun = 0, 1 }, rules.Canary, 15 * time.Second, rules.Allowed},
		{"TheTenth", func(f *rules.Facts) { f.Proved, f.Begun = 1, 9 }, rules.Allowed, 0, rules.Allowed},
		{"BesideTen", func(f *rules.Facts) { f.Proved, f.Begun = 9, 10 }, rules.Canary, 15 * time.Second, rules.Allowed},
		{"TheHundredth", func(f *rules.Facts) { f.Proved, f.Begun = 10, 99 }, rules.Allowed, 0, rules.Allowed},
		{"BesideAHundred", func(f *rules.Facts) { f.Proved, f.Begun = 99, 100 }, rules.Canary, 15 * time.Second, rules.Allowed},
		{"AnEarlyFailure", func(f *rules.Facts) { f.Proved, f.Begun, f.Failed = 99, 99, true }, rules.Failing, 10 * time.Minute, rules.Allowed},
		{"NewNoMore", func(f *rules.Facts) { f.Proved, f.Begun, f.Failed = 100, 5000, true }, rules.Allowed, 0, rules.Allowed},
		{"ShareFloor", func(f *rules.Facts) { f.Customers, f.InState = 0, 20 }, rules.Allowed, 0, rules.Allowed},
		{"AboveTheFloor", func(f *rules.Facts) { f.Customers, f.InState = 0, 21 }, rules.Share, 10 * time.Minute, rules.Allowed},
		{"AtOnce", func(f *rules.Facts) { f.Open = 8 }, rules.AtOnce, 250 * time.Millisecond, rules.AtOnce},
		{"PerHour", func(f *rules.Facts) { f.LastHour = 500 }, rules.PerHour, time.Minute, rules.PerHour},
		{"TheFirstReasonIsSaid", func(f *rules.Facts) { f.LastHour, f.View.Records[1] = 500, unseen }, rules.Partial, 15 * time.Second, rules.Partial},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := calm()
			test.change(&f)
			got := rules.Guard(f)
			require.Equal(t, test.want, got.Reason)
			if !got.Go() {
				require.NotEmpty(t, got.Say)
			}
			if test.until >= 0 && !got.Go() {
				require.Equal(t, f.Now.Add(test.until), got.Until)
			}
			f.ByPerson = true
			require.Equal(t, test.person, rules.Guard(f).Reason, "for a person")
		})
	}
}

// TestStillBusy asks nothing that a reading has to answer.
func TestStillBusy(t *testing.T) {
	t.Parallel()
	f := calm()
	f.View, f.Rests, f.Since, f.InState, f.Customers = nil, nil, f.Now, 9999, -1
	require.True(t, rules.StillBusy(f).Go())
	f.Proved, f.Begun = 1, 10
	require.Equal(t, rules.Canary, rules.StillBusy(f).Reason)
	f.Failed = true
	require.True(t, rules.StillBusy(f).Go(), "whoever comes next stops the rule")
	f.Open = 8
	require.Equal(t, rules.AtOnce, rules.StillBusy(f).Reason)
}

// TestGuardAgain: what was allowed once is asked again for pauses and a whole,
// fresh view only.
func TestGuardAgain(t *testing.T) {
	t.Parallel()
	f := calm()
	f.LastHour, f.Open, f.InState, f.Looks, f.Rule.Mode = 9999, 9999, 9999, 0, rules.Observe
	require.True(t, rules.GuardAgain(f).Go())
	f.View.Records[1] = unseen
	require.Equal(t, rules.Partial, rules.GuardAgain(f).Reason)
	f.Windows = []rules.Window{{Start: parse(t, "CRON_TZ=UTC 0 12 * * *"), For: time.Minute}}
	require.Equal(t, rules.InWindow, rules.GuardAgain(f).Reason)
}

func parse(t *testing.T, expression string) cron.Schedule {
	t.Helper()
	schedule, err := cron.ParseStandard(expression)
	require.NoError(t, err)
	return schedule
}

// TestWindow: a window is the half-open time from its start, in its own zone;
// it lasts as long as it says also where the clocks change meanwhile.
func TestWindow(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	at := func(month time.Month, day, hour, minute int) time.Time {
		return time.Date(2026, month, day, hour, minute, 0, 0, berlin)
	}
	utc := func(month time.Month, day, hour, minute int) time.Time {
		return time.Date(2026, month, day, hour, minute, 0, 0, time.UTC)
	}
	for _, test := range []struct {
		name, cron string
		lasts      time.Duration
		from, to   time.Time
	}{
		{"Friday", "0 22 * * 5", 2 * time.Hour, at(3, 6, 22, 0), at(3, 7, 0, 0)},
		{"OverTheSkippedHour", "0 1 * * *", 2 * time.Hour, at(3, 29, 1, 0), at(3, 29, 4, 0)},
		{"OverTheDoubledHour", "0 1 * * *", 3 * time.Hour, at(10, 25, 1, 0), at(10, 25, 3, 0)},
		{"StartIsDoubled", "30 2 * * *", 30 * time.Minute, utc(10, 25, 0, 30), utc(10, 25, 1, 0)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := rules.Window{Start: parse(t, "CRON_TZ=Europe/Berlin "+test.cron), For: test.lasts}
			for now, want := range map[time.Time]bool{test.from.Add(-1): false, test.from: true, test.to.Add(-1): true, test.to: false} {
				until, active := w.Active(now)
				require.Equal(t, want, active, "%s", now)
				if active {
					require.True(t, until.Equal(test.to), "%s instead of %s", until, test.to)
				}
			}
		})
	}
	_, active := rules.Window{Start: parse(t, "CRON_TZ=UTC 0 0 30 2 *"), For: time.Hour}.Active(noon)
	require.False(t, active, "a day that never comes")
}
