package dashboard

import (
	"crypto/sha256"
	"maps"
	"sync"
	"time"
)

const (
	linkLife    = 10 * time.Minute // of a login link that nobody has used
	sessionIdle = 30 * time.Minute
	sessionLife = 8 * time.Hour
)

// secret is what is kept of a token: not the token, so that a dump of the
// memory opens no door.
type secret [sha256.Size]byte

// doors are the login links that can still be used, and the sessions that came
// out of them. They live as long as the process.
type doors struct {
	now   func() time.Time
	token func() string

	mu       sync.Mutex
	links    map[secret]time.Time // until when
	sessions map[secret]session
}

type session struct{ began, used time.Time }

func newDoors(now func() time.Time, token func() string) *doors {
	return &doors{now: now, token: token, links: map[secret]time.Time{}, sessions: map[secret]session{}}
}

// link makes a token that lets one browser in.
func (d *doors) link() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.newLink()
}

func (d *doors) newLink() string {
	token := d.token()
	d.links[hash(token)] = d.now().Add(linkLife)
	return token
}

// offer makes a link where no usable one is left; fresh is false otherwise.
func (d *doors) offer() (token string, fresh bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget()
	if len(d.links) > 0 {
		return "", false
	}
	return d.newLink(), true
}

// usable reports whether a link would let somebody in, without using it up.
func (d *doors) usable(token string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget()
	_, known := d.links[hash(token)]
	return known
}

// enter uses a link up and begins a session with an ID of its own.
func (d *doors) enter(token string) (id string, entered bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget()
	if _, known := d.links[hash(token)]; !known {
		return "", false
	}
	delete(d.links, hash(token))
	id = d.token()
	d.sessions[hash(id)] = session{began: d.now(), used: d.now()}
	return id, true
}

// inside reports whether a session goes on, and notes that it is used.
func (d *doors) inside(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget()
	s, known := d.sessions[hash(id)]
	if known {
		s.used = d.now()
		d.sessions[hash(id)] = s
	}
	return known
}

// leave ends a session.
func (d *doors) leave(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.sessions, hash(id))
}

// forget drops what has run out.
func (d *doors) forget() {
	now := d.now()
	maps.DeleteFunc(d.links, func(_ secret, until time.Time) bool { return !now.Before(until) })
	maps.DeleteFunc(d.sessions, func(_ secret, s session) bool {
		return now.Sub(s.used) >= sessionIdle || now.Sub(s.began) >= sessionLife
	})
}

func hash(token string) secret { return sha256.Sum256([]byte(token)) }
