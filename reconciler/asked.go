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

// openFor opens a case for what a person asked of a customer who has none. What
// can be answered without one is: a look at a coherent customer, and a rule that
// no longer fits.
func (e *Engine) openFor(ctx context.Context, customer string) (store.Lease, bool, error) {
	requests, err := e.Store.OpenRequests(ctx, customer)
	if err != nil || len(requests) == 0 {
		return store.Lease{}, false, err
	}
	if _, held, err := e.Store.OpenCase(ctx, customer); err != nil || held {
		return store.Lease{}, false, err
	}
	look := e.Look(ctx, customer)
	if ctx.Err() != nil {
		return store.Lease{}, false, ctx.Err()
	}
	found := e.judge(look.Scope)
	if sighting, worth := e.sighting(&found); worth {
		_, err = e.Store.Sight(ctx, []store.Sighting{sighting})
	} else {
		err = e.openToStart(ctx, look, requests)
	}
	if err != nil {
		return store.Lease{}, false, err
	}
	return e.Store.Claim(ctx, customer, e.LeaseFor)
}

// openToStart opens a case for a coherent customer only if a rule may be taken.
func (e *Engine) openToStart(ctx context.Context, look states.Look, requests []store.Request) error {
	for _, q := range requests {
		result := "looked: " + look.Verdict.Name
		switch q.Kind {
		case store.AskStart:
			newest, err := e.Store.NewestRepair(ctx, look.View.ID)
			if err != nil {
				return err
			}
			_, _, refusal := e.fits(look, newest, q)
			if refusal == "" {
				return e.Store.OpenFor(ctx, look.View.ID, look.Verdict.Name)
			}
			result = "refused: " + refusal
		case store.AskHappened, store.AskDidNot:
			result = "refused: the case has ended."
		}
		if err := e.Store.TakeRequest(ctx, q.ID, result); err != nil {
			return err
		}
	}
	return nil
}

// asked is the oldest thing that a person wants done, if any. It is taken off
// the list: it is carried out now or refused.
func (h *heal) asked() (store.Request, bool) {
	i := slices.IndexFunc(h.requests, func(q store.Request) bool { return q.Kind != store.AskLook })
	if i < 0 || !h.judged() {
		return store.Request{}, false
	}
	q := h.requests[i]
	h.requests = slices.Delete(h.requests, i, i+1)
	return q, true
}

// carryOut does what a person asked for.
func (h *heal) carryOut(ctx context.Context, q store.Request) (done bool, err error) {
	if q.Kind == store.AskStart {
		return h.startAsked(ctx, q)
	}
	return h.settleAsked(ctx, q)
}

// startAsked takes a rule in a person's name: only if the customer still is
// what the person saw, and the guards that a person can't overrule pass.
func (h *heal) startAsked(ctx context.Context, q store.Request) (done bool, err error) {
	var result string
	err = h.update(ctx, func(u *store.Update) error {
		refusal, err := h.startByPerson(u, q)
		if err != nil {
			return err
		}
		switch {
		case refusal != "":
			result = "refused: " + refusal
			u.Note("refused", q.Actor, fmt.Sprintf("%s was not started: %s", q.Rule, refusal))
		case u.Status == lifecycle.Proposed:
			result = "proposed"
		default:
			result = "started"
		}
		done = u.Released()
		return u.Take(q.ID, result)
	})
	if err != nil || result != "started" {
		return done, err
	}
	return false, h.send(ctx)
}

// wishLimit is how long a person's wish to take a rule stands: whoever asked
// has stopped waiting for it by then.
const wishLimit = 10 * time.Minute

// fits says whether what a person asked for still fits what a look shows and the
// newest repair, and why not.
func (e *Engine) fits(look states.Look, newest string, q store.Request) (rule *rules.Rule, plan rules.Plan, refusal string) {
	rule = e.Rules.Rule(q.Rule)
	switch {
	case rule == nil:
		return nil, plan, "there is no such rule."
	case e.Now().Sub(q.CreatedAt) > wishLimit:
		return nil, plan, "it was asked too long ago; ask again if it is still wanted."
	case look.Verdict.Name == states.Unseen:
		return nil, plan, "it can't be judged: " + e.reason(look.View, look.Verdict.Needs) + "."
	case !slices.Contains(rule.From, look.Verdict.Name):
		return nil, plan, fmt.Sprintf("the customer is %s now.", look.Verdict.Name)
	}
	plan, err := rule.Plan(look.Scope, e.Schema)
	if err == nil {
		_, err = e.Preview(look.View, plan)
	}
	if err != nil {
		return nil, plan, err.Error() + "."
	}
	if rules.StartFingerprint(look, rule, plan, newest) != q.Fingerprint {
		return nil, plan, "the customer has changed since the page was shown."
	}
	return rule, plan, ""
}

// startByPerson starts the rule, or proposes it where others must agree, or says
// why not.
func (h *heal) startByPerson(u *store.Update, q store.Request) (refusal string, err error) {
	newest, err := u.NewestRepair()
	if err != nil {
		return "", err
	}
	rule, plan, refusal := h.fits(h.look, newest, q)
	if refusal != "" {
		return refusal, nil
	}
	if h.repair.Status == store.RepairProposed && h.repair.Rule == rule.Name {
		return "it is proposed already.", nil
	}
	decision, err := h.guard(u, rule, h.Now(), true)
	if err != nil {
		return "", err
	}
	if !decision.Go() {
		return decision.Say + ".", nil
	}
	return "", h.inName(u, rule, plan, store.Repair{StartedBy: q.Actor, Reason: q.Reason})
}

// inName takes a rule in a person's name, or asks others to agree to it.
func (h *heal) inName(u *store.Update, rule *rules.Rule, plan rules.Plan, by store.Repair) error {
	if err := h.arrive(u); err != nil {
		return err
	}
	if err := h.void(u); err != nil {
		return err
	}
	u.Attempts = 0 // what amend tried before is no count of theirs
	if rule.Mode == rules.Approve {
		return h.propose(u, rule, plan, by)
	}
	return h.start(u, rule, plan, by)
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

// masked renders a request with its sensitive arguments hidden. Where one isn't
// a text, nothing can stand in for it, and the whole is hidden.
func (e *Engine) masked(service int, call connectors.Call, sensitive []string) (url, body string) {
	call.Arguments = maps.Clone(call.Arguments)
	for _, name := range sensitive {
		if call.Arguments[name].Type() != amend.String {
			return hiddenValue, hiddenValue
		}
		call.Arguments[name] = amend.StringOf(hiddenValue)
	}
	request, err := e.Connectors[service].Prepare(call)
	if err != nil {
		return hiddenValue, hiddenValue
	}
	return request.URL, string(request.Body)
}

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
		call := connectors.Call{Operation: step.Operation, ID: view.ID, Arguments: step.Arguments, Key: "(a key of its own)", Version: view.Records[index].Version}
		request, err := e.Connectors[index].Prepare(call)
		if err != nil {
			return nil, fmt.Errorf("prepare %s.%s: %w", step.Service, step.Operation, err)
		}
		shown := rules.Preview{Service: step.Service, Operation: step.Operation, Method: request.Method, URL: request.URL, Body: string(request.Body)}
		if len(step.Sensitive) > 0 {
			shown.URL, shown.Body = e.masked(index, call, step.Sensitive)
		}
		all = append(all, shown)
	}
	return all, nil
}
