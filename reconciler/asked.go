package reconciler

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"amend"
	"amend/connectors"
	"amend/lifecycle"
	"amend/rules"
	"amend/states"
	"amend/store"
)

// asked is the oldest rule that a person wants taken, if any. It is taken off
// the list: it is carried out now or refused.
func (h *heal) asked() (store.Request, bool) {
	i := slices.IndexFunc(h.requests, func(q store.Request) bool { return q.Kind == store.AskStart })
	if i < 0 || !h.judged() {
		return store.Request{}, false
	}
	q := h.requests[i]
	h.requests = slices.Delete(h.requests, i, i+1)
	return q, true
}

// startAsked takes a rule in a person's name: only if the customer still is
// what the person saw, and the guards that a person can't overrule pass.
func (h *heal) startAsked(ctx context.Context, q store.Request) (bool, error) {
	started := false
	err := h.update(ctx, func(u *store.Update) error {
		refusal, err := h.startByPerson(u, q)
		if err != nil {
			return err
		}
		if started = refusal == ""; started {
			return u.Take(q.ID, "started")
		}
		if err := u.Note("refused", q.Actor, fmt.Sprintf("%s was not started: %s", q.Rule, refusal)); err != nil {
			return err
		}
		return u.Take(q.ID, "refused: "+refusal)
	})
	if err != nil || !started {
		return false, err
	}
	return false, h.send(ctx)
}

// startByPerson starts the rule, or says why not.
func (h *heal) startByPerson(u *store.Update, q store.Request) (refusal string, err error) {
	rule := h.Rules.Rule(q.Rule)
	switch {
	case rule == nil:
		return "there is no such rule.", nil
	case !slices.Contains(rule.From, h.look.Verdict.Name):
		return fmt.Sprintf("the customer is %s now.", h.look.Verdict.Name), nil
	case rule.Mode == rules.Approve:
		return "it needs the agreement of others, which this version can't ask for.", nil
	}
	plan, err := rule.Plan(h.look.Scope, h.Schema)
	if err != nil {
		return err.Error() + ".", nil
	}
	if rules.Fingerprint(h.look, rule, plan) != q.Fingerprint {
		return "the customer has changed since the page was shown.", nil
	}
	decision, err := h.guard(u, rule, h.Now(), true)
	if err != nil {
		return "", err
	}
	if !decision.Go() {
		return decision.Say + ".", nil
	}
	if err := h.arrive(u); err != nil {
		return "", err
	}
	if h.repair.Status == store.RepairProposed {
		if err := u.SetRepair(h.repair.ID, store.RepairVoid); err != nil {
			return "", err
		}
	}
	if u.Status == lifecycle.Proposed {
		if err := u.Fire(lifecycle.Withdraw); err != nil {
			return "", err
		}
	}
	return "", h.start(u, rule, plan, store.Repair{StartedBy: q.Actor, Reason: q.Reason})
}

// Simulate says what would be done for a customer as looked at, without doing
// it: for plans and pages. The rule is nil where none acts. Guards that need
// the store aren't asked.
func (e *Engine) Simulate(look states.Look, since time.Time) (rule *rules.Rule, plan rules.Plan, err error) {
	if look.Verdict.State == nil || look.Verdict.Coherent(since, e.Now()) || look.Verdict.Overdue(since, e.Now()) {
		return nil, rules.Plan{}, nil
	}
	if rule = e.Rules.For(look.Verdict.Name); rule == nil {
		return nil, rules.Plan{}, nil
	}
	plan, err = rule.Plan(look.Scope, e.Schema)
	return rule, plan, err
}

// hiddenValue stands where a preview would show a sensitive value.
const hiddenValue = "[hidden]"

// Preview renders the requests of a plan as they would be sent, without
// credentials and with sensitive values hidden. It fails where a request can't
// be made.
func (e *Engine) Preview(view *amend.View, plan rules.Plan) ([]rules.Preview, error) {
	var all []rules.Preview
	for _, step := range plan.Steps {
		index, service := e.Schema.Service(step.Service)
		if service == nil {
			return nil, fmt.Errorf("there is no service %s", step.Service)
		}
		arguments := maps.Clone(step.Arguments)
		for name := range arguments {
			if slices.Contains(step.Sensitive, name) {
				arguments[name] = amend.StringOf(hiddenValue)
			}
		}
		request, err := e.Connectors[index].Prepare(connectors.Call{Operation: step.Operation, ID: view.ID, Arguments: arguments,
			Key: "(a key of its own)", Version: view.Records[index].Version})
		if err != nil {
			return nil, fmt.Errorf("prepare %s.%s: %w", step.Service, step.Operation, err)
		}
		all = append(all, rules.Preview{Service: step.Service, Operation: step.Operation, Method: request.Method, URL: request.URL, Body: string(request.Body)})
	}
	return all, nil
}
