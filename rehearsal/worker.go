package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"amend"
	"amend/config"
	"amend/connectors"
	httpkind "amend/connectors/http"
	sqlkind "amend/connectors/sql"
	"amend/escalation"
	"amend/queue"
	"amend/reconciler"
	"amend/store"
)

// The times of the schedules. They are short, so that a run of minutes has many
// scans in it.
const (
	fullEvery  = 3 * time.Minute
	freshEvery = 20 * time.Second
	sweepEvery = 2 * time.Second
	tellEvery  = 5 * time.Second
)

// worker is one process: an engine with its own connectors on its own handle of
// the store. Nothing of it survives its death but what it has committed and what
// is on the wire.
type worker struct {
	*run
	name     string
	started  bool // from when on it takes turns
	stopping bool // it was asked to end
	dead     atomic.Bool
	conns    connections
	store    *store.Store
	opened   []connectors.Connector
	first    *reconciler.Engine
	context  context.Context //nolint:containedctx // of all that the process does
	cancel   context.CancelFunc
	done     chan struct{} // closed when the engine has ended
}

// startWorker starts a process on the run's store.
func (r *run) startWorker() (err error) {
	r.generation++
	w := &worker{run: r, name: fmt.Sprintf("w%d", r.generation), done: make(chan struct{}), conns: connections{open: map[*connection]struct{}{}}}
	random := stream(r.plan.Seed, "ids/"+w.name)
	w.store, err = store.Open(context.Background(), "sqlite:"+r.file, store.Options{Now: r.clock.now, Rand: random, Log: r.log(w),
		Before: func(ctx context.Context) error { return w.turn(ctx, "write") }})
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	if err := w.begin(); err != nil {
		return errors.Join(err, w.bury())
	}
	r.worker = w
	return nil
}

// begin starts the engines of a worker.
func (w *worker) begin() (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	w.context, w.cancel = ctx, cancel
	engine, err := w.engine("")
	if err != nil {
		return err
	}
	w.first = engine
	var second *reconciler.Engine
	if w.plan.Second {
		if second, err = w.engine(secondName); err != nil {
			return err
		}
	}
	w.started = true
	go func() {
		defer close(w.done)
		if err := engine.Run(ctx, w.tells()); err != nil && ctx.Err() == nil {
			w.broken(SetupFailed, "the engine ended: %s", err)
		}
	}()
	if second != nil {
		go w.help(ctx, second)
	}
	return nil
}

// engine puts an engine together as cmd does, with connectors that take turns.
func (w *worker) engine(name string) (*reconciler.Engine, error) {
	made := map[string]connectors.Connector{}
	catch := func(k connectors.Kind) connectors.Kind {
		return connectors.Kind{Name: k.Name, New: func(d connectors.Declaration, s connectors.Surroundings) (connectors.Connector, amend.Findings) {
			c, found := k.New(d, s)
			made[d.Service.Name] = c
			return c, found
		}}
	}
	env := w.bank.Env()
	env["SETTLE"], env["CARD_WITHIN"] = w.plan.Settle.String(), w.plan.CardWithin.String()
	cfg, err := config.Load(config.Options{Path: w.document, Kinds: []connectors.Kind{catch(httpkind.Kind()), catch(sqlkind.Kind())},
		Getenv:       func(name string) (string, bool) { v, set := env[name]; return v, set },
		Surroundings: connectors.Surroundings{Now: w.clock.now, Log: w.log(w), Transport: &http.Transport{DialContext: w.dial}}})
	if err != nil {
		return nil, fmt.Errorf("load the configuration: %w", err)
	}
	for i := range cfg.Connectors {
		service := &cfg.Schema.Services[i]
		w.opened = append(w.opened, made[service.Name])
		cfg.Connectors[i] = w.around(name, made[service.Name], service)
	}
	return &reconciler.Engine{Schema: cfg.Schema, Environment: cfg.Environment, Machine: cfg.Machine, Rules: cfg.Rules, Connectors: cfg.Connectors,
		Windows: cfg.Windows, Source: cfg.Scans.Source, Full: config.Every(fullEvery), Fresh: config.Every(freshEvery), Store: w.store,
		Queue: &turningQueue{Local: queue.NewLocal(w.clock.now, w.log(w)), w: w, name: name}, Now: w.clock.now, Log: w.log(w), Workers: w.plan.Workers, Sweep: sweepEvery}, nil
}

// tells has people told of what the store's outbox holds.
func (w *worker) tells() map[queue.Kind]queue.Handler {
	teller := &escalation.Teller{Store: w.store, Messenger: messenger{w}, Channel: "#repairs", Now: w.clock.now, Log: w.log(w)}
	return map[queue.Kind]queue.Handler{queue.Tell: {Every: tellEvery, Do: teller.Tell}}
}

// secondName begins the names of all that the second engine does.
const secondName = "second "

// help heals whoever is ready beside the first engine, which a lease has to
// keep apart from it.
func (w *worker) help(ctx context.Context, engine *reconciler.Engine) {
	ticker := time.NewTicker(700 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		ready, err := w.store.Ready(ctx, 3)
		if err != nil {
			continue // it is asked again soon
		}
		for _, customer := range ready {
			ctx := acting(ctx, secondName+"heal "+customer)
			if w.turn(ctx, "job") != nil {
				return
			}
			if err := engine.Heal(ctx, customer); err != nil && ctx.Err() == nil {
				w.note("second heal of %s: %s", customer, err)
			}
		}
	}
}

// turn waits until the worker may go on.
func (w *worker) turn(ctx context.Context, label string) error {
	switch {
	case w.dead.Load():
		return errKilled
	case !w.started:
		return nil
	}
	actor, _ := ctx.Value(actorKey{}).(string)
	return w.bus.wait(w, label+" ["+actor+"]")
}

type actorKey struct{}

// acting says who does what is done with a context, so that those are told apart
// who want the same at the same moment.
func acting(ctx context.Context, actor string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

// kill ends the process at once: nothing that it still tries has any effect.
func (w *worker) kill() error {
	w.dead.Store(true)
	w.bus.drop(w)
	w.cancel()
	return w.conns.closeAll()
}

// bury frees what a process has held that has ended.
func (w *worker) bury() error {
	var errs []error
	for _, c := range w.opened {
		errs = append(errs, connectors.Close(c))
	}
	return errors.Join(append(errs, w.conns.closeAll(), w.store.Close())...)
}

// ended reports whether the engine has returned.
func (w *worker) ended() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

func (w *worker) dial(ctx context.Context, _, at string) (net.Conn, error) {
	if w.dead.Load() {
		return nil, errKilled
	}
	conn, err := w.network.dial(ctx, at)
	if err != nil {
		return nil, err
	}
	return w.conns.keep(conn)
}

// log keeps what a worker has to say that can't be right.
func (r *run) log(w *worker) *slog.Logger {
	return slog.New(&listening{Handler: slog.DiscardHandler, w: w})
}

// listening is a log in which a panic breaks a promise.
type listening struct {
	slog.Handler
	w *worker
}

// Enabled is part of slog.Handler.
func (l *listening) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// WithAttrs is part of slog.Handler.
func (l *listening) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup is part of slog.Handler.
func (l *listening) WithGroup(string) slog.Handler { return l }

// Handle is part of slog.Handler.
func (l *listening) Handle(_ context.Context, record slog.Record) error {
	if l.w.dead.Load() {
		return nil
	}
	text := record.Message
	record.Attrs(func(a slog.Attr) bool {
		if a.Key != "stack" {
			text += " " + a.String()
		}
		return true
	})
	l.w.said(text)
	return nil
}
