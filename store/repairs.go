package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"amend"
	"amend/internal/crash"
)

// The statuses of a repair. Stored data: don't rename.
const (
	RepairProposed = "proposed" // written down, waits for people
	RepairOpen     = "open"
	RepairDone     = "done"     // every effect was shown by reading
	RepairFailed   = "failed"   // it gave up
	RepairLeft     = "left"     // somebody else changed the customer first
	RepairVoid     = "void"     // what it rested on changed before anything was sent
	RepairObserved = "observed" // what a rule that only observes would have done
)

// Repair is one taking of one rule for one case.
type Repair struct {
	ID          string
	CaseID      string
	Customer    string
	Rule        string
	RuleVersion string
	State       string // the customer's state when it was planned
	Status      string
	StartedBy   string
	Reason      string          // the person's
	Plan        json.RawMessage // written before anything is sent, never computed again
	CreatedAt   time.Time
	EndedAt     time.Time
}

// Step is one operation of a repair: what goes over the wire, and what became
// of it.
type Step struct {
	Repair    string
	Number    int
	Service   string
	Operation string
	Key       string          // the idempotency key: one for life
	Request   json.RawMessage // exactly what is sent
	IntentAt  time.Time
	Sent      int // how often
	SentAt    time.Time
	Outcome   amend.Outcome
	OutcomeAt time.Time // zero: sent, and nothing known yet
	Status    int       // HTTP status of the last answer
	Detail    string
	ProvedAt  time.Time // when a reading showed the effect, or a person said that it happened
	// AnsweredBy said whether it happened, since no reading did; empty where a
	// reading tells.
	AnsweredBy string
}

// Key is the idempotency key of a step: the same for every attempt, another
// for every other step of every other repair of every other installation.
func (s *Store) Key(repair string, step int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", s.installation, repair, step))
	return "amend-" + hex.EncodeToString(sum[:16])
}

const repairColumns = `id, case_id, customer, rule, rule_version, state, status, started_by, reason, plan, created_at, ended_at`

func scanRepair(r row) (Repair, error) {
	var p Repair
	var created, ended int64
	var plan string
	err := r.Scan(&p.ID, &p.CaseID, &p.Customer, &p.Rule, &p.RuleVersion, &p.State, &p.Status, &p.StartedBy, &p.Reason, &plan, &created, &ended)
	p.Plan, p.CreatedAt, p.EndedAt = json.RawMessage(plan), fromMicros(created), fromMicros(ended)
	return p, err
}

const stepColumns = `repair, number, service, operation, key, request, intent_at, sent, sent_at, outcome, outcome_at, http_status, detail, proved_at, answered_by`

func scanStep(r row) (Step, error) {
	var p Step
	var intent, sent, outcomeAt, proved int64
	var request, outcome string
	err := r.Scan(&p.Repair, &p.Number, &p.Service, &p.Operation, &p.Key, &request, &intent, &p.Sent, &sent, &outcome, &outcomeAt, &p.Status, &p.Detail, &proved, &p.AnsweredBy)
	p.Request, p.Outcome = json.RawMessage(request), amend.ParseOutcome(outcome)
	p.IntentAt, p.SentAt, p.OutcomeAt, p.ProvedAt = fromMicros(intent), fromMicros(sent), fromMicros(outcomeAt), fromMicros(proved)
	return p, err
}

// Repairs lists the repairs of a case, oldest first.
func (s *Store) Repairs(ctx context.Context, caseID string) ([]Repair, error) {
	return query(ctx, s, scanRepair, `select `+repairColumns+` from repairs where case_id = $1 order by created_at, id`, caseID)
}

// Steps lists the steps of a repair, in order.
func (s *Store) Steps(ctx context.Context, repair string) ([]Step, error) {
	return query(ctx, s, scanStep, `select `+stepColumns+` from steps where repair = $1 order by number`, repair)
}

// OpenRepair finds the case's repair that is open or proposed.
func (s *Store) OpenRepair(ctx context.Context, caseID string) (Repair, bool, error) {
	return first(query(ctx, s, scanRepair, `select `+repairColumns+` from repairs where case_id = $1 and status in ('open', 'proposed') order by created_at limit 1`, caseID))
}

// WakeWaiting has whoever waits for a reason of a rule looked at now.
func (u *Update) WakeWaiting(rule, reason string) error {
	err := u.tx.Later(`update cases set wake_at = $3 where ended_at = 0 and rule = $1 and reason = $2 and wake_at > $3 and lease_until <= $3 and id <> $4`,
		rule, reason, micros(u.s.now()), u.ID)
	if err != nil {
		return fmt.Errorf("wake who waits: %w", err)
	}
	return nil
}

// Introduce writes down which versions of rules are worked with from now on;
// those that are known already stay as they are.
func (s *Store) Introduce(ctx context.Context, versions map[string]string) error {
	return s.write(ctx, func(tx *tx) error {
		for rule, version := range versions {
			err := tx.Later(`insert into rule_versions (rule, version, seen_at) values ($1, $2, $3) on conflict do nothing`, rule, version, micros(s.now()))
			if err != nil {
				return fmt.Errorf("write the versions of rules: %w", err)
			}
		}
		return nil
	})
}

// AddRepair writes a new repair of this case.
func (u *Update) AddRepair(p Repair) (Repair, error) {
	p.ID, p.CaseID, p.Customer, p.CreatedAt = u.s.ids.New("rep"), u.ID, u.Customer, u.s.now()
	err := u.tx.Later(`insert into repairs (`+repairColumns+`) values (`+placeholders(12)+`)`, p.ID, p.CaseID, p.Customer, p.Rule, p.RuleVersion, p.State,
		p.Status, p.StartedBy, p.Reason, string(p.Plan), micros(p.CreatedAt), 0)
	if err != nil {
		return p, fmt.Errorf("write the repair: %w", err)
	}
	u.asks = u.asks || p.Status == RepairProposed
	return p, nil
}

// SetRepair changes where a repair stands; any status but open and proposed
// ends it.
func (u *Update) SetRepair(id, status string) error {
	ended := int64(0)
	if status != RepairOpen && status != RepairProposed {
		ended = micros(u.s.now())
	}
	if err := u.tx.Later(`update repairs set status = $2, ended_at = $3 where id = $1`, id, status, ended); err != nil {
		return fmt.Errorf("write the repair: %w", err)
	}
	return nil
}

// Intent writes down what is about to be sent, before the first byte is, and
// the audit's entry of it: without either nothing may be sent. The first time it
// fixes key and bytes for life; afterwards it only counts.
func (u *Update) Intent(r Repair, p Step) error {
	err := u.tx.Later(`insert into steps (`+stepColumns+`) values (`+placeholders(15)+`)
		on conflict (repair, number) do update set sent = steps.sent + 1, sent_at = excluded.sent_at, outcome = 'unsettled', outcome_at = 0`,
		p.Repair, p.Number, p.Service, p.Operation, p.Key, string(p.Request), micros(u.s.now()), 1, micros(u.s.now()), amend.Unsettled.String(), 0, 0, "", 0, "")
	if err != nil {
		return fmt.Errorf("write the intent: %w", err)
	}
	crash.At(crash.IntentWritten)
	return u.auditSent(r, p)
}

// Sent corrects when a step was sent and answered, where the clock was put back.
func (u *Update) Sent(p Step) error {
	err := u.tx.Later(`update steps set sent_at = $3, outcome_at = $4 where repair = $1 and number = $2`, p.Repair, p.Number, micros(p.SentAt), micros(p.OutcomeAt))
	if err != nil {
		return fmt.Errorf("write the step: %w", err)
	}
	return nil
}

// Outcome writes down what became of the last sending of a step, and when: now,
// unless the step says so.
func (u *Update) Outcome(p Step) error {
	if p.OutcomeAt.IsZero() {
		p.OutcomeAt = u.s.now()
	}
	err := u.tx.Later(`update steps set outcome = $3, outcome_at = $4, http_status = $5, detail = $6 where repair = $1 and number = $2`,
		p.Repair, p.Number, p.Outcome.String(), micros(p.OutcomeAt), p.Status, p.Detail)
	if err != nil {
		return fmt.Errorf("write the outcome: %w", err)
	}
	crash.At(crash.OutcomeWritten)
	return nil
}

// Proved writes down that a reading showed a step's effect.
func (u *Update) Proved(repair string, number int) error {
	err := u.tx.Later(`update steps set proved_at = $3, outcome = 'done' where repair = $1 and number = $2 and proved_at = 0`, repair, number, micros(u.s.now()))
	if err != nil {
		return fmt.Errorf("write the proof: %w", err)
	}
	return nil
}

// RepairedBy says who started the last repair of this case that was carried
// out: EndedByRule, EndedByPerson, or EndedByItself where none was.
func (u *Update) RepairedBy() (string, error) {
	var by string
	err := u.tx.QueryRow(`select started_by from repairs where case_id = $1 and status = 'done' order by ended_at desc limit 1`, u.ID).Scan(&by)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return EndedByItself, nil
	case err != nil:
		return "", fmt.Errorf("read repairs: %w", err)
	case by == Amend:
		return EndedByRule, nil
	}
	return EndedByPerson, nil
}

// Amend is the actor of what nobody started.
const Amend = "amend"

// OutcomeKnown is when something was last known of the step: its answer, else
// its sending.
func (p *Step) OutcomeKnown() time.Time {
	if p.OutcomeAt.IsZero() {
		return p.SentAt
	}
	return p.OutcomeAt
}
