package reconciler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"amend/connectors"
	"amend/store"
)

// freshOverlap is how far a fresh scan looks back beyond the last one's start:
// a service may write down what changed a little late.
const freshOverlap = 30 * time.Second

// changed lists who changed since the last scan, where a source can tell, and
// whoever has an open case. What a service can't tell is found by the next
// full scan. partial says which services could not be asked.
func (e *Engine) changed(ctx context.Context) (all []string, partial, err error) {
	since := e.Now().Add(-freshOverlap)
	for _, kind := range []string{store.FullScan, store.FreshScan} {
		if last, any, err := e.Store.LastScanAt(ctx, kind, true, e.Now()); err != nil {
			return nil, nil, err
		} else if at := last.StartedAt.Add(-freshOverlap); any && (kind == store.FullScan || at.After(since)) {
			since = at
		}
	}
	ids := map[string]bool{}
	for i, c := range e.Connectors {
		if !c.Can().List || !c.Can().Since {
			continue
		}
		if err := e.changedIn(ctx, c, since, ids); err != nil {
			partial = errors.Join(partial, fmt.Errorf("list what changed in %s: %w", e.Schema.Services[i].Name, err))
		}
	}
	open, err := e.Store.OpenBetween(ctx, "", "\U0010ffff")
	for _, c := range open {
		ids[c.Customer] = true
	}
	return slices.Sorted(maps.Keys(ids)), partial, err
}

func (e *Engine) changedIn(ctx context.Context, c connectors.Connector, since time.Time, ids map[string]bool) error {
	var used []connectors.Keyed
	for cursor := ""; ; {
		page, err := c.List(ctx, connectors.PageRequest{Cursor: cursor, Since: since, Into: used})
		if err != nil {
			return err
		}
		for _, k := range page.Records {
			ids[k.ID] = true
		}
		if page.Next == cursor && cursor != "" {
			return errCircle
		}
		if page.Next == "" {
			return nil
		}
		cursor, used = page.Next, page.Records
	}
}
