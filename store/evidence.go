package store

import (
	"context"
	"time"
)

// Evidence is what one version of a rule has done, or would have done, as far
// as its cases are kept.
type Evidence struct {
	Rule, Version string
	Observed      int // it would have acted, but only observes
	Proposed      int
	Agreed        int // by as many people as it takes
	Refused       int // by a person
	Sent          int // repairs that were begun
	Verified      int // and seen to work
	Failed        int // and given up
	Left          int // and overtaken by somebody else's change
	Relapsed      int // verified, and within a week the customer was in the same state again
	First, Last   time.Time
}

// relapseWithin is how soon a customer must be in a state again for the repair
// that led out of it not to have lasted.
const relapseWithin = 7 * 24 * time.Hour

// Evidence lists what rules have done, by version, the newest of each rule
// first.
func (s *Store) Evidence(ctx context.Context) ([]Evidence, error) {
	scan := func(r row) (e Evidence, err error) {
		var first, last int64
		err = r.Scan(&e.Rule, &e.Version, &e.Observed, &e.Proposed, &e.Agreed, &e.Refused, &e.Sent, &e.Verified, &e.Failed, &e.Left, &e.Relapsed, &first, &last)
		e.First, e.Last = fromMicros(first), fromMicros(last)
		return e, err
	}
	return query(ctx, s, scan, `select rule, rule_version, count(case when status = 'observed' then 1 end),
			count(p.repair), count(case when p.agreed_at > 0 then 1 end),
			count(case when exists (select 1 from approvals a where a.repair = r.id and a.agrees = 0) then 1 end),
			count(case when status in ('open', 'done', 'failed', 'left') then 1 end), count(case when status = 'done' then 1 end),
			count(case when status = 'failed' then 1 end), count(case when status = 'left' then 1 end),
			count(case when status = 'done' and exists (select 1 from cases n where n.previous = r.case_id and n.opened_at < r.ended_at + $1
				and (n.state = r.state or exists (select 1 from repairs q where q.case_id = n.id and q.state = r.state))) then 1 end),
			min(created_at), max(created_at)
		from repairs r left join proposals p on p.repair = r.id group by rule, rule_version order by rule, max(created_at) desc`, relapseWithin.Microseconds())
}
