package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"amend"
	"amend/check"
	"amend/config"
	"amend/connectors"
	"amend/dashboard"
	"amend/desk"
	"amend/escalation"
	"amend/escalation/slack"
	"amend/queue"
	"amend/reconciler"
	"amend/store"
)

// load reads and checks the configuration.
func (a *app) load(log *slog.Logger) (*config.Config, error) {
	return a.loadFrom(a.config, nil, log)
}

func (a *app) loadFrom(path string, getenv func(string) (string, bool), log *slog.Logger) (*config.Config, error) {
	cfg, err := config.Load(config.Options{Path: path, Kinds: a.kinds, Getenv: getenv,
		Surroundings: connectors.Surroundings{Now: a.clock.now, Share: a.clock.share, Reserve: a.clock.reserve, Log: log, Loopback: a.loopback}})
	var problems *config.Problems
	if errors.As(err, &problems) {
		return nil, counted(problems)
	}
	if err != nil {
		return nil, err
	}
	if found := cfg.Report(findings(cfg).Errors()); found != nil {
		return nil, counted(found)
	}
	return cfg, nil
}

func counted(p *config.Problems) error {
	return fmt.Errorf("%s\n\n%w", plural(p.Count(), "problem in the configuration", "problems in the configuration"), p)
}

func findings(cfg *config.Config) amend.Findings {
	return check.Rules(cfg.Schema, cfg.Machine, cfg.Rules, func(service int) bool {
		return cfg.Schema.Services[service].Sentinels.Declared() || cfg.Connectors[service].Can().Marker
	})
}

// clock is the store's, once there is one: services are read before that only
// by commands that have none. Workers that share a store must agree on the time.
type clock struct{ store atomic.Pointer[store.Store] }

func (c *clock) now() time.Time {
	if s := c.store.Load(); s != nil {
		return s.Now()
	}
	return time.Now()
}

// share is this process's part of what services allow. Workers that share a
// store divide it; a command that has no store shares with nobody.
func (c *clock) share() connectors.Share {
	s := c.store.Load()
	if s == nil {
		return connectors.Share{Of: 1}
	}
	rank, of := s.Share()
	return connectors.Share{Rank: rank, Of: of}
}

// reserve takes calls of services that allow so many in an hour. Where there is
// no store nobody counts them.
func (c *clock) reserve(ctx context.Context, r connectors.Reservation) (connectors.Reserved, error) {
	s := c.store.Load()
	if s == nil {
		return connectors.Reserved{}, amend.Errorf(amend.Unavailable, "there is no store that counts calls of %s", r.Service)
	}
	got, err := s.ReserveCalls(ctx, r.Service, r.Calls, r.Limit)
	return connectors.Reserved{Calls: got.Given, Until: got.Until}, err
}

// parts is a whole program: what run and demo start.
type parts struct {
	cfg    *config.Config
	store  *store.Store
	engine *reconciler.Engine
	desk   *desk.Desk
	log    *slog.Logger
}

// wire puts the parts together. Only a worker's queue is more than a place to
// forget wake-ups in: the worker finds in the store what others write there. A
// command that has no store gives nil.
func (a *app) wire(cfg *config.Config, s *store.Store, q queue.Queue, log *slog.Logger) *parts {
	if s != nil {
		a.clock.store.Store(s)
	}
	p := &parts{cfg: cfg, store: s, log: log}
	p.engine = &reconciler.Engine{Schema: cfg.Schema, Environment: cfg.Environment, Machine: cfg.Machine, Rules: cfg.Rules, Connectors: cfg.Connectors,
		Windows: cfg.Windows, Source: cfg.Scans.Source, Full: cfg.Scans.Full, Fresh: cfg.Scans.Fresh, Keep: cfg.Store.Keep.Healed, KeepAudit: cfg.Store.Keep.Audit, Store: s, Queue: q, Now: a.clock.now, Log: log}
	p.desk = &desk.Desk{Schema: cfg.Schema, Rules: cfg.Rules, Store: s, Reader: p.engine, Waker: q, Now: a.clock.now}
	return p
}

// opened loads the configuration, opens its store with open, and puts the parts
// together; the function that it gives closes the store.
func (a *app) opened(ctx context.Context, level slog.Level, open opener) (*parts, func(), error) {
	log := a.logger(level)
	cfg, err := a.load(log)
	if err != nil {
		return nil, nil, err
	}
	s, end, err := open(ctx, cfg, log)
	if err != nil {
		return nil, nil, err
	}
	return a.wire(cfg, s, queue.NewLocal(s.Now, log), log), func() { closing(log, "the store", end) }, nil
}

type opener func(context.Context, *config.Config, *slog.Logger) (*store.Store, func() error, error)

// teller tells people by Slack; nil where none is configured.
func (p *parts) teller(link func(string) string) (*escalation.Teller, error) {
	if p.cfg.Slack.Token.Empty() {
		return nil, nil
	}
	if p.cfg.Slack.Channel == "" {
		return nil, errors.New("slack.channel is missing: say where people are told")
	}
	messenger, err := slack.New(slack.Options{Token: p.cfg.Slack.Token.Reveal, APIURL: p.cfg.Slack.APIURL})
	if err != nil {
		return nil, fmt.Errorf("set up slack: %w", err)
	}
	return &escalation.Teller{Store: p.store, Messenger: messenger, Channel: p.cfg.Slack.Channel, Link: link, Now: p.store.Now, Log: p.log}, nil
}

// dashboard listens; environment stands above its pages, and announce gets a
// new login link where somebody without one asks for a page.
func (p *parts) dashboard(listen, environment string, announce func(string)) (*dashboard.Server, error) {
	return dashboard.Listen(dashboard.Options{Listen: listen, Desk: p.desk, Machine: p.cfg.Machine, Now: p.store.Now, Log: p.log,
		Environment: environment, Actor: actor(), Announce: announce, Observe: p.cfg.Scans.Observe, Waits: p.engine.ScansWait})
}

// openStore opens the configured store.
func openStore(ctx context.Context, cfg *config.Config, log *slog.Logger) (*store.Store, func() error, error) {
	s, err := store.Open(ctx, cfg.Store.URL, store.Options{Log: log, Audit: auditFolder(cfg.Store)})
	if err != nil {
		return nil, nil, err
	}
	return s, s.Close, nil
}

// auditFolder is where checkpoints of the audit are kept.
func auditFolder(s config.Store) string {
	switch path, isFile := strings.CutPrefix(s.URL, "sqlite:"); {
	case s.Audit != "":
		return s.Audit
	case isFile:
		return path + ".audit"
	}
	return "amend-audit"
}

// openStoreToRead opens the configured store where there is one, else an empty
// one that goes away again: a command that only reads makes no files.
func openStoreToRead(ctx context.Context, cfg *config.Config, log *slog.Logger) (*store.Store, func() error, error) {
	path := strings.TrimPrefix(cfg.Store.URL, "sqlite:")
	if _, err := os.Stat(path); err == nil || store.IsPostgres(cfg.Store.URL) {
		return openStore(ctx, cfg, log)
	}
	folder, err := os.MkdirTemp("", "amend-")
	if err != nil {
		return nil, nil, fmt.Errorf("make a folder: %w", err)
	}
	s, err := store.Open(ctx, "sqlite:"+filepath.Join(folder, "empty.db"), store.Options{Log: log, Audit: auditFolder(cfg.Store)})
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(folder))
	}
	return s, func() error { return errors.Join(s.Close(), os.RemoveAll(folder)) }, nil
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// number writes 41208 as 41,208.
func number(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
