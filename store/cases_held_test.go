package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/store"
)

// While somebody holds a case, its time to wake is their lease's end, and not
// what it waits for.
func TestHeld(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "amend.db"), store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.OpenFor(t.Context(), "cus_000042", "card_missing"))
	c, _, err := s.OpenCase(t.Context(), "cus_000042")
	require.NoError(t, err)
	require.False(t, c.Held(time.Now()))

	lease, claimed, err := s.Claim(t.Context(), "cus_000042", time.Minute)
	require.NoError(t, err)
	require.True(t, claimed)
	c, _, err = s.OpenCase(t.Context(), "cus_000042")
	require.NoError(t, err)
	require.True(t, c.Held(time.Now()))
	require.False(t, c.Held(time.Now().Add(2*time.Minute)))

	require.NoError(t, s.Update(t.Context(), lease, func(u *store.Update) error { u.Release(time.Now().Add(time.Hour)); return nil }))
	c, _, err = s.OpenCase(t.Context(), "cus_000042")
	require.NoError(t, err)
	require.False(t, c.Held(time.Now()))
}
