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

	"amend/config"
	"amend/connectors"
	"amend/queue"
	"amend/reconciler"
	"amend/rules"
	"amend/states"
)

func (a *app) planCommand() *cobra.Command {
	var explain bool
	c := &cobra.Command{
		Use:   "plan",
		Short: "Look at all customers and say what would be done; nothing is changed",
		Long: `Look at all customers and say what would be done; nothing is changed.

--explain says how a scan would read each service, why, and how many calls that
takes, and looks at nobody: it reads the first page of each list alone.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if explain {
				return a.explain(c.Context())
			}
			return a.plan(c.Context())
		},
	}
	c.Flags().BoolVar(&explain, "explain", false, "say how a scan would read the services, instead of looking at anybody")
	return c
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
	p, end, err := a.planner(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer end()
	s := &survey{parts: p, show: show, started: now()}
	err = p.engine.Survey(ctx, s.begin)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.tell(true)
	if a.output == "json" {
		if err := a.json(map[string]any{"customers": s.total, "states": s.ordered(cfg.Machine), "unread": s.unread, "seconds": now().Sub(s.started).Seconds()}); err != nil {
			return err
		}
	} else {
		if err != nil {
			fmt.Fprintln(a.stdout, "INCOMPLETE: not every customer could be listed.")
		}
		a.planText(p, s)
	}
	if err != nil {
		return exit{exitPartial, fmt.Errorf("not every customer was seen: %w", err)}
	}
	if len(s.unread) > 0 {
		return exit{exitPartial, errors.New("some customers could not be judged")}
	}
	return nil
}

// planner puts together what looks at all customers. It has a store only where a
// service allows so many calls in an hour, which are counted there.
func (a *app) planner(ctx context.Context, cfg *config.Config, log *slog.Logger) (*parts, func(), error) {
	if !slices.ContainsFunc(cfg.Connectors, func(c connectors.Connector) bool { return c.Can().PerHour > 0 }) {
		return a.wire(cfg, nil, queue.NewLocal(now, log), log), func() {}, nil
	}
	s, end, err := openStoreToRead(ctx, cfg, log)
	if err != nil {
		return nil, nil, err
	}
	return a.wire(cfg, s, queue.NewLocal(s.Now, log), log), func() { closing(log, "the store", end) }, nil
}

// survey adds up what would be done for all customers.
type survey struct {
	*parts
	show    *progress
	started time.Time
	total   int
	groups  map[string]*planned
	unread  map[string]int // customers who could not be judged, by the service that is missing
}

// begin starts to count, once more where the survey begins again.
func (s *survey) begin() func([]reconciler.Found) error {
	s.total, s.groups, s.unread = 0, map[string]*planned{}, map[string]int{}
	return func(found []reconciler.Found) error {
		for i := range found {
			if found[i].Verdict.Name != states.Nobody {
				s.total++
				s.add(&found[i])
			}
		}
		s.tell(false)
		return nil
	}
}

func (s *survey) tell(done bool) {
	s.show.scan(reconciler.Progress{Scan: "plan", Customers: s.total, Counted: s.total, Took: now().Sub(s.started), Done: done})
}

// add sorts one customer into what would be done.
func (s *survey) add(f *reconciler.Found) {
	name := f.Verdict.Name
	overdue := f.Verdict.State != nil && f.Verdict.State.Coherent && !f.Coherent
	if overdue {
		name += " (overdue)"
	}
	g := s.groups[name]
	if g == nil {
		g = &planned{State: name, Coherent: f.Coherent}
		s.fate(g, f)
		s.groups[name] = g
	}
	g.Customers++
	if !f.Coherent {
		g.IDs = append(g.IDs, strings.Clone(f.Customer)) // it shares its memory with others, who aren't kept
	}
	for _, i := range f.Verdict.Needs {
		s.unread[s.cfg.Schema.Services[i].Name]++
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

// ordered sorts as the states stand, those in order first.
func (s *survey) ordered(machine *states.Machine) []*planned {
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
	all := slices.Collect(maps.Values(s.groups))
	slices.SortFunc(all, func(a, b *planned) int {
		if d := place(a) - place(b); d != 0 {
			return d
		}
		return strings.Compare(a.State, b.State)
	})
	return all
}

func (a *app) planText(p *parts, s *survey) {
	groups := s.ordered(p.cfg.Machine)
	fmt.Fprintf(a.stdout, "Read %s from %s services in %s%s\n\n", customers(p.cfg.Schema, s.total), number(len(p.cfg.Schema.Services)),
		now().Sub(s.started).Round(10*time.Millisecond), unreadText(s.unread))
	does := map[string]int{}
	for _, g := range groups {
		does[g.Does] += g.Customers
		a.planLine(g)
	}
	fmt.Fprintf(a.stdout, "\n%s, %s, %s, %s not judged.", plural(does["repair"], "repair", "repairs"), plural(does["propose"], "proposal", "proposals"),
		plural(does["escalate"], "escalation", "escalations"), number(countOf(groups, states.Unseen)))
	for _, g := range groups {
		if rule := p.cfg.Rules.Rule(g.Rule); rule != nil && g.Does == "repair" && g.Customers > rule.Limits.PerHour {
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
