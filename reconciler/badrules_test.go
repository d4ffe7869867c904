package reconciler_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestT15BadRules: a rule that is wrong touches ten customers at most before
// amend stops it and asks (invariants I3 and I15).
func TestT15BadRules(t *testing.T) { onEach(t, testT15BadRules) }

func testT15BadRules(t *testing.T, o options) {
	t.Parallel()
	for name, bad := range map[string]struct {
		from, to string
		rule     string
		brake    string
	}{
		"InvertedCondition": {`when: identity.status == "rejected" && cards.present`, `when: identity.status != "rejected" && cards.present`, "block-card", "share"},
		"EmptyList":         {"when: ledger.absent", `when: "!(identity.status in [])"`, "open-ledger", "share"},
		"WrongField":        {`when: cards.status == "blocked"`, `when: ledger.status == "open"`, "order-card", "share"},
		"NoEffect":          {"do: [{cards.order: {}}]", "do: [{cards.block: {}}]", "order-card", "canary"},
		"WrongValue":        {`do: [{billing.set_email: {email: "{identity.email}"}}]`, `do: [{billing.set_email: {email: "{identity.country}"}}]`, "copy-email", "canary"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, options{postgres: o.postgres, customers: 300, yaml: func(s string) string { return strings.Replace(s, bad.from, bad.to, 1) }})
			active := w.allPlanted("active")[:10]
			w.block(active[:5])
			for _, customer := range active[5:] {
				w.human(http.MethodPatch, "BILLING_URL", "/subscriptions/"+customer, `{"email":"old@example.com"}`, "")
			}
			byHand := len(w.bank.Journal().Entries())
			w.scan()
			w.work(20 * time.Minute)
			touched := map[string]bool{}
			for _, e := range w.bank.Journal().Entries()[byHand:] {
				if e.Wrong != "" || e.Reissue {
					touched[e.Customer] = true
				}
			}
			require.LessOrEqual(t, len(touched), 10)
			pauses, incidents := w.brakes()
			require.Len(t, pauses, 1)
			require.Equal(t, []string{bad.rule, bad.brake}, []string{pauses[0].Target, pauses[0].Brake})
			require.Len(t, incidents, 1)
			t.Logf("%d customers touched; %s", len(touched), incidents[0].Why)
		})
	}
}

// work heals whoever's time comes, for a while, as a worker does.
func (w *world) work(long time.Duration) {
	w.Helper()
	for until := w.clock.Now().Add(long); w.clock.Now().Before(until); w.clock.pass(10 * time.Second) {
		ready, err := w.store.Ready(w.Context(), 1000)
		require.NoError(w, err)
		for _, customer := range ready {
			w.heal(customer)
		}
	}
}
