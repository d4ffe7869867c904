package faults

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/internal/testpg"
	"amend/internal/testproxy"
)

const (
	// leaseFor is how long a worker that is gone keeps its cases from others.
	leaseFor = 20 * time.Second
	// holding is how many cases a worker holds when something is done to it.
	holding = 4
	// recoveryGoal bounds, in 95 of 100 cases, the time until a case of a dead
	// worker is another's.
	recoveryGoal = 30 * time.Second
	// leaseLimit is when the last of them must be.
	leaseLimit = 60 * time.Second
	// release is more than a worker that lives needs to let go of a case, or to
	// renew its lease, also where it first waits ten seconds for a transaction in
	// which another stands still; and less than what is left of a dead one's.
	release = 12 * time.Second
)

// TestKillOneOfThree kills one of three workers under load, and looks at how
// long its cases wait for another (T01, T32). It is the worker that ticks, whose
// place has to be taken first, and in a soak also one of those that don't.
func TestKillOneOfThree(t *testing.T) {
	t.Parallel()
	var took []moved
	for round := range times(1, 40) {
		t.Run(strconv.Itoa(round), func(t *testing.T) {
			took = append(took, killOneOfThree(t, round%2)...)
		})
	}
	require.NotEmpty(t, took)
	text, p95 := spread(took)
	t.Logf("cases of dead workers became another's: %s", text)
	require.LessOrEqual(t, p95, recoveryGoal)
}

func killOneOfThree(t *testing.T, victim int) []moved {
	t.Helper()
	w := setup(t, options{store: testpg.New(t), faults: late(time.Second)})
	workers := []*worker{w.startLeader(), w.start().ready(), w.start().ready()}
	stop := w.drift(100)
	w.awaitHolds(victim)
	workers[victim].kill()
	took := w.handedOver()
	stop()
	w.awaitCalm()
	w.requireNothingWrong()
	return took
}

// TestStandStill lets two of three workers stand still for longer than their
// leases last: one with its whole process, and it is the one that ticks; one
// with its way to the database alone. The third takes their cases over, and when
// they go on they must not touch them any more (T03).
func TestStandStill(t *testing.T) {
	t.Parallel()
	for round := range times(1, 100) {
		t.Run(strconv.Itoa(round), standStill)
	}
}

func standStill(t *testing.T) {
	server := testpg.Start(t)
	proxy := testproxy.Start(t, server.Address())
	w := setup(t, options{store: server.URL(), faults: late(time.Second)})
	stopped := w.startLeader()
	w.startOn(server.URLVia(proxy.Address()), w.config).ready()
	third := w.start().ready()
	stop := w.drift(100)
	w.awaitHolds(0)
	w.awaitHolds(1)
	stopped.stop()
	proxy.Blackhole()
	stop()
	taken := w.handedOver()
	ended := w.awaitEnded(taken)
	before := w.trace(ended)
	third.terminate() // what happens from here on, the others do
	sent := w.bank.Journal().Len()
	stop = w.drift(100)
	stopped.goOn()
	proxy.Pass()
	w.awaitSends(sent, 10)
	require.Equal(t, before, w.trace(ended), "somebody has written to cases that were no longer theirs (I11)")
	stop()
	w.awaitCalm()
	w.requireNothingWrong()
	text, _ := spread(taken)
	t.Logf("two of three workers stood still; cases of theirs became the third's: %s; %d had ended before they went on", text, len(ended))
}

// awaitHolds waits until a worker, counted in the order of their starts, holds
// enough cases.
func (w *world) awaitHolds(worker int) {
	w.Helper()
	w.await(workLimit, fmt.Sprintf("worker-%d holds cases", worker+1), func() bool {
		ids := w.texts(`select distinct unnest(attempted_by) id from river_job order by id`) // they begin with the host and the time
		return len(ids) == len(w.workers) && w.heldBy(ids[worker]) >= holding
	})
}

// heldBy counts the cases that are held and for which this worker was woken last.
func (w *world) heldBy(id string) int {
	w.Helper()
	return w.count(fmt.Sprintf(`select count(*) from cases c where ended_at = 0 and lease_until > %d and '%s' = (
		select attempted_by[cardinality(attempted_by)] from river_job j where j.queue = 'heal' and j.args->>'key' = c.customer
		order by attempted_at desc nulls last limit 1)`, time.Now().UnixMicro(), id))
}

// held lists the cases that somebody holds.
func (w *world) held() []caseRow {
	w.Helper()
	return w.cases(fmt.Sprintf(`ended_at = 0 and lease_until > %d`, time.Now().UnixMicro()))
}

// moved is a case that was held at some moment, and how long after it that
// changed.
type moved struct {
	id    string
	after time.Duration
}

// handedOver waits until every case that is held now, by a worker that has just
// gone, is another's. Those of workers that live change soon and are left out.
func (w *world) handedOver() []moved {
	w.Helper()
	all := slices.DeleteFunc(w.movedOn(w.held(), time.Now()), func(m moved) bool { return m.after < release })
	require.NotEmpty(w, all, "the worker that has gone held nothing")
	return all
}

// movedOn waits until every case of a snapshot is released, renewed or another's,
// in that order of time.
func (w *world) movedOn(held []caseRow, since time.Time) []moved {
	w.Helper()
	waiting := map[string]caseRow{}
	for _, c := range held {
		waiting[c.id] = c
	}
	var all []moved
	done := w.poll(50*time.Millisecond, leaseLimit, func() bool {
		for _, now := range w.cases(`id in (` + quoted(waiting) + `)`) {
			if then := waiting[now.id]; now.fence != then.fence || now.leaseUntil != then.leaseUntil {
				all = append(all, moved{now.id, time.Since(since)})
				delete(waiting, now.id)
			}
		}
		return len(waiting) == 0
	})
	require.True(w, done, "after %v they are still held: %v", leaseLimit, waiting)
	return all
}

// spread shows how long cases took, and gives the time within which 95 of 100
// moved.
func spread(all []moved) (text string, p95 time.Duration) {
	slices.SortFunc(all, func(a, b moved) int { return cmp.Compare(a.after, b.after) })
	p95 = all[(len(all)*95-1)/100].after
	return fmt.Sprintf("%d cases after %v to %v, p95 %v", len(all), all[0].after, all[len(all)-1].after, p95), p95
}

// quoted lists the IDs for SQL.
func quoted(cases map[string]caseRow) string {
	ids := []string{"''"}
	for id := range cases {
		ids = append(ids, "'"+id+"'")
	}
	return strings.Join(ids, ", ")
}

// awaitEnded waits until some of the cases have ended, and gives those.
func (w *world) awaitEnded(cases []moved) map[string]caseRow {
	w.Helper()
	all := map[string]caseRow{}
	for _, c := range cases {
		all[c.id] = caseRow{}
	}
	ended := map[string]caseRow{}
	w.await(workLimit, "cases that were taken over end", func() bool {
		for _, c := range w.cases(`ended_at > 0 and id in (` + quoted(all) + `)`) {
			ended[c.id] = c
		}
		return len(ended) > 0
	})
	return ended
}

// trace is all that the store holds of the cases.
func (w *world) trace(cases map[string]caseRow) []string {
	w.Helper()
	ids := quoted(cases)
	var all []string
	for _, query := range []string{
		`select concat_ws(' ', c.*) from cases c where id in (` + ids + `) order by id`,
		`select concat_ws(' ', r.*) from repairs r where case_id in (` + ids + `) order by id`,
		`select concat_ws(' ', s.*) from steps s join repairs r on r.id = s.repair where r.case_id in (` + ids + `) order by repair, number`,
		`select concat_ws(' ', t.*) from timeline t where case_id in (` + ids + `) order by id`,
	} {
		all = append(all, w.texts(query)...)
	}
	return all
}

// texts are the rows of a query for one text.
func (w *world) texts(query string) []string {
	w.Helper()
	rows, err := w.db.Query(query)
	require.NoError(w, err)
	defer rows.Close()
	var all []string
	for rows.Next() {
		var row string
		require.NoError(w, rows.Scan(&row))
		all = append(all, row)
	}
	require.NoError(w, rows.Err())
	return all
}
