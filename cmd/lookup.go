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
	"amend/states"
)

func (a *app) lookupCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "lookup ID",
		Short: "Show one customer in every service, what is wrong, and what to tell them",
		Args:  oneID,
		RunE:  func(c *cobra.Command, args []string) error { return a.lookup(c.Context(), args[0]) },
	}
}

func (a *app) lookup(ctx context.Context, pasted string) error {
	p, end, err := a.opened(ctx, slog.LevelWarn, openStoreToRead)
	if err != nil {
		return err
	}
	defer end()
	sheet, err := p.desk.Customer(ctx, p.desk.Clean(pasted))
	if err != nil {
		return err
	}
	if a.output == "json" {
		err = a.json(p.sheetJSON(sheet))
	} else {
		a.sheetText(p, sheet)
	}
	if err == nil && sheet.Look.Verdict.Name == states.Unseen {
		return exit{exitPartial, nil}
	}
	return err
}

// sheetText is a customer's page for a terminal.
func (a *app) sheetText(p *parts, sheet *desk.Sheet) {
	verdict := sheet.Look.Verdict
	word := "not in order"
	if sheet.Coherent {
		word = "in order"
	}
	fmt.Fprintf(a.stdout, "%s is %s (%s)\n", sheet.Look.View.ID, verdict.Name, word)
	if state := verdict.State; state != nil {
		a.line("What it means", state.About)
		a.line("Tell them", sheet.Look.Tell())
		if state.Promise > 0 && !sheet.Coherent {
			a.line("By when", when(sheet.Since.Add(state.Promise)))
		}
	}
	for _, i := range verdict.Needs {
		a.line("Not judged", p.cfg.Schema.Services[i].Name+" could not be read: "+sheet.Look.View.Records[i].Reason)
	}
	if verdict.Err != nil {
		a.line("Not judged", verdict.Err.Error())
	}
	if sheet.Open() {
		a.line("Case", fmt.Sprintf("%s: %s %s", sheet.Case.Status, sheet.Case.Why, sheet.Case.Next))
	}
	fmt.Fprintln(a.stdout)
	for i := range p.cfg.Schema.Services {
		a.recordText(&p.cfg.Schema.Services[i], &sheet.Look.View.Records[i])
	}
	fmt.Fprintln(a.stdout)
	for _, o := range sheet.Options {
		if o.Why != "" {
			fmt.Fprintf(a.stdout, "  %s is not possible now: %s\n", o.Rule.Name, o.Why)
			continue
		}
		fmt.Fprintf(a.stdout, "  %s (%s): %s\n", o.Rule.Name, o.Rule.Mode, changes(o.Changes))
	}
}

func (a *app) line(label, text string) {
	if text != "" {
		fmt.Fprintf(a.stdout, "  %-14s %s\n", label, text)
	}
}

func (a *app) recordText(service *amend.Service, record *amend.Record) {
	fmt.Fprintf(a.stdout, "  %-12s", service.Name)
	switch record.Presence {
	case amend.Absent:
		fmt.Fprintln(a.stdout, "absent")
	case amend.Unseen:
		fmt.Fprintf(a.stdout, "could not be read: %s (%s)\n", record.Reason, record.Cause)
	case amend.Present:
		var fields []string
		for i := range service.Fields {
			fields = append(fields, service.Fields[i].Name+" "+desk.Show(&service.Fields[i], record.Value(i)))
		}
		fmt.Fprintln(a.stdout, strings.Join(fields, ", "))
	}
}

func changes(all []desk.Change) string {
	var parts []string
	for _, c := range all {
		parts = append(parts, fmt.Sprintf("%s.%s %s → %s", c.Service, c.Field, c.Before, c.After))
	}
	return strings.Join(parts, ", ")
}

// when writes a time both ways: at 16:30 UTC, in 1h58m.
func when(at time.Time) string {
	left := at.Sub(now()).Round(time.Minute)
	format := "15:04 MST"
	if left > 20*time.Hour || left < -20*time.Hour {
		format = "2 Jan 15:04 MST"
	}
	text := at.UTC().Format(format)
	span := strings.TrimSuffix(left.Abs().String(), "0s")
	if left < 0 {
		return fmt.Sprintf("%s, overdue by %s", text, span)
	}
	return fmt.Sprintf("%s, in %s", text, span)
}

// sheetJSON is a customer for scripts; sensitive values are hidden there too.
func (p *parts) sheetJSON(sheet *desk.Sheet) map[string]any {
	services := map[string]any{}
	for i := range p.cfg.Schema.Services {
		service, record := &p.cfg.Schema.Services[i], &sheet.Look.View.Records[i]
		one := map[string]any{"presence": record.Presence.String(), "read_at": record.ReadAt.UTC()}
		if record.Presence == amend.Unseen {
			one["cause"], one["reason"] = record.Cause.String(), record.Reason
		}
		fields := map[string]any{}
		for f := range service.Fields {
			if v := record.Value(f); service.Fields[f].Sensitive && !v.IsNull() {
				fields[service.Fields[f].Name] = desk.Hidden
			} else {
				fields[service.Fields[f].Name] = v.Plain()
			}
		}
		one["fields"] = fields
		services[service.Name] = one
	}
	result := map[string]any{"id": sheet.Look.View.ID, "state": sheet.Look.Verdict.Name, "coherent": sheet.Coherent, "tell": sheet.Look.Tell(), "services": services}
	if state := sheet.Look.Verdict.State; state != nil && state.Promise > 0 && !sheet.Coherent {
		result["due"] = sheet.Since.Add(state.Promise).UTC()
	}
	if sheet.Case != nil {
		result["case"] = map[string]any{"id": sheet.Case.ID, "status": sheet.Case.Status, "state": sheet.Case.State, "why": sheet.Case.Why, "next": sheet.Case.Next,
			"opened_at": sheet.Case.OpenedAt, "attempts": sheet.Case.Attempts}
	}
	var options []map[string]any
	for _, o := range sheet.Options {
		options = append(options, map[string]any{"rule": o.Rule.Name, "mode": o.Rule.Mode, "not_possible": o.Why})
	}
	result["rules"] = options
	return result
}
