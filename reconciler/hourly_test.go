package reconciler_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/connectors"
	"amend/lifecycle"
	"amend/store"
)

// ledgerPerHour is how many calls the ledger allows in these tests: too few for
// a scan, which has to read it singly.
const ledgerPerHour = 50

// rationed is a bank whose ledger allows so few calls. Its clock stands ten
// minutes after a full hour.
func rationed(t *testing.T, o options) *world {
	t.Helper()
	var w *world
	o.reserve = func(ctx context.Context, r connectors.Reservation) (connectors.Reserved, error) {
		c, err := w.store.ReserveCalls(ctx, r.Service, r.Calls, r.Limit)
		return connectors.Reserved{Calls: c.Given, Until: c.Until}, err
	}
	o.yaml = func(text string) string {
		ledger := strings.Index(text, `url: "${LEDGER_URL}"`)
		before, after := text[:ledger], text[ledger:]
		after = strings.Replace(after, "at_once: 16}", "at_once: 16, per_hour: 50}", 1)
		for _, way := range []string{"      many: ", "      list: "} {
			after = strings.Replace(after, way, "      # ", 1)
		}
		return strings.Replace(before+after, "source: [identity, ledger, cards]", "source: [identity, cards]", 1)
	}
	w = setup(t, o)
	w.nextHour()
	return w
}

// nextHour puts the clock to ten minutes after the next full hour.
func (w *world) nextHour() {
	w.Helper()
	w.clock.passTo(hourAfter(w.clock.Now()).Add(10 * time.Minute))
}

func hourAfter(at time.Time) time.Time { return at.Truncate(time.Hour).Add(time.Hour) }

// rationedScan is a scan that meets the end of the ledger's hour.
type rationedScan struct {
	*world
	told
	done chan error
}

func (w *world) rationedScan() *rationedScan {
	w.Helper()
	s := &rationedScan{world: w, done: make(chan error, 1)}
	e := w.another()
	e.Progress, e.LeaseFor = s.tell, 2*time.Second // whose holder asks twice in a second
	go func() { _, err := e.Scan(w.Context(), store.FullScan, "ada"); s.done <- err }()
	return s
}

// waits waits until the scan has used its part of the hour.
func (s *rationedScan) waits() {
	s.Helper()
	eventually(s.T, s.isWaiting, "the scan waits for the ledger")
}

func (s *rationedScan) isWaiting() bool {
	last := s.last()
	return last.Waits == "ledger" && last.Until.Equal(hourAfter(s.clock.Now()))
}

// goOn puts the clock forward until the scan has ended, and says for how many
// hours it waited.
func (s *rationedScan) goOn() (hours int) {
	s.Helper()
	for {
		var err error
		ended := false
		eventually(s.T, func() bool {
			select {
			case err = <-s.done:
				ended = true
			default:
			}
			return ended || s.isWaiting()
		}, "it waits again, or ends")
		if ended {
			require.NoError(s, err)
			return hours
		}
		hours++
		s.nextHour()
	}
}

func (w *world) ledgerCalls() int {
	w.Helper()
	all, err := w.store.CallsTaken(w.Context())
	require.NoError(w, err)
	if len(all) == 0 {
		return 0
	}
	return all[0].Calls
}

// A scan waits for the next hour's calls of a service, can be paused meanwhile,
// and ends well; heals go on beside it, down to the proof that they worked. Where
// there are no calls left for them either they wait as cases, with a reason and a
// time.
func TestAScanWaitsForTheNextHour(t *testing.T) { onEach(t, testAScanWaitsForTheNextHour) }

func testAScanWaitsForTheNextHour(t *testing.T, o options) {
	t.Parallel()
	w := rationed(t, o)
	first := w.rationedScan()
	first.waits()
	require.Equal(t, 45, w.ledgerCalls())
	require.Positive(t, first.goOn())
	scan, _, err := w.store.LastScan(t.Context(), store.FullScan, true)
	require.NoError(t, err)
	require.Equal(t, 58, scan.Customers, "all but the sentinel, and one whom the ledger alone knows")
	require.Zero(t, scan.Unseen, "to wait is no failure")

	w.nextHour()
	second := w.rationedScan()
	second.waits()
	open, _, err := w.store.OpenScan(t.Context(), store.FullScan)
	require.NoError(t, err)
	require.NoError(t, w.store.SteerScan(t.Context(), open.ID, "pause", "ada"))
	eventually(t, func() bool { s := second.last(); return s.Status == store.ScanPaused && s.Held == 0 }, "paused")
	require.NoError(t, w.store.SteerScan(t.Context(), open.ID, "resume", "ada"))

	customer := w.planted("ledger_missing")
	healed := w.healOn(customer)
	require.Equal(t, lifecycle.Healed, healed.Status)
	repairs, err := w.store.Repairs(t.Context(), healed.ID) // the scan, which saw them before, may open another case
	require.NoError(t, err)
	require.Equal(t, store.RepairDone, repairs[0].Status)
	require.LessOrEqual(t, w.ledgerCalls(), ledgerPerHour)

	customer = w.planted("card_missing")
	c := w.lastCase(customer)
	for range ledgerPerHour {
		if w.heal(customer); w.lastCase(customer).Reason == "budget" {
			break
		}
		require.NoError(t, w.store.Wake(t.Context(), []string{customer}))
	}
	c = w.lastCase(customer)
	require.Equal(t, "budget", c.Reason)
	require.Equal(t, lifecycle.Waiting, c.Status)
	require.Equal(t, "It can't be judged: ledger could not be read (no calls left in this hour).", c.Why)
	require.WithinDuration(t, hourAfter(w.clock.Now()), c.WakeAt, 0)
	require.LessOrEqual(t, w.ledgerCalls(), ledgerPerHour)

	w.nextHour()
	w.heal(customer)
	require.NotEqual(t, "budget", w.lastCase(customer).Reason)
	second.goOn()
	w.requireNothingWrong()
}
