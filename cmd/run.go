package cmd

import (
	"context"
	"fmt"
	"log/slog"
	"os/user"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"amend/config"
	"amend/escalation"
	"amend/queue"
	"amend/queue/river"
	"amend/store"
)

func (a *app) runCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Scan by schedule, repair, tell people, serve the dashboard; until stopped",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return a.runWorker(c.Context()) },
	}
}

func (a *app) runWorker(ctx context.Context) error {
	log := a.logger(slog.LevelInfo)
	cfg, err := a.load(log)
	if err != nil {
		return err
	}
	s, end, err := openStore(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer closing(log, "the store", end)
	if err := s.LockWorker(); err != nil {
		return err
	}
	q, end, err := openQueue(ctx, cfg, s, log)
	if err != nil {
		return err
	}
	defer closing(log, "the queue", end)
	return a.work(ctx, a.wire(cfg, s, q, log))
}

func (a *app) work(ctx context.Context, p *parts) error {
	server, err := p.dashboard(p.cfg.Dashboard.Listen, "", a.announce)
	if err != nil {
		return err
	}
	teller, err := p.teller(server.CustomerURL)
	if err != nil {
		return err
	}
	if teller == nil {
		p.log.Warn("nobody is told of escalations: slack.token is not set")
	}
	a.announce(server.LoginURL())
	return p.run(ctx, teller, server.Serve)
}

// openQueue opens the queue that goes with the store: one in this process on a
// file, River on PostgreSQL. River's tables are brought up to date at once:
// unlike those of the store, older programs run on with them.
func openQueue(ctx context.Context, cfg *config.Config, s *store.Store, log *slog.Logger) (queue.Queue, func() error, error) {
	if !s.Shared() {
		return queue.NewLocal(s.Now, log), func() error { return nil }, nil
	}
	if err := river.Migrate(ctx, cfg.Store.URL); err != nil {
		return nil, nil, err
	}
	q, err := river.New(ctx, cfg.Store.URL, s.Now, log)
	if err != nil {
		return nil, nil, err
	}
	return q, func() error { q.Close(); return nil }, nil
}

// announce says where the dashboard is. The link lets one person in, once.
func (a *app) announce(login string) { fmt.Fprintf(a.stdout, "Dashboard: %s\n", login) }

// run works until the context ends, or one of the parts does: then the others
// are ended too, and all are waited for.
func (p *parts) run(ctx context.Context, teller *escalation.Teller, serve func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	ends := make(chan error, 3)
	start := func(name string, part func(context.Context) error) {
		group.Go(func() {
			defer cancel()
			if err := part(ctx); err != nil {
				ends <- fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	start("reconciler", func(ctx context.Context) error { return p.engine.Run(ctx, tells(teller)) })
	start("dashboard", serve)
	group.Wait()
	close(ends)
	return <-ends
}

// tells has people told, by one worker of all.
func tells(teller *escalation.Teller) map[queue.Kind]queue.Handler {
	if teller == nil {
		return nil
	}
	return map[queue.Kind]queue.Handler{queue.Tell: {Every: tellEvery, Do: teller.Tell}}
}

// tellEvery is how often the outbox is asked.
const tellEvery = time.Second

// closing ends a part and logs what can't be returned any more.
func closing(log *slog.Logger, what string, end func() error) {
	if err := end(); err != nil {
		log.Error("could not be closed", "part", what, "error", err)
	}
}

// actor is who types at this terminal, for timelines.
func actor() string {
	u, err := user.Current()
	switch {
	case err != nil || u.Username == "":
		return "operator"
	case u.Username == store.Amend: // what nobody started has this name
		return "user " + u.Username
	}
	return u.Username
}

// now is the clock of the command line.
func now() time.Time { return time.Now() }
