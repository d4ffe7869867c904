package desk_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/desk"
)

// What can't be a customer reaches neither the store nor the queue: both are
// missing here, and would be missed.
func TestObserveRefuses(t *testing.T) {
	t.Parallel()
	_, err := front().Observe(t.Context(), []string{"cus_000042", "../admin", "", strings.Repeat("x", 300), "cus_000001", "cus_000042\n"})
	var bad *desk.Unacceptable
	require.ErrorAs(t, err, &bad)
	require.Equal(t, []string{"../admin", "", strings.Repeat("x", 300), "cus_000001", "cus_000042\n"}, bad.Texts, "a sentinel is no customer")
	require.EqualError(t, err, `not IDs: "../admin", "", "`+strings.Repeat("x", 80)+`…" and 2 more`)

	_, err = front().Observe(t.Context(), make([]string, desk.ObserveLimit+1))
	require.Equal(t, amend.Invalid, amend.CodeOf(err))
	require.False(t, errors.As(err, &bad))
	require.ErrorContains(t, err, "1001 IDs are too many at once: 1000 at most")
}
