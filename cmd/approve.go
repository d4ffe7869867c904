package cmd

import (
	"context"
	"errors"
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

func (a *app) approveCommand() *cobra.Command {
	return a.agreementCommand(true, &cobra.Command{
		Use:   "approve CUSTOMER|CASE",
		Short: "Agree to the repair that is proposed for a customer",
		Long: `Agree, in your name, to the repair that is proposed for a customer. It shows what
would be sent; without --reason that is all it does. As soon as enough people have
agreed it is carried out: by a running worker, or without one by this command.`,
	})
}

func (a *app) refuseCommand() *cobra.Command {
	return a.agreementCommand(false, &cobra.Command{
		Use:   "refuse CUSTOMER|CASE",
		Short: "Refuse the repair that is proposed for a customer; a person then has the case",
	})
}

func (a *app) agreementCommand(agrees bool, c *cobra.Command) *cobra.Command {
	var reason string
	c.Args = oneID
	c.RunE = func(c *cobra.Command, args []string) error { return a.agree(c.Context(), args[0], reason, agrees) }
	c.Flags().StringVar(&reason, "reason", "", "why, for the timeline; required")
	return c
}

func (a *app) answerCommand() *cobra.Command {
	var reason string
	var happened, didNot bool
	c := &cobra.Command{
		Use:   "answer CUSTOMER|CASE",
		Short: "Say whether an operation happened of which no reading tells",
		Long: `Say, in your name, whether an operation happened that was sent and of which no
reading tells. If it happened it counts as done by your word. If it did not, its
rule is taken again, in your name.`,
		Args: oneID,
		RunE: func(c *cobra.Command, args []string) error {
			if happened == didNot {
				return errors.New("give one of --happened and --did-not")
			}
			return a.answer(c.Context(), args[0], reason, happened)
		},
	}
	c.Flags().BoolVar(&happened, "happened", false, "it happened")
	c.Flags().BoolVar(&didNot, "did-not", false, "it did not: take its rule again")
	c.Flags().StringVar(&reason, "reason", "", "how you know, for the timeline; required")
	return c
}

// aboutCustomer opens everything for a command that changes something about a
// customer, who may be named by their case, and works on them if nobody else does.
func (a *app) aboutCustomer(ctx context.Context, named string) (p *parts, id string, end func(), err error) {
	p, closed, err := a.opened(ctx, slog.LevelWarn, openStore)
	if err != nil {
		return nil, "", nil, err
	}
	id = p.desk.Clean(named)
	if of, err := p.store.CustomerOf(ctx, id); err != nil {
		closed()
		return nil, "", nil, err
	} else if of != "" {
		id = of
	}
	stop, err := p.workOn(ctx, id)
	if err != nil {
		closed()
		return nil, "", nil, err
	}
	return p, id, func() { stop(); closed() }, nil
}

// said asks for a reason: without one these commands only show what they are
// about.
func said(reason string) error {
	if strings.TrimSpace(reason) == "" {
		return amend.Errorf(amend.Invalid, "nothing was written: say why with --reason, it stands in the customer's timeline")
	}
	return nil
}

func (a *app) agree(ctx context.Context, named, reason string, agrees bool) error {
	p, id, end, err := a.aboutCustomer(ctx, named)
	if err != nil {
		return err
	}
	defer end()
	sheet, err := p.desk.Customer(ctx, id)
	if err != nil {
		return err
	}
	asked := sheet.Proposal
	if asked == nil {
		return &amend.Error{Code: amend.Conflict, Text: "nobody is asked to agree to anything about " + id, Next: "amend lookup " + id + " says how things stand"}
	}
	fmt.Fprintf(a.stderr, "%s for %s, asked of %d, until %s:\n", asked.Repair.Rule, id, asked.Needs, when(asked.Until))
	for _, r := range asked.Requests {
		fmt.Fprintf(a.stderr, "  %s %s %s\n", r.Method, r.URL, r.Body)
	}
	if err := said(reason); err != nil {
		return err
	}
	word := desk.Agreement{Request: p.store.NewID("ask"), Customer: id, Repair: asked.Repair.ID, Fingerprint: asked.Fingerprint, Actor: actor(), Reason: reason, Agrees: agrees}
	if err := p.desk.Approve(ctx, word); err != nil {
		return err
	}
	now, _, err := p.store.Proposal(ctx, asked.Repair.ID)
	if err != nil {
		return err
	}
	if agrees && now.AgreedAt.IsZero() {
		return a.healed(id, sheet.Case.State, fmt.Sprintf("%d of %d have agreed. Others must until %s", now.Agreed, now.Needs, when(now.Until)))
	}
	return a.followApproval(ctx, p, id, asked.Repair.ID)
}

func (a *app) answer(ctx context.Context, named, reason string, happened bool) error {
	p, id, end, err := a.aboutCustomer(ctx, named)
	if err != nil {
		return err
	}
	defer end()
	sheet, err := p.desk.Customer(ctx, id)
	if err != nil {
		return err
	}
	asked := sheet.Question
	if asked == nil {
		return &amend.Error{Code: amend.Conflict, Text: "nothing is asked about " + id, Next: "amend lookup " + id + " says how things stand"}
	}
	fmt.Fprintf(a.stderr, "%s.%s, sent for %s at %s: %s\n", asked.Step.Service, asked.Step.Operation, id, when(asked.Step.SentAt), asked.Step.Outcome)
	for _, c := range asked.Shown {
		fmt.Fprintf(a.stderr, "  %s.%s is %s, and would be %s\n", c.Service, c.Field, c.Before, c.After)
	}
	if err := said(reason); err != nil {
		return err
	}
	word := desk.Answer{Request: p.store.NewID("ask"), Customer: id, Fingerprint: asked.Fingerprint, Actor: actor(), Reason: reason, Happened: happened}
	if err := p.desk.Answer(ctx, word); err != nil {
		return err
	}
	return a.follow(ctx, p, id, word.Request)
}

// followApproval tells what happens to a repair that people have decided about,
// until it has ended or waits for longer than a person would.
func (a *app) followApproval(ctx context.Context, p *parts, id, repair string) error {
	told := now()
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	for {
		if err := a.tellSince(ctx, p, id, &told); err != nil {
			return err
		}
		done, err := a.followedApproval(ctx, p, id, repair)
		if err != nil || done {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (a *app) followedApproval(ctx context.Context, p *parts, id, repair string) (done bool, err error) {
	r, _, err := p.store.Repair(ctx, repair)
	if err != nil {
		return true, err
	}
	c, _, err := p.store.LastCase(ctx, id)
	if err != nil {
		return true, err
	}
	if r.Status == store.RepairProposed && c.Status == lifecycle.Proposed {
		// It is looked at now, or waits for what holds it back.
		if c.Held(now()) || !c.WakeAt.After(now().Add(patience)) {
			return false, nil
		}
		return true, a.healed(id, c.State, c.Next)
	}
	return a.settled(id, c)
}
