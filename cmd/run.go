package cmd

import (
	"context"
	"fmt"
	"log/slog"
	"os/user"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"amend/escalation"
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
	p, end, err := a.opened(ctx, slog.LevelInfo, openStore)
	if err != nil {
		return err
	}
	defer end()
	if err := p.store.LockWorker(); err != nil {
		return err
	}
	server, err := p.dashboard(p.cfg.Dashboard.Listen, "", a.announce)
	if err != nil {
		return err
	}
	link := server.CustomerURL
	teller, err := p.teller(link)
	if err != nil {
		return err
	}
	if teller == nil {
		p.log.Warn("nobody is told of escalations: slack.token is not set")
	}
	a.announce(server.LoginURL())
	return p.run(ctx, teller, server.Serve)
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
	start("reconciler", p.engine.Run)
	start("dashboard", serve)
	if teller != nil {
		start("escalation", func(ctx context.Context) error { teller.Run(ctx); return nil })
	}
	group.Wait()
	close(ends)
	return <-ends
}

// closing ends a part and logs what can't be returned any more.
func closing(log *slog.Logger, what string, end func() error) {
	if err := end(); err != nil {
		log.Error("could not be closed", "part", what, "error", err)
	}
}

// actor is who types at this terminal, for timelines.
func actor() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "operator"
}

// now is the clock of the command line.
func now() time.Time { return time.Now() }
