package cmd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"amend/bank"
	"amend/lifecycle"
	"amend/store"
)

// report is what `amend demo --once` prints. Counts of what was sent come from
// the bank's own ledger.
type report struct {
	Customers    int `json:"customers"`
	Coherent     int `json:"coherent"`     // in truth, at the end
	Inconsistent int `json:"inconsistent"` // planted
	Healed       int `json:"healed"`       // said by amend, and true
	Escalated    int `json:"escalated"`    // with a person, proposals included
	Unseen       int `json:"unseen"`

	RepairsSent   int `json:"repairs_sent"`
	DoubleEffects int `json:"double_effects"`
	WrongSends    int `json:"wrong_sends"`
	SecondKeys    int `json:"second_keys"`
	OutOfOrder    int `json:"out_of_order"`
	FalseHealed   int `json:"false_healed"` // said by amend, and not true
	Lost          int `json:"lost"`         // planted, and neither healed nor with a person

	Messages           int     `json:"messages"` // that Slack would have shown
	ScanSeconds        float64 `json:"scan_seconds"`
	FirstHealedSeconds float64 `json:"first_healed_seconds"`
	Seconds            float64 `json:"seconds"`

	Planted map[string]int        `json:"planted"` // customers by planted state
	Reads   map[string]bank.Reads `json:"reads"`   // that each service received
}

// onceLimit is when a demo that doesn't come to its end gives up.
const onceLimit = 10 * time.Minute

// once works until nothing moves any more, and reports.
func (d *demo) once(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, onceLimit)
	defer cancel()
	show, err := d.a.newProgress()
	if err != nil {
		return err
	}
	d.engine.Progress = show.scan
	planted := d.bank.Planted()
	maps.DeleteFunc(planted, func(id, _ string) bool { return d.bank.Coherent(id) })

	working, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	ends := make(chan error, 1)
	group.Go(func() { ends <- d.engine.Run(working, tells(d.teller)) })
	r := report{Planted: map[string]int{}, Inconsistent: len(planted)}
	for _, state := range planted {
		r.Planted[state]++
	}
	err = d.settle(ctx, show, &r)
	stop()
	group.Wait()
	if err := errors.Join(err, <-ends); err != nil {
		return err
	}
	if err := d.judge(context.WithoutCancel(ctx), &r, planted); err != nil {
		return err
	}
	return d.print(r)
}

// settle scans and heals until a scan finds nothing that isn't with a person.
func (d *demo) settle(ctx context.Context, show *progress, r *report) error {
	for {
		scan, err := d.engine.Scan(ctx, store.FullScan, actor())
		if r.ScanSeconds == 0 {
			r.ScanSeconds = scan.EndedAt.Sub(scan.StartedAt).Seconds()
		}
		if err != nil {
			return err
		}
		if err := d.quiet(ctx, show, r); err != nil {
			return err
		}
		if r.Unseen = scan.Unseen; scan.Opened == 0 && scan.Unseen == 0 {
			return nil
		}
	}
}

// quietEvery is how often the store is asked whether anything still moves.
const quietEvery = 50 * time.Millisecond

// quiet waits until every open case is with a person and all of it is told.
func (d *demo) quiet(ctx context.Context, show *progress, r *report) error {
	ticker := time.NewTicker(quietEvery)
	defer ticker.Stop()
	for {
		t, err := d.counts(ctx)
		if err != nil {
			return err
		}
		if r.FirstHealedSeconds == 0 && t.store.Healed > 0 {
			r.FirstHealedSeconds = now().Sub(d.started).Seconds()
		}
		open := t.store.Open[lifecycle.Watching] + t.store.Open[lifecycle.Healing] + t.store.Open[lifecycle.Waiting]
		if show != nil {
			show.show(t.line(now().Sub(d.started)), false)
		}
		if open == 0 && t.backlog.Waiting == 0 {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%s still open: %w", plural(open, "case is", "cases are"), ctx.Err())
		}
	}
}

// judge compares what amend says of every planted customer with the truth.
func (d *demo) judge(ctx context.Context, r *report, planted map[string]string) error {
	for _, id := range slices.Sorted(maps.Keys(planted)) {
		c, any, err := d.store.LastCase(ctx, id)
		if err != nil {
			return err
		}
		switch {
		case any && c.Status == lifecycle.Healed && d.bank.Coherent(id):
			r.Healed++
		case any && c.Status == lifecycle.Healed:
			r.FalseHealed++
		case any && (c.Status == lifecycle.Escalated || c.Status == lifecycle.Proposed):
			r.Escalated++
		default:
			r.Lost++
		}
	}
	counts := d.bank.Count()
	r.Customers, r.Coherent = counts.Customers, counts.Coherent
	r.RepairsSent, r.DoubleEffects, r.WrongSends, r.SecondKeys, r.OutOfOrder = counts.RepairsSent, counts.DoubleEffects, counts.WrongSends, counts.SecondKeys, counts.OutOfOrder
	r.Reads = counts.Reads
	r.Messages = len(d.slack.Messages())
	r.Seconds = now().Sub(d.started).Seconds()
	return nil
}

func (d *demo) print(r report) error {
	if d.a.output == "json" {
		if err := d.a.json(r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(d.a.stdout, `%s customers, %s of them inconsistent: %s healed, %s with people, in %.1f s.
The first scan took %.1f s, the first customer was healed after %.1f s.
The bank received %s repairs: %d had a double effect, %d were wrong. Slack would have shown %s.
`, number(r.Customers), number(r.Inconsistent), number(r.Healed), number(r.Escalated), r.Seconds, r.ScanSeconds, r.FirstHealedSeconds,
			number(r.RepairsSent), r.DoubleEffects, r.WrongSends, plural(r.Messages, "message", "messages"))
	}
	if r.Healed+r.Escalated != r.Inconsistent || r.DoubleEffects+r.WrongSends+r.SecondKeys+r.FalseHealed > 0 {
		return exit{exitError, fmt.Errorf("%d lost, %d falsely healed, %d double effects, %d wrong sends, %d second keys", r.Lost, r.FalseHealed, r.DoubleEffects, r.WrongSends, r.SecondKeys)}
	}
	return nil
}
