package connectors_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
)

// trouble is what can become of a service's sentinels, over HTTP and in the
// table of the compliance service.
type trouble struct {
	name    string
	speak   func(q question) speech
	changes []string
}

// troubles lie about sentinels alone: customers are answered honestly, in
// batches too.
func troubles() []trouble {
	about := func(id, record string) func(question) speech {
		return func(q question) speech {
			switch {
			case q.way == "one" && q.customers[0] == id && record == "":
				q.status, q.honest = 404, `{"code":"not_found"}`
			case q.way == "one" && q.customers[0] == id:
				q.status, q.honest = 200, fmt.Sprintf(record, id)
			case q.way == "many" && id == always: // the first of the honest records that isn't a customer
				old := fmt.Sprintf(records[q.service], always)
				q.honest = strings.NewReplacer(old+",", "", ","+old, "", old, "").Replace(q.honest)
			case q.way == "many":
				q.honest = strings.Replace(q.honest, `[`, `[`+fmt.Sprintf(records[q.service], never)+`,`, 1)
				q.honest = strings.Replace(q.honest, `},]`, `}]`, 1)
			}
			return truly(q)
		}
	}
	failing := func(id string) func(question) speech {
		return func(q question) speech {
			if q.way == "one" && q.customers[0] != id {
				return truly(q)
			}
			return speech{response(503, "text/html", "<h1>busy</h1>"), staysOpen}
		}
	}
	return []trouble{
		{"the one that is always there is gone", about(always, ""), []string{"delete from holds where customer_id = '" + always + "'"}},
		{"the one that is always there has changed", about(always, `{"status":"archived","of":"%s"}`), []string{"update holds set hold = 'archived' where customer_id = '" + always + "'"}},
		{"the one that never is has come", func(q question) speech { return about(never, records[q.service])(q) }, []string{"insert into holds values ('" + never + "', 0, 'none', '2026-03-01T12:00:00Z')"}},
		{"the one that never is has a record that can't be read", about(never, `{"of":"%s"}`), []string{"insert into holds values ('" + never + "', null, null, null)"}},
		{"the one that is always there can't be asked", failing(always), []string{"alter table holds rename to hidden"}},
		{"the one that never is can't be asked", failing(never), []string{"alter table holds rename to hidden"}},
	}
}

// I1, I3: while the sentinels don't answer rightly, an absence is unseen, in
// one, in a batch and in a list; who is there is there all the same; and with
// the sentinels in order again absences count again.
func TestAbsenceWithoutProof(t *testing.T) {
	t.Parallel()
	for _, trouble := range troubles() {
		t.Run(trouble.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, f *five) {
				for i, s := range f.services {
					if !s.Sentinels.Declared() {
						continue
					}
					f.requireProven(t, i)
					f.says(trouble.speak)
					if s.Name == "compliance" {
						for _, change := range trouble.changes {
							f.database(t, change)
						}
					}
					pass(time.Millisecond) // the proof of before is of before
					f.requireUnproven(t, i, strings.Contains(trouble.name, "asked"))
					f.says(nil)
					if s.Name == "compliance" {
						f.database(t, "drop table if exists holds")
						f.database(t, "drop table if exists hidden")
						f.keep(t)
					}
					pass(5 * time.Second) // a breaker that opened lets a call through
					f.requireProven(t, i)
				}
			})
		})
	}
}

func (f *five) requireProven(t *testing.T, service int) {
	t.Helper()
	name := f.services[service].Name
	require.Equal(t, amend.Absent, f.decide(t, service, gone).Presence, name)
	require.Equal(t, "present absent", f.batch(t, service, here, gone), name)
	require.NoError(t, f.connectors[service].(connectors.Prover).Proof(t.Context(), time.Now()), name)
}

// requireUnproven also where one call for many fails as a whole, since it asks
// for the sentinels, or where the whole table is out of reach.
func (f *five) requireUnproven(t *testing.T, service int, failing bool) {
	t.Helper()
	c, s := f.connectors[service], &f.services[service]
	err := c.(connectors.Prover).Proof(t.Context(), time.Now())
	require.Equal(t, amend.Unproven, connectors.AsUnseen(err).Cause, "%s, of a list: %v", s.Name, err)
	record := f.decide(t, service, gone)
	require.Equal(t, "unseen", record.Presence.String(), s.Name)
	unreadable := s.Name == "compliance" && failing
	if !unreadable {
		require.Equal(t, amend.Unproven, record.Cause, "%s: %s", s.Name, record.Reason)
		require.Equal(t, "present", f.decide(t, service, here).Presence.String(), s.Name)
	}
	got := f.batch(t, service, here, gone)
	if c.Can().Many > 0 && failing {
		require.NotContains(t, got, "absent", s.Name)
		require.NotContains(t, got, "present", s.Name)
	} else if !unreadable {
		require.Equal(t, "present unseen", got, s.Name)
	}
}

// A scan's single read may rest on a proof of the last half minute, and not of
// a moment longer; a decision rests on none that is older than its record.
func TestProofGrowsOld(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *five) {
		for i, s := range f.services {
			if !s.Sentinels.Declared() || s.Name == "compliance" {
				continue
			}
			f.says(nil)
			f.requireProven(t, i)
			f.says(troubles()[0].speak)
			one := func() amend.Record {
				record, err := f.connectors[i].One(t.Context(), gone)
				require.NoError(t, err)
				return record
			}
			const turns = 50 * time.Millisecond // the rate limit of identity makes each call wait for its turn
			pass(connectors.DefaultWindow - turns)
			require.Equal(t, "absent", one().Presence.String(), s.Name)
			require.Equal(t, amend.Unproven, f.decide(t, i, gone).Cause, s.Name)
			pass(turns + time.Millisecond)
			require.Equal(t, amend.Unproven, one().Cause, s.Name)
			f.says(nil)
			require.Equal(t, "absent", one().Presence.String(), s.Name)
		}
	})
}

// Billing proves an absence by a marker of its own: another 404 is none,
// whoever else is answered rightly.
func TestAbsenceWithoutMarker(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *five) {
		i := 3
		require.Equal(t, "billing", f.services[i].Name)
		_, proves := f.connectors[i].(connectors.Prover)
		require.False(t, proves)
		for _, body := range []string{`{"code":"not_found"}`, `{"code":"NO_SUBSCRIPTION"}`, `{"code":["no_subscription"]}`, `{"error":{"code":"no_subscription"}}`, `{"code":"no_subscription"`, `no_subscription`} {
			f.says(func(q question) speech {
				if q.status == 404 {
					q.honest = body
				}
				return truly(q)
			})
			record := f.decide(t, i, gone)
			require.Equal(t, "unseen", record.Presence.String(), body)
			require.Equal(t, amend.Malformed, record.Cause, body)
			require.Equal(t, "present", f.decide(t, i, here).Presence.String(), body)
		}
		f.says(nil)
		require.Equal(t, "absent", f.decide(t, i, gone).Presence.String())
	})
}
