package desk

import (
	"context"
	"strings"

	"amend"
	"amend/store"
)

// Pause stops repairs in a person's name: everywhere, or for one rule, service
// or customer. It fails with Invalid where no reason is given or the time is
// over, with NotFound where there is no such rule or service, and with Conflict
// where amend has stopped the same itself. A rule is paused by its present name.
func (d *Desk) Pause(ctx context.Context, p store.Pause) (store.Pause, error) {
	if strings.TrimSpace(p.Why) == "" {
		return p, amend.Errorf(amend.Invalid, "say why: whoever finds nothing repaired will want to know")
	}
	if !p.Until.IsZero() && !p.Until.After(d.Now()) {
		return p, amend.Errorf(amend.Invalid, "the pause would be over before it begins")
	}
	if err := d.pausable(p.Scope, p.Target); err != nil {
		return p, err
	}
	if p.Scope == store.PauseRule {
		p.Target = d.Rules.Rule(p.Target).Name
	}
	return d.Store.Pause(ctx, p)
}

// Resume ends a pause in a person's name: of a rule those by its former names,
// too. It fails with NotFound where none is in force for the target.
func (d *Desk) Resume(ctx context.Context, scope, target, by string) error {
	targets := []string{target}
	if rule := d.Rules.Rule(target); scope == store.PauseRule && rule != nil {
		targets = rule.Names()
	}
	resumed := false
	for _, target := range targets {
		err := d.Store.Resume(ctx, scope, target, by)
		if err != nil && amend.CodeOf(err) != amend.NotFound {
			return err
		}
		resumed = resumed || err == nil
	}
	if !resumed {
		return amend.Errorf(amend.NotFound, "nothing is paused there")
	}
	return nil
}

func (d *Desk) pausable(scope, target string) error {
	switch scope {
	case store.PauseAll:
		return nil
	case store.PauseRule:
		if d.Rules.Rule(target) == nil {
			return amend.Errorf(amend.NotFound, "there is no rule %s", target)
		}
		return nil
	case store.PauseService:
		if _, service := d.Schema.Service(target); service == nil {
			return amend.Errorf(amend.NotFound, "there is no service %s", target)
		}
		return nil
	case store.PauseCustomer:
		return d.Accept(target)
	}
	return amend.Errorf(amend.Invalid, "%q can't be paused", scope)
}
