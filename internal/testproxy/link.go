package testproxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
)

// What a connection begins with instead of a message: requests for encryption,
// which are answered with a no (see "Message Formats" in PostgreSQL's manual).
const (
	sslRequest    = 80877103
	gssEncRequest = 80877104
)

// maxMessage bounds a message in bytes; what is longer isn't one.
const maxMessage = 64 << 20

var errNoMessage = errors.New("this is not PostgreSQL's protocol")

// link is one connection through the proxy. It understands just enough of the
// protocol to know a COMMIT and its answer.
type link struct {
	proxy  *Proxy
	client net.Conn
	said   *bufio.Reader // by the client
	server net.Conn
	once   sync.Once
	closed chan struct{}

	// Which prepared statements and portals are commits; the client's side only.
	statements, portals map[string]bool

	mu     sync.Mutex
	wrote  bool // the transaction has changed rows
	doomed bool // a commit was sent on whose answer is to be lost
}

// message is one of either side; the first of a connection has no kind.
type message struct {
	kind byte
	body []byte
}

func (l *link) close() {
	l.once.Do(func() {
		close(l.closed)
		l.client.Close() //nolint:errcheck // both ends see it
		l.server.Close() //nolint:errcheck // both ends see it
	})
}

// fromClient passes on what the client says, until either side hangs up.
func (l *link) fromClient() {
	defer l.hangUp()
	if err := l.greet(); err != nil {
		return
	}
	for {
		// What the client said in one go arrives in one go, or not at all: between
		// two messages of a query the server would wait without a time limit.
		begins := l.said.Buffered() == 0
		m, err := read(l.said, true)
		if err != nil || begins && !l.wait() {
			return
		}
		if l.isCommit(m) && l.hasWritten() {
			loseReply, loseCommit := l.proxy.commit()
			if loseCommit {
				l.close()
				return
			}
			l.doom(loseReply)
		}
		if _, err := l.server.Write(m.bytes()); err != nil {
			return
		}
	}
}

// greet passes the first message on and keeps the connection unencrypted.
func (l *link) greet() error {
	for {
		m, err := read(l.said, false)
		if err != nil {
			return err
		}
		if len(m.body) < 4 || !l.wait() {
			return errNoMessage
		}
		code := binary.BigEndian.Uint32(m.body)
		if code != sslRequest && code != gssEncRequest {
			_, err = l.server.Write(m.bytes())
			return err
		}
		if _, err := l.client.Write([]byte("N")); err != nil {
			return err
		}
	}
}

// fromServer passes on what the server says. A commit whose answer is to be
// lost ends the connection when the answer is here, and so not before it has
// happened.
func (l *link) fromServer() {
	defer l.hangUp()
	for {
		m, err := read(l.server, true)
		if err != nil || !l.wait() {
			return
		}
		if l.isDoomed() {
			if m.kind == commandComplete || m.kind == errorResponse {
				l.proxy.lost(tag(m) == "COMMIT")
				return
			}
			continue
		}
		l.note(m)
		if _, err := l.client.Write(m.bytes()); err != nil {
			return
		}
	}
}

// hangUp closes the connection, which in a black hole nobody hears of either.
func (l *link) hangUp() {
	l.wait()
	l.close()
}

// wait waits until bytes pass; it is false where the connection is closed.
func (l *link) wait() bool {
	for {
		gate := l.proxy.gate()
		select {
		case <-l.closed:
			return false
		case <-gate:
			return true
		}
	}
}

// The kinds of messages that matter here.
const (
	query           = 'Q'
	parse           = 'P'
	bind            = 'B'
	execute         = 'E'
	commandComplete = 'C'
	errorResponse   = 'E'
	readyForQuery   = 'Z'
)

// isCommit knows a COMMIT by the simple protocol, and the execution of one that
// was prepared.
func (l *link) isCommit(m message) bool {
	switch m.kind {
	case query:
		text, _ := cut(m.body)
		return isCommit(text)
	case parse:
		name, rest := cut(m.body)
		text, _ := cut(rest)
		l.statements[name] = isCommit(text)
	case bind:
		portal, rest := cut(m.body)
		statement, _ := cut(rest)
		l.portals[portal] = l.statements[statement]
	case execute:
		portal, _ := cut(m.body)
		return l.portals[portal]
	}
	return false
}

func isCommit(text string) bool {
	words := strings.Fields(strings.ToLower(strings.TrimRight(strings.TrimSpace(text), ";")))
	return len(words) > 0 && (words[0] == "commit" || words[0] == "end")
}

// note learns from the server's answers whether the transaction has written.
func (l *link) note(m message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case m.kind == readyForQuery && bytes.Equal(m.body, []byte("I")):
		l.wrote = false // no transaction is open any more
	case m.kind == commandComplete && changes(tag(m)):
		l.wrote = true
	}
}

// changes reports whether a command's tag, such as "INSERT 0 1", says that rows
// were changed.
func changes(tag string) bool {
	words := strings.Fields(tag)
	if len(words) < 2 || words[len(words)-1] == "0" {
		return false
	}
	switch words[0] {
	case "INSERT", "UPDATE", "DELETE", "MERGE", "COPY":
		return true
	}
	return false
}

func (l *link) hasWritten() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wrote
}

func (l *link) doom(doomed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doomed = doomed
}

func (l *link) isDoomed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.doomed
}

// read takes one message off a connection.
func read(from io.Reader, kind bool) (message, error) {
	var head [5]byte
	start := head[:]
	if !kind {
		start = head[1:]
	}
	if _, err := io.ReadFull(from, start); err != nil {
		return message{}, err
	}
	length := binary.BigEndian.Uint32(head[1:])
	if length < 4 || length > maxMessage {
		return message{}, errNoMessage
	}
	m := message{kind: head[0], body: make([]byte, length-4)}
	_, err := io.ReadFull(from, m.body)
	return m, err
}

// bytes is the message as it goes over the wire.
func (m message) bytes() []byte {
	var wire []byte
	if m.kind != 0 {
		wire = append(wire, m.kind)
	}
	wire = binary.BigEndian.AppendUint32(wire, uint32(len(m.body)+4))
	return append(wire, m.body...)
}

// tag is what a command says that it did.
func tag(m message) string {
	if m.kind != commandComplete {
		return ""
	}
	text, _ := cut(m.body)
	return text
}

// cut takes a text that ends with a zero byte off the front.
func cut(body []byte) (text string, rest []byte) {
	before, after, _ := bytes.Cut(body, []byte{0})
	return string(before), after
}
