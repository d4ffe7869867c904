package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"amend"
	"amend/reconciler"
	"amend/store"
)

func (a *app) scanCommand() *cobra.Command {
	var ids string
	c := &cobra.Command{
		Use:   "scan",
		Short: "Look at all customers once and open cases; a running worker repairs them",
		Long: `Look at all customers once and open a case for each who is out of coherence; a
running worker repairs them. Where a full scan is under way this takes part in it.
Interrupted, it goes on where it was: with the worker, or the next amend scan.

--ids looks at the customers in a file alone, one ID a line: whom you have reason
to doubt.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("ids") {
				return a.scanIDs(c.Context(), ids, c.InOrStdin())
			}
			return a.scan(c.Context())
		},
	}
	c.Flags().StringVar(&ids, "ids", "", "look at these customers alone: a file with one ID a line, or - for what is piped in")
	c.AddCommand(a.scanListCommand())
	for _, s := range steers {
		c.AddCommand(a.steerCommand(s))
	}
	return c
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
	joined, err := a.joins(ctx, p)
	if err != nil {
		return err
	}
	var here lastProgress
	p.engine.Progress = func(s reconciler.Progress) { here.keep(s); show.scan(s) }
	scan, err := p.engine.Scan(ctx, store.FullScan, actor())
	if ctx.Err() != nil {
		return exit{exitInterrupted, errors.New("interrupted; the scan goes on where it was, with the worker that runs (amend run) or the next `amend scan`")}
	}
	if scan.Open() {
		return err
	}
	if a.output == "json" {
		if err := a.json(scanJSON(scan, 0)); err != nil {
			return err
		}
	} else if scan.Status != store.ScanCancelled {
		a.scanText(p.cfg.Schema, scan, tookPart(joined, scan, here.get()))
	}
	return scanEnded(p.cfg.Schema, scan, err)
}

// joins says which scan is under way already. It fails where that one is
// paused: whoever paused it had a reason.
func (a *app) joins(ctx context.Context, p *parts) (joined bool, err error) {
	scan, open, err := p.store.OpenScan(ctx, store.FullScan)
	if err != nil || !open {
		return false, err
	}
	if scan.Status == store.ScanPaused {
		return false, &amend.Error{Code: amend.Conflict, Text: fmt.Sprintf("the full scan that %s began is paused by %s", scan.StartedBy, scan.ChangedBy),
			Next: "let it go on with `amend scan resume`, or end it with `amend scan cancel`"}
	}
	if a.progress != "none" {
		fmt.Fprintf(a.stderr, "Takes part in the full scan that %s began %s ago.\n", scan.StartedBy, span(p.store.Now().Sub(scan.StartedAt)))
	}
	return true, nil
}

// lastProgress keeps what was told last.
type lastProgress struct {
	mu   sync.Mutex
	last reconciler.Progress
}

func (l *lastProgress) keep(s reconciler.Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = s
}

func (l *lastProgress) get() reconciler.Progress {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// tookPart says how long a scan took, and, where it had begun before, what came
// while this process took part.
func tookPart(joined bool, s store.Scan, here reconciler.Progress) string {
	if !joined {
		return "in " + s.EndedAt.Sub(s.StartedAt).Round(10*time.Millisecond).String()
	}
	return fmt.Sprintf("since %s began it, %s before; %s of them in the last %s", s.StartedBy, span(s.EndedAt.Sub(s.StartedAt)), number(here.Counted), here.Took.Round(10*time.Millisecond))
}

// scanEnded is what a script has to know of how a scan ended.
func scanEnded(schema *amend.Schema, scan store.Scan, err error) error {
	switch {
	case scan.Status == store.ScanCancelled:
		return &amend.Error{Code: amend.Conflict, Text: fmt.Sprintf("%s cancelled the scan after %s", scan.ChangedBy, customers(schema, scan.Customers)), Next: "`amend scan` begins another"}
	case err != nil:
		return exit{exitPartial, fmt.Errorf("the scan is partial: %w", err)}
	}
	return unseen(schema, scan.Unseen)
}

// unseen is nil where all could be judged.
func unseen(schema *amend.Schema, n int) error {
	if n == 0 {
		return nil
	}
	return exit{exitPartial, fmt.Errorf("%s could not be judged: a service could not be read", customers(schema, n))}
}

// scanJSON is a scan for scripts; held is how many parts are looked at.
func scanJSON(s store.Scan, held int) map[string]any {
	all := map[string]any{"id": s.ID, "kind": s.Kind, "status": s.Status, "started_by": s.StartedBy, "started_at": s.StartedAt,
		"customers": s.Customers, "coherent": s.Coherent, "unseen": s.Unseen, "cases_opened": s.Opened, "states": s.States, "error": s.Error}
	if s.ChangedBy != "" {
		all["changed_by"] = s.ChangedBy
	}
	if s.Open() {
		all["parts_in_work"] = held
	} else {
		all["ended_at"], all["seconds"] = s.EndedAt, s.EndedAt.Sub(s.StartedAt).Seconds()
	}
	return all
}

func (a *app) scanText(schema *amend.Schema, s store.Scan, took string) {
	fmt.Fprintf(a.stdout, "Looked at %s in %s services %s.\n\n", customers(schema, s.Customers), number(len(schema.Services)), took)
	a.statesText(a.stdout, s.States)
	a.openedText(s.Opened)
}

// statesText lists customers by state, the largest first.
func (a *app) statesText(w io.Writer, states map[string]int) {
	for _, name := range slices.SortedFunc(maps.Keys(states), func(a, b string) int { return states[b] - states[a] }) {
		fmt.Fprintf(w, "  %9s  %s\n", number(states[name]), name)
	}
}

func (a *app) openedText(cases int) {
	fmt.Fprintf(a.stdout, "\n%s opened.", plural(cases, "case", "cases"))
	if cases > 0 {
		fmt.Fprint(a.stdout, " `amend run` repairs what its rules can repair.")
	}
	fmt.Fprintln(a.stdout)
}

func customers(schema *amend.Schema, n int) string {
	return plural(n, schema.Entity.Name, schema.Entity.Plural)
}
