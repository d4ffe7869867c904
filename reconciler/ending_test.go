package reconciler_test

import (
	"context"
	"database/sql"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
	"amend/lifecycle"
	"amend/store"
)

// answers gives one answer after another, and the last for ever.
func answers(all ...connectors.Answer) func(connectors.Connector) connectors.Connector {
	at := -1
	return sending(func(context.Context, connectors.Request, func() connectors.Answer) connectors.Answer {
		at = min(at+1, len(all)-1)
		return all[at]
	})
}

var (
	no  = connectors.Answer{Outcome: amend.Refused, Status: http.StatusUnprocessableEntity}
	yes = connectors.Answer{Outcome: amend.Done, Status: http.StatusOK}
)

// TestEscalatedWithItsMessage: the case and what people are told of it are
// written together or not at all.
func TestEscalatedWithItsMessage(t *testing.T) {
	t.Parallel()
	o := options{}
	w := setup(t, o)
	w.scan()
	customer := w.planted("orphaned")
	db, err := sql.Open("sqlite", "file:"+w.path)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec("alter table outbox rename to elsewhere")
	require.NoError(t, err)
	require.Error(t, w.engine.Heal(t.Context(), customer))
	require.Equal(t, "failed", w.lastCase(customer).Reason)
	require.Empty(t, w.lastCase(customer).Incident)

	_, err = db.Exec("alter table elsewhere rename to outbox")
	require.NoError(t, err)
	w.clock.pass(2 * time.Minute)
	w.heal(customer)
	w.requireEscalated(w.lastCase(customer), "no_rule")
}

// TestHealedResolvesItsIncident: what people were told is put right, whoever
// mended it.
func TestHealedResolvesItsIncident(t *testing.T) { onEach(t, testHealedResolvesItsIncident) }

func testHealedResolvesItsIncident(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, options{postgres: o.postgres, wrap: map[string]func(connectors.Connector) connectors.Connector{"cards": answers(no)}})
	w.scan()
	customer := w.planted("card_blocked")
	c := w.healOn(customer)
	w.requireEscalated(c, "refused")
	w.human(http.MethodPost, "CARDS_URL", "/cards", `{"customer":"`+customer+`"}`, "by-hand")
	w.clock.pass(time.Minute)
	w.scan()
	ready, err := w.store.Ready(t.Context(), 1000)
	require.NoError(t, err)
	require.Contains(t, ready, customer, "the scan wakes who looks coherent again")
	still := w.lastCase(customer)
	require.True(t, still.Open(), "and closes nothing")
	w.heal(customer)
	ended := w.lastCase(customer)
	require.Equal(t, lifecycle.Healed, ended.Status)
	require.Equal(t, store.EndedByItself, ended.EndedBy)
	incident := w.incident(c)
	require.Equal(t, "done", incident.Status)
	require.Equal(t, "healed", incident.Outcome)
	require.Equal(t, 2, w.letters(c.Incident), "told, and told that it is over")
}

// TestReconsider: an escalated customer whose state changes goes on.
func TestReconsider(t *testing.T) { onEach(t, testReconsider) }

func testReconsider(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, options{postgres: o.postgres, wrap: map[string]func(connectors.Connector) connectors.Connector{"billing": answers(no)}})
	w.scan()
	customer := w.planted("email_differs")
	first := w.healOn(customer)
	w.requireEscalated(first, "refused")
	w.human(http.MethodPut, "CARDS_URL", "/cards/"+customer+"/status", `{"status":"blocked"}`, "")
	w.scan()
	w.heal(customer)
	c := w.lastCase(customer)
	require.Equal(t, first.ID, c.ID)
	require.Equal(t, "card_blocked", c.State)
	require.Equal(t, lifecycle.Waiting, c.Status)
	require.Equal(t, "closed", w.incident(first).Outcome)
	// Its card is replaced, and the address differs as before.
	w.healUntil(customer, "failing")
	w.release("copy-email")
	c = w.healOn(customer)
	w.requireEscalated(c, "refused")
	require.Equal(t, "email_differs", c.State)
	require.NotEqual(t, first.Incident, c.Incident)
}

// TestRelapse opens a new case that is linked to the old one.
func TestRelapse(t *testing.T) { onEach(t, testRelapse) }

func testRelapse(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, o)
	w.scan()
	customer := w.planted("card_missing")
	first := w.healOn(customer)
	require.Equal(t, lifecycle.Healed, first.Status)
	w.human(http.MethodPut, "CARDS_URL", "/cards/"+customer+"/status", `{"status":"blocked"}`, "")
	w.clock.pass(time.Second)
	w.scan()
	second := w.healOn(customer)
	require.NotEqual(t, first.ID, second.ID)
	require.Equal(t, first.ID, second.Previous)
	require.Equal(t, lifecycle.Healed, second.Status)
	require.Len(t, w.repairs(customer), 1)
}

// TestEscalatedAgain: a person tries, it fails in another way, and the message
// says the new one.
func TestEscalatedAgain(t *testing.T) { onEach(t, testEscalatedAgain) }

func testEscalatedAgain(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, options{postgres: o.postgres, wrap: map[string]func(connectors.Connector) connectors.Connector{"billing": answers(no, yes)}})
	w.scan()
	customer := w.planted("email_differs")
	first := w.healOn(customer)
	w.requireEscalated(first, "refused")
	request := w.ask(customer, "copy-email", "")
	w.heal(customer)
	require.Equal(t, "started", w.result(request))
	second := w.lastCase(customer)
	require.Equal(t, lifecycle.Waiting, second.Status)
	second = w.healOn(customer)
	w.requireEscalated(second, "not_shown")
	require.Equal(t, first.Incident, second.Incident)
	require.Equal(t, 2, w.letters(second.Incident))
	require.Equal(t, "ada", w.repairs(customer)[1].StartedBy)
}

// TestAPersonsAttemptsAreTheirOwn: what amend tried before doesn't shorten what
// a person starts.
func TestAPersonsAttemptsAreTheirOwn(t *testing.T) { onEach(t, testAPersonsAttemptsAreTheirOwn) }

func testAPersonsAttemptsAreTheirOwn(t *testing.T, o options) {
	t.Parallel()
	w := setup(t, options{postgres: o.postgres, wrap: map[string]func(connectors.Connector) connectors.Connector{"billing": answers(yes)}})
	w.scan()
	customer := w.planted("email_differs")
	first := w.healOn(customer)
	w.requireEscalated(first, "not_shown")
	require.Equal(t, 5, first.Attempts)
	w.ask(customer, "copy-email", "")
	w.heal(customer)
	c := w.lastCase(customer)
	require.Equal(t, lifecycle.Waiting, c.Status)
	require.Equal(t, 1, c.Attempts)
}

// gone lets every service say that it doesn't know one customer.
type gone struct {
	connectors.Connector
	customer *string
}

// One is part of connectors.Connector.
func (g gone) One(ctx context.Context, id string) (amend.Record, error) {
	r, err := g.Connector.One(ctx, id)
	return g.hide(id, r), err
}

// Many is part of connectors.Connector.
func (g gone) Many(ctx context.Context, ids []string) ([]amend.Record, error) {
	all, err := g.Connector.Many(ctx, ids)
	for i := range all {
		all[i] = g.hide(ids[i], all[i])
	}
	return all, err
}

func (g gone) hide(id string, r amend.Record) amend.Record {
	if id == *g.customer {
		return amend.Record{Presence: amend.Absent, ReadAt: r.ReadAt}
	}
	return r
}

// TestNobody: who is gone is no case any more, also in the middle of a repair
// and where people have it.
func TestNobody(t *testing.T) { onEach(t, testNobody) }

func testNobody(t *testing.T, o options) {
	t.Parallel()
	hidden := ""
	wrap := func(c connectors.Connector) connectors.Connector { return gone{c, &hidden} }
	refuse := func(c connectors.Connector) connectors.Connector { return gone{answers(no)(c), &hidden} }
	unknown := func(c connectors.Connector) connectors.Connector {
		return gone{answers(connectors.Answer{Outcome: amend.Unsettled})(c), &hidden}
	}
	w := setup(t, options{postgres: o.postgres, wrap: map[string]func(connectors.Connector) connectors.Connector{"identity": wrap, "ledger": unknown, "cards": refuse, "billing": wrap, "compliance": wrap}})
	w.scan()
	t.Run("Escalated", func(t *testing.T) {
		customer := w.planted("card_missing")
		c := w.healOn(customer)
		w.requireEscalated(c, "refused")
		hidden = customer
		w.fresh()
		ready, err := w.store.Ready(t.Context(), 1000)
		require.NoError(t, err)
		require.Contains(t, ready, customer)
		w.heal(customer)
		require.Equal(t, lifecycle.Closed, w.lastCase(customer).Status)
		require.Equal(t, "closed", w.incident(c).Outcome)
	})
	t.Run("Proposed", func(t *testing.T) {
		customer := w.planted("rejected_but_open")
		w.healOn(customer)
		hidden = customer
		w.heal(customer)
		require.Equal(t, lifecycle.Closed, w.lastCase(customer).Status)
		require.Equal(t, store.RepairVoid, w.repairs(customer)[0].Status)
	})
	t.Run("InTheMiddle", func(t *testing.T) {
		customer := w.planted("ledger_missing")
		w.healUntil(customer, "backoff")
		hidden = customer
		require.Equal(t, lifecycle.Closed, w.healOn(customer).Status)
		require.Equal(t, store.RepairLeft, w.repairs(customer)[0].Status)
	})
}
