package store

import (
	"context"
)

// IsCut reports whether a connection was lost, for tests.
func IsCut(err error) bool { return isCut(err) }

// Tx is one transaction, for tests.
type Tx = tx

// Write is one job of the writer, for tests.
func (s *Store) Write(ctx context.Context, do func(*Tx) error) error { return s.write(ctx, do) }

// Pragma sets something of the writer's own connection, for tests.
func (s *Store) Pragma(ctx context.Context, text string) error {
	_, err := s.engine.(*file).conn.ExecContext(ctx, text)
	return err
}

// LoadText is the query that Load asks, for tests.
func (u *Update) LoadText(q Question) (text string, args []any) {
	asked := u.askLoad(q, new(Load))
	return asked.text, asked.args
}

// Beat is one worker's beat, for tests.
func (s *Store) Beat(ctx context.Context, id string, seen int64) (turn int64, rank, of, waiting int, err error) {
	b, err := s.beat(ctx, id, seen)
	return b.turn, b.rank, b.of, b.waiting, err
}

// Leave takes a worker's row away, for tests.
func (s *Store) Leave(ctx context.Context, id string) error { return s.leave(ctx, id) }
