package reconciler_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
	"amend/lifecycle"
	"amend/reconciler"
)

// watched writes down with which priorities it is read.
type watched struct {
	connectors.Connector
	mu   sync.Mutex
	seen []connectors.Priority
}

func (w *watched) note(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, connectors.PriorityOf(ctx))
}

// taken gives what was written down since it was last asked, each run of the
// same once.
func (w *watched) taken() []connectors.Priority {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := slices.Compact(w.seen)
	w.seen = nil
	return all
}

func (w *watched) One(ctx context.Context, id string) (amend.Record, error) {
	w.note(ctx)
	return w.Connector.One(ctx, id)
}

func (w *watched) Many(ctx context.Context, ids []string) ([]amend.Record, error) {
	w.note(ctx)
	return w.Connector.Many(ctx, ids)
}

func (w *watched) List(ctx context.Context, page connectors.PageRequest) (connectors.Page, error) {
	w.note(ctx)
	return w.Connector.List(ctx, page)
}

// Scans yield to heals, and the looks of a heal to those that prove a repair,
// also of one that another worker began.
func TestPriorities(t *testing.T) {
	t.Parallel()
	ledger := &watched{}
	w := setup(t, options{wrap: map[string]func(connectors.Connector) connectors.Connector{"ledger": func(c connectors.Connector) connectors.Connector {
		ledger.Connector = c
		return ledger
	}}})
	w.scan()
	require.Equal(t, []connectors.Priority{connectors.Scanning}, ledger.taken())
	w.fresh()
	require.NotContains(t, ledger.taken(), connectors.Looking)
	require.NoError(t, w.engine.Survey(t.Context(), func() func([]reconciler.Found) error { return func([]reconciler.Found) error { return nil } }))
	require.Equal(t, []connectors.Priority{connectors.Scanning}, ledger.taken())

	customer := w.planted("ledger_missing")
	require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
	require.Equal(t, []connectors.Priority{connectors.Looking, connectors.Repairing}, ledger.taken()[:2], "what is to be done, and whether it worked")

	customer = w.planted("card_missing")
	for c := w.lastCase(customer); c.Open() && len(w.repairs(customer)) == 0; c = w.lastCase(customer) {
		w.clock.passTo(c.WakeAt)
		w.heal(customer)
	}
	require.Equal(t, "open", w.repairs(customer)[0].Status)
	ledger.taken()
	w.restart()
	w.clock.passTo(w.lastCase(customer).WakeAt)
	w.heal(customer)
	require.Equal(t, connectors.Repairing, ledger.taken()[0])
}
