package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"amend"
)

// Proposal is what people are asked to agree to: a repair that is written down,
// and what it rests on.
type Proposal struct {
	Repair      string
	Fingerprint string          // of all that is agreed to
	Basis       json.RawMessage // a fingerprint of each part, to say which one has changed
	Needs       int             // how many people must agree
	At          time.Time
	Until       time.Time // nobody can agree any more
	AgreedAt    time.Time // when the last of them did; zero until then
	Agreed      int       // how many have
	RefusedBy   string    // empty where nobody has
	Refusal     string    // their reason
}

// ClockSlack is how far the clocks of two workers may be apart, and more than
// they are: each follows the database's. Who finds themselves further before
// something that has happened has a clock that was put back.
const ClockSlack = time.Minute

// Over reports whether it is too late to agree. A clock that was put back behind
// the proposal prolongs nothing.
func (p *Proposal) Over(now time.Time) bool {
	return !now.Before(p.Until) || now.Before(p.At.Add(-ClockSlack))
}

// Approval is one person's word about a proposal.
type Approval struct {
	ID     string // made with the form that asks; sent twice it is one word
	Repair string
	Actor  string
	Agrees bool // false: refuses
	Reason string
	At     time.Time
}

// Why a person's word isn't taken, where the caller has to tell it from other
// conflicts.
var (
	ErrExpired = &amend.Error{Code: amend.Conflict, Text: "the time to agree is over", Next: "look at the customer again"}
	ErrOwn     = &amend.Error{Code: amend.Conflict, Text: "nobody agrees to what they started themselves", Next: "somebody else has to"}
)

const proposalColumns = `repair, fingerprint, basis, needs, made_at, until, agreed_at`

// proposalText reads a proposal with what people have said about it.
const proposalText = `select ` + proposalColumns + `, (select count(*) from approvals a where a.repair = p.repair and a.agrees = 1),
	coalesce((select actor from approvals a where a.repair = p.repair and a.agrees = 0), ''),
	coalesce((select reason from approvals a where a.repair = p.repair and a.agrees = 0), '') from proposals p where p.repair = $1`

func scanProposal(r row) (Proposal, error) {
	var p Proposal
	var basis string
	var at, until, agreed int64
	err := r.Scan(&p.Repair, &p.Fingerprint, &basis, &p.Needs, &at, &until, &agreed, &p.Agreed, &p.RefusedBy, &p.Refusal)
	p.Basis, p.At, p.Until, p.AgreedAt = json.RawMessage(basis), fromMicros(at), fromMicros(until), fromMicros(agreed)
	return p, err
}

const approvalColumns = `id, repair, actor, agrees, reason, at`

func scanApproval(r row) (Approval, error) {
	var a Approval
	var agrees, at int64
	err := r.Scan(&a.ID, &a.Repair, &a.Actor, &agrees, &a.Reason, &at)
	a.Agrees, a.At = agrees == 1, fromMicros(at)
	return a, err
}

// Propose writes a repair down that people must agree to first.
func (u *Update) Propose(r Repair, p Proposal) (Repair, error) {
	r.Status = RepairProposed
	r, err := u.AddRepair(r)
	if err != nil {
		return r, err
	}
	err = u.tx.Later(`insert into proposals (`+proposalColumns+`) values (`+placeholders(7)+`)`, r.ID, p.Fingerprint, string(p.Basis), p.Needs, micros(r.CreatedAt), micros(p.Until), 0)
	if err != nil {
		return r, fmt.Errorf("write the proposal: %w", err)
	}
	return r, nil
}

// Proposal finds what people were asked about a repair, and what they have said
// until now; false where it was proposed before anybody could be asked.
func (u *Update) Proposal(repair string) (Proposal, bool, error) {
	p, err := scanProposal(u.tx.QueryRow(proposalText, repair))
	if errors.Is(err, sql.ErrNoRows) {
		return p, false, nil
	}
	if err != nil {
		return p, false, fmt.Errorf("read the proposal: %w", err)
	}
	return p, true, nil
}

// OpenProposed opens a repair that people have agreed to. It begins now: limits
// count it from now on.
func (u *Update) OpenProposed(repair string) error {
	if err := u.tx.Later(`update repairs set status = 'open', created_at = $2 where id = $1 and status = 'proposed'`, repair, micros(u.s.now())); err != nil {
		return fmt.Errorf("open the repair: %w", err)
	}
	return nil
}

// Proposal finds what people were asked about a repair.
func (s *Store) Proposal(ctx context.Context, repair string) (Proposal, bool, error) {
	return first(query(ctx, s, scanProposal, proposalText, repair))
}

// Approvals lists what people have said about a repair, oldest first.
func (s *Store) Approvals(ctx context.Context, repair string) ([]Approval, error) {
	return query(ctx, s, scanApproval, `select `+approvalColumns+` from approvals where repair = $1 order by at, id`, repair)
}

// Approval finds one person's word.
func (s *Store) Approval(ctx context.Context, id string) (Approval, bool, error) {
	return first(query(ctx, s, scanApproval, `select `+approvalColumns+` from approvals where id = $1`, id))
}

// Repair finds one repair.
func (s *Store) Repair(ctx context.Context, id string) (Repair, bool, error) {
	return first(query(ctx, s, scanRepair, `select `+repairColumns+` from repairs where id = $1`, id))
}

// CustomerOf finds whom a case is about; empty where there is no such case.
func (s *Store) CustomerOf(ctx context.Context, caseID string) (string, error) {
	scan := func(r row) (customer string, err error) { err = r.Scan(&customer); return customer, err }
	customer, _, err := first(query(ctx, s, scan, `select customer from cases where id = $1`, caseID))
	return customer, err
}

// Approve writes down that a person agrees to a proposal with the fingerprint,
// or refuses it, and has the case looked at where that decides it. It fails with
// NotFound where nothing was proposed; with ErrOwn where it is the person's own;
// with ErrExpired where it is too late; and with Conflict where the repair was
// carried out or withdrawn, enough people have agreed, somebody has refused, the
// person has said so before, or the fingerprint is another. The same ID twice
// is one word.
func (s *Store) Approve(ctx context.Context, a Approval, fingerprint string) error {
	return s.write(ctx, func(tx *tx) error {
		if twice, err := said(tx, a); err != nil || twice {
			return err
		}
		asked, err := s.askedAbout(tx, a.Repair)
		if err != nil {
			return err
		}
		if err := asked.takes(tx, a, fingerprint, s.now()); err != nil {
			return err
		}
		return s.say(tx, asked, a)
	})
}

// said reports whether the same form has come before.
func said(tx *tx, a Approval) (bool, error) {
	before, err := scanApproval(tx.QueryRow(`select `+approvalColumns+` from approvals where id = $1`, a.ID))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read approvals: %w", err)
	case before.Repair != a.Repair || before.Actor != a.Actor || before.Agrees != a.Agrees:
		return false, amend.Errorf(amend.Conflict, "this form was used before, for something else")
	}
	return true, nil
}

// question is a proposal with the repair that it is about.
type question struct {
	Proposal
	repair Repair
}

// askedAbout reads a proposal for the rest of the transaction. The case's row is
// taken first, as the holder of its lease does: neither can change anything
// while the other decides.
func (s *Store) askedAbout(tx *tx, repair string) (q question, err error) {
	none := amend.Errorf(amend.NotFound, "nobody was asked to agree to this")
	err = tx.QueryRow(`select id from cases where id = (select case_id from repairs where id = $1)`+s.locked(), repair).Scan(&q.repair.CaseID)
	if errors.Is(err, sql.ErrNoRows) {
		return q, none
	}
	if err == nil {
		q.repair, err = scanRepair(tx.QueryRow(`select `+repairColumns+` from repairs where id = $1`, repair))
	}
	if err == nil {
		q.Proposal, err = scanProposal(tx.QueryRow(proposalText, repair))
	}
	if errors.Is(err, sql.ErrNoRows) {
		return q, none
	}
	if err != nil {
		return q, fmt.Errorf("read the proposal: %w", err)
	}
	return q, nil
}

// takes says why a person's word is not taken.
func (q *question) takes(tx *tx, a Approval, fingerprint string, now time.Time) error {
	switch {
	case q.repair.Status == RepairVoid && q.RefusedBy == "":
		return &amend.Error{Code: amend.Conflict, Text: "what was proposed no longer stands", Next: "look at the customer again"}
	case q.repair.Status == RepairVoid || q.RefusedBy != "":
		return amend.Errorf(amend.Conflict, "%s has refused it", q.RefusedBy)
	case q.repair.Status != RepairProposed || !q.AgreedAt.IsZero():
		return amend.Errorf(amend.Conflict, "enough people have agreed already")
	case q.Over(now):
		return ErrExpired
	case q.Fingerprint != fingerprint:
		return &amend.Error{Code: amend.Conflict, Text: "something else is proposed now", Next: "look at the customer again"}
	case q.repair.StartedBy == a.Actor && a.Agrees:
		return ErrOwn
	}
	var twice bool
	if err := tx.QueryRow(`select exists (select 1 from approvals where repair = $1 and actor = $2)`, a.Repair, a.Actor).Scan(&twice); err != nil {
		return fmt.Errorf("read approvals: %w", err)
	}
	if twice && a.Agrees {
		return &amend.Error{Code: amend.Conflict, Text: "a person counts once, and " + a.Actor + " has agreed already", Next: "somebody else has to"}
	}
	return nil
}

// say writes a person's word. Whoever refuses after having agreed takes it back.
func (s *Store) say(tx *tx, q question, a Approval) error {
	agrees, act, text := 0, ActRefused, fmt.Sprintf("Refused %s: %s", q.repair.Rule, a.Reason)
	if a.Agrees {
		q.Agreed++
		agrees, act, text = 1, ActAgreed, fmt.Sprintf("Agreed to %s, %d of %d: %s", q.repair.Rule, q.Agreed, q.Needs, a.Reason)
	}
	now := micros(s.now())
	err := tx.Later(`insert into approvals (`+approvalColumns+`) values (`+placeholders(6)+`)
		on conflict (repair, actor) do update set id = excluded.id, agrees = excluded.agrees, reason = excluded.reason, at = excluded.at`,
		a.ID, a.Repair, a.Actor, agrees, a.Reason, now)
	if err != nil {
		return fmt.Errorf("write the approval: %w", err)
	}
	if decided := !a.Agrees || q.Agreed >= q.Needs; decided {
		if err := s.decided(tx, q, a.Agrees); err != nil {
			return err
		}
	}
	if err := s.note(tx, Entry{Customer: q.repair.Customer, CaseID: q.repair.CaseID, Kind: act, Actor: a.Actor, Text: text}); err != nil {
		return err
	}
	who, err := s.subject(tx, q.repair.Customer)
	if err != nil {
		return err
	}
	return s.audit(tx, AuditEntry{Actor: a.Actor, Act: act, What: "approval", Subject: who.id, CaseID: q.repair.CaseID, Repair: a.Repair, Rule: q.repair.Rule,
		RuleVersion: q.repair.RuleVersion, Plan: who.fingerprint(string(q.repair.Plan)), Reason: who.fingerprint(a.Reason)})
}

// decided has the case looked at: whoever holds its lease carries it out.
func (s *Store) decided(tx *tx, q question, agreed bool) error {
	now := micros(s.now())
	if agreed {
		if err := tx.Later(`update proposals set agreed_at = $2 where repair = $1`, q.Repair, now); err != nil {
			return fmt.Errorf("write the approval: %w", err)
		}
	}
	if err := tx.Later(`update cases set wake_at = $2 where id = $1 and ended_at = 0`, q.repair.CaseID, now); err != nil {
		return fmt.Errorf("wake the case: %w", err)
	}
	return nil
}
