package dashboard

import (
	"crypto/subtle"
	"maps"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"amend"
)

const (
	// callsPerSecond is how often whoever has the token may call, callBurst how
	// often at once.
	callsPerSecond = 10
	callBurst      = 20
	// wrongBurst is how many wrong tokens an address may show before it has to
	// wait, wrongEvery how long for each one more.
	wrongBurst = 10
	wrongEvery = 6 * time.Second
	// addressLimit bounds how many addresses are remembered.
	addressLimit = 1024
)

// pass is the token that programs show, and how often they may.
type pass struct {
	now   func() time.Time
	token secret
	calls *rate.Limiter

	mu    sync.Mutex
	wrong map[netip.Addr]*rate.Limiter // by who has shown wrong tokens
	rest  *rate.Limiter                // of all whom there is no room to remember
}

func newPass(token amend.Secret, now func() time.Time) *pass {
	return &pass{now: now, token: hash(token.Reveal()), calls: rate.NewLimiter(callsPerSecond, callBurst), wrong: map[netip.Addr]*rate.Limiter{}, rest: newWrong()}
}

func newWrong() *rate.Limiter { return rate.NewLimiter(rate.Every(wrongEvery), wrongBurst) }

// check refuses who doesn't show the token, and who comes too often. Wrong
// tokens never keep the right one waiting: whoever guesses can't shut others
// out.
func (p *pass) check(r *http.Request) error {
	if !p.shown(r) {
		if wait := p.wait(p.guesses(r.RemoteAddr)); wait > 0 {
			return rejection{status: http.StatusTooManyRequests, title: "Too many wrong tokens", retry: wait}
		}
		return rejection{status: http.StatusUnauthorized, title: "A token is needed", detail: "Send the header Authorization: Bearer TOKEN, with what scans.observe.token says."}
	}
	if wait := p.wait(p.calls); wait > 0 {
		return rejection{status: http.StatusTooManyRequests, title: "Too many calls", detail: "Name more customers at once.", retry: wait}
	}
	return nil
}

// shown compares hashes, in constant time, so that neither the token nor its
// length can be measured.
func (p *pass) shown(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	got := hash(strings.TrimSpace(token))
	return subtle.ConstantTimeCompare(got[:], p.token[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}

// wait takes one from a limiter; how long to wait where there is none left.
func (p *pass) wait(l *rate.Limiter) time.Duration {
	now := p.now()
	taken := l.ReserveN(now, 1)
	wait := taken.DelayFrom(now)
	if wait > 0 {
		taken.CancelAt(now)
	}
	return wait
}

// guesses is the limiter of an address: the one that the connection comes from,
// since anybody can write a header.
func (p *pass) guesses(remote string) *rate.Limiter {
	from, err := netip.ParseAddrPort(remote)
	if err != nil {
		return p.rest
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	address := from.Addr().Unmap()
	if l := p.wrong[address]; l != nil {
		return l
	}
	if len(p.wrong) >= addressLimit {
		now := p.now()
		maps.DeleteFunc(p.wrong, func(_ netip.Addr, l *rate.Limiter) bool { return l.TokensAt(now) >= wrongBurst })
	}
	if len(p.wrong) >= addressLimit {
		return p.rest
	}
	l := newWrong()
	p.wrong[address] = l
	return l
}
