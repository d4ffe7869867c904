package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"amend/bank"
	"amend/desk"
	"amend/store"
)

const (
	// thinkingOver is the longest that a person looks at a page before the click.
	thinkingOver = 20 * time.Second
	// knowing is how long after a sending a person can tell for sure whether it
	// happened: nothing of it can still be on its way.
	knowing = 2 * time.Minute
)

// visit has a person open a customer's page and, after a while, click on what it
// offers: say whether a step happened, agree to a proposal or refuse it, or start
// a rule. They click twice. Whatever has changed since the page was shown has to
// be noticed.
func (r *run) visit(e Event) {
	w := r.worker
	if w == nil {
		return // there is no page to open
	}
	name, other := "kim", "lou"
	if e.N%2 == 1 {
		name, other = other, name
	}
	v := &visitor{worker: w, event: e, name: name, other: other, id: fmt.Sprintf("visit-%d-%d", e.At, e.N),
		desk: &desk.Desk{Schema: w.first.Schema, Rules: w.first.Rules, Store: r.people, Reader: w.first, Now: r.clock.now}}
	customer := r.needy(e.N)
	r.visits.Go(func() { v.visit(customer) })
}

// needy is a customer, rather one who isn't in order.
func (r *run) needy(n int) string {
	all := r.customers()
	for i := range all {
		if candidate := all[(n+i)%len(all)]; !r.bank.Coherent(candidate) {
			return candidate
		}
	}
	return all[n%len(all)]
}

// visitor is a person at a page of one worker. When it dies so does the page.
type visitor struct {
	worker      *worker
	event       Event
	desk        *desk.Desk
	name, other string
	id          string
}

func (v *visitor) visit(customer string) {
	ctx := acting(v.worker.context, v.id)
	sheet, err := v.desk.Customer(ctx, customer)
	if err != nil {
		return // it says why, and they leave
	}
	select {
	case <-time.After(v.event.For):
	case <-ctx.Done():
		return
	}
	for range 2 {
		if v.worker.turn(ctx, "click") != nil {
			return
		}
		said, err := v.click(ctx, customer, sheet)
		if said != "" {
			v.worker.line("%s of %s: %s", said, customer, outcome(err))
		}
	}
}

func outcome(err error) string {
	if err == nil {
		return "noted"
	}
	return err.Error()
}

// click does the first thing that the page has shown a button for.
func (v *visitor) click(ctx context.Context, customer string, sheet *desk.Sheet) (said string, err error) {
	const reason = "a rehearsal"
	switch q, p := sheet.Question, sheet.Proposal; {
	case q != nil && time.Since(q.Step.SentAt) < knowing:
		return "", nil
	case q != nil:
		happened := v.worker.happened(customer, q.Step)
		return fmt.Sprintf("%s says %t", v.name, happened), v.desk.Answer(ctx, desk.Answer{Request: v.id, Customer: customer, Fingerprint: q.Fingerprint, Actor: v.name, Reason: reason, Happened: happened})
	case p != nil:
		agrees := v.event.N%3 > 0
		err = v.desk.Approve(ctx, desk.Agreement{Request: v.id, Customer: customer, Repair: p.Repair.ID, Fingerprint: p.Fingerprint, Actor: v.name, Reason: reason, Agrees: agrees})
		if errors.Is(err, store.ErrOwn) { // they have started it themselves
			err = v.desk.Approve(ctx, desk.Agreement{Request: v.id, Customer: customer, Repair: p.Repair.ID, Fingerprint: p.Fingerprint, Actor: v.other, Reason: reason, Agrees: agrees})
		}
		return fmt.Sprintf("%s agrees (%t)", v.name, agrees), err
	}
	for _, o := range sheet.Options {
		if o.Why == "" {
			return v.name + " starts " + o.Rule.Name, v.desk.Start(ctx, desk.Start{Request: v.id, Customer: customer, Rule: o.Rule.Name, Fingerprint: o.Fingerprint, Actor: v.name, Reason: reason})
		}
	}
	return "", nil
}

// happened reports whether a step has had an effect. Where its operation takes no
// key, any effect of the kind since it was first sent is taken for it.
func (r *run) happened(customer string, step store.Step) bool {
	return slices.ContainsFunc(r.bank.Journal().Of(customer), func(e bank.Entry) bool {
		return e.Effect && e.Service == step.Service && (e.Key == step.Key || e.Key == "" && !e.Time.Before(step.IntentAt))
	})
}
