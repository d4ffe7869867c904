package store_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"amend/store"
)

// Processes that make a new store at the same time each find it made.
func TestOpenAtTheSameTime(t *testing.T) {
	onEach(t, func(t *testing.T, on engine) {
		t.Parallel()
		address := on.address(t)
		var group errgroup.Group
		for range 8 {
			group.Go(func() error {
				s, err := store.Open(t.Context(), address, store.Options{})
				if err != nil {
					return err
				}
				return s.Close()
			})
		}
		require.NoError(t, group.Wait())
		if on == onSQLite {
			left, err := filepath.Glob(filepath.Join(filepath.Dir((&world{address: address}).path()), "*.migrate"))
			require.NoError(t, err)
			require.Empty(t, left)
		}
	})
}
