package desk

import (
	"context"
	"strings"

	"amend"
	"amend/store"
)

// Pause stops repairs in a person's name: everywhere, or for one rule, service
// or customer. It fails with Invalid where no reason is given or the time is
// over, and with NotFound where there is no such rule or service.
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
	return d.Store.Pause(ctx, p)
}

// Resume ends a pause in a person's name. It fails with NotFound where none is
// in force for the target.
func (d *Desk) Resume(ctx context.Context, scope, target, by string) error {
	return d.Store.Resume(ctx, scope, target, by)
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
