package reconciler

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"amend"
	"amend/conditions"
	"amend/connectors"
	"amend/internal/crash"
	"amend/lifecycle"
	"amend/rules"
	"amend/states"
	"amend/store"
)

// goOn takes an open repair further: what was sent is settled by reading.
func (h *heal) goOn(ctx context.Context) (done bool, err error) {
	act := false
	err = h.update(ctx, func(u *store.Update) error {
		act, done, err = h.settle(u)
		if err != nil || act || done || len(h.requests) > 0 {
			return err
		}
		// The reading that showed the effect was made after it: what follows
		// from it can be decided at once.
		done, err = h.decide(u)
		act = !done
		return err
	})
	crash.At(crash.RepairRead)
	if err != nil || done || !act {
		return done, err
	}
	return false, h.send(ctx)
}

// settle decides what this reading says of the open repair. act: an intent was
// written and is to be sent. done: the case was let go. Neither: another turn.
func (h *heal) settle(u *store.Update) (act, done bool, err error) {
	number := slices.IndexFunc(h.steps, func(s store.Step) bool { return s.ProvedAt.IsZero() })
	if number < 0 {
		return h.following(u)
	}
	if err := h.noLater(u, number); err != nil {
		return false, false, err
	}
	step, planned := h.steps[number], h.plan.Steps[number]
	operation := h.operation(planned)
	if operation == nil {
		return false, true, h.giveUp(u, "gone", fmt.Sprintf("%s.%s is no longer declared, and what was sent isn't settled.", step.Service, step.Operation))
	}
	switch h.proved(planned, step, operation) {
	case conditions.True:
		if err := u.Proved(step.Repair, number); err != nil {
			return false, false, err
		}
		h.steps[number].ProvedAt = h.Now()
		return h.following(u)
	case conditions.Undecided, conditions.Erred:
		index, _ := h.Schema.Service(step.Service)
		return false, true, h.waitUnseen(u, []int{index}, fmt.Sprintf("Whether %s.%s worked can't be seen: %s.", step.Service, step.Operation, h.reason(h.look.View, []int{index})))
	case conditions.False:
	}
	if h.look.Verdict.Name == states.Unseen {
		return h.unseen(u)
	}
	return h.notShown(u, step, operation)
}

// operation finds what is declared of a planned step now; nil where a change
// of the configuration has taken it away.
func (h *heal) operation(planned rules.PlannedStep) *amend.Operation {
	_, service := h.Schema.Service(planned.Service)
	if service == nil {
		return nil
	}
	return service.Operation(planned.Operation)
}

// unseen has an open repair wait: where the customer is can't be judged, so
// nothing is sent, and nothing that was sent is given up.
func (h *heal) unseen(u *store.Update) (act, done bool, err error) {
	why := "It can't be judged: " + h.reason(h.look.View, h.look.Verdict.Needs) + "."
	return false, true, h.waitUnseen(u, h.look.Verdict.Needs, why)
}

// proved asks the operation's own condition where it has one, else compares
// every expected field. Where no field can tell, only the service's word counts.
func (h *heal) proved(planned rules.PlannedStep, step store.Step, operation *amend.Operation) conditions.Truth {
	if rule := h.Rules.Rule(h.plan.Rule); rule != nil {
		for _, s := range rule.Steps {
			if s.Shown != nil && s.Name == planned.Service+"."+planned.Operation {
				return s.Shown.Eval(h.look.Scope).Truth
			}
		}
	}
	shown := planned.Proved(h.look.View, h.Schema)
	switch {
	case len(planned.Expect) > 0:
		return shown
	case step.Outcome == amend.Done && len(operation.Sets) == 0:
		return conditions.True
	case step.Outcome != amend.Done && shown == conditions.True:
		return conditions.False
	}
	return shown
}

// following goes on after every step so far is proved: with the next step, or
// with the end of the repair.
func (h *heal) following(u *store.Update) (act, done bool, err error) {
	if h.look.Verdict.Name == states.Unseen {
		return h.unseen(u)
	}
	rule := h.Rules.Rule(h.plan.Rule)
	if len(h.steps) < len(h.plan.Steps) {
		return h.next(u, rule)
	}
	if rule != nil && slices.Contains(rule.From, h.look.Verdict.Name) && h.samePlan(rule) {
		// The effect is shown and yet the customer is where they were, and nothing
		// else is to be sent: the rule doesn't do what it says.
		return false, true, h.giveUp(u, "no_effect", fmt.Sprintf("%s did what it does, and the customer is still %s.", h.plan.Rule, h.look.Verdict.Name))
	}
	by := h.repair.StartedBy
	if err := h.endRepair(u, store.RepairDone); err != nil {
		return false, false, err
	}
	h.ended = by
	crash.At(crash.RepairProved)
	u.Note("proved", store.Amend, fmt.Sprintf("Reading again shows what %s did.", h.plan.Rule))
	u.Attempts = 0
	if err := h.letMoreBegin(u, rule); err != nil {
		return false, false, err
	}
	return false, false, u.Fire(lifecycle.Advance)
}

// letMoreBegin wakes whoever waits for the first repairs of a changed rule,
// where this one was the last that it takes.
func (h *heal) letMoreBegin(u *store.Update, rule *rules.Rule) error {
	if rule == nil || h.crowds.grown(rule) {
		return nil
	}
	load, err := h.load(u, rule)
	if err != nil || !rules.NextStage(load.Proved) {
		return err
	}
	h.letIn = true
	return u.WakeWaiting(rule.Name, string(rules.Canary))
}

// samePlan reports whether the rule would do now what it did before. Where it
// wouldn't the customer has changed once more since.
func (h *heal) samePlan(rule *rules.Rule) bool {
	now, err := rule.Plan(h.look.Scope, h.Schema)
	if err != nil {
		return true
	}
	one, err := json.Marshal(now.Steps)
	other, failed := json.Marshal(h.plan.Steps)
	return err != nil || failed != nil || bytes.Equal(one, other)
}

// next takes the next step of a repair that has several, as it was planned.
func (h *heal) next(u *store.Update, rule *rules.Rule) (act, done bool, err error) {
	planned := h.plan.Steps[len(h.steps)]
	switch name := h.look.Verdict.Name; {
	case h.operation(planned) == nil:
		return false, true, h.giveUp(u, "gone", fmt.Sprintf("The next step, %s.%s, is no longer declared.", planned.Service, planned.Operation))
	case rule == nil || rule.Version != h.plan.Version:
		return false, true, h.giveUp(u, "gone", fmt.Sprintf("%s has changed or gone since it was started; its next steps are not sent.", h.plan.Rule))
	case !slices.Contains(rule.From, name) && !slices.Contains(rule.To, name):
		return false, true, h.giveUp(u, "moved", fmt.Sprintf("In the middle of %s the customer has become %s.", h.plan.Rule, name))
	}
	if d, err := h.mayResend(u, rule); err != nil {
		return false, false, err
	} else if !d.Go() {
		return false, true, h.waitFor(u, rule, d)
	}
	return true, false, h.intend(u, len(h.steps))
}

// notShown decides about a step that was sent and whose effect a reading
// doesn't show.
func (h *heal) notShown(u *store.Update, step store.Step, operation *amend.Operation) (act, done bool, err error) {
	rule := h.Rules.Rule(h.plan.Rule)
	name := step.Service + "." + step.Operation
	switch step.Outcome {
	case amend.Refused:
		return h.refused(u, step)
	case amend.Failed:
		return h.again(u, step, name+" failed"+parenthesis(step.Detail))
	case amend.Done, amend.Unsettled:
	}
	// The effect may take a while to be seen; until then absence isn't believed.
	if until := step.OutcomeKnown().Add(operation.Within); operation.Within > 0 && h.Now().Before(until) {
		return false, true, h.waitIn(u, h.peekAgain(step, until), "verifying", fmt.Sprintf("%s may take %s to be seen.", name, short(operation.Within)))
	}
	if step.Outcome == amend.Done && h.look.Verdict.Name != h.repair.State {
		return h.abandon(u, fmt.Sprintf("The customer is %s now, and %s isn't shown.", h.look.Verdict.Name, name))
	}
	if step.Outcome == amend.Done {
		return h.lied(u, step, rule)
	}
	if operation.Repeat.How == amend.RepeatNever || operation.Repeat.How == amend.RepeatByKey && !carriesKey(step) {
		return false, true, h.giveUp(u, "unsettled", fmt.Sprintf("%s may have happened or not, and must never be repeated.", name))
	}
	return h.again(u, step, "Nobody knows whether "+name+" happened"+parenthesis(step.Detail))
}

// carriesKey reports whether a step was sent with its key: it wasn't where the
// operation had none then, and was declared anew since.
func carriesKey(step store.Step) bool {
	var request connectors.Request
	if err := json.Unmarshal(step.Request, &request); err != nil {
		return false
	}
	for _, value := range request.Header {
		if strings.Contains(value, step.Key) {
			return true
		}
	}
	return strings.Contains(request.URL, step.Key) || bytes.Contains(request.Body, []byte(step.Key))
}

// firstPeek is the first wait for an effect that takes its time; each further
// one is as long as all before it.
const firstPeek = 100 * time.Millisecond

func (h *heal) peekAgain(step store.Step, until time.Time) time.Time {
	next := h.Now().Add(max(firstPeek, h.Now().Sub(step.SentAt)))
	if next.After(until) {
		return until
	}
	return next
}

// lied handles a service that said yes and shows nothing: it is read again a
// few times, and never asked again.
func (h *heal) lied(u *store.Update, step store.Step, rule *rules.Rule) (act, done bool, err error) {
	if rule != nil {
		due := step.OutcomeKnown()
		for n := range u.Attempts {
			due = due.Add(rule.Backoff.After(n + 1))
		}
		if h.Now().Before(due) { // somebody else asked for this look: it doesn't count
			return false, true, h.waitIn(u, due, "not_shown", u.Why)
		}
	}
	u.Attempts++
	why := fmt.Sprintf("%s.%s was answered with yes, and reading doesn't show it.", step.Service, step.Operation)
	if rule == nil || u.Attempts >= rule.Attempts {
		return false, true, h.giveUp(u, "not_shown", why)
	}
	return false, true, h.waitIn(u, h.Now().Add(rule.Backoff.After(u.Attempts)), "not_shown", why)
}

// refused ends a repair that the service said no to. If the record changed
// meanwhile (412), somebody else was first: the next reading plans anew.
func (h *heal) refused(u *store.Update, step store.Step) (act, done bool, err error) {
	moved := h.look.Verdict.Name != h.repair.State
	if rule := h.Rules.Rule(h.plan.Rule); rule != nil && step.Sent > 1 {
		// A no to what was sent again may mean that the first is still at work.
		if next, early := h.tooEarly(step, rule); early {
			return false, true, h.waitIn(u, next, "backoff", fmt.Sprintf("%s.%s was refused when sent again%s", step.Service, step.Operation, parenthesis(step.Detail)))
		}
	}
	if step.Status != preconditionFailed && !moved {
		return false, true, h.giveUp(u, "refused", fmt.Sprintf("%s.%s was refused%s", step.Service, step.Operation, parenthesis(step.Detail)))
	}
	return h.abandon(u, "Somebody else changed the customer meanwhile.")
}

// preconditionFailed is HTTP's status for "it has changed since you read it".
const preconditionFailed = 412

// abandon ends a repair that no longer fits and lets the next turn decide
// afresh.
func (h *heal) abandon(u *store.Update, why string) (act, done bool, err error) {
	if err := h.endRepair(u, store.RepairLeft); err != nil {
		return false, false, err
	}
	u.Attempts++
	u.Note("abandoned", store.Amend, why)
	return false, false, u.Fire(lifecycle.Advance)
}

// again sends a step once more, with the same key and the same bytes: after a
// backoff, inside the window in which the service remembers the key, and only
// while the customer is still where the repair was planned.
func (h *heal) again(u *store.Update, step store.Step, why string) (act, done bool, err error) {
	_, service := h.Schema.Service(step.Service)
	operation, rule := service.Operation(step.Operation), h.Rules.Rule(h.plan.Rule)
	name := step.Service + "." + step.Operation
	moved := h.look.Verdict.Name != h.repair.State
	if !moved && (rule == nil || step.Sent >= rule.Attempts) {
		u.Attempts = step.Sent
		return false, true, h.giveUp(u, "attempts", fmt.Sprintf("%s It was sent %d times.", why, step.Sent))
	}
	if repeat := operation.Repeat; !moved && repeat.How == amend.RepeatByKey && !h.remembered(step, repeat.Window) {
		return false, true, h.giveUp(u, "key_window", fmt.Sprintf("%s may no longer be repeated: the service forgets the key after %s.", name, short(repeat.Window)))
	}
	// Also where the customer has moved on: what isn't settled may still arrive,
	// and a repair that began beside it could do the same again.
	if rule != nil && (!moved || step.Outcome == amend.Unsettled) {
		if next, early := h.tooEarly(step, rule); early {
			return false, true, h.waitIn(u, next, "backoff", why)
		}
	}
	if moved {
		return h.abandon(u, fmt.Sprintf("The customer is %s now; %s is not sent again.", h.look.Verdict.Name, name))
	}
	if d, err := h.mayResend(u, rule); err != nil {
		return false, false, err
	} else if !d.Go() {
		return false, true, h.waitFor(u, rule, d)
	}
	u.Note("again", store.Amend, fmt.Sprintf("%s is sent again with the same key.", name))
	crash.At(crash.Resending)
	return true, false, h.intend(u, step.Number)
}

// remembered reports whether a service still knows the key of a step, with a
// margin of a tenth of its window. A clock that was put back by more than that
// can't tell.
func (h *heal) remembered(step store.Step, window time.Duration) bool {
	age, margin := h.Now().Sub(step.IntentAt), window/10
	return age >= -margin && age <= window-margin
}

// tooEarly reports whether a step has to wait before anything follows from its
// not being shown, and until when.
func (h *heal) tooEarly(step store.Step, rule *rules.Rule) (next time.Time, early bool) {
	next = step.OutcomeKnown().Add(rule.Backoff.After(step.Sent))
	return next, h.Now().Before(next)
}

// noLater has every wait that is counted from a step begin anew where the clock
// was put back: by it the step lies ahead, and the wait would last until then.
func (h *heal) noLater(u *store.Update, number int) error {
	step := &h.steps[number]
	if !step.SentAt.After(h.Now()) && !step.OutcomeAt.After(h.Now()) {
		return nil
	}
	now := u.Now()
	step.SentAt, step.OutcomeAt = atMost(step.SentAt, now), atMost(step.OutcomeAt, now)
	return u.Sent(*step)
}

func atMost(t, limit time.Time) time.Time {
	if t.After(limit) {
		return limit
	}
	return t
}

// endRepair writes how the repair ended.
func (h *heal) endRepair(u *store.Update, status string) error {
	err := u.SetRepair(h.repair.ID, status)
	h.repair = store.Repair{}
	return err
}

// giveUp ends the repair and calls a person.
func (h *heal) giveUp(u *store.Update, reason, why string) error {
	if err := h.endRepair(u, store.RepairFailed); err != nil {
		return err
	}
	return h.escalate(u, reason, why)
}
