package river

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"amend/internal/testpg"
	"amend/queue"
)

func TestNothingBeginsAfterTheEnd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	w := newWorker(ctx, nil, nil)
	require.True(t, w.begin(queue.Job{Kind: queue.Heal, Key: "a"}))
	cancel()
	require.False(t, w.begin(queue.Job{Kind: queue.Heal, Key: "b"}))

	require.False(t, w.end(queue.Job{Kind: queue.Heal, Key: "a"}))
	w.wait()
}

// T03: a process that stands still in the middle of a transaction doesn't hold
// up the others.
func TestSessions(t *testing.T) {
	t.Parallel()
	pool, err := dial(t.Context(), testpg.New(t), map[string]string{"synchronous_commit": "off"})
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	for setting, want := range map[string]string{
		"idle_in_transaction_session_timeout": "10s", "synchronous_commit": "off", "application_name": "amend queue",
	} {
		var got string
		require.NoError(t, pool.QueryRow(t.Context(), "select current_setting($1)", setting).Scan(&got))
		require.Equal(t, want, got, setting)
	}
	require.Equal(t, int32(connections), pool.Config().MaxConns)
}
