package reconciler

import (
	"context"
	"slices"
	"time"

	"amend"
	"amend/connectors"
	"amend/rules"
	"amend/store"
)

// spentReason is why a case waits for a new hour of a service's calls. Stored
// data: don't rename.
const spentReason = "budget"

// waitUnseen has the case wait until services can be read that couldn't be: for
// the next hour where one has no calls left in this, else for a moment.
func (h *heal) waitUnseen(u *store.Update, services []int, why string) error {
	if h.spent(services) {
		return h.waitIn(u, store.HourEnd(h.Now()), spentReason, why)
	}
	return h.waitIn(u, h.Now().Add(unseenWait), "unseen", why)
}

// waitFor has the case wait for what a guard said. To look again before a
// service has new calls would cost all others some.
func (h *heal) waitFor(u *store.Update, rule *rules.Rule, d rules.Decision) error {
	if d.Reason == rules.Partial && rule != nil && h.spent(h.restsOn(rule)) {
		return h.waitIn(u, store.HourEnd(h.Now()), spentReason, d.Say+".")
	}
	return h.waitIn(u, d.Until, string(d.Reason), d.Say+".")
}

// spent reports whether one of some services had no calls left for this look.
func (h *heal) spent(services []int) bool {
	return slices.ContainsFunc(services, func(i int) bool {
		r := &h.look.View.Records[i]
		return r.Presence == amend.Unseen && r.Cause == amend.Spent
	})
}

// exhausted is the service whose calls of this hour scans have used up.
type exhausted struct {
	service string // empty: there is none
	until   time.Time
}

// ScansWait says for which service's next calls scans wait, and until when;
// the service is empty where they don't.
func (e *Engine) ScansWait(ctx context.Context) (service string, until time.Time, err error) {
	waits, err := e.exhausted(ctx)
	return waits.service, waits.until, err
}

// tellWaits tells whoever watches a scan that it waits for a service's next
// hour, while nobody is looked at.
func (e *Engine) tellWaits(ctx context.Context, m *meter) {
	waits, err := e.exhausted(ctx)
	if err != nil {
		if ctx.Err() == nil {
			e.Log.Warn("what a scan waits for could not be read", "error", err)
		}
		return
	}
	m.mu.Lock()
	told := m.waits
	m.waits = waits
	m.mu.Unlock()
	if waits != told || waits.service != "" {
		e.Progress(m.progress(e.Now()))
	}
}

// exhausted finds the service for which scans wait longest, if they do. Where no
// service allows so many calls in an hour the store isn't asked.
func (e *Engine) exhausted(ctx context.Context) (exhausted, error) {
	parts := map[string]int{}
	for i, c := range e.Connectors {
		if perHour := c.Can().PerHour; perHour > 0 {
			parts[e.Schema.Services[i].Name] = connectors.Scanning.Part(perHour)
		}
	}
	if len(parts) == 0 {
		return exhausted{}, nil
	}
	taken, err := e.Store.CallsTaken(ctx)
	if err != nil {
		return exhausted{}, err
	}
	var found exhausted
	for _, one := range taken {
		part, limited := parts[one.Service]
		if limited && one.Calls >= part && one.Until.After(found.until) {
			found = exhausted{one.Service, one.Until}
		}
	}
	return found, nil
}
