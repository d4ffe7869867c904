package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"amend"
	"amend/store"
)

// steer is what people make of a scan that is under way.
type steer struct {
	act   string
	short string
	can   func(store.Scan) bool
}

var steers = []steer{
	{"pause", "Have a scan wait until it is resumed", func(s store.Scan) bool { return s.Status == store.ScanRunning }},
	{"resume", "Let a paused scan go on where it was", func(s store.Scan) bool { return s.Status == store.ScanPaused }},
	{"cancel", "End a scan; the next begins at its time", func(store.Scan) bool { return true }},
}

func (a *app) steerCommand(s steer) *cobra.Command {
	return &cobra.Command{
		Use:   s.act + " [ID]",
		Short: s.short,
		Long:  s.short + ". The ID may be left out where there is only one that this can be done with.",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.steer(c.Context(), s, strings.Join(args, ""))
		},
	}
}

func (a *app) steer(ctx context.Context, s steer, id string) error {
	show, err := a.newProgress()
	if err != nil {
		return err
	}
	p, end, err := a.opened(ctx, slog.LevelWarn, openStoreToRead)
	if err != nil {
		return err
	}
	defer end()
	scan, err := p.toSteer(ctx, s, id)
	if err != nil {
		return err
	}
	held, err := p.store.HeldPages(ctx, scan.ID)
	if err != nil {
		return err
	}
	if err := p.store.SteerScan(ctx, scan.ID, s.act, actor()); err != nil {
		return p.whyNot(ctx, scan.ID, err)
	}
	if s.act == "pause" {
		if held, err = p.awaitPause(ctx, scan.ID, show); err != nil {
			return err
		}
	}
	if scan, _, err = p.store.Scan(ctx, scan.ID); err != nil {
		return err
	}
	if a.output == "json" {
		return a.json(scanJSON(scan, held))
	}
	fmt.Fprintln(a.stdout, p.steered(scan, held))
	return nil
}

// toSteer finds the scan that is meant.
func (p *parts) toSteer(ctx context.Context, s steer, id string) (store.Scan, error) {
	if id != "" {
		scan, found, err := p.store.Scan(ctx, id)
		if err == nil && !found {
			err = &amend.Error{Code: amend.NotFound, Text: fmt.Sprintf("there is no scan %s", id), Next: "`amend scan list` shows them"}
		}
		return scan, err
	}
	open, err := p.store.OpenScans(ctx)
	if err != nil {
		return store.Scan{}, err
	}
	able := slices.DeleteFunc(slices.Clone(open), func(scan store.Scan) bool { return !s.can(scan) })
	switch {
	case len(able) == 1:
		return able[0], nil
	case len(open) == 0:
		return store.Scan{}, &amend.Error{Code: amend.NotFound, Text: "no scan is under way", Next: "`amend scan` begins one"}
	case len(able) == 0:
		return store.Scan{}, &amend.Error{Code: amend.Conflict, Text: fmt.Sprintf("there is nothing to %s: %s", s.act, named(open)), Next: "`amend scan list` shows them all"}
	}
	return store.Scan{}, &amend.Error{Code: amend.Invalid, Text: fmt.Sprintf("%d scans are under way: %s", len(able), named(able)), Next: fmt.Sprintf("say which: `amend scan %s %s`", s.act, able[0].ID)}
}

// named tells scans from each other.
func named(scans []store.Scan) string {
	all := make([]string, len(scans))
	for i, s := range scans {
		all[i] = fmt.Sprintf("the %s scan %s is %s", s.Kind, s.ID, standing(s, 0))
	}
	return strings.Join(all, ", ")
}

// standing says how a scan is, and by whom.
func standing(s store.Scan, held int) string {
	switch s.Status {
	case store.ScanPaused:
		return pausing(s.ChangedBy, held)
	case store.ScanCancelled:
		return "cancelled by " + s.ChangedBy
	}
	return s.Status
}

// whyNot adds to a refusal of the store who was faster, and what can be done.
func (p *parts) whyNot(ctx context.Context, id string, err error) error {
	if amend.CodeOf(err) != amend.Conflict {
		return err
	}
	scan, _, failed := p.store.Scan(ctx, id)
	if failed != nil {
		return errors.Join(err, failed)
	}
	next := map[string]string{store.ScanPaused: "let it go on with `amend scan resume`", store.ScanRunning: "pause it with `amend scan pause`"}[scan.Status]
	if next == "" {
		next = "`amend scan` begins another"
	}
	return &amend.Error{Code: amend.Conflict, Text: fmt.Sprintf("the %s scan is %s", scan.Kind, standing(scan, 0)), Next: next}
}

// awaitEvery is how often the store is asked whether a scan stands still.
const awaitEvery = 100 * time.Millisecond

// awaitPause waits until nobody looks at a part of a scan any more. Whoever does
// learns of the pause within seconds, and the hold of one that died ends.
func (p *parts) awaitPause(ctx context.Context, id string, show *progress) (held int, err error) {
	ticker := time.NewTicker(awaitEvery)
	defer ticker.Stop()
	for {
		if held, err = p.store.HeldPages(ctx, id); err != nil || held == 0 {
			return held, err
		}
		show.show(pausing("", held), false)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return held, exit{exitInterrupted, fmt.Errorf("interrupted; the scan is paused all the same, and %s still looked at for a moment", plural(held, "part is", "parts are"))}
		}
	}
}

// steered says what has become of a scan, and what comes next.
func (p *parts) steered(s store.Scan, held int) string {
	done := customers(p.cfg.Schema, s.Customers)
	switch s.Status {
	case store.ScanPaused:
		return fmt.Sprintf("The %s scan is %s, after %s. `amend scan resume` lets it go on where it is.", s.Kind, standing(s, held), done)
	case store.ScanRunning:
		return fmt.Sprintf("The %s scan goes on, after %s: with the worker that runs (amend run), or with `amend scan`.", s.Kind, done)
	case store.ScanCancelled:
		last := ""
		if held > 0 {
			last = fmt.Sprintf(" %s still looked at for a few seconds.", plural(held, "part is", "parts are"))
		}
		return fmt.Sprintf("The %s scan is %s, after %s.%s The next begins at its time, or now with `amend scan`.", s.Kind, standing(s, held), done, last)
	}
	return fmt.Sprintf("The %s scan has ended meanwhile: it is %s, with %s.", s.Kind, s.Status, done)
}

func (a *app) scanListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Show the scans under way, the newest ones, and when the next begin",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return a.scanList(c.Context()) },
	}
}

// listed is how many scans of each kind are shown.
const listedScans = 10

func (a *app) scanList(ctx context.Context) error {
	p, end, err := a.opened(ctx, slog.LevelWarn, openStoreToRead)
	if err != nil {
		return err
	}
	defer end()
	next := map[string]time.Time{}
	var scans []store.Scan
	held := map[string]int{}
	for _, kind := range []string{store.FullScan, store.FreshScan} {
		of, err := p.store.ScansOf(ctx, kind, listedScans)
		if err != nil {
			return err
		}
		scans = append(scans, of...)
		if at, err := p.engine.NextScan(ctx, kind); err != nil {
			return err
		} else if !at.IsZero() {
			next[kind] = at.UTC()
		}
	}
	for i := range scans {
		if scans[i].Open() {
			if held[scans[i].ID], err = p.store.HeldPages(ctx, scans[i].ID); err != nil {
				return err
			}
		}
	}
	if a.output == "json" {
		all := []map[string]any{}
		for _, s := range scans {
			all = append(all, scanJSON(s, held[s.ID]))
		}
		return a.json(map[string]any{"scans": all, "next": next})
	}
	a.listText(p, scans, held)
	if service, until, err := p.engine.ScansWait(ctx); err != nil {
		return err
	} else if service != "" {
		fmt.Fprintf(a.stdout, "Scans wait%s.\n", hourOver(service, until))
	}
	for _, kind := range []string{store.FullScan, store.FreshScan} {
		if at, due := next[kind]; due {
			fmt.Fprintf(a.stdout, "The next %s scan begins %s.\n", kind, soon(at, p.store.Now()))
		}
	}
	return nil
}

// soon is a time ahead, both ways; what is past is to be caught up.
func soon(at, now time.Time) string {
	if !at.After(now) {
		return "as soon as a worker runs (amend run)"
	}
	return "at " + when(at)
}

func (a *app) listText(p *parts, scans []store.Scan, held map[string]int) {
	if len(scans) == 0 {
		fmt.Fprintln(a.stdout, "There has been no scan yet; `amend scan` begins one.")
		return
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "SCAN\tKIND\tBEGAN (UTC)\tTOOK\t%s\tCASES\tBY\tSTATUS\n", strings.ToUpper(p.cfg.Schema.Entity.Plural))
	for _, s := range scans {
		end := s.EndedAt
		if s.Open() {
			end = p.store.Now()
		}
		status := standing(s, held[s.ID])
		if s.Error != "" {
			status += ": " + s.Error
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.ID, s.Kind, s.StartedAt.UTC().Format("2 Jan 15:04"), span(end.Sub(s.StartedAt)), number(s.Customers), number(s.Opened), s.StartedBy, status)
	}
	w.Flush() //nolint:errcheck // a terminal that is gone can't be told
	fmt.Fprintln(a.stdout)
}
