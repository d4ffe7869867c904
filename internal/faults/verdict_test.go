package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// caseRow is a case as the store holds it; times are microseconds, 0 is none.
type caseRow struct {
	id, customer, status, reason, incident string
	fence, version, leaseUntil, endedAt    int64
}

// cases reads the store past amend.
func (w *world) cases(where string) []caseRow {
	w.Helper()
	rows, err := w.db.Query(`select id, customer, status, reason, incident, fence, version, lease_until, ended_at from cases where ` + where)
	require.NoError(w, err)
	defer rows.Close()
	var all []caseRow
	for rows.Next() {
		var c caseRow
		require.NoError(w, rows.Scan(&c.id, &c.customer, &c.status, &c.reason, &c.incident, &c.fence, &c.version, &c.leaseUntil, &c.endedAt))
		all = append(all, c)
	}
	require.NoError(w, rows.Err())
	return all
}

// count asks the store for a number.
func (w *world) count(query string) int {
	w.Helper()
	var n int
	require.NoError(w, w.db.QueryRow(query).Scan(&n))
	return n
}

// inFlight counts the steps that were sent since a time and not answered yet.
func (w *world) inFlight(since time.Time) int {
	w.Helper()
	return w.count(fmt.Sprintf(`select count(*) from steps where outcome_at = 0 and sent_at > %d`, since.UnixMicro()))
}

// interrupted counts the steps whose sender never wrote down what became of them,
// so that somebody else had to find out, and those that were sent again. It is
// asked when all is calm.
func (w *world) interrupted() int {
	w.Helper()
	return w.count(`select count(*) from steps where outcome_at = 0 or sent > 1`)
}

// withPeople reports whether a case waits for a person.
func (c caseRow) withPeople() bool { return c.status == "escalated" || c.status == "proposed" }

// awaitCalm waits until every customer who is inconsistent in truth is with
// people, and no case is under way any more. Whoever is neither healed nor with
// people by then is lost.
func (w *world) awaitCalm() {
	w.Helper()
	var restless []string
	calm := w.poll(100*time.Millisecond, calmLimit, func() bool {
		if len(w.unable) > 0 {
			w.release()
		}
		restless = w.restless()
		return len(restless) == 0
	})
	require.True(w, calm, "after %v there are customers neither healed nor with people:\n%s", calmLimit, strings.Join(restless, "\n"))
}

// restless lists who is neither in order nor with people.
func (w *world) restless() []string {
	w.Helper()
	var restless []string
	people := map[string]bool{}
	for _, c := range w.cases(`ended_at = 0`) {
		people[c.customer] = c.withPeople()
		if !c.withPeople() {
			restless = append(restless, fmt.Sprintf("%s (%s): case %s is %s: %s", c.customer, w.bank.Truth(c.customer), c.id, c.status, c.reason))
		}
	}
	for customer := range w.bank.Planted() {
		if _, hasCase := people[customer]; !hasCase && !w.bank.Coherent(customer) {
			restless = append(restless, fmt.Sprintf("%s (%s): no case", customer, w.bank.Truth(customer)))
		}
	}
	slices.Sort(restless)
	return restless
}

// lookBack is how long before a case is closed as healed its last reading can
// have been, at most.
const lookBack = 5 * time.Second

// requireNothingWrong holds what amend says, and what it has sent, against what
// the bank knows. It is asked when all is calm.
func (w *world) requireNothingWrong() {
	w.Helper()
	counts := w.bank.Count()
	assert.Zero(w, counts.DoubleEffects, "double effects")
	assert.LessOrEqual(w, counts.EffectsPerNeed, 1, "effects for one need")
	assert.Zero(w, counts.SecondKeys, "second keys for one need (I5)")
	assert.LessOrEqual(w, counts.KeysPerNeed, 1, "keys for one need (I5)")
	assert.Empty(w, w.overtaken(), "steps sent again after a later one of the same customer (I10)")
	assert.Zero(w, counts.WrongSends, "mutations sent whose precondition was false (I1)\n%s", w.wrongSends())
	assert.Zero(w, counts.OutOfOrder, "mutations sent before their turn")
	assert.Empty(w, w.falselyHealed(), "said to be healed, and never was (I13)")
	assert.Empty(w, w.unannounced(intents), "sent without an intent in the store (I4)")
	assert.Empty(w, w.unannounced(audited), "sent without an entry in the audit (I21)")
	assert.Empty(w, w.givenUp(), "with people, although a rule could have mended it")
	for what, query := range contradictions {
		assert.Zero(w, w.count(query), what)
	}
	for _, p := range w.workers {
		assert.Empty(w, p.complaint())
	}
	w.report()
}

// contradictions are what the store must never hold, counted.
var contradictions = map[string]string{
	"cases with people, and no incident (I19)": `select count(*) from cases
		where ended_at = 0 and status in ('escalated', 'proposed') and incident = ''`,
	"incidents that nobody is told of (I19)": `select count(*) from incidents i
		where not exists (select 1 from outbox o where o.incident = i.id)`,
	"repairs that count as done, of which no reading has shown a step (I13)": `select count(*) from repairs r join steps s on s.repair = r.id
		where r.status = 'done' and s.proved_at = 0`,
	"customers with two open cases": `select count(*) from (select customer from cases
		where ended_at = 0 group by customer having count(*) > 1) twice`,
	"cases with two open repairs": `select count(*) from (select case_id from repairs
		where status in ('open', 'proposed') group by case_id having count(*) > 1) twice`,
	"open repairs of cases that have ended": `select count(*) from repairs r join cases c on c.id = r.case_id
		where r.status in ('open', 'proposed') and c.ended_at > 0`,
}

// forPeople are the states of bank.yaml that only people can end.
var forPeople = []string{"orphaned", "rejected_with_money", "rejected_but_open", "ledger_unusable", "signing_up_overdue"}

// givenUp lists whom amend has left to people although a rule leads out of the
// customer's state.
func (w *world) givenUp() []string {
	w.Helper()
	var all []string
	for _, c := range w.cases(`ended_at = 0`) {
		if truth := w.bank.Truth(c.customer); !slices.Contains(forPeople, truth) && c.reason != flapping && !slices.Contains(w.unable, c.reason) {
			all = append(all, fmt.Sprintf("%s is %s, and the case is %s: %s\n%s", c.customer, truth, c.status, c.reason,
				strings.Join(w.trace(map[string]caseRow{c.id: c}), "\n")))
		}
	}
	return all
}

// overtaken lists the keys that came again after another one for the same
// customer: somebody who had lost the case went on with it.
func (w *world) overtaken() []string {
	var overtaken []string
	last, passed := map[string]string{}, map[string]bool{}
	for _, e := range w.bank.Journal().Entries() {
		if e.Key == "" {
			continue
		}
		if passed[e.Key] {
			overtaken = append(overtaken, fmt.Sprintf("%s %s at %s", e.Customer, e.Operation, e.Time.Format(time.StampMilli)))
		}
		if before := last[e.Customer]; before != e.Key {
			passed[before], last[e.Customer] = before != "", e.Key
		}
	}
	return overtaken
}

// report logs the figures of the bank's ledger beside those of the store, and
// adds them to those of a soak.
func (w *world) report() {
	w.Helper()
	counts := w.bank.Count()
	again, healed := w.count(`select count(*) from steps where sent > 1`), w.count(`select count(*) from cases where status = 'healed'`)
	people := w.count(`select count(*) from cases where ended_at = 0`)
	if folder := os.Getenv(soakVariable); folder != "" {
		f, err := os.OpenFile(filepath.Join(folder, "faults"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		require.NoError(w, err)
		defer f.Close()
		_, err = fmt.Fprintf(f, "test %s kills %d mutations %d effects %d again %d doubles %d second_keys %d wrong %d out_of_order %d healed %d people %d\n", w.Name(), w.kills,
			counts.RepairsSent, counts.Effects, again, counts.DoubleEffects, counts.SecondKeys, counts.WrongSends, counts.OutOfOrder, healed, people)
		require.NoError(w, err)
	}
	w.Logf("the bank received %d mutations: %d effects (%d for a need at most), %d replays, %d double, %d second keys (%d for a need at most), %d wrong, %d out of order; "+
		"%d steps interrupted, %d of them sent again; %d cases healed, %d with people, none lost",
		counts.RepairsSent, counts.Effects, counts.EffectsPerNeed, counts.Replays, counts.DoubleEffects, counts.SecondKeys, counts.KeysPerNeed, counts.WrongSends, counts.OutOfOrder,
		w.interrupted(), again, healed, people)
}

// wrongSends shows the mutations that were wrong, with what was sent to the same
// customers.
func (w *world) wrongSends() string {
	var b strings.Builder
	for _, wrong := range w.bank.Journal().Entries() {
		if wrong.Wrong == "" {
			continue
		}
		for _, e := range w.bank.Journal().Of(wrong.Customer) {
			fmt.Fprintf(&b, "%s %s %s key=%s status=%d effect=%t replayed=%t wrong=%q\n",
				e.Time.Format(time.StampMilli), e.Customer, e.Operation, e.Key, e.Status, e.Effect, e.Replayed, e.Wrong)
		}
	}
	return b.String()
}

// falselyHealed lists the cases that were closed as healed although their
// customer was in order at no time at which that could have been read.
func (w *world) falselyHealed() []string {
	w.Helper()
	var falsely []string
	for _, c := range w.cases(`status = 'healed'`) {
		ended := time.UnixMicro(c.endedAt)
		if !w.bank.CoherentWithin(c.customer, ended.Add(-lookBack), ended) {
			falsely = append(falsely, fmt.Sprintf("%s at %s (case %s)", c.customer, ended.Format(time.StampMilli), c.id))
		}
	}
	return falsely
}

// What the store holds of each sending: customer, operation, idempotency key,
// and how often.
const (
	intents = `select r.customer, s.service || '.' || s.operation, s.key, s.sent from steps s join repairs r on r.id = s.repair`
	audited = `select s.customer, a.what, a.key, 1 from audit a join subjects s on s.id = a.subject where a.act = 'sent'`
)

// unannounced lists what the bank has received more often than the store has
// been told before: by customer and operation, and by idempotency key.
func (w *world) unannounced(query string) []string {
	w.Helper()
	rows, err := w.db.Query(query)
	require.NoError(w, err)
	defer rows.Close()
	announced := map[string]int{}
	for rows.Next() {
		var customer, operation, key string
		var sent int
		require.NoError(w, rows.Scan(&customer, &operation, &key, &sent))
		announced[customer+" "+operation] += sent
		announced[key] += sent
	}
	require.NoError(w, rows.Err())
	received := map[string]int{}
	for _, e := range w.bank.Journal().Entries() {
		received[e.Customer+" "+string(e.Operation)]++
		if e.Key != "" {
			received[e.Key]++
		}
	}
	var unannounced []string
	for what, n := range received {
		if n > announced[what] {
			unannounced = append(unannounced, fmt.Sprintf("%s: received %d times, announced %d times", what, n, announced[what]))
		}
	}
	slices.Sort(unannounced)
	return unannounced
}

// flapping is the reason of whom a rule has mended three times in a day: over a
// long time the bank drifts that often by chance.
const flapping = "flapping"
