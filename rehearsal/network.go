package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// network connects workers and services in memory.
type network struct {
	mu        sync.Mutex
	listeners map[string]*listener // by address
}

func newNetwork() *network { return &network{listeners: map[string]*listener{}} }

// listen is where a service waits for connections.
func (n *network) listen(service string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &listener{address: address(service + ".bank"), conns: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[string(l.address)+":80"] = l
	return l, nil
}

func (n *network) dial(ctx context.Context, at string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[at]
	n.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "memory", Err: fmt.Errorf("there is nobody at %s", at)}
	}
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "dial", Net: "memory", Err: errors.New("refused")}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// listener is one service's end of the network.
type listener struct {
	address address
	conns   chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

// Accept is part of net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close is part of net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr is part of net.Listener.
func (l *listener) Addr() net.Addr { return l.address }

// address is a name on the network.
type address string

// Network is part of net.Addr.
func (address) Network() string { return "memory" }

// String is part of net.Addr.
func (a address) String() string { return string(a) }

// connections are those that a worker holds, so that they die with it.
type connections struct {
	mu   sync.Mutex
	cut  bool
	open map[*connection]struct{}
}

// connection is one of them.
type connection struct {
	net.Conn
	of *connections
}

func (c *connections) keep(conn net.Conn) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut {
		return nil, errors.Join(errKilled, conn.Close())
	}
	kept := &connection{conn, c}
	c.open[kept] = struct{}{}
	return kept, nil
}

// Close is part of net.Conn.
func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// closeAll cuts every connection, and those that are still being made.
func (c *connections) closeAll() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = true
	var errs []error
	for conn := range c.open {
		errs = append(errs, conn.Conn.Close())
	}
	return errors.Join(errs...)
}
