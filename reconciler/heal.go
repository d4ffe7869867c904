package reconciler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"amend/connectors"
	"amend/internal/crash"
	"amend/lifecycle"
	"amend/rules"
	"amend/states"
	"amend/store"
)

// turnLimit bounds how many times one heal reads and acts before it lets go: a
// customer that keeps moving waits for its next wake-up.
const turnLimit = 20

// Heal works on one customer, as far as it goes now. Each turn reads every
// service again and ends in one of these ways:
//
//   - coherent, no repair open: the case is healed.
//   - nobody: the customer is gone, the case is closed.
//   - a repair's effect is shown: the next step, or the next state's rule.
//   - a rule may act: intent, one request, outcome, and another turn that
//     reads whether it worked.
//   - not now (settling, backing off, limited, unseen): waiting, always with a
//     time and a reason.
//   - people are asked first: proposed, always with an incident.
//   - no rule acts, or the rule gave up: escalated, always with an incident.
//
// Whoever else holds the case makes Heal return at once. An error leaves the
// case as the last committed write left it, to be looked at again in a minute,
// or when the lease ends.
func (e *Engine) Heal(ctx context.Context, customer string) error {
	e.setDefaults()
	asked := e.clocks()
	lease, claimed, err := e.Store.Claim(ctx, customer, e.LeaseFor)
	if err == nil && !claimed {
		asked = e.clocks()
		lease, claimed, err = e.openFor(ctx, customer)
	}
	if err != nil || !claimed {
		return err
	}
	crash.At(crash.Claimed)
	h := &heal{Engine: e, lease: lease}
	h.holds(lease.Until, asked)
	kept, stop := e.keep(ctx, func(ctx context.Context) error { return h.renew(ctx, lease) })
	err = h.persist(kept)
	crash.At(crash.LetGo)
	lost := errors.Is(err, store.ErrLost) || errors.Is(context.Cause(kept), store.ErrLost)
	stop()
	switch {
	case lost:
		return nil // somebody else goes on
	case ctx.Err() != nil:
		// The process ends: whoever comes next need not wait for the lease.
		return h.letGo(context.WithoutCancel(ctx))
	case err != nil:
		return errors.Join(err, h.stumble(ctx))
	}
	return nil
}

// persist goes on where the store was away for a moment, as long as the lease
// lasts: what was committed before is read again.
func (h *heal) persist(ctx context.Context) error {
	for wait := 100 * time.Millisecond; ; wait *= 2 {
		err := h.guarded(ctx)
		if err == nil || !store.Temporary(err) || ctx.Err() != nil || h.left() <= wait {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		h.known, h.lease.Asked, h.lease.Repairing = known{}, true, true
	}
}

// guarded makes an error of a panic, so that the case is let go.
func (h *heal) guarded(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return h.run(ctx)
}

// stumbleWait is how long a case waits on which amend itself has failed.
const stumbleWait = time.Minute

// stumble lets a case go on which amend itself has failed: the customer's page
// says so, and where it fails twice in a row and no repair is open, a person has
// it. The error is not quoted: it could hold a sensitive value.
func (h *heal) stumble(ctx context.Context) error {
	const reason, why = "failed", "amend failed to work on this customer; its log says why."
	err := h.update(ctx, func(u *store.Update) error {
		again := u.Reason == reason
		if err := h.awake(u); err != nil {
			return err
		}
		if again && !h.lease.Repairing && h.repair.ID == "" && u.Status == lifecycle.Watching {
			return h.escalate(u, reason, why)
		}
		return h.waitIn(u, h.Now().Add(stumbleWait), reason, why)
	})
	if errors.Is(err, store.ErrLost) {
		return nil
	}
	return err
}

func (h *heal) run(ctx context.Context) (err error) {
	if h.lease.Asked { // read under the lease: nobody else can be carrying these out
		if h.requests, err = h.Store.OpenRequests(ctx, h.lease.Customer); err != nil {
			return err
		}
	}
	if err := errors.Join(h.remember(ctx), h.readSamples(ctx)); err != nil {
		return err
	}
	if busy, err := h.stillBusy(ctx); err != nil || busy {
		return err
	}
	h.unread = h.lease.Repairing
	for range turnLimit {
		done, err := h.turn(ctx)
		if err != nil || done {
			return err
		}
	}
	return h.wait(ctx, h.Now().Add(time.Second), "busy", "It kept changing while amend looked.")
}

// stillBusy lets a case go again that waits for other repairs of its rule, which
// it still has to: reading every service to find that out would cost them calls.
func (h *heal) stillBusy(ctx context.Context) (busy bool, err error) {
	c := &h.lease.Case
	rule := h.Rules.Rule(c.Rule)
	limited := slices.Contains([]rules.Reason{rules.AtOnce, rules.PerHour, rules.Canary}, rules.Reason(c.Reason))
	if rule == nil || !limited || c.Status != lifecycle.Waiting || len(h.requests) > 0 || h.lease.Repairing {
		return false, err
	}
	err = h.update(ctx, func(u *store.Update) error {
		load, err := h.load(u, rule)
		if err != nil {
			return err
		}
		d := rules.StillBusy(rules.Facts{Now: h.Now(), Rule: rule, Open: load.Open, LastHour: load.LastHour,
			Proved: load.Proved, Begun: load.Begun, Failed: load.Failed})
		if busy = !d.Go(); !busy {
			return nil
		}
		return h.waitIn(u, d.Until, string(d.Reason), d.Say+".")
	})
	return busy, err
}

// heal is one worker's hold on one case.
type heal struct {
	*Engine
	lease    store.Lease
	ends     atomic.Pointer[leaseEnd] // which moves on while the lease is renewed
	look     states.Look              // of this turn
	letIn    bool                     // an update has let others begin, who needn't wait for the sweep
	answered *store.Step              // how the last call has ended, where that isn't written; nil otherwise
	known
}

// known is what a heal knows of its case beside the case's row.
type known struct {
	requests  []store.Request // what people asked for and nobody has carried out
	repair    store.Repair    // the one that is open, if any
	unread    bool            // there is one that hasn't been read
	plan      rules.Plan
	steps     []store.Step
	ended     string     // who had started the repair that this reading has proved
	unsettled bool       // the newest intent is to send something again of which nobody knows whether it happened
	unproved  store.Call // of what the newest decision asked; the zero value where there is none
}

// leaseEnd is when a lease ends, and when it was asked for.
type leaseEnd struct {
	until time.Time
	asked clocks
}

// clocks are a moment by the engine's clock and by this machine's.
type clocks struct{ engine, machine time.Time }

func (e *Engine) clocks() clocks { return clocks{e.Now(), time.Now()} }

func (h *heal) holds(until time.Time, asked clocks) { h.ends.Store(&leaseEnd{until, asked}) }

func (h *heal) renew(ctx context.Context, lease store.Lease) error {
	asked := h.clocks()
	err := h.Store.Renew(ctx, &lease, h.LeaseFor)
	if err == nil {
		h.holds(lease.Until, asked)
	}
	return err
}

// left is how long a call may take so that it has ended before the lease does. A
// clock that counts stands still while the machine sleeps; that on its wall doesn't.
func (h *heal) left() time.Duration {
	end, now := h.ends.Load(), h.clocks()
	gone := max(now.engine.Round(0).Sub(end.asked.engine.Round(0)), now.machine.Round(0).Sub(end.asked.machine.Round(0)))
	return min(end.until.Sub(now.engine), h.LeaseFor-gone) - leaseMargin
}

// turn reads everything once and takes one decision; true where the case was
// let go.
func (h *heal) turn(ctx context.Context) (bool, error) {
	h.look = h.Look(connectors.WithPriority(ctx, h.priority()), h.lease.Customer)
	crash.At(crash.Looked)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	open, err := h.openRepair(ctx)
	if err != nil {
		return false, err
	}
	if open && h.repair.Status == store.RepairOpen {
		return h.goOn(ctx)
	}
	return h.consider(ctx)
}

// priority is that of the turn's look: one that may prove a repair goes before
// those of heals that may begin one.
func (h *heal) priority() connectors.Priority {
	if h.unread || h.repair.ID != "" {
		return connectors.Repairing
	}
	return connectors.Looking
}

// openRepair finds the case's repair that is open or proposed. What was read or
// written under this lease is what the store holds: nobody else can change it.
func (h *heal) openRepair(ctx context.Context) (bool, error) {
	if !h.unread {
		return h.repair.ID != "", nil
	}
	repair, open, err := h.Store.OpenRepair(ctx, h.lease.CaseID)
	h.unread = false
	if err != nil || !open {
		h.repair, h.plan, h.steps = store.Repair{}, rules.Plan{}, nil
		h.recall()
		return false, err
	}
	h.repair, h.plan = repair, rules.Plan{}
	if err := json.Unmarshal(repair.Plan, &h.plan); err != nil {
		return false, fmt.Errorf("read the plan of %s: %w", repair.ID, err)
	}
	h.steps, err = h.Store.Steps(ctx, repair.ID)
	h.recall()
	return true, err
}

// recall puts an outcome that isn't written into what was read.
func (h *heal) recall() {
	a := h.answered
	if a == nil {
		return
	}
	if a.Number < len(h.steps) {
		if s := &h.steps[a.Number]; s.Repair == a.Repair && s.Sent == a.Sent && s.OutcomeAt.IsZero() && s.ProvedAt.IsZero() {
			*s = *a
			return
		}
	}
	h.answered = nil // nobody knew whether it was written, and it was
}

// consider decides what to do for a customer on whom no repair is under way.
func (h *heal) consider(ctx context.Context) (bool, error) {
	if request, asked := h.asked(); asked {
		return h.carryOut(ctx, request)
	}
	var done bool
	err := h.update(ctx, func(u *store.Update) (err error) {
		done, err = h.decide(u)
		return err
	})
	if err != nil || done {
		return done, err
	}
	// The intent is committed; only now may anything be sent.
	return false, h.send(ctx)
}

// judged reports whether this reading says where the customer is.
func (h *heal) judged() bool {
	return h.look.Verdict.Name != states.Unseen && h.look.Verdict.Name != states.Nobody
}

// unseenWait is how long a case waits for a service that can't be read.
const unseenWait = 10 * time.Second
