package store

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Question is what is asked of a rule's repairs.
type Question struct {
	Rule, Version string
	Was           []string // the rule's former names: what was done and paused by them counts
	States        []string // whose customers are counted; empty: there are InStates
	InStates      int
	Canary        int // how many proved repairs of this version are counted; 0: none are
	AtOnce        int // the limits that the counts are held against
	PerHour       int
	Calls         []Call // what the rule sends
	Hour          Hour
}

func (q Question) names() []string { return append([]string{q.Rule}, q.Was...) }

// Call is one operation of one service.
type Call struct{ Service, Operation string }

// Hour is how many repairs of a rule were started in the hour before a time.
// Those that have begun since are all that has to be counted then: the sum is
// never too small, and where it comes near the limit it is counted anew.
type Hour struct {
	Begun int
	At    time.Time // zero: nothing is known
}

// Load is how busy a rule is.
type Load struct {
	Open      int // repairs that are open
	LastHour  int // repairs that were started within an hour
	OnHim     int // repairs of this customer that amend itself started within a day
	InStates  int // open cases in the given states
	Released  int // how many were in them when a person released the share brake, within a day
	Customers int // of the last full scan that began with this version and ended well; -1 where none has
	Proved    int // repairs of this version that were seen to work, no more than were asked for
	Begun     int // those that are open, too
	Failed    bool
}

// slack is more than the number of transactions that can begin a repair at the
// same moment: that of the connections of 32 workers. Only where a limit is
// nearer than that must they wait for each other.
const slack = 32 * writersLimit

// near reports whether others who count at the same moment could exceed a limit.
func (l Load) near(q Question) bool {
	return l.Open+slack >= q.AtOnce || l.LastHour+slack >= q.PerHour || l.Proved < q.Canary
}

// Facts are all that the guards of a rule ask the store.
type Facts struct {
	Load
	Pause    Pause // what covers the rule for this customer, if Paused
	Paused   bool
	Unproved Call // was sent in an earlier repair and may still take effect; the zero value where none was
}

// Facts asks everything at once. Inside an update nothing can start between the
// count and the write that would exceed a limit, whoever else works on the store.
func (u *Update) Facts(q Question) (Facts, error) {
	return exactly(u, q, func(q Question) (f Facts, l Load, err error) {
		load, pause := u.askLoad(q, &f.Load), u.askPause(q.names(), q.Calls, &f.Pause)
		all := []*inquiry{load, pause}
		unproved := make([]bool, len(q.Calls))
		for i, call := range q.Calls {
			all = append(all, u.askUnproved(call, &unproved[i]))
		}
		if err := u.tx.Ask(all...); err != nil {
			return f, l, fmt.Errorf("ask what a repair depends on: %w", err)
		}
		f.Begun += f.Proved
		f.Paused = !pause.missing
		for i := range unproved {
			if unproved[i] {
				f.Unproved = q.Calls[i]
				break
			}
		}
		return f, f.Load, nil
	})
}

// Load counts what limits and brakes judge, as Facts does.
func (u *Update) Load(q Question) (Load, error) {
	return exactly(u, q, func(q Question) (l, same Load, err error) {
		if err := u.tx.Ask(u.askLoad(q, &l)); err != nil {
			return l, l, fmt.Errorf("count repairs: %w", err)
		}
		l.Begun += l.Proved
		return l, l, nil
	})
}

// exactly asks once more where a limit is near: exactly, and while nobody else
// who asks about the rule can begin anything.
func exactly[T any](u *Update, q Question, ask func(Question) (T, Load, error)) (T, error) {
	found, load, err := ask(q)
	if err != nil || !load.near(q) || !u.s.Shared() && q.Hour.At.IsZero() {
		return found, err
	}
	if err := u.s.alone(u.tx, "rule/"+q.Rule); err != nil {
		return found, err
	}
	q.Hour = Hour{}
	found, _, err = ask(q)
	return found, err
}

func (u *Update) askLoad(q Question, l *Load) *inquiry {
	now := u.s.now()
	hour := now.Add(-time.Hour)
	if !q.Hour.At.IsZero() {
		hour = q.Hour.At
	}
	args := []any{q.Rule, micros(hour), u.ID, u.Customer, micros(now.Add(-24 * time.Hour)), q.Version}
	// Numbers that are known travel along, so that asking again begins anew.
	args = append(args, q.InStates, q.Hour.Begun)
	in, canary, named := "cast($7 as bigint)", "0, 0, false", "= $1"
	if len(q.States) > 0 {
		in += ` + (select count(*) from cases where ended_at = 0 and state in (` + following(len(args), len(q.States)) + `))`
	}
	for _, s := range q.States {
		args = append(args, s)
	}
	if len(q.Was) > 0 {
		named = "in ($1, " + following(len(args), len(q.Was)) + ")"
	}
	for _, name := range q.Was {
		args = append(args, name)
	}
	if q.Canary > 0 {
		canary = `(select count(*) from repairs where rule ` + named + ` and rule_version = $6 and status = 'open' and case_id <> $3),
			(select count(*) from (select 1 from repairs where rule ` + named + ` and rule_version = $6 and status = 'done' limit ` + strconv.Itoa(q.Canary) + `) as proved),
			exists (select 1 from repairs where rule ` + named + ` and rule_version = $6 and status = 'failed' and started_by = 'amend'
				and ended_at > coalesce((select max(ended_at) from pauses where scope = 'rule' and target ` + named + ` and brake = 'canary'), 0))`
	}
	return &inquiry{text: `select (select count(*) from repairs where rule ` + named + ` and status = 'open' and case_id <> $3),
			(select count(*) from repairs where rule ` + named + ` and created_at > $2 and status not in ('proposed', 'void', 'observed')) + $8,
			(select count(*) from repairs where customer = $4 and rule ` + named + ` and created_at > $5 and status not in ('proposed', 'void', 'observed') and started_by = 'amend'),
			coalesce((select max(level) from pauses where scope = 'rule' and target ` + named + ` and brake = 'share' and ended_at > $5), 0),
			coalesce((select customers from scans where kind = 'full' and status = 'done'
				and started_at >= (select seen_at from rule_versions where rule = $1 and version = $6) order by started_at desc limit 1), -1), ` + in + `, ` + canary,
		args: args, scan: into(&l.Open, &l.LastHour, &l.OnHim, &l.Released, &l.Customers, &l.InStates, &l.Begun, &l.Proved, &l.Failed)}
}

// Crowd is how many open cases are in a state, and how many of them have been
// opened within ten minutes.
type Crowd struct {
	State        string
	Open, Recent int
}

// Crowd counts the open cases in each of some states, the most first.
func (u *Update) Crowd(states []string) (all []Crowd, err error) {
	for _, state := range states {
		c := Crowd{State: state}
		err := u.tx.QueryRow(`select count(*), count(case when opened_at > $2 then 1 end) from cases where ended_at = 0 and state = $1`,
			state, micros(u.s.now().Add(-10*time.Minute))).Scan(&c.Open, &c.Recent)
		if err != nil {
			return nil, fmt.Errorf("count cases: %w", err)
		}
		all = append(all, c)
	}
	slices.SortStableFunc(all, func(a, b Crowd) int { return b.Open - a.Open })
	return all, nil
}

// unprovedFor is how far back an operation that nobody has seen take effect
// holds back another sending of it: a day, the longest that services commonly
// keep a request.
const unprovedFor = 24 * time.Hour

// askUnproved asks whether an operation was sent for this customer in a repair
// that was given up, may have happened, and was never seen to. A later proof of
// the same operation settles it.
func (u *Update) askUnproved(call Call, open *bool) *inquiry {
	return &inquiry{text: `select exists (select 1 from steps s join repairs r on r.id = s.repair
			where r.customer = $1 and s.service = $2 and s.operation = $3 and r.status in ('failed', 'left') and ` + maybe + ` and s.proved_at = 0
				and (r.case_id = $4 or s.sent_at > $5)
				and s.sent_at > (select coalesce(max(p.proved_at), 0) from steps p join repairs q on q.id = p.repair
					where q.customer = $1 and p.service = $2 and p.operation = $3))`,
		args: []any{u.Customer, call.Service, call.Operation, u.ID, micros(u.s.now().Add(-unprovedFor))}, scan: into(open)}
}
