package crash

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPoints looks at the list that tests go through. That each point is passed,
// and kills, is shown by internal/faults.
func TestPoints(t *testing.T) {
	t.Parallel()
	seen := map[Point]bool{}
	for _, p := range Points() {
		require.Regexp(t, `^[a-z]+(_[a-z]+)*$`, p)
		require.False(t, seen[p], "%s is listed twice", p)
		seen[p] = true
		At(p) // nothing, in this build
	}
	require.NotEmpty(t, seen)
}
