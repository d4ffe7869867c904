// Package slacktest is a Slack workspace in miniature, over real HTTP on
// loopback. It answers the methods that amend calls as Slack documents them,
// fails on demand, keeps a ledger of every message and call, and shows the
// messages on a page for people who try amend without a workspace.
package slacktest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// DefaultToken is the bot token that a server takes where Options name none.
const DefaultToken = "xoxb-slacktest"

// Options describe the workspace. The zero value has no channels.
type Options struct {
	// Token is the only one that is taken; empty means DefaultToken.
	Token string
	// Channels are the names of the channels, with or without "#". Their IDs
	// are C0001, C0002 and so on.
	Channels []string
	// Strict allows one new message per second and channel and answers 429 to
	// more. Slack itself forgives short bursts.
	Strict bool
	// NoDedup ignores client_msg_id, as Slack may.
	NoDedup bool
	// OnMessage is told of each message as it is posted and after each edit,
	// before the call is answered. It may be called from several goroutines.
	OnMessage func(Message)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Server is one running workspace. It is safe for concurrent use.
type Server struct {
	token     string
	strict    bool
	noDedup   bool
	onMessage func(Message)
	now       func() time.Time
	listener  net.Listener
	http      *http.Server
	served    chan error // how serving ended

	mu       sync.Mutex
	channels []*channel
	messages []*Message
	byClient map[string]*Message // by client_msg_id
	lastTS   time.Time
	calls    []*Call
	faults   map[string][]Fault // by method, the next one first
}

// Start listens on a free port of 127.0.0.1. Close ends it.
func Start(o Options) (*Server, error) {
	s := &Server{
		token: o.Token, strict: o.Strict, noDedup: o.NoDedup, onMessage: o.OnMessage, now: o.Now,
		byClient: map[string]*Message{}, faults: map[string][]Fault{},
	}
	if s.token == "" {
		s.token = DefaultToken
	}
	if s.now == nil {
		s.now = time.Now
	}
	for i, name := range o.Channels {
		s.channels = append(s.channels, &channel{id: fmt.Sprintf("C%04d", i+1), name: bare(name)})
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for slacktest: %w", err)
	}
	s.listener = listener
	s.http = &http.Server{Handler: s.routes(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second}
	s.served = make(chan error, 1)
	go func() { s.served <- s.http.Serve(listener) }()
	return s, nil
}

// URL is where the API is, with the trailing slash that slack-go needs.
func (s *Server) URL() string { return s.PageURL() + "api/" }

// PageURL is where people see the messages.
func (s *Server) PageURL() string { return "http://" + s.listener.Addr().String() + "/" }

// Close cuts every connection, also those of calls that hang. It is called
// once.
func (s *Server) Close() error {
	err := s.http.Close()
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("close slacktest: %w", err)
	}
	return nil
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /style.css", s.style)
	mux.HandleFunc("POST /api/{method}", s.call)
	return mux
}
