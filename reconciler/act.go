package reconciler

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"amend"
	"amend/connectors"
	"amend/internal/crash"
	"amend/lifecycle"
	"amend/rules"
	"amend/store"
)

// start writes the repair, its plan and the intent of its first step, all in
// one transaction. Only what is committed here may be sent.
func (h *heal) start(u *store.Update, rule *rules.Rule, plan rules.Plan, repair store.Repair) error {
	event := lifecycle.Start
	if u.Status == lifecycle.Escalated {
		event = lifecycle.TakeOver
	}
	if err := u.Fire(event); err != nil {
		return err
	}
	repair.Status = store.RepairOpen
	repair, err := h.addRepair(u, rule, plan, repair)
	if err != nil {
		return err
	}
	return h.begin(u, rule, plan, repair)
}

// begin writes the intent of the first step of a repair that was written down.
func (h *heal) begin(u *store.Update, rule *rules.Rule, plan rules.Plan, repair store.Repair) error {
	h.repair, h.plan, h.steps = repair, plan, nil
	u.Rule, u.Reason, u.Next = rule.Name, "repairing", "amend reads again to see whether it worked."
	u.Why = fmt.Sprintf("%s sends %s.", rule.Name, operations(plan))
	u.Note("repair", repair.StartedBy, u.Why)
	return h.intend(u, 0)
}

func (h *heal) addRepair(u *store.Update, rule *rules.Rule, plan rules.Plan, repair store.Repair) (store.Repair, error) {
	repair, err := h.planned(rule, plan, repair)
	if err != nil {
		return repair, err
	}
	return u.AddRepair(repair)
}

// planned fills in what a repair is written down with.
func (h *heal) planned(rule *rules.Rule, plan rules.Plan, repair store.Repair) (store.Repair, error) {
	text, err := json.Marshal(plan)
	if err != nil {
		return repair, fmt.Errorf("write the plan: %w", err)
	}
	repair.Rule, repair.RuleVersion, repair.State, repair.Plan = rule.Name, rule.Version, h.look.Verdict.Name, text
	return repair, nil
}

// intend writes the intent of a step: the first time with the bytes and the
// key that it keeps for life, afterwards with those again.
func (h *heal) intend(u *store.Update, number int) error {
	step, known := h.step(number)
	h.unsettled = known && step.Outcome == amend.Unsettled
	if !known {
		planned := h.plan.Steps[number]
		index, _ := h.Schema.Service(planned.Service)
		key := h.Store.Key(h.repair.ID, number)
		request, err := h.Connectors[index].Prepare(connectors.Call{Operation: planned.Operation, ID: u.Customer, Arguments: planned.Arguments,
			Key: key, Version: h.look.View.Records[index].Version})
		if err != nil {
			return fmt.Errorf("prepare %s.%s: %w", planned.Service, planned.Operation, err)
		}
		text, err := json.Marshal(request)
		if err != nil {
			return fmt.Errorf("write the request: %w", err)
		}
		step = store.Step{Repair: h.repair.ID, Number: number, Service: planned.Service, Operation: planned.Operation, Key: key, Request: text, IntentAt: h.Now()}
	}
	step.Sent++
	step.SentAt, step.Outcome, step.OutcomeAt = u.Now(), amend.Unsettled, time.Time{}
	if known {
		h.steps[number] = step
	} else {
		h.steps = append(h.steps, step)
	}
	return u.Intent(h.repair, step)
}

func (h *heal) step(number int) (store.Step, bool) {
	if number < len(h.steps) {
		return h.steps[number], true
	}
	return store.Step{}, false
}

// send puts the newest intent on the wire, once. The call must end before the
// lease does. Its outcome is written by the next update, which comes at once
// unless the service has said yes and reading will show whether that is so.
func (h *heal) send(ctx context.Context) error {
	number := h.current()
	step := h.steps[number]
	crash.At(crash.IntentCommitted)
	var request connectors.Request
	if err := json.Unmarshal(step.Request, &request); err != nil {
		return fmt.Errorf("read the request of %s: %w", step.Repair, err)
	}
	index, _ := h.Schema.Service(step.Service)
	if h.left() <= 0 {
		return store.ErrLost // the process stood still: it may be somebody else's by now
	}
	// A call that has begun is ended, also where the process is told to stop:
	// cut off, nobody would know what it did.
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.left())
	defer cancel()
	answer := h.deliver(call, index, step, request)
	crash.At(crash.Answered)
	if answer.Outcome == amend.Failed && h.unsettled {
		answer.Outcome = amend.Unsettled // that this sending did nothing says nothing of the one before
	}
	step.Outcome, step.OutcomeAt, step.Status, step.Detail = answer.Outcome, h.Now(), answer.Status, answer.Detail
	h.steps[number], h.answered = step, &step
	if answer.Outcome == amend.Done && len(h.plan.Steps[number].Expect) > 0 && ctx.Err() == nil {
		// The customer is read at once, and what that shows is written together with
		// the outcome. Nothing rests on a yes: who dies before leaves a step that is
		// unsettled, and settled by reading as this one is.
		return nil
	}
	// The outcome is written even where the context has ended meanwhile: what
	// is known now must not be forgotten.
	if err := h.update(context.WithoutCancel(ctx), func(*store.Update) error { return nil }); err != nil {
		return err
	}
	crash.At(crash.OutcomeCommitted)
	return nil
}

// longCommit is how long an intent may take to be written without being asked
// about once more: less than the second within which a pause holds.
const longCommit = 500 * time.Millisecond

// deliver sends a request, unless it had to wait and must not go any more.
func (h *heal) deliver(ctx context.Context, service int, step store.Step, request connectors.Request) connectors.Answer {
	if h.Now().Sub(step.SentAt) > longCommit {
		if why := h.lastWord(ctx); why != "" {
			return connectors.Answer{Outcome: amend.Failed, Detail: "not sent: " + why}
		}
	}
	return h.Connectors[service].Send(connectors.WithLastWord(ctx, func() string { return h.lastWord(ctx) }), request)
}

// outcome writes down how the last call has ended, where that wasn't written.
func (h *heal) outcome(u *store.Update) error {
	step := h.answered
	if step == nil {
		return nil
	}
	if err := u.Outcome(*step); err != nil {
		return err
	}
	u.NoteAt(step.OutcomeAt, "answer", store.Amend, fmt.Sprintf("%s.%s: %s%s", step.Service, step.Operation, step.Outcome, parenthesis(step.Detail)))
	return nil
}

// lastWord says why what was decided must not be sent any more, after it had to
// wait for its turn: a person may have stopped it, the lease may be gone, and what
// was read may be too old (I2, I11, I16).
func (h *heal) lastWord(ctx context.Context) (why string) {
	err := h.update(ctx, func(u *store.Update) error {
		d, err := h.mayResend(u, h.Rules.Rule(h.plan.Rule))
		if err == nil && !d.Go() {
			why = d.Say
		}
		return err
	})
	if err != nil {
		return "it waited for its turn, and whether it may still go isn't known: " + err.Error()
	}
	return why
}

func parenthesis(text string) string {
	if text == "" {
		return "."
	}
	return " (" + text + ")."
}

// current is the number of the step that is under way.
func (h *heal) current() int {
	for i := range h.steps {
		if h.steps[i].ProvedAt.IsZero() {
			return i
		}
	}
	return len(h.steps) - 1
}
