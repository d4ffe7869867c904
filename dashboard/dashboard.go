// Package dashboard is where people look at a customer and ask for a rule to be
// taken: pages rendered on the server, on loopback only. It shows what the
// store holds and what the services say now, and acts through the desk alone.
package dashboard

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"amend"
	"amend/desk"
	"amend/states"
)

// Options are the dashboard's surroundings. Desk, Machine and Log must be set.
type Options struct {
	Listen      string // a loopback address; port 0 takes a free one
	Desk        *desk.Desk
	Machine     *states.Machine
	Now         func() time.Time // default time.Now
	Log         *slog.Logger
	Environment string        // stands above every page, so that nobody takes a demo for the real thing; may be empty
	Actor       string        // in whose name sessions act; default "operator"
	Observe     amend.Secret  // what a service shows that names customers to look at; empty where none may
	Token       func() string // makes texts of at least 128 bits that can't be guessed; default crypto/rand.Text

	// Announce tells whoever sits at the terminal a fresh login link. It is
	// called when somebody without a session asks for a page and no unused link
	// is left. Where it is nil, only a restart lets people in again.
	Announce func(loginURL string)

	// Waits says for which service's next calls scans wait, and until when; the
	// service is empty where they don't. Where it is nil, they never do.
	Waits func(context.Context) (service string, until time.Time, err error)
}

// Server is an open dashboard. It is safe for concurrent use.
type Server struct {
	options  Options
	listener net.Listener
	server   *http.Server
	layouts  *layouts
	doors    *doors
	cookie   string
	pass     *pass // for programs; nil where none may come
}

// Listen opens the listener, so that URL is known before anything is served. It
// fails with Invalid for an address that other machines can reach: there is no
// login that could stand between them and the buttons.
func Listen(o Options) (*Server, error) {
	o = o.withDefaults()
	if !loopback(o.Listen) {
		return nil, elsewhere(o.Listen)
	}
	layouts, err := parse()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, &amend.Error{Code: amend.Unavailable, Text: "the dashboard can't listen", Err: err, Next: "choose another port in dashboard.listen"}
	}
	// localhost is whatever the machine's resolver says it is.
	address, isTCP := listener.Addr().(*net.TCPAddr)
	if !isTCP || !address.IP.IsLoopback() {
		return nil, errors.Join(elsewhere(o.Listen), listener.Close())
	}
	// Browsers share cookies between all ports of a host, so two dashboards on
	// one machine would log each other's people out under one name.
	s := &Server{options: o, listener: listener, layouts: layouts, doors: newDoors(o.Now, o.Token), cookie: fmt.Sprintf("amend_%d", address.Port)}
	if !o.Observe.Empty() {
		s.pass = newPass(o.Observe, o.Now)
		s.options.Observe = amend.Secret{} // its hash is enough
	}
	s.server = &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      60 * time.Second, // a live look waits for the slowest service
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
	}
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Actor == "" {
		o.Actor = "operator"
	}
	if o.Token == nil {
		o.Token = rand.Text
	}
	return o
}

func elsewhere(address string) error {
	return &amend.Error{Code: amend.Invalid,
		Text: fmt.Sprintf("the dashboard can't listen on %q: it listens on loopback only; login for other addresses is not built yet", address),
		Next: "write dashboard.listen: 127.0.0.1:8080"}
}

// URL is where the dashboard is, without a slash at the end.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// LoginURL makes a link that lets one browser in, once, within ten minutes.
func (s *Server) LoginURL() string { return s.loginURL(s.doors.link()) }

func (s *Server) loginURL(token string) string {
	return s.URL() + "/login?token=" + url.QueryEscape(token)
}

// CustomerURL is the page of one customer.
func (s *Server) CustomerURL(id string) string { return s.URL() + customerPath(id) }

func customerPath(id string) string { return "/customers/" + url.PathEscape(id) }

// stopLimit bounds how long requests in flight may hold up the end.
const stopLimit = 5 * time.Second

// Serve answers until the context ends; then it lets requests in flight finish,
// five seconds at most.
func (s *Server) Serve(ctx context.Context) error {
	ends := make(chan error, 1)
	go func() { ends <- s.server.Serve(s.listener) }()
	select {
	case err := <-ends:
		return fmt.Errorf("serve the dashboard: %w", err)
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	if err := s.server.Shutdown(patience); err != nil {
		return s.server.Close()
	}
	return nil
}
