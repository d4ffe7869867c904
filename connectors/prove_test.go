package connectors_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
)

var sentinels = amend.Sentinels{Present: "cus_yes", Absent: "cus_no"}

// town is a service that can be struck by a gateway which says "not found" to
// everybody, or "found".
type town struct {
	fake
	mu   sync.Mutex
	says func(id string) (amend.Record, error)
}

func newTown() *town {
	w := &town{says: honest}
	w.can = connectors.Abilities{One: true, Many: 100, List: true}
	w.one = func(ctx context.Context, id string) (amend.Record, error) {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return amend.Record{}, ctx.Err()
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.says(id)
	}
	return w
}

func (w *town) becomes(says func(id string) (amend.Record, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.says = says
}

func honest(id string) (amend.Record, error) {
	if id == "cus_yes" || strings.HasPrefix(id, "cus_here") {
		return present(), nil
	}
	return absent(), nil
}

func nobody(string) (amend.Record, error) { return absent(), nil }

func everybody(string) (amend.Record, error) { return present(), nil }

func down(string) (amend.Record, error) { return amend.Record{}, unseen(amend.Failing) }

func TestProveBelievesOnlyWithProof(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		says func(string) (amend.Record, error)
		id   string
		want amend.Record
	}{
		"absent, and the sentinels agree": {honest, "cus_gone", amend.Record{Presence: amend.Absent}},
		"present needs no proof":          {honest, "cus_here", amend.Record{Presence: amend.Present}},
		"a gateway that knows nobody":     {nobody, "cus_gone", amend.UnseenRecord(amend.Unproven, "the sentinel that is always there is absent, the one that never is is absent", time.Time{})},
		"a service that knows even who isn't": {func(id string) (amend.Record, error) {
			return map[bool]amend.Record{true: absent(), false: present()}[id == "cus_gone"], nil
		}, "cus_gone", amend.UnseenRecord(amend.Unproven, "the sentinel that is always there is present, the one that never is is present", time.Time{})},
		"a service that fails for the sentinel": {func(id string) (amend.Record, error) {
			return absent(), map[bool]error{true: unseen(amend.Failing)}[id == "cus_yes"]
		}, "cus_gone", amend.UnseenRecord(amend.Unproven, "the sentinel that is always there is unseen (failing), the one that never is is absent", time.Time{})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newTown()
				w.becomes(test.says)
				c := connectors.Prove(w, sentinels, time.Minute, time.Now)
				record, err := c.One(t.Context(), test.id)
				require.NoError(t, err)
				record.ReadAt = time.Time{}
				require.Equal(t, test.want, record)
			})
		})
	}
}

// One proof serves many readers and holds for the window.
func TestProveSharesProbes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTown()
		c := connectors.Prove(w, sentinels, time.Minute, time.Now)
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				record, err := c.One(t.Context(), "cus_gone")
				if err != nil || record.Presence != amend.Absent {
					t.Error(record, err)
				}
			})
		}
		group.Wait()
		require.EqualValues(t, 20+2, w.calls.Load())

		time.Sleep(59 * time.Second)
		_, err := c.One(t.Context(), "cus_gone")
		require.NoError(t, err)
		require.EqualValues(t, 20+2+1, w.calls.Load())
		time.Sleep(time.Second)
		_, err = c.One(t.Context(), "cus_gone")
		require.NoError(t, err)
		require.EqualValues(t, 20+2+1+3, w.calls.Load())
	})
}

// A decision doesn't rest on a proof that is older than the record: a gateway
// that breaks down in between would not be noticed for the window.
func TestReadWantsAYoungerProof(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTown()
		c := connectors.Prove(w, sentinels, time.Minute, time.Now)
		read := func() amend.Record {
			view := connectors.Read(t.Context(), []connectors.Connector{c}, "cus_gone", time.Now)
			return view.Records[0]
		}
		require.Equal(t, amend.Absent, read().Presence)
		w.becomes(nobody)
		require.Equal(t, amend.Unproven, read().Cause)
		w.becomes(down)
		require.Equal(t, amend.Failing, read().Cause)
		w.becomes(honest)
		require.Equal(t, amend.Absent, read().Presence)
	})
}

// A probe that runs already is too old for who comes later: it may have asked
// before the service broke down.
func TestProofWaitsForTheNextProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTown()
		p := connectors.Prove(w, sentinels, time.Minute, time.Now).(connectors.Prover)
		var group sync.WaitGroup
		group.Go(func() {
			if err := p.Proof(t.Context(), time.Time{}); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(5 * time.Millisecond)
		begun := time.Now()
		require.NoError(t, p.Proof(t.Context(), begun))
		require.Equal(t, 15*time.Millisecond, time.Since(begun))
		require.EqualValues(t, 4, w.calls.Load())
		group.Wait()
	})
}

// In one call of many the sentinels are asked along, so the proof is as old as
// the records.
func TestProveMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTown()
		c := connectors.Prove(w, sentinels, time.Minute, time.Now)
		require.Equal(t, 98, c.Can().Many)
		ids := []string{"cus_gone", "cus_here1", "cus_yes"}
		for name, test := range map[string]struct {
			says func(string) (amend.Record, error)
			want []amend.Presence
		}{
			"honest":    {honest, []amend.Presence{amend.Absent, amend.Present, amend.Present}},
			"nobody":    {nobody, []amend.Presence{amend.Unseen, amend.Unseen, amend.Unseen}},
			"everybody": {everybody, []amend.Presence{amend.Present, amend.Present, amend.Present}},
		} {
			w.becomes(test.says)
			before := w.calls.Load()
			records, err := c.Many(t.Context(), ids)
			require.NoError(t, err)
			require.Len(t, records, len(ids))
			for i := range ids {
				require.Equal(t, test.want[i], records[i].Presence, "%s %s", name, ids[i])
			}
			require.EqualValues(t, 1, w.calls.Load()-before)
		}
		require.Equal(t, []string{"cus_gone", "cus_here1", "cus_yes"}, ids)
		w.becomes(down)
		_, err := c.Many(t.Context(), ids)
		require.Equal(t, "failing", cause(err))
	})
}

// Sentinels are no customers.
func TestProveList(t *testing.T) {
	t.Parallel()
	f := &fake{page: connectors.Page{Next: "n", Records: []connectors.Keyed{{ID: "cus_no"}, {ID: "cus_1"}, {ID: "cus_yes"}, {ID: "cus_2"}}}}
	page, err := connectors.Prove(f, sentinels, time.Minute, time.Now).List(t.Context(), connectors.PageRequest{})
	require.NoError(t, err)
	require.Equal(t, connectors.Page{Next: "n", Records: []connectors.Keyed{{ID: "cus_1"}, {ID: "cus_2"}}}, page)
}

// A service with a marker of its own proves itself; without sentinels nothing
// is wrapped.
func TestProveOnlyWhereNeeded(t *testing.T) {
	t.Parallel()
	w := newTown()
	require.Equal(t, connectors.Connector(w), connectors.Prove(w, amend.Sentinels{Present: "cus_yes"}, time.Minute, time.Now))

	w.can.Marker = true
	w.becomes(nobody)
	c := connectors.Prove(w, sentinels, time.Minute, time.Now)
	view := connectors.Read(t.Context(), []connectors.Connector{c}, "cus_gone", time.Now)
	require.Equal(t, amend.Absent, view.Records[0].Presence)
	require.EqualValues(t, 1, w.calls.Load())
}

// Who waits for a proof waits no longer than it may, and the proof goes on for
// the others.
func TestProofOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTown()
		c := connectors.Prove(w, sentinels, time.Minute, time.Now)
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Millisecond)
		defer cancel()
		record, err := c.One(ctx, "cus_gone")
		require.NoError(t, err)
		require.Equal(t, amend.Unproven, record.Cause)
		require.NoError(t, c.(connectors.Prover).Proof(t.Context(), time.Time{}))
		require.EqualValues(t, 1+2, w.calls.Load())
		require.NoError(t, c.(connectors.Prover).Proof(t.Context(), time.Now().Add(time.Hour)), "a time to come is now")
	})
}

// One look at all services: those that can't be read are unseen, and each is
// asked at once.
func TestRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := newTown()
		broken.becomes(down)
		begun := time.Now()
		view := connectors.Read(t.Context(), []connectors.Connector{newTown(), broken, newTown()}, "cus_here", time.Now)
		require.Equal(t, 10*time.Millisecond, time.Since(begun))
		require.Equal(t, "cus_here", view.ID)
		require.Equal(t, []amend.Presence{amend.Present, amend.Unseen, amend.Present}, []amend.Presence{view.Records[0].Presence, view.Records[1].Presence, view.Records[2].Presence})
		require.Equal(t, amend.Failing, view.Records[1].Cause)
		require.Equal(t, time.Now(), view.Records[1].ReadAt)
	})
}

// A clock that is put back, or was ahead for a while, makes no old proof young
// again, and nobody probe without end (I1, I26).
func TestProveWhileTheClockJumps(t *testing.T) {
	t.Parallel()
	jumping := func(ahead *atomic.Int64) func() time.Time { // as a database's: nothing but what it shows
		return func() time.Time { return time.Now().Round(0).Add(time.Duration(ahead.Load())) }
	}
	for name, passed := range map[string]time.Duration{"half way": 30 * time.Minute, "where the proof would be young again": time.Hour + time.Second} {
		t.Run("ahead for a while, "+name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var ahead atomic.Int64
				w := newTown()
				c := connectors.Prove(w, sentinels, connectors.DefaultWindow, jumping(&ahead))
				ahead.Store(int64(time.Hour))
				record, err := c.One(t.Context(), "cus_gone")
				require.NoError(t, err)
				require.Equal(t, amend.Absent, record.Presence)

				ahead.Store(0)
				w.becomes(nobody)
				time.Sleep(passed)
				record, err = c.One(t.Context(), "cus_here")
				require.NoError(t, err)
				require.Equal(t, amend.Unproven, record.Cause)
			})
		})
	}
	for name, later := range map[string]time.Duration{"before somebody waits": 0, "while somebody waits": 2 * time.Millisecond} {
		t.Run("put back "+name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var ahead atomic.Int64
				w, now := newTown(), jumping(&ahead)
				p := connectors.Prove(w, sentinels, connectors.DefaultWindow, now).(connectors.Prover)
				go func() { _ = p.Proof(t.Context(), time.Time{}) }() // a first probe, too old for whoever comes next
				time.Sleep(5 * time.Millisecond)
				asked := now()
				time.AfterFunc(later, func() { ahead.Store(-int64(time.Hour)) })
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				require.NoError(t, p.Proof(ctx, asked))
				require.EqualValues(t, 2*2, w.calls.Load(), "the first probe, and one that is younger")
			})
		})
	}
}
