package reconciler_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/bank"
	"amend/lifecycle"
	"amend/store"
)

// evidence is what the version of a rule that is in use has done.
func (w *world) evidence(rule string) store.Evidence {
	w.Helper()
	all, err := w.store.Evidence(w.Context())
	require.NoError(w, err)
	for _, e := range all {
		if e.Rule == rule && e.Version == w.cfg.Rules.Rule(rule).Version {
			return e
		}
	}
	return store.Evidence{}
}

// TestEvidence: what a rule would have done in each mode, and what it did, is
// counted for its version.
func TestEvidence(t *testing.T) { onEach(t, testEvidence) }

func testEvidence(t *testing.T, o options) {
	t.Parallel()
	mode := func(mode string) func(string) string {
		return func(s string) string {
			return strings.Replace(s, "do: [{cards.order: {}}]\n    mode: auto", "do: [{cards.order: {}}]\n    mode: "+mode, 1)
		}
	}
	w := setup(t, options{postgres: o.postgres, yaml: mode("observe")})
	w.scan()
	customer := w.planted("card_missing")
	w.requireEscalated(w.healOn(customer), "observe")
	require.Equal(t, 1, w.evidence("order-card").Observed)
	require.Zero(t, w.evidence("order-card").Sent)
	observed := w.repairs(customer)[0]
	require.Equal(t, store.RepairObserved, observed.Status)
	require.Contains(t, string(observed.Plan), "cards", "what it would have sent")
	require.Empty(t, w.sendings(customer, bank.CardsOrder))

	w.reload(func(s string) string { return s + "\n" })
	require.Zero(t, w.evidence("order-card").Observed, "another version")
	other := w.planted("active")
	w.block([]string{other})
	w.scan()
	w.clock.pass(time.Minute)
	require.Equal(t, lifecycle.Healed, w.healOn(other).Status)
	e := w.evidence("order-card")
	require.Equal(t, []int{1, 1, 0, 0, 0}, []int{e.Sent, e.Verified, e.Failed, e.Left, e.Relapsed})

	w.block([]string{other})
	w.clock.pass(time.Minute)
	w.scan()
	e = w.evidence("order-card")
	require.Equal(t, []int{1, 1, 1}, []int{e.Sent, e.Verified, e.Relapsed}, "it did not last")
}
