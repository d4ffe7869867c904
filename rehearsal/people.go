package rehearsal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"amend/escalation"
)

// board is the channel in which people are told.
type board struct {
	mu       sync.Mutex
	messages []*message
	blind    map[string]bool // incidents that nobody was allowed to look for
	fault    Mute
}

// message is one that was posted.
type message struct {
	key, incident string
	status        escalation.Status
	deleted       bool
}

// Mute says why people can't be told.
type Mute string

// The ways in which telling people fails.
const (
	Deaf    Mute = "deaf"    // nothing is taken
	Limited Mute = "limited" // too many
	Revoked Mute = "revoked" // until a person acts
	Unheard Mute = "unheard" // it is done, and the answer lost
	Wiped   Mute = "wiped"   // what stood there is deleted, once
)

// limitedFor is how long people say that they want to be left alone.
const limitedFor = 5 * time.Second

// errUnheard is what a messenger gets that doesn't know what became of its call.
var errUnheard = errors.New("no answer")

// silence has telling people fail for a while.
func (r *run) silence(e Event) {
	r.board.mu.Lock()
	defer r.board.mu.Unlock()
	if e.Mute == Wiped {
		for _, m := range r.board.messages {
			m.deleted = true
		}
		return
	}
	r.board.fault = e.Mute
	r.after(e.For, func() error { r.hear(); return nil })
}

// hear has people be told again.
func (r *run) hear() {
	r.board.mu.Lock()
	defer r.board.mu.Unlock()
	r.board.fault = ""
}

// do is one call: it fails as the board does now, before or after it was done.
func (b *board) do(call func() error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch b.fault {
	case Deaf:
		return errUnheard
	case Limited:
		return escalation.RetryAfter{After: limitedFor}
	case Revoked:
		return escalation.Refused{Reason: "token_revoked"}
	case Unheard, Wiped:
	}
	err := call()
	if b.fault == Unheard {
		return errUnheard
	}
	return err
}

// about is what was said of an incident last, also where it was deleted since, and
// how many messages of it people can see.
func (b *board) about(incident string) (last escalation.Status, standing int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.messages {
		if m.incident == incident {
			if standing == 0 || !b.blind[incident] { // of two with one key the first is edited
				last = m.status
			}
			if !m.deleted {
				standing++
			}
		}
	}
	if b.blind[incident] {
		standing = min(standing, 1)
	}
	return last, standing
}

// refuses notes that nobody was allowed to look for a key: then amend may post it
// a second time, and only the service's own keys could tell (T36).
func (b *board) refuses(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.blind == nil {
		b.blind = map[string]bool{}
	}
	incident, _, _ := strings.Cut(key, "/")
	b.blind[incident] = true
}

// find is the message with a key; nil where there is none. The board is locked.
func (b *board) find(key string) *message {
	for _, m := range b.messages {
		if m.key == key && !m.deleted {
			return m
		}
	}
	return nil
}

// messenger is a worker's way to the board. Like a service that knows no keys it
// posts twice what is posted twice, and can be read.
type messenger struct{ w *worker }

// call takes a turn before it is done, and one before its answer is known.
func (m messenger) call(ctx context.Context, label string, do func() error) error {
	if err := m.w.turn(ctx, label); err != nil {
		return err
	}
	err := m.w.board.do(do)
	if gone := m.w.turn(ctx, "told"); gone != nil {
		return gone
	}
	return err
}

// Post is part of escalation.Messenger.
func (m messenger) Post(ctx context.Context, channel, key string, n escalation.Notice) (receipt escalation.Receipt, err error) {
	err = m.call(ctx, "post "+key, func() error {
		m.w.board.messages = append(m.w.board.messages, &message{key: key, incident: n.Incident, status: n.Status})
		return nil
	})
	return escalation.Receipt{Channel: channel, Message: key}, err
}

// Update is part of escalation.Messenger.
func (m messenger) Update(ctx context.Context, r escalation.Receipt, n escalation.Notice) error {
	return m.call(ctx, "edit "+r.Message, func() error {
		stands := m.w.board.find(r.Message)
		if stands == nil {
			return escalation.Gone{Reason: "message_not_found"}
		}
		stands.status = n.Status
		return nil
	})
}

// Find is part of escalation.Finder.
func (m messenger) Find(ctx context.Context, channel, key string, _ time.Time) (receipt escalation.Receipt, err error) {
	err = m.call(ctx, "find "+key, func() error {
		if m.w.board.find(key) == nil {
			return escalation.ErrNotFound
		}
		return nil
	})
	if _, is := errors.AsType[escalation.Refused](err); is {
		m.w.board.refuses(key)
	}
	return escalation.Receipt{Channel: channel, Message: key}, err
}

// untold lists incidents that people weren't told as they are now.
func (c *checker) untold() (all []string, err error) {
	err = c.each(`select id, outcome, why from incidents order by id`, func(rows *sql.Rows) error {
		var id, outcome, why string
		if err := rows.Scan(&id, &outcome, &why); err != nil {
			return err
		}
		status := escalation.StatusOpen
		switch outcome {
		case "":
		case "healed":
			status = escalation.StatusHealed
		default:
			status = escalation.StatusClosed
		}
		last, standing := c.board.about(id)
		if standing > 1 {
			c.broken(ToldOnce, "%s stands there %d times: %s", id, standing, why)
		}
		if last != status {
			all = append(all, fmt.Sprintf("%s is %s, and people were told %q: %s", id, status, last, why))
		}
		return nil
	})
	return all, err
}
