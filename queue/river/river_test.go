package river_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/internal/testpg"
	"amend/queue"
	"amend/queue/queuetest"
	"amend/queue/river"
)

// database is an empty one with the queue's tables.
func database(t *testing.T) (url string) {
	t.Helper()
	url = testpg.New(t)
	require.NoError(t, river.Migrate(t.Context(), url))
	return url
}

func open(t *testing.T, url string, log *slog.Logger) *river.Queue {
	t.Helper()
	q, err := river.New(t.Context(), url, time.Now, log)
	require.NoError(t, err)
	t.Cleanup(q.Close)
	return q
}

func TestQueue(t *testing.T) {
	t.Parallel()
	queuetest.Test(t, func(t *testing.T) queue.Queue {
		return open(t, database(t), slog.New(slog.NewTextHandler(t.Output(), nil)))
	})
}
