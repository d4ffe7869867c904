package reconciler_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/bank"
	"amend/connectors"
	"amend/lifecycle"
	"amend/store"
)

// A repair that was begun is read again soon where the store was away for a moment,
// although its rule's limit is reached by it.
func TestALimitDoesNotHoldUpWhatWasBegun(t *testing.T) {
	onEach(t, func(t *testing.T, o options) {
		t.Parallel()
		ledger := &heard{reads: func(bool) {}}
		w := setup(t, options{postgres: o.postgres, customers: 400, yaml: func(s string) string { return strings.Replace(s, "per_hour: 500", "per_hour: 1", 1) },
			wrap: map[string]func(connectors.Connector) connectors.Connector{"ledger": func(c connectors.Connector) connectors.Connector { ledger.Connector = c; return ledger }}})
		w.scan()
		all := w.allPlanted("ledger_missing")
		require.GreaterOrEqual(t, len(all), 2)
		require.Equal(t, lifecycle.Healed, w.healOn(all[0]).Status)
		customer := all[1]
		w.healUntil(customer, "per_hour")
		w.clock.pass(61 * time.Minute)
		ledger.sent.Store(false)
		require.NoError(t, w.store.Close())
		away := 0
		var err error
		w.store, err = store.Open(t.Context(), w.address, store.Options{Now: w.clock.Now, Log: slog.New(slog.DiscardHandler), Before: func(context.Context) error {
			if !ledger.sent.Load() || away == 1 {
				return nil
			}
			away++
			return driver.ErrBadConn
		}})
		require.NoError(t, err)
		w.engine = w.another()
		require.NoError(t, w.engine.Begin(t.Context()))
		began := w.clock.Now()
		w.heal(customer)
		require.Equal(t, 1, away)
		require.Len(t, w.sendings(customer, bank.LedgerOpen), 1)
		looks := 0
		for w.repairs(customer)[0].Status == store.RepairOpen && looks < 200 {
			c := w.lastCase(customer)
			w.clock.passTo(c.WakeAt)
			w.heal(customer)
			looks++
		}
		require.Less(t, w.clock.Now().Sub(began), time.Minute)
	})
}

// I14: where a repair can't be written again and again, a person is told.
func TestWhatCanNotBeWrittenIsToldToPeople(t *testing.T) {
	onEach(t, func(t *testing.T, o options) {
		t.Parallel()
		w := setup(t, o)
		w.scan()
		customer := w.planted("ledger_missing")
		w.heal(customer)
		name, address := "sqlite", "file:"+w.path
		text := `create trigger rv before insert on audit begin select raise(abort, 'no more room'); end`
		if o.postgres {
			name, address, text = "pgx", w.address, `alter table audit add constraint rv check (false) not valid`
		}
		raw, err := sql.Open(name, address)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, raw.Close()) })
		_, err = raw.Exec(text)
		require.NoError(t, err)
		for range 2 {
			w.clock.passTo(w.lastCase(customer).WakeAt)
			require.Error(t, w.engine.Heal(t.Context(), customer))
		}
		w.requireEscalated(w.lastCase(customer), "failed")
	})
}
