package desk

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"amend"
	"amend/queue"
)

// ObserveLimit is how many customers a service may name at once.
const ObserveLimit = 1000

// observer is the actor of what services ask for.
const observer = "observe"

// Observed is what became of a hint.
type Observed struct {
	Named   int // customers, each counted once
	Asked   int // of them, to be looked at now
	Waiting int // of them, were to be looked at already
}

// Unacceptable are texts that can't be IDs, out of a list of which nothing was
// taken.
type Unacceptable struct{ Texts []string }

// Error names the first of them.
func (u *Unacceptable) Error() string {
	shown := make([]string, 0, 3)
	for _, text := range u.Texts[:min(len(u.Texts), cap(shown))] {
		shown = append(shown, fmt.Sprintf("%q", clip(text)))
	}
	more := ""
	if n := len(u.Texts) - len(shown); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("not IDs: %s%s", strings.Join(shown, ", "), more)
}

// Observe takes the hint of a service that these customers may have changed:
// they are looked at soon. It is no more than that, whatever the service knows:
// what is done about them rests on what is read then. Nothing is written where
// one of the IDs can't be one; the error is *Unacceptable then.
func (d *Desk) Observe(ctx context.Context, ids []string) (Observed, error) {
	if len(ids) > ObserveLimit {
		return Observed{}, amend.Errorf(amend.Invalid, "%d IDs are too many at once: %d at most", len(ids), ObserveLimit)
	}
	var bad Unacceptable
	for _, id := range ids {
		if d.Accept(id) != nil {
			bad.Texts = append(bad.Texts, id)
		}
	}
	if len(bad.Texts) > 0 {
		return Observed{}, &bad
	}
	named := slices.Compact(slices.Sorted(slices.Values(ids)))
	asked, err := d.Store.AskLooks(ctx, named, observer)
	if err != nil {
		return Observed{}, err
	}
	if d.Waker != nil && asked > 0 {
		jobs := make([]queue.Job, len(named))
		for i, id := range named {
			jobs[i] = queue.Job{Kind: queue.Heal, Key: id}
		}
		d.Waker.Wake(d.Now(), jobs...)
	}
	return Observed{Named: len(named), Asked: asked, Waiting: len(named) - asked}, nil
}
