package reconciler_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/bank"
	"amend/connectors"
	"amend/lifecycle"
	"amend/store"
)

// crowded is a service that takes one call at a time. Before each operation
// somebody else's call comes, which takes a while; something happens meanwhile.
type crowded struct {
	connectors.Connector
	long      time.Duration
	meanwhile func()
}

// others is the customer of whoever else calls.
const others = "others"

func (c *crowded) One(ctx context.Context, id string) (amend.Record, error) {
	if id != others {
		return c.Connector.One(ctx, id)
	}
	c.meanwhile()
	<-time.After(c.long)
	return amend.Record{}, &connectors.Unseen{Cause: amend.Forbidden}
}

// gated lets calls to the crowded service pass.
type gated struct {
	connectors.Connector
	crowded *crowded
}

func (g *gated) Send(ctx context.Context, request connectors.Request) connectors.Answer {
	began, do := make(chan struct{}), g.crowded.meanwhile
	g.crowded.meanwhile = func() { do(); close(began) }
	go g.Connector.One(ctx, others)
	<-began
	g.crowded.meanwhile = do
	return g.Connector.Send(ctx, request)
}

// TestI2I16LongTurn: what had to wait for its turn isn't sent if a person has
// stopped it meanwhile, or if what was read has become too old. It is sent when
// that has passed, after another reading.
func TestI2I16LongTurn(t *testing.T) { onEach(t, testLongTurn) }

func testLongTurn(t *testing.T, o options) {
	t.Parallel()
	for name, test := range map[string]struct {
		long      time.Duration
		meanwhile func(w *world)
		detail    string // why nothing was sent; empty where it was
	}{
		"nothing happens": {long: 600 * time.Millisecond, meanwhile: func(*world) {}},
		"paused": {long: 600 * time.Millisecond, detail: "kim has paused all repairs", meanwhile: func(w *world) {
			_, err := w.store.Pause(w.Context(), store.Pause{Scope: store.PauseAll, Why: "settlement", By: "kim"})
			require.NoError(w, err)
		}},
		"too old": {long: 600 * time.Millisecond, detail: "What identity said is 6s old", meanwhile: func(w *world) { w.clock.pass(6 * time.Second) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var w *world
			happened := false
			c := &crowded{long: test.long, meanwhile: func() {
				if !happened {
					happened = true
					test.meanwhile(w)
				}
			}}
			w = setup(t, options{postgres: o.postgres, wrap: map[string]func(connectors.Connector) connectors.Connector{"ledger": func(inner connectors.Connector) connectors.Connector {
				c.Connector = inner
				return &gated{connectors.Guard(c, connectors.GuardOptions{AtOnce: 1}), c}
			}}, yaml: func(s string) string {
				return strings.Replace(s, "      per_second: 400\n", "      per_second: 400\n    max_age: 5s\n", 1)
			}})
			w.scan()
			customer := w.planted("ledger_missing")
			if test.detail != "" {
				w.healUntil(customer, "backoff")
				require.Empty(t, w.sendings(customer, bank.LedgerOpen))
				step := w.step(customer)
				require.Equal(t, amend.Failed, step.Outcome)
				require.Contains(t, step.Detail, test.detail)
				_, err := w.store.Pauses(t.Context())
				require.NoError(t, err)
				if name == "paused" {
					require.Equal(t, "paused", w.healUntil(customer, "paused").Reason)
					require.NoError(t, w.store.Resume(t.Context(), store.PauseAll, "", "kim"))
				}
			}
			require.Equal(t, lifecycle.Healed, w.healOn(customer).Status)
			require.Len(t, w.sendings(customer, bank.LedgerOpen), 1)
			w.requireNothingWrong()
		})
	}
}
