package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/store"
)

func TestCursors(t *testing.T) { onEach(t, testCursors) }

func testCursors(t *testing.T, on engine) {
	t.Parallel()
	cursors := func(f *world) map[string]string {
		all, err := f.Cursors(f.t.Context())
		require.NoError(f.t, err)
		versions := map[string]string{}
		for service, c := range all {
			versions[service] = c.Version
		}
		return versions
	}
	two := func(f *world) (one, two store.Page) {
		one = f.scan(store.FullScan)
		next, err := f.Listed(f.t.Context(), one, "cus_000100", []byte("{}"))
		require.NoError(f.t, err)
		return one, f.page(next)
	}
	t.Run("AServiceIsWholeInAllParts", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		one, two := two(f)
		f.finish(two, store.Counted{Whole: map[string]string{"cards": "1", "ledger": "1", "billing": "1"}})
		require.Empty(t, cursors(f), "the scan goes on")
		f.finish(one, store.Counted{Whole: map[string]string{"cards": "1", "ledger": "2", "identity": "1"}})
		require.Equal(t, map[string]string{"cards": "1"}, cursors(f), "two workers had declared the ledger in two ways")
	})
	t.Run("APartThatReadNothingWhole", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		one, two := two(f)
		f.finish(one, store.Counted{})
		f.finish(two, store.Counted{Whole: map[string]string{"cards": "1"}})
		require.Empty(t, cursors(f))
	})
	t.Run("BegunAnew", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		one, two := two(f)
		f.finish(one, store.Counted{})
		anew, err := f.StageScan(t.Context(), two, "cards")
		require.NoError(t, err)
		f.finish(f.page(anew), store.Counted{Whole: map[string]string{"cards": "1"}})
		require.Equal(t, map[string]string{"cards": "1"}, cursors(f))
	})
	t.Run("TheScanThatBeganLastCounts", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		whole := store.Counted{Whole: map[string]string{"cards": "1"}}
		full := f.scan(store.FullScan)
		f.clock.pass(time.Second)
		fresh := f.scan(store.FreshScan)
		began := f.finish(fresh, whole).StartedAt
		f.finish(full, whole)
		all, err := f.Cursors(t.Context())
		require.NoError(t, err)
		require.Equal(t, began, all["cards"].At)
	})
	t.Run("WhoCouldNotBeJudged", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		noted := func() []string {
			all, err := f.Unjudged(t.Context())
			require.NoError(t, err)
			return all
		}
		f.finish(f.scan(store.FullScan), store.Counted{Unjudged: []string{"cus_000002", "cus_000001"}})
		require.Equal(t, []string{"cus_000001", "cus_000002"}, noted())
		f.finish(f.scan(store.FreshScan), store.Counted{Judged: []string{"cus_000001"}, Unjudged: []string{"cus_000002", "cus_000003"}})
		require.Equal(t, []string{"cus_000002", "cus_000003"}, noted())
		many := make([]string, store.MostUnjudged)
		f.finish(f.scan(store.FullScan), store.Counted{Unjudged: many, Whole: map[string]string{"cards": "1"}})
		require.Equal(t, []string{"cus_000002", "cus_000003"}, noted())
		require.Empty(t, cursors(f), "they are too many to be remembered")
	})
}
