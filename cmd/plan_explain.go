package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"amend/reconciler"
)

// explain says how a scan would read the services.
func (a *app) explain(ctx context.Context) error {
	p, end, err := a.opened(ctx, slog.LevelWarn, openStoreToRead)
	if err != nil {
		return err
	}
	defer end()
	x, err := p.engine.Explain(ctx)
	if err != nil {
		return err
	}
	changes, err := p.engine.Changes(ctx)
	if err != nil {
		return err
	}
	if a.output == "json" {
		if err := a.json(explainJSON(x, changes)); err != nil {
			return err
		}
	} else {
		explainText(a.stdout, x, changes)
	}
	for _, r := range x.Full.Readings {
		if r.Problem != "" {
			return exit{exitPartial, errors.New("not every list could be read")}
		}
	}
	return nil
}

// readingJSON is how a service is read, for scripts.
type readingJSON struct {
	Service string  `json:"service"`
	Source  bool    `json:"source"`
	Way     string  `json:"way"` // list, whole list, batches, single reads
	Why     string  `json:"why"`
	Instead string  `json:"instead,omitempty"` // where its list can't be merged
	Asks    bool    `json:"asks_again"`
	PerCall int     `json:"customers_per_call,omitempty"`
	Calls   int     `json:"calls,omitempty"`
	AtOnce  int     `json:"at_once"`
	AtLeast float64 `json:"at_least_seconds"`
	Hours   float64 `json:"hours_of_calls,omitempty"` // of what scans may use in an hour
	Problem string  `json:"problem,omitempty"`
	Given   string  `json:"given"` // how it is read for given customers
}

func explainJSON(x reconciler.Explanation, changes []reconciler.Changes) map[string]any {
	services := make([]readingJSON, len(x.Full.Readings))
	for i, r := range x.Full.Readings {
		services[i] = readingJSON{Service: r.Service, Source: r.Source, Way: string(r.Way), Why: r.Why, Instead: string(r.Instead), Asks: r.Asks, PerCall: r.PerCall,
			Calls: r.Calls, AtOnce: r.AtOnce, AtLeast: r.AtLeast.Seconds(), Hours: r.Hours, Problem: r.Problem, Given: string(x.Given.Readings[i].Way)}
	}
	return map[string]any{"customers": x.Full.Customers, "together": x.Full.Together, "part": x.Full.Part, "slowest": x.Full.Readings[x.Full.Slowest].Service, "services": services,
		"changes": changesJSON(changes)}
}

func explainText(w io.Writer, x reconciler.Explanation, changes []reconciler.Changes) {
	full, width := x.Full, 0
	for _, r := range full.Readings {
		width = max(width, len(r.Service))
	}
	fmt.Fprintf(w, "A full scan reads %s, %s together, %s.\n\n", expected(full.Customers), number(full.Together), inParts(full.Part))
	for _, r := range full.Readings {
		fmt.Fprintf(w, "  %-*s  %s: %s\n", width, r.Service, wayText(r), costText(r))
		for _, line := range reasons(r) {
			fmt.Fprintf(w, "  %-*s  %s\n", width, "", line)
		}
	}
	slowest := full.Readings[full.Slowest]
	fmt.Fprintf(w, "\n%s bounds the scan: %s.\n", slowest.Service, costText(slowest))
	for _, r := range full.Readings {
		if tooLong(r, x.Every) {
			fmt.Fprintf(w, "WARNING: a full scan begins every %s, and %s allows no more calls than for one in %s hours.\n", span(x.Every), r.Service, hours(r.Hours))
		}
	}
	fmt.Fprintln(w, againText(full))
	fmt.Fprintf(w, "Given customers are read %s together: %s.\n", number(x.Given.Together), givenText(x.Given))
	changesText(w, changes)
	fmt.Fprintln(w, "Nobody was looked at, and nothing was changed.")
}

func expected(customers int) string {
	if customers == 0 {
		return "all customers (how many is known after the first one)"
	}
	return "about " + number(customers) + " customers"
}

func inParts(part int) string {
	if part == 0 {
		return "all in one part"
	}
	return "in parts of " + number(part)
}

// wayText names how a service is read, with how much a call gives.
func wayText(r reconciler.Reading) string {
	switch {
	case r.Way == reconciler.ByBatch:
		return "batches of " + number(r.PerCall)
	case r.Way == reconciler.BySingle || r.PerCall == 0 || r.Calls == 1:
		return string(r.Way)
	}
	return string(r.Way) + " in pages of " + number(r.PerCall)
}

// costText is what reading a service takes. A list has as many pages as it takes
// only where the service knows every customer.
func costText(r reconciler.Reading) string {
	if r.Calls == 0 {
		return "nobody knows yet how many calls"
	}
	text := plural(r.Calls, "call", "calls")
	switch {
	case r.Calls > 1 && r.AtOnce > 1:
		text += fmt.Sprintf(", %d at once", r.AtOnce)
	case r.Calls > 1:
		text += ", one after another"
	}
	if r.AtLeast > 0 {
		text += fmt.Sprintf(", at least %s by its limit", r.AtLeast.Round(10*time.Millisecond))
	}
	if r.Hours > 0 {
		text += fmt.Sprintf(", needs %s hours of its budget", hours(r.Hours))
	}
	return text
}

// hours writes a number of hours as people say it.
func hours(n float64) string {
	if n < 0.05 {
		return "less than 0.1"
	}
	return strconv.FormatFloat(n, 'f', 1, 64)
}

// tooLong reports whether a full scan that begins by schedule can't have ended
// when the next begins, since there aren't calls enough.
func tooLong(r reconciler.Reading, every time.Duration) bool {
	return every > 0 && r.Hours > every.Hours()
}

// reasons are the sentences about one reading.
func reasons(r reconciler.Reading) []string {
	lines := []string{capital(r.Why) + "."}
	switch {
	case r.Instead != "" && r.Source:
		lines = append(lines, "If the list isn't in key order: "+string(r.Instead)+".")
	case r.Instead != "":
		lines = append(lines, "If the list isn't in key order, or often repeats or leaves out customers: "+string(r.Instead)+".")
	}
	if r.Problem != "" {
		lines = append(lines, "PROBLEM: "+r.Problem+".")
	}
	return lines
}

// againText says what happens to those whom a list or a batch doesn't hold.
func againText(plan reconciler.ReadPlan) string {
	var never []string
	for _, r := range plan.Readings {
		if !r.Asks && r.Way != reconciler.BySingle {
			never = append(never, r.Service)
		}
	}
	text := "Whoever a list or a batch doesn't hold is asked for singly before a case is opened"
	if len(never) > 0 {
		text += "; " + strings.Join(never, ", ") + " can't be asked like that"
	}
	return text + "."
}

// givenText names the services by how they are read.
func givenText(plan reconciler.ReadPlan) string {
	var texts []string
	for _, way := range []reconciler.Way{reconciler.ByBatch, reconciler.BySingle} {
		var names []string
		for _, r := range plan.Readings {
			if r.Way == way {
				names = append(names, r.Service)
			}
		}
		if len(names) > 0 {
			texts = append(texts, strings.Join(names, ", ")+" in "+string(way))
		}
	}
	return strings.Join(texts, "; ")
}

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
