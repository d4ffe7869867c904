package cmd

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"amend"
	"amend/store"
)

func (a *app) scanCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "scan",
		Short: "Look at all customers once and open cases; a running worker repairs them",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return a.scan(c.Context()) },
	}
}

func (a *app) scan(ctx context.Context) error {
	show, err := a.newProgress()
	if err != nil {
		return err
	}
	p, end, err := a.opened(ctx, slog.LevelWarn, openStore)
	if err != nil {
		return err
	}
	defer end()
	p.engine.Progress = show.scan
	scan, err := p.engine.Scan(ctx, store.FullScan, actor())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if a.output == "json" {
		if err := a.json(scanJSON(scan)); err != nil {
			return err
		}
	} else {
		a.scanText(p.cfg.Schema, scan)
	}
	switch {
	case err != nil:
		return exit{exitPartial, fmt.Errorf("the scan is partial: %w", err)}
	case scan.Unseen > 0:
		return exit{exitPartial, fmt.Errorf("%s could not be judged: a service could not be read", plural(scan.Unseen, "customer", "customers"))}
	}
	return nil
}

func scanJSON(s store.Scan) map[string]any {
	return map[string]any{"status": s.Status, "customers": s.Customers, "coherent": s.Coherent, "unseen": s.Unseen, "cases_opened": s.Opened,
		"states": s.States, "seconds": s.EndedAt.Sub(s.StartedAt).Seconds(), "error": s.Error}
}

func (a *app) scanText(schema *amend.Schema, s store.Scan) {
	fmt.Fprintf(a.stdout, "Looked at %s in %s services in %s.\n\n", customers(schema, s.Customers), number(len(schema.Services)), s.EndedAt.Sub(s.StartedAt).Round(10*time.Millisecond))
	for _, name := range slices.SortedFunc(maps.Keys(s.States), func(a, b string) int { return s.States[b] - s.States[a] }) {
		fmt.Fprintf(a.stdout, "  %9s  %s\n", number(s.States[name]), name)
	}
	fmt.Fprintf(a.stdout, "\n%s opened.", plural(s.Opened, "case", "cases"))
	if s.Opened > 0 {
		fmt.Fprint(a.stdout, " `amend run` repairs what its rules can repair.")
	}
	fmt.Fprintln(a.stdout)
}

func customers(schema *amend.Schema, n int) string {
	return plural(n, schema.Entity.Name, schema.Entity.Plural)
}
