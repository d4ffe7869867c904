package reconciler_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/store"
)

// TestNothingThatChangedIsLost draws what happens to two services and the scans
// of them: outages, scans that are cancelled or crash, clocks that differ or run
// ahead and are put back. Once all is well again one fresh scan has seen everybody
// who is out of coherence, whether a full scan helped or not.
func TestNothingThatChangedIsLost(t *testing.T) { onEach(t, testNothingIsLost) }

func testNothingIsLost(t *testing.T, o options) {
	seeds := uint64(40)
	if o.postgres {
		seeds = 3
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("Seed", seed), func(t *testing.T) {
			t.Parallel()
			w := &drawn{tellers: telling(t, o, 520), rand: rand.New(rand.NewPCG(seed, 0))}
			w.scan()
			for range 40 {
				w.step()
			}
			w.end()
		})
	}
}

// drawn is a world to which things happen by chance.
type drawn struct {
	*tellers
	rand  *rand.Rand
	ahead time.Duration // by how much amend's clock is
	since time.Time     // since when, by that clock
}

// runsAhead is how far a clock runs ahead. It is put back sooner than that: when
// it is as late again nobody can tell the scans of the one time from the other's.
const runsAhead = 6 * time.Hour

func (w *drawn) step() {
	if w.ahead > 0 && w.clock.Now().Sub(w.since) > runsAhead/2 {
		w.jump()
	}
	service := []*teller{w.crm, w.shop}[w.rand.IntN(2)]
	switch w.rand.IntN(12) {
	case 0, 1, 2, 3: // its clock is behind, too
		n, behind := 490+w.rand.IntN(30), time.Duration(w.rand.IntN(55))*time.Second
		service.change(n, []string{"fine", "wrong", "odd"}[w.rand.IntN(3)], w.clock.Now().Add(-w.ahead-behind))
	case 4:
		service.breaks(outage, nil)
	case 5:
		service.breaks(nil, outage)
	case 6:
		service.breaks(nil, nil)
	case 7:
		w.full()
	case 8:
		scan, _, err := w.store.StartScan(w.Context(), store.FreshScan, "ada")
		require.NoError(w, err)
		require.NoError(w, w.store.SteerScan(w.Context(), scan.ID, "cancel", "ada"))
	case 9:
		w.crash()
	case 10:
		w.jump()
	default:
		w.changed()
	}
	w.clock.pass(time.Duration(w.rand.IntN(600)) * time.Second)
}

// full and changed scan, whatever comes of it.
func (w *drawn) full() {
	scan, _ := w.engine.Scan(w.Context(), store.FullScan, "test")
	require.False(w, scan.Open())
}

func (w *drawn) changed() {
	scan, _ := w.engine.Scan(w.Context(), store.FreshScan, "test")
	require.False(w, scan.Open())
}

// crash stops the process in a fresh scan. Another takes it up.
func (w *drawn) crash() {
	_, page, err := w.store.StartScan(w.Context(), store.FreshScan, "ada")
	require.NoError(w, err)
	_, claimed, err := w.store.ClaimPage(w.Context(), page, time.Second)
	require.NoError(w, err)
	require.True(w, claimed)
	w.restart()
	w.clock.pass(time.Duration(w.rand.IntN(600)) * time.Second)
	w.changed()
}

// jump lets amend's clock run ahead, or puts it back, which amend notices.
func (w *drawn) jump() {
	if w.ahead == 0 {
		w.ahead = runsAhead
		w.clock.pass(w.ahead)
		w.since = w.clock.Now()
		return
	}
	w.clock.pass(-w.ahead)
	w.ahead = 0
	require.NoError(w, w.store.PutBack(w.Context()))
}

func (w *drawn) end() {
	w.Helper()
	if w.ahead > 0 {
		w.jump()
	}
	w.crm.breaks(nil, nil)
	w.shop.breaks(nil, nil)
	w.clock.pass(time.Minute)
	w.fresh()
	for n := 490; n < 520; n++ {
		if w.crm.status(n) != w.shop.status(n) {
			_, open, err := w.store.OpenCase(w.Context(), customerID(n))
			require.NoError(w, err)
			require.True(w, open, customerID(n))
		}
	}
}
