package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"amend"
	"amend/reconciler"
	"amend/rules"
	"amend/states"
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
	log := a.logger(slog.LevelWarn)
	show, err := a.newProgress()
	if err != nil {
		return err
	}
	cfg, err := a.load(log)
	if err != nil {
		return err
	}
	s, err := openStore(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer closing(log, "the store", s.Close)
	p := wire(cfg, s, log)
	p.engine.Progress = show.scan
	scan, err := p.engine.Scan(ctx, store.FullScan)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if a.output == "json" {
		if err := a.json(scanJSON(scan)); err != nil {
			return err
		}
	} else {
		a.scanText(cfg.Schema, scan)
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

func (a *app) planCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "plan",
		Short: "Look at all customers and say what would be done; nothing is changed",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return a.plan(c.Context()) },
	}
}

// planned is what plan says of all customers in one state.
type planned struct {
	State     string   `json:"state"`
	Customers int      `json:"customers"`
	Coherent  bool     `json:"coherent"`
	Does      string   `json:"does"` // repair, propose, escalate, nothing
	Rule      string   `json:"rule,omitempty"`
	Request   string   `json:"request,omitempty"` // of the first, as an example
	Why       string   `json:"why,omitempty"`
	IDs       []string `json:"ids,omitempty"`
}

func (a *app) plan(ctx context.Context) error {
	log := a.logger(slog.LevelWarn)
	show, err := a.newProgress()
	if err != nil {
		return err
	}
	cfg, err := a.load(log)
	if err != nil {
		return err
	}
	p := wire(cfg, nil, log)
	started := now()
	groups := map[string]*planned{}
	total, unread := 0, map[string]int{}
	err = p.engine.Survey(ctx, func() func([]reconciler.Found) error {
		clear(groups)
		clear(unread)
		total = 0
		return func(found []reconciler.Found) error {
			for i := range found {
				if found[i].Verdict.Name != states.Nobody {
					total++
					p.planOne(&found[i], groups, unread)
				}
			}
			show.scan(reconciler.Progress{Scan: "plan", Customers: total, Took: now().Sub(started)})
			return nil
		}
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	show.scan(reconciler.Progress{Scan: "plan", Customers: total, Took: now().Sub(started), Done: true})
	ordered := inOrder(cfg.Machine, groups)
	if a.output == "json" {
		if err := a.json(map[string]any{"customers": total, "states": ordered, "unread": unread, "seconds": now().Sub(started).Seconds()}); err != nil {
			return err
		}
	} else {
		a.planText(cfg.Schema, cfg.Rules, ordered, unread, total, now().Sub(started))
	}
	if err != nil {
		return exit{exitPartial, fmt.Errorf("not every customer was seen: %w", err)}
	}
	if len(unread) > 0 {
		return exit{exitPartial, errors.New("some customers could not be judged")}
	}
	return nil
}

// planOne sorts one customer into what would be done.
func (p *parts) planOne(f *reconciler.Found, groups map[string]*planned, unread map[string]int) {
	name := f.Verdict.Name
	overdue := f.Verdict.State != nil && f.Verdict.State.Coherent && !f.Coherent
	if overdue {
		name += " (overdue)"
	}
	g := groups[name]
	if g == nil {
		g = &planned{State: name, Coherent: f.Coherent}
		p.fate(g, f)
		groups[name] = g
	}
	g.Customers++
	if !f.Coherent {
		g.IDs = append(g.IDs, f.Customer)
	}
	for _, i := range f.Verdict.Needs {
		unread[p.cfg.Schema.Services[i].Name]++
	}
}

// fate says what would be done in a state, with its first customer as example.
func (p *parts) fate(g *planned, f *reconciler.Found) {
	scope := p.cfg.Environment.Scope(f.View, now())
	since := f.Since
	if since.IsZero() {
		since = now()
	}
	rule, plan, err := p.engine.Simulate(states.Look{View: f.View, Scope: scope, Verdict: f.Verdict}, since)
	g.Does = "escalate"
	switch {
	case f.Coherent:
		g.Does = "nothing"
		return
	case f.Verdict.Name == states.Unseen:
		g.Does = "nothing"
	case err != nil:
		g.Why = err.Error()
	case rule == nil:
		g.Why = "no rule leads out of it"
	case rule.Mode == rules.Observe:
		g.Rule, g.Why = rule.Name, rule.Name+" only observes"
	default:
		g.Rule, g.Does = rule.Name, "repair"
		if rule.Mode == rules.Approve {
			g.Does = "propose"
		}
		if preview, err := p.engine.Preview(f.View, plan); err != nil {
			g.Why = err.Error()
		} else {
			g.Request = preview[0].Service + " " + preview[0].Method + " " + preview[0].URL
		}
	}
}

// inOrder sorts as the states stand, those in order first.
func inOrder(machine *states.Machine, groups map[string]*planned) []*planned {
	place := func(g *planned) int {
		i := slices.IndexFunc(machine.States, func(s states.State) bool { return s.Name == g.State })
		if i < 0 {
			i = len(machine.States)
		}
		if g.Coherent {
			i -= 1000
		}
		return i
	}
	all := slices.Collect(maps.Values(groups))
	slices.SortFunc(all, func(a, b *planned) int {
		if d := place(a) - place(b); d != 0 {
			return d
		}
		return strings.Compare(a.State, b.State)
	})
	return all
}

func (a *app) planText(schema *amend.Schema, set *rules.Set, groups []*planned, unread map[string]int, total int, took time.Duration) {
	fmt.Fprintf(a.stdout, "Read %s from %s services in %s%s\n\n", customers(schema, total), number(len(schema.Services)), took.Round(10*time.Millisecond), unreadText(unread))
	does := map[string]int{}
	for _, g := range groups {
		does[g.Does] += g.Customers
		a.planLine(g)
	}
	fmt.Fprintf(a.stdout, "\n%s, %s, %s, %s not judged.", plural(does["repair"], "repair", "repairs"), plural(does["propose"], "proposal", "proposals"),
		plural(does["escalate"], "escalation", "escalations"), number(countOf(groups, states.Unseen)))
	for _, g := range groups {
		if rule := set.Rule(g.Rule); rule != nil && g.Does == "repair" && g.Customers > rule.Limits.PerHour {
			fmt.Fprintf(a.stdout, " Limit of %s %d/h: does not fit.", rule.Name, rule.Limits.PerHour)
		}
	}
	fmt.Fprintln(a.stdout, " Nothing was changed.")
}

// shownIDs is how many customers of a state a line names.
const shownIDs = 3

func (a *app) planLine(g *planned) {
	what := map[string]string{"repair": "would be repaired", "propose": "would be proposed to people", "escalate": "would go to a person"}[g.Does]
	switch {
	case g.Coherent:
		fmt.Fprintf(a.stdout, "  %7s  %s\n", number(g.Customers), g.State)
		return
	case g.State == states.Unseen:
		what = "nothing would be done"
	case g.Request != "":
		what += ": " + g.Request
	case g.Why != "":
		what += ": " + g.Why
	}
	fmt.Fprintf(a.stdout, "  %7s  %-22s %s\n", number(g.Customers), g.State, what)
	ids := strings.Join(g.IDs[:min(shownIDs, len(g.IDs))], " ")
	if more := len(g.IDs) - shownIDs; more > 0 {
		ids += fmt.Sprintf(" … %s more (--output json)", number(more))
	}
	fmt.Fprintf(a.stdout, "           %s\n", ids)
}

func unreadText(unread map[string]int) string {
	if len(unread) == 0 {
		return ""
	}
	var parts []string
	for _, service := range slices.Sorted(maps.Keys(unread)) {
		parts = append(parts, fmt.Sprintf("%s could not be read for %s", service, number(unread[service])))
	}
	return " (" + strings.Join(parts, "; ") + ")"
}

func countOf(groups []*planned, state string) int {
	for _, g := range groups {
		if g.State == state {
			return g.Customers
		}
	}
	return 0
}
