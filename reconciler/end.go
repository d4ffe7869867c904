package reconciler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"amend/internal/crash"
	"amend/lifecycle"
	"amend/queue"
	"amend/rules"
	"amend/states"
	"amend/store"
)

// update writes to the case, and wakes the customer where the case asks for
// another look.
func (h *heal) update(ctx context.Context, change func(*store.Update) error) error {
	var wake time.Time
	before := h.known
	before.steps, before.requests = slices.Clone(h.steps), slices.Clone(h.requests)
	err := h.Store.Update(ctx, h.lease, func(u *store.Update) error {
		// The store may have to call this again.
		h.known, h.letIn = before, false
		h.steps, h.requests = slices.Clone(before.steps), slices.Clone(before.requests)
		if err := h.outcome(u); err != nil {
			return err
		}
		if err := h.awake(u); err != nil {
			return err
		}
		if err := change(u); err != nil {
			return err
		}
		wake = time.Time{}
		if u.Released() {
			wake = u.WakeAt
		}
		return nil
	})
	crash.At(crash.CaseCommitted)
	if err == nil {
		h.answered = nil
	} else {
		h.known = before // nothing of what was decided is written
	}
	if err == nil && !wake.IsZero() {
		h.Queue.Wake(wake, queue.Job{Kind: queue.Heal, Key: h.lease.Customer})
	}
	if err == nil && h.letIn {
		h.letIn = false
		h.sweep(ctx)
	}
	return err
}

// awake takes a waiting case up again: whatever happens to it next, its time
// has come.
func (h *heal) awake(u *store.Update) error {
	switch {
	case u.Status != lifecycle.Waiting:
		return nil
	case h.repair.Status == store.RepairOpen:
		return u.Fire(lifecycle.Resume)
	}
	return u.Fire(lifecycle.Look)
}

// wait lets the case go until a time.
func (h *heal) wait(ctx context.Context, until time.Time, reason, why string) error {
	return h.update(ctx, func(u *store.Update) error { return h.waitIn(u, until, reason, why) })
}

// waitIn makes the case wait, within an update. A case that people have stays
// theirs. The timeline tells a reason once, not at every look.
func (h *heal) waitIn(u *store.Update, until time.Time, reason, why string) error {
	if until.IsZero() {
		return fmt.Errorf("a case can't wait without a time: %s", why)
	}
	if err := h.answer(u, why); err != nil {
		return err
	}
	if u.Status == lifecycle.Escalated || u.Status == lifecycle.Proposed {
		u.Release(until)
		return nil
	}
	if err := u.Fire(lifecycle.Wait); err != nil {
		return err
	}
	if u.Reason != reason {
		u.Note("waiting", "amend", why)
	}
	u.Reason, u.Why, u.Next = reason, why, "amend looks again."
	u.Release(until)
	return nil
}

// answer ends what people asked for when the case is let go: a look was taken,
// and a rule that could not be started until now is not started later, when
// nobody thinks of it any more.
func (h *heal) answer(u *store.Update, why string) error {
	for _, q := range h.requests {
		result := "looked: " + h.look.Verdict.Name
		if q.Kind != store.AskLook || h.look.View == nil {
			result = "refused: " + why
		}
		if err := u.Take(q.ID, result); err != nil {
			return err
		}
	}
	h.requests = nil
	return nil
}

// letGo gives the case back as it is, to be looked at again at once. What its
// last call has brought is written.
func (h *heal) letGo(ctx context.Context) error {
	err := h.Store.Update(ctx, h.lease, func(u *store.Update) error {
		u.Release(h.Now())
		return h.outcome(u)
	})
	if errors.Is(err, store.ErrLost) {
		return nil
	}
	return err
}

// escalate calls a person. The incident and its message are part of the same
// transaction.
func (h *heal) escalate(u *store.Update, reason, why string) error {
	if err := h.answer(u, why); err != nil {
		return err
	}
	if err := u.Fire(lifecycle.Escalate); err != nil {
		return err
	}
	u.Reason, u.Why, u.Next = reason, why, "It waits for a person."
	if reason == "unsettled" {
		u.Next = "A person has to say whether it happened."
	}
	if err := h.incident(u); err != nil {
		return err
	}
	u.Release(time.Time{})
	crash.At(crash.EscalationWritten)
	u.Note("escalated", "amend", why)
	return nil
}

// agreeWithin is how long people can agree to a repair in a state that promises
// nothing: what nobody decides in a day is no longer asked, but told.
const agreeWithin = 24 * time.Hour

// propose writes a repair down and asks people: in whose name, and why, stands
// in by.
func (h *heal) propose(u *store.Update, rule *rules.Rule, plan rules.Plan, by store.Repair) error {
	if err := h.answer(u, "people are asked about another repair."); err != nil {
		return err
	}
	if err := u.Fire(lifecycle.Propose); err != nil {
		return err
	}
	open := agreeWithin
	if state := h.look.Verdict.State; state != nil && state.Promise > 0 {
		open = state.Promise
	}
	until := u.Now().Add(open)
	basis, err := json.Marshal(rules.NewBasis(h.look, rule, plan))
	if err != nil {
		return fmt.Errorf("write what the repair rests on: %w", err)
	}
	if by, err = h.planned(rule, plan, by); err != nil {
		return err
	}
	if _, err := u.Propose(by, store.Proposal{Fingerprint: rules.Fingerprint(h.look, rule, plan), Basis: basis, Needs: rule.Approvers, Until: until}); err != nil {
		return err
	}
	u.Rule, u.Reason = rule.Name, "approval"
	u.Why = fmt.Sprintf("%s would call %s; people must agree first.", rule.Name, operations(plan))
	u.Next = fmt.Sprintf("%s must agree until %s.", people(rule.Approvers, by.StartedBy), until.UTC().Format("2 Jan 15:04 MST"))
	if err := h.incident(u); err != nil {
		return err
	}
	u.Release(until)
	crash.At(crash.ProposalWritten)
	u.Note("proposed", by.StartedBy, u.Why)
	return nil
}

// people are those who must agree: nobody agrees to what they started.
func people(n int, startedBy string) string {
	text := fmt.Sprintf("%d people", n)
	if n == 1 {
		text = "One person"
	}
	if startedBy != store.Amend {
		text += " other than " + startedBy
	}
	return text
}

func operations(plan rules.Plan) string {
	var all []string
	for _, s := range plan.Steps {
		all = append(all, s.Service+"."+s.Operation)
	}
	return strings.Join(all, ", ")
}

// incident opens the case's incident.
func (h *heal) incident(u *store.Update) error {
	incident := store.Incident{CaseID: u.ID, Customer: u.Customer, Cause: "case/" + u.ID, Severity: "normal", State: u.State, Rule: u.Rule,
		Why: u.Why, Next: u.Next, Since: u.Since, DueAt: u.DueAt}
	if rule := h.Rules.Rule(u.Rule); rule != nil {
		incident.RuleVersion = rule.Version
	}
	if u.Attempts > 0 {
		incident.Tried = fmt.Sprintf("%s, %d times", u.Rule, u.Attempts)
	}
	if state := h.look.Verdict.State; state != nil {
		incident.Severity, incident.About, incident.Target = string(state.Severity), state.About, state.Escalate.To
		incident.Tell = h.look.Tell()
	}
	opened, err := u.Escalate(incident)
	u.Incident = opened.ID
	return err
}

// close ends a case whose customer is gone.
func (h *heal) close(u *store.Update, reason, why string) error {
	if err := u.Fire(lifecycle.Close); err != nil {
		return err
	}
	return h.end(u, store.EndedByItself, reason, why)
}

// end writes the end of a case: its incident is resolved, and what people
// asked for has become moot.
func (h *heal) end(u *store.Update, by, reason, why string) error {
	crash.At(crash.CaseEnding)
	u.Reason, u.Why, u.Next, u.State = reason, why, "Nothing.", h.look.Verdict.Name
	if h.repair.Status == store.RepairProposed {
		if err := h.endRepair(u, store.RepairVoid); err != nil {
			return err
		}
	}
	for _, q := range h.requests {
		if err := u.Take(q.ID, why); err != nil {
			return err
		}
	}
	if u.Incident != "" {
		outcome := "healed"
		if u.Status == lifecycle.Closed {
			outcome = "closed"
		}
		if err := u.Resolve(u.Incident, outcome); err != nil {
			return err
		}
	}
	u.End(by)
	u.Note(string(u.Status), "amend", why)
	return nil
}

// noState says why no state fits, without the error itself: it could quote a
// sensitive value, and this is kept.
func noState(v states.Verdict) string {
	if v.At == "" {
		return "No state fits: every condition is false."
	}
	return fmt.Sprintf("No state fits: the condition of %s can't be evaluated for this customer.", v.At)
}

// short writes a duration as people do: 5m, 2h, 3d.
func short(d time.Duration) string {
	if day := 24 * time.Hour; d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}
