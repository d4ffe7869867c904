package reconciler_test

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/connectors"
	"amend/internal/testpg"
	"amend/reconciler"
	"amend/store"
)

// begin is when the tests of schedules begin: a Friday at noon, UTC.
var begin = time.Date(2026, 1, 9, 12, 0, 0, 0, time.UTC)

// timetable is a world of few customers whose scans go by a schedule. Nothing
// happens in it but at a tick.
type timetable struct {
	*world
	crm *memory
}

// scheduled makes one; scans is what stands under the key of that name.
func scheduled(t *testing.T, o options, scans string) *timetable {
	t.Helper()
	crm, shop := &memory{count: 3, changed: []int{}}, &memory{count: 3}
	w := &world{T: t, clock: &clock{now: begin}, path: filepath.Join(t.TempDir(), "amend.db")}
	w.address = "sqlite:" + w.path
	if o.postgres {
		w.address = testpg.New(t)
	}
	crm.now, shop.now = w.clock, w.clock
	w.cfg = load(t, memoryConfiguration, nil, w.clock, options{kinds: []connectors.Kind{inMemory(map[string]*memory{"crm": crm, "shop": shop})},
		yaml: func(text string) string { return strings.Replace(text, "scans: {", "scans: {"+scans+", ", 1) }})
	w.open()
	t.Cleanup(func() { require.NoError(t, w.store.Close()) })
	w.engine = w.worker()
	return &timetable{w, crm}
}

// worker is one more engine on the store, with the schedule.
func (w *world) worker() *reconciler.Engine {
	e := w.another()
	e.Full, e.Fresh = w.cfg.Scans.Full, w.cfg.Scans.Fresh
	return e
}

// tick is a moment of a worker: it begins what is due, and looks through it.
func (w *timetable) tick() {
	w.Helper()
	w.engine.Tick(w.Context())
	for {
		pages, err := w.store.ReadyPages(w.Context(), 10)
		require.NoError(w, err)
		if len(pages) == 0 {
			return
		}
		for _, page := range pages {
			w.engine.Page(w.Context(), page)
		}
	}
}

// hold begins what is due, and keeps its page from being looked through.
func (w *timetable) hold() store.Page {
	w.Helper()
	w.engine.Tick(w.Context())
	pages, err := w.store.ReadyPages(w.Context(), 10)
	require.NoError(w, err)
	require.Len(w, pages, 1)
	page, claimed, err := w.store.ClaimPage(w.Context(), pages[0], 24*time.Hour)
	require.NoError(w, err)
	require.True(w, claimed)
	return page
}

// at puts the clock to a time after the beginning.
func (w *timetable) at(d time.Duration) { w.clock.passTo(begin.Add(d)) }

// tickUntil ticks every so often until a time after the beginning.
func (w *timetable) tickUntil(end, every time.Duration) {
	w.Helper()
	for w.clock.Now().Before(begin.Add(end)) {
		w.clock.pass(every)
		w.tick()
	}
}

// began are the times after the beginning when scans of a kind began, in order.
func (w *timetable) began(kind string) []string {
	w.Helper()
	all, err := w.store.Scans(w.Context(), 1000)
	require.NoError(w, err)
	began := []string{}
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Kind == kind {
			began = append(began, all[i].StartedAt.Sub(begin).Truncate(time.Second).String())
		}
	}
	return began
}

func (w *timetable) full() []string { return w.began(store.FullScan) }

func TestSchedule(t *testing.T) { onEach(t, testSchedule) }

func testSchedule(t *testing.T, o options) {
	t.Run("WithoutAFullPassAtOnce", func(t *testing.T) {
		t.Parallel()
		w := scheduled(t, o, `full: {cron: "0 2 * * *"}`)
		w.tick()
		require.Equal(t, []string{"0s"}, w.full())
		scan, _, err := w.store.LastScan(t.Context(), store.FullScan, true)
		require.NoError(t, err)
		require.Equal(t, store.Amend, scan.StartedBy)
		w.tickUntil(13*time.Hour, 20*time.Minute)
		require.Len(t, w.full(), 1, "the next is at night")
		w.tickUntil(15*time.Hour, 20*time.Minute)
		require.Equal(t, []string{"0s", "14h0m0s"}, w.full())
	})
	t.Run("Every", func(t *testing.T) {
		t.Parallel()
		w := scheduled(t, o, "full: {every: 1h}")
		w.tickUntil(3*time.Hour+10*time.Minute, 10*time.Minute)
		require.Equal(t, []string{"10m0s", "1h10m0s", "2h10m0s", "3h10m0s"}, w.full())
	})
	t.Run("MissedRunsAreCaughtUpOnce", func(t *testing.T) {
		t.Parallel()
		for scans, next := range map[string]string{`full: {cron: "0 2 * * *"}`: "110h0m0s", "full: {every: 24h}": "121h0m0s"} {
			w := scheduled(t, o, scans)
			w.tick()
			w.at(97 * time.Hour) // down over three runs and more
			w.tickUntil(98*time.Hour, 10*time.Minute)
			require.Equal(t, []string{"0s", "97h10m0s"}, w.full(), scans)
			due, err := w.engine.NextScan(t.Context(), store.FullScan)
			require.NoError(t, err)
			require.Equal(t, next, due.Sub(begin).Truncate(time.Hour).String(), scans)
		}
	})
	t.Run("LongerThanItsInterval", func(t *testing.T) {
		t.Parallel()
		w := scheduled(t, o, "full: {every: 1h}")
		w.tick()
		w.at(61 * time.Minute)
		page := w.hold()
		w.tickUntil(4*time.Hour, 10*time.Minute)
		require.Equal(t, []string{"0s", "1h1m0s"}, w.full(), "never beside itself")
		due, err := w.engine.NextScan(t.Context(), store.FullScan)
		require.NoError(t, err)
		require.Zero(t, due, "one is under way")
		require.NoError(t, w.store.ReleasePage(t.Context(), page))
		w.tickUntil(4*time.Hour+30*time.Minute, 10*time.Minute)
		require.Equal(t, []string{"0s", "1h1m0s", "4h21m0s"}, w.full(), "what was missed meanwhile is one run")
	})
	t.Run("PartialIsBegunAgainSoon", func(t *testing.T) {
		t.Parallel()
		w := scheduled(t, o, `full: {cron: "0 2 * * *"}`)
		w.tick()
		w.crm.failAt = 1
		w.at(14 * time.Hour)
		w.tick()
		w.at(14*time.Hour + 29*time.Second)
		w.tick()
		require.Equal(t, []string{"0s", "14h0m0s"}, w.full())
		w.at(14*time.Hour + 31*time.Second)
		w.tick()
		w.crm.failAt = 0
		w.at(14*time.Hour + 62*time.Second)
		w.tick()
		w.tickUntil(37*time.Hour, 10*time.Minute)
		require.Equal(t, []string{"0s", "14h0m0s", "14h0m31s", "14h1m2s"}, w.full(), "one that ended well is enough until the next night")
	})
	t.Run("PartialOnesLeaveTheServicesAPause", func(t *testing.T) {
		t.Parallel()
		w := scheduled(t, o, "full: {every: 1m}")
		w.crm.failAt = 1
		page := w.hold()
		w.at(time.Hour)
		require.NoError(t, w.store.ReleasePage(t.Context(), page))
		w.tick()
		require.Equal(t, []string{"0s"}, w.full(), "its time has passed long ago, and a service has just failed")
		w.tickUntil(time.Hour+35*time.Second, 5*time.Second)
		require.Equal(t, []string{"0s", "1h0m30s"}, w.full())
	})
	t.Run("CancelledOnlyAtItsNextTime", func(t *testing.T) {
		t.Parallel()
		for scans, want := range map[string][]string{`full: {cron: "0 2 * * *"}`: {"0s", "38h0m0s"}, "full: {every: 12h}": {"0s", "31h0m0s"}} {
			w := scheduled(t, o, scans)
			page := w.hold() // no full pass has ended yet
			w.at(19 * time.Hour)
			require.NoError(t, w.store.SteerScan(t.Context(), page.Scan.ID, "cancel", "ada"))
			w.tickUntil(39*time.Hour, 20*time.Minute)
			require.Equal(t, want, w.full(), "%s: its time passed while it ran; that is no reason to begin again", scans)
		}
	})
	t.Run("PausedIsUnderWay", func(t *testing.T) {
		t.Parallel()
		w := scheduled(t, o, "full: {every: 1h}")
		page := w.hold()
		require.NoError(t, w.store.SteerScan(t.Context(), page.Scan.ID, "pause", "ada"))
		require.NoError(t, w.store.ReleasePage(t.Context(), page))
		w.tickUntil(5*time.Hour, 10*time.Minute)
		require.Equal(t, []string{"0s"}, w.full())
		require.NoError(t, w.store.SteerScan(t.Context(), page.Scan.ID, "resume", "ada"))
		w.tick()
		scan, _, err := w.store.Scan(t.Context(), page.Scan.ID)
		require.NoError(t, err)
		require.Equal(t, store.ScanDone, scan.Status, "it goes on where it was")
	})
	t.Run("WithoutAScheduleNoneButTheFirst", func(t *testing.T) {
		t.Parallel()
		w := scheduled(t, o, "fresh: {every: 1h}")
		w.tickUntil(50*time.Hour, time.Hour)
		require.Equal(t, []string{"1h0m0s"}, w.full())
		due, err := w.engine.NextScan(t.Context(), store.FullScan)
		require.NoError(t, err)
		require.Zero(t, due)
	})
}

func TestScheduleOfFresh(t *testing.T) { onEach(t, testScheduleOfFresh) }

func testScheduleOfFresh(t *testing.T, o options) {
	t.Run("NotBeforeTheFirstFull", func(t *testing.T) {
		t.Parallel()
		w := scheduled(t, o, "full: {every: 24h}, fresh: {every: 1m}")
		page := w.hold()
		w.tickUntil(10*time.Minute, time.Minute)
		require.Empty(t, w.began(store.FreshScan))
		require.NoError(t, w.store.ReleasePage(t.Context(), page))
		w.tickUntil(13*time.Minute, time.Minute)
		require.Equal(t, []string{"12m0s", "13m0s"}, w.began(store.FreshScan), "counted from the end of the full one")
	})
	t.Run("BesideAFullOne", func(t *testing.T) {
		t.Parallel()
		w := scheduled(t, o, "full: {every: 1h}, fresh: {every: 1m}")
		w.tick()
		w.at(61 * time.Minute)
		w.engine.Fresh = nil
		w.hold()
		w.engine.Fresh = w.cfg.Scans.Fresh
		w.tickUntil(64*time.Minute, time.Minute)
		require.Equal(t, []string{"0s", "1h1m0s"}, w.full())
		require.Equal(t, []string{"1h2m0s", "1h3m0s", "1h4m0s"}, w.began(store.FreshScan))
	})
	t.Run("MissedRunsAreCaughtUpOnce", func(t *testing.T) {
		t.Parallel()
		w := scheduled(t, o, "full: {every: 24h}, fresh: {every: 1m}")
		w.tickUntil(2*time.Minute, time.Minute)
		w.at(10 * time.Minute)
		w.tick()
		w.tick()
		require.Equal(t, []string{"2m0s", "10m0s"}, w.began(store.FreshScan))
	})
	t.Run("ClockPutBackWhileItRan", func(t *testing.T) {
		t.Parallel()
		w := scheduled(t, o, "full: {every: 48h}, fresh: {every: 5m}")
		w.tick()
		w.at(6 * time.Minute)
		page := w.hold()
		w.clock.pass(24 * time.Hour)
		page, claimed, err := w.store.ClaimPage(t.Context(), page.ID, time.Minute)
		require.NoError(t, err)
		require.True(t, claimed)
		_, err = w.store.FinishPage(t.Context(), page, store.Counted{})
		require.NoError(t, err)
		w.clock.pass(-24 * time.Hour)
		w.tickUntil(12*time.Minute, time.Minute)
		require.Equal(t, []string{"6m0s", "11m0s"}, w.began(store.FreshScan))
	})
	t.Run("CancelledOnlyAtItsNextTime", func(t *testing.T) {
		t.Parallel()
		w := scheduled(t, o, "full: {every: 24h}, fresh: {every: 5m}")
		w.tick()
		w.at(6 * time.Minute)
		page := w.hold()
		w.at(20 * time.Minute)
		require.NoError(t, w.store.SteerScan(t.Context(), page.Scan.ID, "cancel", "ada"))
		w.tickUntil(26*time.Minute, time.Minute)
		require.Equal(t, []string{"6m0s", "25m0s"}, w.began(store.FreshScan))
	})
}

// TestTwoWorkers: both find a run due at the same moment, and one begins it.
func TestTwoWorkers(t *testing.T) { onEach(t, testTwoWorkers) }

func testTwoWorkers(t *testing.T, o options) {
	w := scheduled(t, o, "full: {every: 1h}, fresh: {every: 1h}")
	w.tick()
	workers := []*reconciler.Engine{w.engine, w.worker(), w.worker(), w.worker()}
	const rounds = 20
	for range rounds {
		w.clock.pass(time.Hour)
		var group sync.WaitGroup
		for _, worker := range workers {
			group.Go(func() {
				worker.Tick(t.Context())
				// A scan can be over before another worker has looked at the clock.
				pages, err := w.store.ReadyPages(t.Context(), 10)
				if err == nil {
					for _, page := range pages {
						worker.Page(t.Context(), page)
					}
				}
			})
		}
		group.Wait()
	}
	require.Len(t, w.full(), rounds+1)
	require.Len(t, w.began(store.FreshScan), rounds)
}

// TestDueOnce: a worker that found a run due and was slow doesn't begin it after
// another has begun and ended it.
func TestDueOnce(t *testing.T) { onEach(t, testDueOnce) }

func testDueOnce(t *testing.T, o options) {
	for name, first := range map[string]bool{"TheFirst": true, "AnotherOne": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := scheduled(t, o, "full: {every: 1h}")
			var last store.Scan
			if !first {
				w.tick()
				var err error
				last, _, err = w.store.LastScan(t.Context(), store.FullScan, false)
				require.NoError(t, err)
				w.clock.pass(time.Hour)
			}
			w.tick()
			before := w.full()
			w.clock.pass(-50 * time.Millisecond) // workers' clocks differ a little
			_, _, err := w.store.StartDue(t.Context(), store.FullScan, last)
			require.ErrorContains(t, err, "another full scan has begun")
			require.Equal(t, before, w.full())
		})
	}
}

// TestClocksChange: on the days when the clocks change nothing is left out and
// nothing runs twice (T31).
func TestClocksChange(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		cron string
		from string
		want []string
	}{
		"Nightly/Forward":  {"0 2 * * *", "2026-03-28", []string{"28 02:00 CET", "29 03:00 CEST", "30 02:00 CEST"}},
		"Nightly/Back":     {"0 2 * * *", "2026-10-24", []string{"24 02:00 CEST", "25 02:00 CEST", "26 02:00 CET"}},
		"InTheGap/Forward": {"30 2 * * *", "2026-03-28", []string{"28 02:30 CET", "29 03:30 CEST", "30 02:30 CEST"}},
		"InTheGap/Back":    {"30 2 * * *", "2026-10-24", []string{"24 02:30 CEST", "25 02:30 CEST", "26 02:30 CET"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := scheduled(t, options{}, `full: {cron: "`+c.cron+`", zone: Europe/Berlin}, fresh: {cron: "`+c.cron+`", zone: Europe/Berlin}`)
			midnight, err := time.ParseInLocation(time.DateOnly, c.from, berlin)
			require.NoError(t, err)
			w.clock.passTo(midnight.Add(-time.Hour))
			w.tick()
			for day := range 3 {
				night := midnight.AddDate(0, 0, day).Sub(begin)
				w.at(night)
				w.tickUntil(night+5*time.Hour, 10*time.Minute)
				w.tickUntil(night+22*time.Hour, 6*time.Hour)
			}
			all, err := w.store.Scans(t.Context(), 100)
			require.NoError(t, err)
			began := map[string][]string{}
			for _, scan := range all {
				began[scan.Kind] = append([]string{scan.StartedAt.In(berlin).Format("2 15:04 MST")}, began[scan.Kind]...)
			}
			require.Equal(t, c.want, began[store.FullScan][1:], "after the first, which begins at once")
			require.Len(t, began[store.FreshScan], 3)
		})
	}
}

// TestClockPutBackBetweenScans: what ran while the clock was ahead doesn't hold
// the schedule up until it is as late again (T31).
func TestClockPutBackBetweenScans(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{"AnHour": time.Hour, "ADay": 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := scheduled(t, options{}, "full: {every: 30m}, fresh: {every: 1m}")
			w.tickUntil(10*time.Minute, time.Minute)
			w.clock.pass(ahead)
			w.tick()
			w.tickUntil(10*time.Minute+ahead+5*time.Minute, time.Minute)
			w.clock.pass(-ahead)
			fulls, fresh := len(w.full()), len(w.began(store.FreshScan))
			for range 60 {
				w.clock.pass(time.Minute)
				w.tick()
			}
			require.GreaterOrEqual(t, len(w.full())-fulls, 2)
			require.LessOrEqual(t, len(w.full())-fulls, 3)
			require.InDelta(t, 60, len(w.began(store.FreshScan))-fresh, 8)
		})
	}
}
