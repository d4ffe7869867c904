package bank

import "time"

// keyMatch says what a service knows of an idempotency key.
type keyMatch int

const (
	keyNew      keyMatch = iota // never seen, or its window is over
	keyReplay                   // answered before, with this body
	keyInFlight                 // being worked on, with this body
	keyMismatch                 // belongs to another operation or body
)

// keyStore remembers idempotency keys, per service. Mostly only answers that
// stand for an effect are kept: after a refusal the key is free again, as a
// service does that doesn't replay errors. It is guarded by the world's lock.
type keyStore struct {
	window time.Duration
	stored map[keyID]*keyed
}

type keyID struct{ service, key string }

// keyed is what is known of one key. Until it is done it has no answer to
// replay, and another request with it is a conflict.
type keyed struct {
	op     Operation
	hash   string // SHA-256 of the body
	since  time.Time
	done   bool
	answer answer
}

func newKeyStore(window time.Duration) *keyStore {
	return &keyStore{window: window, stored: make(map[keyID]*keyed)}
}

// match looks the command's key up without taking it.
func (s *keyStore) match(cmd command, now time.Time) keyMatch {
	known, ok := s.stored[cmd.keyID()]
	switch {
	case !ok || (known.done && now.Sub(known.since) > s.window):
		return keyNew
	case known.hash != cmd.hash || known.op != cmd.op.name:
		return keyMismatch
	case known.done:
		return keyReplay
	}
	return keyInFlight
}

// begin takes the key for the command. Where the key isn't new it returns the
// answer to give instead of acting, and false.
func (s *keyStore) begin(cmd command, now time.Time) (answer, bool) {
	switch s.match(cmd, now) {
	case keyReplay:
		return s.stored[cmd.keyID()].replay(), false
	case keyMismatch:
		if known := s.stored[cmd.keyID()]; cmd.character == ReplaysAnyBody && known.done {
			return known.replay(), false
		}
		return refuse(422, "key_reused", "this Idempotency-Key was used with another body"), false
	case keyInFlight:
		return refuse(409, "key_in_flight", "the first request with this Idempotency-Key is still being worked on"), false
	case keyNew:
		s.stored[cmd.keyID()] = &keyed{op: cmd.op.name, hash: cmd.hash, since: now}
	}
	return answer{}, true
}

func (k *keyed) replay() answer {
	replayed := k.answer
	replayed.changed, replayed.replayed, replayed.lied = false, true, false
	return replayed
}

// finish keeps the answer of a command that begin let through, or frees the key
// where the answer is a refusal that the service doesn't replay.
func (s *keyStore) finish(cmd command, a answer) {
	if a.status >= 300 && cmd.character != ReplaysErrors {
		delete(s.stored, cmd.keyID())
		return
	}
	known := s.stored[cmd.keyID()]
	known.done, known.answer = true, a
}

// release forgets a command that ended without an answer and without effect.
func (s *keyStore) release(cmd command) { delete(s.stored, cmd.keyID()) }

// keyID: services don't share keys.
func (c command) keyID() keyID { return keyID{service: c.op.service(), key: c.key} }
