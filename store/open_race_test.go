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
	t.Parallel()
	folder := t.TempDir()
	var group errgroup.Group
	for range 8 {
		group.Go(func() error {
			s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(folder, "amend.db"), store.Options{})
			if err != nil {
				return err
			}
			return s.Close()
		})
	}
	require.NoError(t, group.Wait())
	left, err := filepath.Glob(filepath.Join(folder, "*.migrate"))
	require.NoError(t, err)
	require.Empty(t, left)
}
