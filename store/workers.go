package store

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// beatEvery is how often a worker says that it lives, and sees who else does.
	// Calls that are under way when somebody joins have as long to end.
	beatEvery = 2 * time.Second
	// joinEvery is how often one asks that waits until the others have seen it.
	joinEvery = 500 * time.Millisecond
	// deadAfter is when the others take over the share of one that is silent.
	deadAfter = 10 * time.Second
	// goodFor is how long a worker goes by what it has seen. It lies below
	// deadAfter: one that can't say that it lives has stopped before others take
	// over its share.
	goodFor = 8 * time.Second
	// leaveLimit bounds the goodbye: where the store is away, the row dies alone.
	leaveLimit = 3 * time.Second
)

// Share is this process's place among the workers who share the store: its rank
// and their number, which is 0 where nobody may be called: until all others have
// seen that this one has come, and where it could not be renewed for too long.
//
// The first call joins the workers; Close leaves them. On a file there is one
// worker, and nothing is written.
func (s *Store) Share() (rank, of int) {
	if !s.Shared() {
		return 0, 1
	}
	s.workers.begin.Do(func() { s.workers.start(s) })
	return s.workers.share()
}

// beat is what a worker sees of all of them.
type beat struct {
	turn    int64 // grows with every beat of anybody
	rank    int   // from 0
	of      int   // those who live, this one included
	waiting int   // those who came earlier and haven't yet seen that this one has come
}

// beat says that a worker lives, by the database's clock, and gives the others
// who do. seen is the turn of the beat that it goes by until now. One that was
// silent for too long joins anew.
func (s *Store) beat(ctx context.Context, id string, seen int64) (b beat, err error) {
	const clock = `(extract(epoch from clock_timestamp()) * 1000000)::bigint`
	err = s.write(ctx, func(tx *tx) error {
		if err := s.alone(tx, "workers"); err != nil {
			return err
		}
		if err := tx.Later(`delete from workers where beat_at < `+clock+` - $1`, deadAfter.Microseconds()); err != nil {
			return err
		}
		// A clock that was put back would have the dead live until it is as late again.
		if err := tx.Later(`update workers set beat_at = ` + clock + ` where beat_at > ` + clock); err != nil {
			return err
		}
		var joined int64
		err := tx.QueryRow(`insert into workers (id, beat_at, turn, joined, seen)
			select $1::text, `+clock+`, next, next, 0 from (select greatest(max(turn), $2::bigint) + 1 as next from workers) t
			on conflict (id) do update set beat_at = excluded.beat_at, turn = excluded.turn, seen = $2
			returning turn, joined`, id, seen).Scan(&b.turn, &joined)
		if err != nil {
			return err
		}
		return tx.QueryRow(`select count(*) filter (where id < $1), count(*), count(*) filter (where joined < $2 and seen < $2) from workers`,
			id, joined).Scan(&b.rank, &b.of, &b.waiting)
	})
	if err != nil {
		return beat{}, fmt.Errorf("say that this worker lives: %w", err)
	}
	return b, nil
}

// leave takes a worker's row away, so that the others need not wait for its
// death.
func (s *Store) leave(ctx context.Context, id string) error {
	err := s.write(ctx, func(tx *tx) error { return tx.Later(`delete from workers where id = $1`, id) })
	if err != nil {
		return fmt.Errorf("leave the workers: %w", err)
	}
	return nil
}

// workers is this process among them.
type workers struct {
	begin sync.Once
	end   func() // nil: not begun

	mu   sync.Mutex
	last beat
	sent time.Time // when the last beat that was answered set off
}

func (w *workers) start(s *Store) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	id := s.ids.New("worker")
	go func() {
		defer close(done)
		w.keep(ctx, s, id)
	}()
	w.end = func() {
		cancel()
		<-done
		ctx, cancel := context.WithTimeout(context.Background(), leaveLimit)
		defer cancel()
		s.leave(ctx, id) //nolint:errcheck // the row dies alone where the store is away
	}
}

// keep beats until the context ends.
func (w *workers) keep(ctx context.Context, s *Store, id string) {
	for {
		wait := joinEvery
		if w.beat(ctx, s, id) {
			wait = beatEvery
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// beat is one beat; false where the next shouldn't wait for long.
func (w *workers) beat(ctx context.Context, s *Store, id string) (settled bool) {
	w.mu.Lock()
	seen := w.last.turn
	w.mu.Unlock()
	sent := time.Now()
	b, err := s.beat(ctx, id, seen)
	if err != nil { // what was seen stays good for a while; whoever works on the store says that it is away
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last, w.sent = b, sent
	return b.waiting == 0
}

func (w *workers) share() (rank, of int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last.of == 0 || w.last.waiting > 0 || elapsed(w.sent) > goodFor {
		return 0, 0
	}
	return w.last.rank, w.last.of
}

// elapsed is the time since then by either clock: the monotonic one stands still
// while a machine sleeps, the other one can be put back.
func elapsed(since time.Time) time.Duration {
	now := time.Now()
	return max(now.Sub(since), now.Round(0).Sub(since.Round(0)))
}

func (w *workers) leave() {
	w.begin.Do(func() {}) // nobody joins any more
	if w.end != nil {
		w.end()
	}
}
