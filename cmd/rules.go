package cmd

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"amend/rules"
	"amend/store"
)

func (a *app) rulesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rules",
		Short: "Show what each rule has done, or would have done, and what holds it back",
		Long: `Show each rule with its mode, what this version of it has done, or would have done,
and what holds it back. SENT counts repairs that were begun, VERIFIED those that
reading again has shown, RELAPSED those of them that did not last a week.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.rules(c.Context()) },
	}
}

// ruleRow is one rule and what is known of its version.
type ruleRow struct {
	rule     *rules.Rule
	evidence store.Evidence
	held     string // what holds it back; empty where nothing does
}

func (a *app) rules(ctx context.Context) error {
	p, end, err := a.opened(ctx, slog.LevelWarn, openStoreToRead)
	if err != nil {
		return err
	}
	defer end()
	all, err := p.ruleRows(ctx)
	if err != nil {
		return err
	}
	if a.output == "json" {
		found := make([]map[string]any, len(all))
		for i, s := range all {
			found[i] = s.json()
		}
		return a.json(found)
	}
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RULE\tMODE\tFROM\tOBSERVED\tPROPOSED\tAGREED\tREFUSED\tSENT\tVERIFIED\tFAILED\tRELAPSED\tHELD BACK")
	for _, s := range all {
		e := &s.evidence
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", s.rule.Name, s.rule.Mode, strings.Join(s.rule.From, ", "),
			e.Observed, e.Proposed, e.Agreed, e.Refused, e.Sent, e.Verified, e.Failed, e.Relapsed, s.held)
	}
	return table.Flush()
}

// ruleRows says of each rule in its order what is known of it.
func (p *parts) ruleRows(ctx context.Context) ([]ruleRow, error) {
	evidence, err := p.store.Evidence(ctx)
	if err != nil {
		return nil, err
	}
	pauses, err := p.store.Pauses(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]ruleRow, len(p.engine.Rules.Rules))
	for i := range all {
		rule := &p.engine.Rules.Rules[i]
		all[i].rule = rule
		at := slices.IndexFunc(evidence, func(e store.Evidence) bool { return e.Rule == rule.Name && e.Version == rule.Version })
		if at >= 0 {
			all[i].evidence = evidence[at]
		}
		all[i].held = held(rule, &all[i].evidence, pauses)
	}
	return all, nil
}

// held says what holds a rule back, if anything: a pause, or that its version is
// new.
func held(rule *rules.Rule, e *store.Evidence, pauses []store.Pause) string {
	for _, p := range pauses {
		switch {
		case p.Scope == store.PauseAll:
			return "all repairs are paused by " + p.By
		case p.Scope == store.PauseRule && slices.Contains(rule.Names(), p.Target) && p.Brake != "":
			return "stopped by amend: " + p.Why
		case p.Scope == store.PauseRule && slices.Contains(rule.Names(), p.Target):
			return fmt.Sprintf("paused by %s: %s", p.By, p.Why)
		}
	}
	if rule.Mode == rules.Auto && e.Verified < rules.CanarySize {
		return fmt.Sprintf("new: %d of its first %d are verified", e.Verified, rules.CanarySize)
	}
	return ""
}

func (s *ruleRow) json() map[string]any {
	e := &s.evidence
	return map[string]any{"rule": s.rule.Name, "version": s.rule.Version, "mode": s.rule.Mode, "from": s.rule.From, "observed": e.Observed, "proposed": e.Proposed,
		"agreed": e.Agreed, "refused": e.Refused, "sent": e.Sent, "verified": e.Verified, "failed": e.Failed, "left": e.Left, "relapsed": e.Relapsed, "held_back": s.held}
}
