package cmd

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"amend"
	"amend/desk"
	"amend/lifecycle"
	"amend/store"
)

func (a *app) healCommand() *cobra.Command {
	var rule, reason string
	c := &cobra.Command{
		Use:   "heal ID",
		Short: "Look at one customer now and repair what the rules allow",
		Long: `Look at one customer now and repair what the rules allow. Beside a running
worker, the worker does it; without one, this command does. --rule takes one
rule that leads out of the customer's state, in your name.`,
		Args: oneID,
		RunE: func(c *cobra.Command, args []string) error { return a.heal(c.Context(), args[0], rule, reason) },
	}
	c.Flags().StringVar(&rule, "rule", "", "take this rule")
	c.Flags().StringVar(&reason, "reason", "", "why, for the timeline; required with --rule")
	return c
}

func (a *app) heal(ctx context.Context, pasted, rule, reason string) error {
	if rule != "" && strings.TrimSpace(reason) == "" {
		return amend.Errorf(amend.Invalid, "say why with --reason: it stands in the customer's timeline")
	}
	p, end, err := a.opened(ctx, slog.LevelWarn, openStore)
	if err != nil {
		return err
	}
	defer end()
	id := p.desk.Clean(pasted)
	stop, err := p.workOn(ctx, id)
	if err != nil {
		return err
	}
	defer stop()
	request, err := p.askHeal(ctx, id, rule, reason)
	if err != nil {
		return err
	}
	return a.follow(ctx, p, id, request)
}

// workOn heals one customer where nobody else works here, for as long as it
// takes: until stop is called.
func (p *parts) workOn(ctx context.Context, id string) (stop func(), err error) {
	if alone := p.store.LockWorker() == nil; !alone {
		return func() {}, nil
	}
	if err := p.engine.Begin(ctx); err != nil {
		return nil, err
	}
	working, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); p.healOnly(working, id) }()
	return func() { cancel(); <-done }, nil
}

// healOnly works on one customer, whenever their time has come, and on nobody
// else.
func (p *parts) healOnly(ctx context.Context, id string) {
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	for {
		due, err := p.due(ctx, id)
		if err == nil && due {
			err = p.engine.Heal(ctx, id)
		}
		if err != nil && ctx.Err() == nil {
			p.log.Error("a heal failed", "customer", id, "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// due reports whether the customer is to be looked at now.
func (p *parts) due(ctx context.Context, id string) (bool, error) {
	asked, err := p.store.OpenRequests(ctx, id)
	if err != nil || len(asked) > 0 {
		return len(asked) > 0, err
	}
	c, open, err := p.store.OpenCase(ctx, id)
	return open && !c.WakeAt.IsZero() && !c.WakeAt.After(now()), err
}

func (p *parts) askHeal(ctx context.Context, id, rule, reason string) (request string, err error) {
	if rule == "" {
		return p.desk.Check(ctx, id, actor())
	}
	if p.cfg.Rules.Rule(rule) == nil {
		var known []string
		for _, r := range p.cfg.Rules.Rules {
			known = append(known, r.Name)
		}
		return "", &amend.Error{Code: amend.NotFound, Text: "there is no rule " + rule, Next: "known are " + strings.Join(known, ", ")}
	}
	sheet, err := p.desk.Customer(ctx, id)
	if err != nil {
		return "", err
	}
	option, err := sheet.Option(rule)
	if err != nil {
		return "", err
	}
	request = p.store.NewID("ask")
	return request, p.desk.Start(ctx, desk.Start{Request: request, Customer: id, Rule: rule, Fingerprint: option.Fingerprint, Actor: actor(), Reason: reason})
}

// followEvery is how often the store is asked how a heal is getting on.
const followEvery = 100 * time.Millisecond

// follow tells what happens to a request and the customer's case, until the
// case ends or waits for something that takes longer than a person would.
func (a *app) follow(ctx context.Context, p *parts, id, request string) error {
	told := now()
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	for {
		if err := a.tellSince(ctx, p, id, &told); err != nil {
			return err
		}
		q, _, err := p.store.Asked(ctx, request)
		if err != nil {
			return err
		}
		if !q.TakenAt.IsZero() {
			done, err := a.followed(ctx, p, id, q)
			if err != nil || done {
				return err
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tellSince prints what is new in the customer's timeline.
func (a *app) tellSince(ctx context.Context, p *parts, id string, told *time.Time) error {
	entries, err := p.store.Timeline(ctx, id, 20)
	if err != nil {
		return err
	}
	for i := len(entries) - 1; i >= 0; i-- {
		if e := entries[i]; e.At.After(*told) {
			*told = e.At
			fmt.Fprintf(a.stderr, "  %s  %s\n", e.At.Format("15:04:05"), e.Text)
		}
	}
	return nil
}

// patience is how long a wait may be for follow to wait with it.
const patience = 15 * time.Second

func (a *app) followed(ctx context.Context, p *parts, id string, q store.Request) (bool, error) {
	c, any, err := p.store.LastCase(ctx, id)
	if err != nil {
		return true, err
	}
	refusal, refused := strings.CutPrefix(q.Result, "refused: ")
	switch {
	case refused && q.Kind != store.AskStart:
		return true, amend.Errorf(amend.Conflict, "the answer was not taken: %s", refusal)
	case refused:
		return true, amend.Errorf(amend.Conflict, "%s was not started: %s", q.Rule, refusal)
	case !any || !c.Open() && c.EndedAt.Before(q.CreatedAt):
		return true, a.healed(id, strings.TrimPrefix(q.Result, "looked: "), "nothing to repair")
	}
	return a.settled(id, c)
}

// settled says how a case stands that has ended, is with people, or waits for
// longer than a person would.
func (a *app) settled(id string, c store.Case) (bool, error) {
	switch {
	case c.Status == lifecycle.Healed || c.Status == lifecycle.Closed:
		return true, a.healed(id, c.State, string(c.Status)+". "+c.Why)
	case c.Status == lifecycle.Escalated || c.Status == lifecycle.Proposed:
		return true, a.healed(id, c.State, string(c.Status)+". "+c.Why+" "+c.Next)
	case c.Status == lifecycle.Waiting && !c.Held(now()) && c.WakeAt.After(now().Add(patience)):
		return true, a.healed(id, c.State, fmt.Sprintf("waiting until %s. %s", when(c.WakeAt), c.Why))
	}
	return false, nil
}

func (a *app) healed(id, state, text string) error {
	if a.output == "json" {
		return a.json(map[string]string{"id": id, "state": state, "result": text})
	}
	fmt.Fprintf(a.stdout, "%s is %s: %s\n", id, state, strings.TrimSuffix(text, ".")+".")
	return nil
}
