package rehearsal

// Promise is what a run holds the engine to.
type Promise string

// The promises, with their names in invariants.md.
const (
	SetupFailed    Promise = "the rehearsal itself works"
	NoPanic        Promise = "nothing panics"
	RightSends     Promise = "nothing is sent whose precondition is false (I1)"
	OneKey         Promise = "one need has one key (I5)"
	OneEffect      Promise = "no need is served twice"
	InOrder        Promise = "nothing is sent before its turn (I12)"
	IntentFirst    Promise = "whatever arrives was written down before, byte for byte (I4, I6, I9)"
	Audited        Promise = "whatever is sent stands in the audit (I21)"
	TimeOrPerson   Promise = "every open case has a time or a person (I14)"
	Told           Promise = "every incident is told (I19)"
	ToldOnce       Promise = "an incident is one message (I19)"
	OneRepair      Promise = "a case has one open repair, and none when it has ended"
	OneHolder      Promise = "a live lease is nobody else's (I10)"
	UnderLease     Promise = "whatever arrives was sent under a live lease (I10)"
	StaleWrites    Promise = "fences never go back (I11)"
	HealedIsRead   Promise = "healed means that it was so when it was read (I13)"
	PausedMeansNow Promise = "nothing is sent while it is paused (I16)"
	InStages       Promise = "a changed rule's first repairs come in stages (I15)"
	Polite         Promise = "no customer is read over and over (I27)"
	NothingLost    Promise = "every customer is in order or with a person in the end, who was told (I14)"
)

// standing are promises that one query can judge: it names who breaks them. What
// people start is theirs to judge, also where a rule is new.
var standing = []struct {
	promise Promise
	query   string
}{
	{TimeOrPerson, `select c.customer || ' is ' || c.status || ' (' || c.reason || ') and wakes at ' || c.wake_at from cases c where c.ended_at = 0 and case
		when c.status in ('escalated', 'proposed') then not exists (select 1 from incidents i where i.id = c.incident and i.closed_at = 0)
		else c.wake_at = 0 end`},
	{Told, `select i.id || ' ' || i.why from incidents i where not exists (select 1 from outbox o where o.incident = i.id)`},
	{OneRepair, `select case_id from repairs where status in ('open', 'proposed') group by case_id having count(*) > 1`},
	{OneRepair, `select r.id || ' of ' || r.customer from repairs r join cases c on c.id = r.case_id where r.status in ('open', 'proposed') and c.ended_at > 0`},
	{InStages, `select rule || ' has ' || going || ' repairs open and ' || proved || ' proved' from (
			select rule, sum(status = 'open' and started_by = 'amend') as going, sum(status = 'done') as proved from repairs group by rule, rule_version) as stages
		where going > 0 and proved < 100 and going + proved > case when proved < 1 then 1 when proved < 10 then 10 else 100 end`},
	{Audited, `select s.key || ' ' || s.service || '.' || s.operation from steps s
		where s.sent > (select count(*) from audit a where a.key = s.key and a.act = 'sent')`},
}
