package bank

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// Limits of every server of the bank. The defaults of net/http would keep a
// client that never ends its request for ever.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = 60 * time.Second
	idleTimeout   = 2 * time.Minute
)

// The names under which faults are set and reads are counted.
const (
	identityName   = "identity"
	ledgerName     = "ledger"
	cardsName      = "cards"
	billingName    = "billing"
	complianceName = "compliance"
	controlName    = "control"
)

// listener is one server and its address.
type listener struct {
	name   string
	url    string
	server *http.Server
	done   chan struct{} // closed when the server has stopped serving
}

// Start makes the compliance table and listens on free ports of 127.0.0.1, one
// for each HTTP service and one for control. After an error nothing is left
// open. A bank is started once.
func (b *Bank) Start() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.listeners != nil {
		return errors.New("the bank was started or closed before")
	}
	if err := b.startLocked(); err != nil {
		return errors.Join(err, b.closeLocked())
	}
	return nil
}

// startLocked stops at the first error; what it had made by then is closed by
// its caller.
func (b *Bank) startLocked() error {
	holds, err := newHoldsTable(b.ctx, b.options.ComplianceDSN, b.world.holds())
	if err != nil {
		return fmt.Errorf("make the compliance table: %w", err)
	}
	b.holds = holds
	for _, s := range b.services {
		if err := b.listen(s.name, s); err != nil {
			return err
		}
	}
	return b.listen(controlName, b.controlHandler())
}

// listen serves one handler on a port of its own.
func (b *Bank) listen(name string, handler http.Handler) error {
	socket, err := b.options.Listen(name)
	if err != nil {
		return fmt.Errorf("listen for %s: %w", name, err)
	}
	l := &listener{name: name, url: "http://" + socket.Addr().String(), done: make(chan struct{})}
	l.server = &http.Server{
		Handler:           b.options.Around(name, handler),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(b.options.Log.Handler(), slog.LevelWarn),
	}
	b.listeners = append(b.listeners, l)
	go func() {
		defer close(l.done)
		if err := l.server.Serve(socket); !errors.Is(err, http.ErrServerClosed) {
			b.options.Log.Error("a service of the bank stopped serving", "service", name, "error", err)
		}
	}()
	return nil
}

// Env returns the environment that bank.yaml is read with. It is complete
// after Start.
func (b *Bank) Env() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	env := map[string]string{"IDENTITY_TOKEN": b.token}
	variables := map[string]string{
		identityName: "IDENTITY_URL", ledgerName: "LEDGER_URL", cardsName: "CARDS_URL", billingName: "BILLING_URL",
	}
	for _, l := range b.listeners {
		if variable, ok := variables[l.name]; ok {
			env[variable] = l.url
		}
	}
	if b.holds != nil {
		env["COMPLIANCE_DSN"] = b.holds.dsn
	}
	return env
}

// ControlURL returns where a person plays with the bank by curl; "" before
// Start.
func (b *Bank) ControlURL() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.listeners {
		if l.name == controlName {
			return l.url
		}
	}
	return ""
}

// Close stops the services at once, cutting what is in flight, and removes the
// compliance table that Start made. Closing twice is harmless.
func (b *Bank) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closeLocked()
}

func (b *Bank) closeLocked() error {
	if b.closed {
		return nil
	}
	b.closed = true
	b.cancel()
	// Handlers may outlive this. What they still do touches memory alone.
	var errs []error
	for _, l := range b.listeners {
		if err := l.server.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", l.name, err))
		}
		<-l.done
	}
	if b.holds != nil {
		errs = append(errs, b.holds.close())
	}
	return errors.Join(errs...)
}
