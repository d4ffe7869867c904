package faults

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/internal/testpg"
)

// TestJobsDoubled inserts wake-ups for whoever has a case, five at a time, also
// for those that somebody works on or that have just ended: each is done once,
// and by one (T33).
func TestJobsDoubled(t *testing.T) {
	t.Parallel()
	w := setup(t, options{store: testpg.New(t), faults: late(400 * time.Millisecond)})
	w.startLeader()
	w.start().ready()
	stop := w.drift(100)
	inserted := 0
	enough := w.poll(100*time.Millisecond, workLimit*time.Duration(times(1, 10)), func() bool {
		done, err := w.db.Exec(`insert into river_job (kind, queue, args, max_attempts, state)
			select 'wake_up', 'heal', jsonb_build_object('key', customer), 1, 'available'
			from (select customer from cases where ended_at = 0 or ended_at > $1 order by updated_at desc limit 20) c, generate_series(1, 5)`,
			time.Now().Add(-time.Second).UnixMicro())
		require.NoError(t, err)
		n, err := done.RowsAffected()
		require.NoError(t, err)
		inserted += int(n)
		return inserted >= times(2000, 50_000)
	})
	require.True(t, enough, "only %d wake-ups were inserted", inserted)
	stop()
	w.awaitCalm()
	t.Logf("%d wake-ups too many were inserted", inserted)
	w.requireNothingWrong()
	require.Zero(t, w.interrupted(), "steps sent again, or by somebody who had no right to")
}

// TestJobsDeleted deletes all wake-ups from River's table, again and again,
// whatever state they are in: the store knows whose time has come, and nobody is
// lost (T32).
func TestJobsDeleted(t *testing.T) {
	t.Parallel()
	w := setup(t, options{store: testpg.New(t), faults: late(50 * time.Millisecond)})
	w.startLeader()
	w.start().ready()
	stop := w.drift(100)
	deleted := 0
	enough := w.poll(100*time.Millisecond, workLimit*time.Duration(times(1, 10)), func() bool {
		// Only those that nobody has carried out: the others are litter.
		done, err := w.db.Exec(`delete from river_job where state in ('available', 'running', 'scheduled', 'pending', 'retryable')`)
		require.NoError(t, err)
		n, err := done.RowsAffected()
		require.NoError(t, err)
		deleted += int(n)
		return deleted >= times(50, 3000)
	})
	require.True(t, enough, "only %d wake-ups were deleted", deleted)
	stop()
	w.awaitCalm()
	t.Logf("%d wake-ups were deleted", deleted)
	w.requireNothingWrong()
}
