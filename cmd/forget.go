package cmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"amend"
	"amend/store"
)

func (a *app) forgetCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "forget ID",
		Short: "Erase all that amend holds of one customer; the audit stays, and speaks of nobody",
		Long: `Erase all that amend holds of one customer: cases, repairs, what was sent, the
timeline, requests, incidents and messages that wait. The audit keeps its entries
under a pseudonym that stands for nobody any more.

It is refused while something is going on for the customer, while something that
was sent may still take effect, and for a day after the last repair, which limits
and brakes count. What services hold, what Slack shows, logs and backups are not
amend's: a customer whom a service still knows is seen again by the next scan.`,
		Args: oneID,
		RunE: func(c *cobra.Command, args []string) error { return a.forget(c.Context(), args[0], yes, c.InOrStdin()) },
	}
	c.Flags().BoolVar(&yes, "yes", false, "erase without asking")
	return c
}

func (a *app) forget(ctx context.Context, pasted string, yes bool, answers io.Reader) error {
	p, end, err := a.opened(ctx, slog.LevelWarn, openStoreToRead)
	if err != nil {
		return err
	}
	defer end()
	id := p.desk.Clean(pasted)
	if !yes {
		if err := a.confirm(id, answers); err != nil {
			return err
		}
	}
	done, err := p.store.Forget(ctx, store.Forgetting{Customer: id, Actor: actor(), Window: p.window})
	if err != nil {
		return err
	}
	if a.output == "json" {
		return a.json(map[string]any{"id": id, "rows": done.Rows, "overwritten": done.Rewritten})
	}
	if done.Rows == 0 {
		fmt.Fprintf(a.stdout, "The store holds nothing of %s.\n", id)
	} else {
		fmt.Fprintf(a.stdout, "Forgot %s: %s erased.\n", id, plural(done.Rows, "row", "rows"))
	}
	if !done.Rewritten {
		fmt.Fprintln(a.stdout, "Their bytes are free and stay in the store's files until others take their place; docs/operations.md says how to be rid of them at once.")
	}
	return nil
}

// confirm has a person type the ID once more. Where nobody sits at a terminal
// nobody can have meant it.
func (a *app) confirm(id string, answers io.Reader) error {
	if !terminal(answers) {
		return &amend.Error{Code: amend.Invalid, Text: "what is erased can't be brought back", Next: "say --yes"}
	}
	fmt.Fprintf(a.stderr, "This erases all that amend holds of %s, for good. Type the ID to go on: ", id)
	answer, err := bufio.NewReader(answers).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	if strings.TrimSpace(answer) != id {
		return amend.Errorf(amend.Invalid, "that is another ID; nothing was erased")
	}
	return nil
}

// window is how long a service knows an operation by its key.
func (p *parts) window(service, operation string) time.Duration {
	if _, s := p.cfg.Schema.Service(service); s != nil {
		if o := s.Operation(operation); o != nil {
			return o.Repeat.Window
		}
	}
	return 0
}
