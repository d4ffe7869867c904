package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"amend/bank"
	"amend/config"
	"amend/escalation"
	"amend/escalation/slack"
	"amend/escalation/slacktest"
	"amend/queue"
	"amend/store"
)

type demoOptions struct {
	once       bool
	customers  int
	seed       uint64
	listen     string
	compliance string
}

func (a *app) demoCommand() *cobra.Command {
	var o demoOptions
	c := &cobra.Command{
		Use:   "demo",
		Short: "Start a small bank whose services drift apart, and watch amend heal it",
		Long: `Start a small bank whose five services drift apart, and watch amend heal it.
Everything listens on loopback, the store is temporary, and Slack is played by
a server of the demo's own. It runs until Ctrl-C.

--once plants all drift at the start, works until every customer is healed or
waits for a person, and prints what happened: the counts of what was sent come
from the bank, not from amend. Exit code 0 says that every inconsistent customer
ended healed or with a person, and that nothing was sent twice or wrongly.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.demo(c.Context(), o) },
	}
	c.Flags().BoolVar(&o.once, "once", false, "plant all drift at the start, heal it, report, and end")
	c.Flags().IntVar(&o.customers, "customers", 2000, "how many customers the bank has")
	c.Flags().Uint64Var(&o.seed, "seed", 1, "decides who is inconsistent and how")
	c.Flags().StringVar(&o.listen, "listen", "127.0.0.1:0", "where the dashboard listens")
	c.Flags().StringVar(&o.compliance, "compliance", "", "where the compliance service keeps its table: sqlite:FILE or postgres://…; default a temporary file")
	return c
}

// What the demo waits for is short, so that a person can watch it.
const (
	demoSettle     = "400ms"
	demoCardDelay  = 300 * time.Millisecond
	demoCardWithin = "5s"
	demoFullEvery  = 10 * time.Second
	demoFreshEvery = 2 * time.Second
	demoTellEvery  = 20 * time.Millisecond // the played Slack has no rate limit
	demoDrift      = 2.0                   // things that happen in the bank each second
	demoToken      = slacktest.DefaultToken
)

// demo is a bank, a played Slack, and amend between them.
type demo struct {
	*parts
	a       *app
	options demoOptions
	started time.Time
	bank    *bank.Bank
	slack   *slacktest.Server
	teller  *escalation.Teller
	folder  string
}

func (a *app) demo(ctx context.Context, o demoOptions) (err error) {
	if o.customers < 50 {
		return fmt.Errorf("--customers %d: a bank of fewer than 50 has no room for every state", o.customers)
	}
	if _, err := a.newProgress(); err != nil {
		return err
	}
	a.loopback = true
	d := &demo{a: a, options: o, started: now()}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.open(ctx); err != nil {
		return err
	}
	if o.once {
		return d.once(ctx)
	}
	return d.live(ctx)
}

func (d *demo) open(ctx context.Context) (err error) {
	level := slog.LevelWarn
	if d.options.once {
		level = slog.LevelError
	}
	log := d.a.logger(level)
	if d.folder, err = os.MkdirTemp("", "amend-demo-"); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	if d.bank, err = bank.New(bank.Options{Customers: d.options.customers, Seed: d.options.seed, CardDelay: demoCardDelay, ComplianceDSN: d.options.compliance}); err != nil {
		return fmt.Errorf("make the bank: %w", err)
	}
	if err := d.bank.Start(); err != nil {
		return fmt.Errorf("start the bank: %w", err)
	}
	if d.slack, err = slacktest.Start(slacktest.Options{Channels: []string{"account-repairs", "compliance"}}); err != nil {
		return fmt.Errorf("start the played Slack: %w", err)
	}
	cfg, err := d.configuration(log)
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, "sqlite:"+filepath.Join(d.folder, "amend.db"), store.Options{Log: log})
	if err != nil {
		return err
	}
	d.parts = d.a.wire(cfg, s, queue.NewLocal(s.Now, log), log)
	if err := s.LockWorker(); err != nil {
		return err
	}
	messenger, err := slack.New(slack.Options{Token: func() string { return demoToken }, APIURL: d.slack.URL()})
	if err != nil {
		return fmt.Errorf("set up slack: %w", err)
	}
	d.teller = &escalation.Teller{Store: s, Messenger: messenger, Channel: "#account-repairs", Now: time.Now, Log: log, Every: demoTellEvery}
	return nil
}

// configuration loads the reference example as it stands; where the bank runs
// and the short times come from the environment that the demo sets.
func (d *demo) configuration(log *slog.Logger) (*config.Config, error) {
	path := filepath.Join(d.folder, "bank.yaml")
	if err := os.WriteFile(path, bank.Configuration, 0o600); err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	env := d.bank.Env()
	env["SETTLE"], env["CARD_WITHIN"] = demoSettle, demoCardWithin
	cfg, err := d.a.loadFrom(path, func(name string) (string, bool) { v, set := env[name]; return v, set }, log)
	if err != nil {
		return nil, err
	}
	cfg.Scans.Full, cfg.Scans.Fresh = config.Every(demoFullEvery), config.Every(demoFreshEvery)
	if d.options.once {
		cfg.Scans.Full, cfg.Scans.Fresh = nil, nil
	}
	return cfg, nil
}

func (d *demo) close() error {
	var err error
	if d.parts != nil {
		err = errors.Join(err, d.store.Close())
	}
	if d.slack != nil {
		err = errors.Join(err, d.slack.Close())
	}
	if d.bank != nil {
		err = errors.Join(err, d.bank.Close())
	}
	if d.folder != "" {
		err = errors.Join(err, os.RemoveAll(d.folder))
	}
	return err
}

// live shows the dashboard and goes on until the context ends, while the bank
// drifts.
func (d *demo) live(ctx context.Context) error {
	show, err := d.a.newProgress()
	if err != nil {
		return err
	}
	server, err := d.dashboard(d.options.listen, "demo", func(login string) { fmt.Fprintf(d.a.stdout, "\n  Dashboard   %s\n", login) })
	if err != nil {
		return err
	}
	d.teller.Link = server.CustomerURL
	d.welcome(server.LoginURL())
	go d.watch(ctx, show)
	go func() {
		if err := d.bank.Drift(ctx, bank.DriftOptions{PerSecond: demoDrift}); err != nil && ctx.Err() == nil {
			d.log.Error("the bank stopped drifting", "error", err)
		}
	}()
	if err := d.parts.run(ctx, d.teller, server.Serve); err != nil {
		return err
	}
	counts, err := d.counts(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	fmt.Fprintf(d.a.stderr, "\n%s\n", counts.line(now().Sub(d.started)))
	return nil
}

func (d *demo) welcome(login string) {
	fmt.Fprintf(d.a.stdout, `A bank of %s customers whose five services drift apart. amend finds who is out
of order, repairs what its rules can, proves it by reading again, and tells
people of the rest.

  Dashboard   %s
  Slack       %s   what people would have been told
  The bank    %s   switch faults on:
              curl -X PUT %s/faults/cards -d '{"outage": "503"}'
              curl -X DELETE %s/faults/cards

Ctrl-C ends it.

`, number(d.options.customers), login, d.slack.PageURL(), d.bank.ControlURL(), d.bank.ControlURL(), d.bank.ControlURL())
}

// watchEvery is how often the live line changes.
const watchEvery = time.Second

func (d *demo) watch(ctx context.Context, show *progress) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		counts, err := d.counts(ctx)
		if err != nil {
			continue // the store is read again in a second
		}
		show.show(counts.line(now().Sub(d.started)), false)
	}
}

// tally is how the demo stands: what amend says, beside what the bank knows.
type tally struct {
	bank    bank.Counts
	store   store.Counts
	backlog store.Backlog
}

func (d *demo) counts(ctx context.Context) (tally, error) {
	t := tally{bank: d.bank.Count()}
	var err error
	if t.store, err = d.store.CountCases(ctx); err != nil {
		return t, err
	}
	t.backlog, err = d.store.Backlog(ctx)
	return t, err
}

func (t tally) line(took time.Duration) string {
	working := 0
	for _, n := range t.store.Open {
		working += n
	}
	working -= t.store.Escalated
	return fmt.Sprintf("%5s  %s customers, %s inconsistent · healed %s, at work %s, with people %s · sent %s: %s twice, %s wrongly · Slack %s",
		took.Round(time.Second), number(t.bank.Customers), number(t.bank.Inconsistent), number(t.store.Healed), number(working), number(t.store.Escalated),
		number(t.bank.RepairsSent), number(t.bank.DoubleEffects), number(t.bank.WrongSends), number(t.backlog.Sent))
}
