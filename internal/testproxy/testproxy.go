// Package testproxy stands between a PostgreSQL server and its clients, and
// goes wrong in the ways that networks do: connections that are cut, bytes that
// never arrive, and the worst of all, a COMMIT whose answer is lost.
package testproxy

import (
	"bufio"
	"context"
	"net"
	"sync"
	"testing"
)

// atOnce is how many bytes of a client's are passed on together, at most: more
// than a query of amend's has.
const atOnce = 1 << 18

// Proxy passes connections on to a server until it is told to do otherwise. Its
// methods may be called from any goroutine.
type Proxy struct {
	listener net.Listener
	upstream string
	group    sync.WaitGroup

	mu      sync.Mutex
	ended   bool
	links   map[*link]bool
	passing chan struct{} // closed while bytes pass
	replies fault
	commits fault
}

// fault is something that happens to the next few commits.
type fault struct{ due, done int }

// take reports whether it happens now.
func (f *fault) take() bool {
	if f.due == 0 {
		return false
	}
	f.due--
	return true
}

// Start makes a proxy to the server at HOST:PORT that ends with the test.
func Start(t testing.TB, upstream string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("testproxy: %v", err)
	}
	p := &Proxy{listener: listener, upstream: upstream, links: map[*link]bool{}, passing: make(chan struct{})}
	close(p.passing)
	p.group.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Address is where clients connect, HOST:PORT.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Cut closes all connections, whatever they are in the middle of, and returns
// how many. New ones pass.
func (p *Proxy) Cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.close()
	}
	return len(p.links)
}

// Blackhole lets nothing through any more, in either direction, until Pass:
// connections stay open and are accepted, and stay silent. What was on its way
// is held, as TCP does that sends it again and again.
func (p *Proxy) Blackhole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isPassing() {
		p.passing = make(chan struct{})
	}
}

// Pass ends Blackhole.
func (p *Proxy) Pass() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.isPassing() {
		close(p.passing)
	}
}

// LoseReplies has the next n commits carried out and never answered: the
// connection is cut when the server's word for it comes. Only transactions that
// have written something count.
func (p *Proxy) LoseReplies(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replies.due = n
}

// LoseCommits cuts the connection of the next n commits before they reach the
// server. To the client it looks like LoseReplies, and nothing is committed.
func (p *Proxy) LoseCommits(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.commits.due = n
}

// Lost is how many replies and how many commits have been lost.
func (p *Proxy) Lost() (replies, commits int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.replies.done, p.commits.done
}

func (p *Proxy) isPassing() bool {
	select {
	case <-p.passing:
		return true
	default:
		return false
	}
}

// gate is closed while bytes pass.
func (p *Proxy) gate() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.passing
}

// commit decides what becomes of a commit that is on its way.
func (p *Proxy) commit() (loseReply, loseCommit bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if loseCommit = p.commits.take(); loseCommit {
		p.commits.done++
		return false, true
	}
	return p.replies.take(), false
}

// lost counts a reply that was lost. Where the server has not committed, as
// happens to a transaction that had failed, there was nothing to lose.
func (p *Proxy) lost(committed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if committed {
		p.replies.done++
	} else {
		p.replies.due++
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.group.Go(func() { p.serve(client) })
	}
}

// serve passes one connection on. A server that can't be reached is one that
// hangs up.
func (p *Proxy) serve(client net.Conn) {
	var dialer net.Dialer
	server, err := dialer.DialContext(context.Background(), "tcp", p.upstream)
	if err != nil {
		client.Close() //nolint:errcheck // the client sees it
		return
	}
	l := &link{proxy: p, client: client, said: bufio.NewReaderSize(client, atOnce), server: server, closed: make(chan struct{}), statements: map[string]bool{}, portals: map[string]bool{}}
	if !p.add(l) {
		l.close()
		return
	}
	var pumps sync.WaitGroup
	pumps.Go(l.fromClient)
	pumps.Go(l.fromServer)
	pumps.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

func (p *Proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links[l] = true
	return !p.ended
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.listener.Close() //nolint:errcheck // nothing is lost
	p.Cut()
	p.group.Wait()
}
