package cmd

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"amend"
	"amend/store"
)

func (a *app) auditCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "audit",
		Short: "Show what was sent and what people did, and whether anybody has changed that",
	}
	c.AddCommand(a.auditListCommand(), a.auditVerifyCommand())
	return c
}

// auditOptions say which entries are listed.
type auditOptions struct {
	customer string
	since    string
	limit    int
}

func (a *app) auditListCommand() *cobra.Command {
	var o auditOptions
	c := &cobra.Command{
		Use:   "list",
		Short: "List entries of the audit, the newest first",
		Long: `List entries of the audit, the newest first. It speaks of customers by
pseudonyms; --customer finds those of one, until the customer is forgotten. With
--output json every column is there.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.auditList(c.Context(), o) },
	}
	c.Flags().StringVar(&o.customer, "customer", "", "only about this customer")
	c.Flags().StringVar(&o.since, "since", "", "only of this last time, such as 2h or 30d")
	c.Flags().IntVar(&o.limit, "limit", 100, "at most so many")
	return c
}

func (a *app) auditList(ctx context.Context, o auditOptions) error {
	if o.limit < 1 {
		return fmt.Errorf("--limit %d: at least 1 belongs there", o.limit)
	}
	p, end, err := a.opened(ctx, slog.LevelWarn, openStoreToRead)
	if err != nil {
		return err
	}
	defer end()
	f := store.AuditFilter{Customer: p.desk.Clean(o.customer), Limit: o.limit}
	if o.since != "" {
		d, err := amend.ParseDuration(o.since)
		if err != nil {
			return fmt.Errorf("--since: %w", err)
		}
		f.Since = p.store.Now().Add(-d)
	}
	entries, err := p.store.Audit(ctx, f)
	if err != nil {
		return err
	}
	if a.output == "json" {
		all := make([]map[string]any, 0, len(entries))
		for _, e := range entries {
			all = append(all, entryJSON(e))
		}
		return a.json(all)
	}
	return a.entriesText(entries)
}

func entryJSON(e store.AuditEntry) map[string]any {
	return map[string]any{"id": e.ID, "at": e.At, "actor": e.Actor, "act": e.Act, "what": e.What, "result": e.Result, "subject": e.Subject, "case": e.CaseID,
		"repair": e.Repair, "step": e.Step, "key": e.Key, "rule": e.Rule, "rule_version": e.RuleVersion, "plan": e.Plan, "bytes": e.Bytes, "reason": e.Reason}
}

func (a *app) entriesText(entries []store.AuditEntry) error {
	if len(entries) == 0 {
		fmt.Fprintln(a.stdout, "No such entry.")
		return nil
	}
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "AT (UTC)\tACTOR\tACT\tWHAT\tSUBJECT\tREPAIR")
	for _, e := range entries {
		what := strings.Join(strings.Fields(e.What+" "+e.Rule+" "+e.Result), " ")
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", e.At.Format(time.DateTime), e.Actor, e.Act, what, e.Subject, e.Repair)
	}
	return table.Flush()
}

func (a *app) auditVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Check that nobody has changed the audit",
		Long: `Check that nobody has changed the audit: that every link of its chain follows from
the one before and from its entry, that every entry has its link, and that the
chain holds what the checkpoints outside of the store have signed. Where the
oldest entries were cut off (store.keep.audit), it says from which one on the audit
is whole, and asks for the cut that amend has signed. It changes nothing. Exit code
1 says that something is wrong, or that there is no checkpoint to show it.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.auditVerify(c.Context()) },
	}
}

func (a *app) auditVerify(ctx context.Context) error {
	p, end, err := a.opened(ctx, slog.LevelWarn, openStoreToRead)
	if err != nil {
		return err
	}
	defer end()
	v, err := p.store.VerifyAudit(ctx)
	if err != nil {
		return err
	}
	if a.output == "json" {
		err = a.json(verificationJSON(v))
	} else {
		a.verificationText(v)
	}
	if err == nil && !v.Intact() {
		return exit{exitError, nil}
	}
	return err
}

func verificationJSON(v store.Verification) map[string]any {
	problems := make([]map[string]any, 0, len(v.Problems))
	for _, p := range v.Problems {
		one := map[string]any{"text": p.Text, "link": p.Link, "entry": p.Entry}
		if !p.At.IsZero() {
			one["at"] = p.At
		}
		problems = append(problems, one)
	}
	all := map[string]any{"intact": v.Intact(), "links": v.Links, "waiting": v.Waiting, "checkpoints": v.Checkpoints, "folder": v.Folder, "key": v.Key, "problems": problems}
	if v.Links > 0 {
		all["first"] = map[string]any{"link": v.First, "at": v.Since}
	}
	if v.Cut.Links > 0 {
		all["cut"] = map[string]any{"links": v.Cut.Links, "gone": v.Gone, "head": v.Cut.Head, "at": v.Cut.At, "keep": age(v.Cut.Keep)}
	}
	if v.Checkpoints > 0 {
		all["signed"] = map[string]any{"links": v.Newest.Links, "head": v.Newest.Head, "at": v.Newest.At}
	}
	return all
}

func (a *app) verificationText(v store.Verification) {
	if !v.Intact() {
		fmt.Fprintf(a.stdout, "The audit is not as it should be: %s.\n\n", plural(len(v.Problems), "problem", "problems"))
		for _, p := range v.Problems {
			fmt.Fprintf(a.stdout, "  %s\n", p.Text)
		}
		fmt.Fprintln(a.stdout)
	} else {
		fmt.Fprintln(a.stdout, "The audit is intact.")
	}
	a.line("Chain", fmt.Sprintf("%s, %s not linked yet", plural(int(v.Links), "entry", "entries"), number(int(v.Waiting))))
	if v.Links > 0 && v.Intact() {
		a.line("Whole from", fmt.Sprintf("entry %s, of %s", number(int(v.First)), v.Since.Format(moment)))
	}
	if v.Cut.Links > 0 {
		a.line("Cut off", cutText(v))
	}
	if v.Checkpoints > 0 {
		a.line("Signed", fmt.Sprintf("%s of them, last at %s", number(int(v.Newest.Links)), v.Newest.At.Format(moment)))
		a.line("Checkpoints", fmt.Sprintf("%s in %s", number(v.Checkpoints), v.Folder))
		a.line("Public key", v.Key)
	}
}

const moment = "15:04:05 MST on 2 Jan 2006"

// cutText says what is gone and by which setting. A cut that was signed and not
// carried out goes on: it was interrupted, or the store is a copy from before.
func cutText(v store.Verification) string {
	text := fmt.Sprintf("%s before that, by store.keep.audit: %s, signed at %s", plural(int(v.Gone), "entry", "entries"), age(v.Cut.Keep), v.Cut.At.Format(moment))
	if left := v.Cut.Links - v.Gone; left > 0 {
		text += fmt.Sprintf("; %s more may go", number(int(left)))
	}
	return text
}

// age writes a duration as the configuration has it.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d%(365*day) == 0:
		return fmt.Sprintf("%dy", d/(365*day))
	case d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	}
	return d.String()
}
