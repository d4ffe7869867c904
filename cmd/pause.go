package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"amend"
	"amend/store"
)

// target is what a pause stops, as flags say it.
type target struct{ rule, service, customer string }

func (t *target) flags(c *cobra.Command) {
	c.Flags().StringVar(&t.rule, "rule", "", "only this rule")
	c.Flags().StringVar(&t.service, "service", "", "only what is sent to this service")
	c.Flags().StringVar(&t.customer, "customer", "", "only this customer")
}

func (t *target) scope() (scope, name string, err error) {
	scope = store.PauseAll
	for kind, value := range map[string]string{store.PauseRule: t.rule, store.PauseService: t.service, store.PauseCustomer: t.customer} {
		if value == "" {
			continue
		}
		if scope != store.PauseAll {
			return "", "", errors.New("give one of --rule, --service and --customer")
		}
		scope, name = kind, value
	}
	return scope, name, nil
}

func (a *app) pauseCommand() *cobra.Command {
	var t target
	var why, long string
	c := &cobra.Command{
		Use:   "pause",
		Short: "Stop repairs, at once and on every worker: all of them, or of one rule, service or customer",
		Long: `Stop repairs, at once and on every worker: all of them, or those of one rule, one
service or one customer. Looking, telling and scanning go on. A pause outlives
restarts and new configurations. It ends with amend resume, or after --for.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.pause(c.Context(), &t, why, long) },
	}
	t.flags(c)
	c.Flags().StringVar(&why, "why", "", "the reason, for whoever wonders; required")
	c.Flags().StringVar(&long, "for", "", "end by itself after this time, such as 2h or 3d")
	c.AddCommand(&cobra.Command{
		Use:   "list",
		Short: "Show what is paused",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return a.pauses(c.Context()) },
	})
	return c
}

func (a *app) resumeCommand() *cobra.Command {
	var t target
	c := &cobra.Command{
		Use:   "resume",
		Short: "End a pause; whoever waited for it is looked at now",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return a.resume(c.Context(), &t) },
	}
	t.flags(c)
	return c
}

func (a *app) pause(ctx context.Context, t *target, why, long string) error {
	scope, name, err := t.scope()
	if err != nil {
		return err
	}
	p, end, err := a.opened(ctx, slog.LevelWarn, openStore)
	if err != nil {
		return err
	}
	defer end()
	wish := store.Pause{Scope: scope, Target: p.target(scope, name), Why: why, By: actor()}
	if long != "" {
		d, err := amend.ParseDuration(long)
		if err != nil {
			return fmt.Errorf("--for: %w", err)
		}
		wish.Until = p.store.Now().Add(d)
	}
	set, err := p.desk.Pause(ctx, wish)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%s. Nothing it covers is sent from now on.\n", pauseText(set))
	return nil
}

// target is the one meant, freed of what people paste around an ID.
func (p *parts) target(scope, name string) string {
	if scope == store.PauseCustomer {
		return p.desk.Clean(name)
	}
	return name
}

func (a *app) resume(ctx context.Context, t *target) error {
	scope, name, err := t.scope()
	if err != nil {
		return err
	}
	p, end, err := a.opened(ctx, slog.LevelWarn, openStore)
	if err != nil {
		return err
	}
	defer end()
	err = p.desk.Resume(ctx, scope, p.target(scope, name), actor())
	if amend.CodeOf(err) == amend.NotFound {
		return &amend.Error{Code: amend.NotFound, Text: "nothing is paused there", Next: "amend pause list shows what is"}
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, "Resumed. Whoever waited is looked at now.")
	return nil
}

func (a *app) pauses(ctx context.Context) error {
	p, end, err := a.opened(ctx, slog.LevelWarn, openStoreToRead)
	if err != nil {
		return err
	}
	defer end()
	all, err := p.store.Pauses(ctx)
	if err != nil {
		return err
	}
	if a.output == "json" {
		found := make([]map[string]any, len(all))
		for i, one := range all {
			found[i] = map[string]any{"scope": one.Scope, "target": one.Target, "why": one.Why, "by": one.By, "at": one.At}
			if !one.Until.IsZero() {
				found[i]["until"] = one.Until
			}
		}
		return a.json(found)
	}
	if len(all) == 0 {
		fmt.Fprintln(a.stdout, "Nothing is paused.")
	}
	for _, one := range all {
		fmt.Fprintf(a.stdout, "%s, since %s, by %s\n", pauseText(one), one.At.Format(time.DateTime+" MST"), one.By)
	}
	return nil
}

// pauseText says what is paused, why and until when.
func pauseText(p store.Pause) string {
	what := "All repairs are paused"
	switch p.Scope {
	case store.PauseRule:
		what = "The rule " + p.Target + " is paused"
	case store.PauseService:
		what = "Repairs through " + p.Target + " are paused"
	case store.PauseCustomer:
		what = "Repairs of " + p.Target + " are paused"
	}
	until := "until somebody resumes"
	if !p.Until.IsZero() {
		until = "until " + p.Until.Format(time.DateTime+" MST")
	}
	return fmt.Sprintf("%s (%s) %s", what, p.Why, until)
}
