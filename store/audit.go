package store

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// What the audit tells of. Stored data: don't rename.
const (
	ActSent      = "sent"      // about to be sent: written with the intent
	ActAsked     = "asked"     // a person asked for a look or a rule
	ActAnswered  = "answered"  // what became of a rule that was asked for
	ActAgreed    = "agreed"    // a person agreed to a repair
	ActRefused   = "refused"   // a person refused one
	ActScan      = "scan"      // a person began a scan, or changed its course
	ActForgotten = "forgotten" // a customer was forgotten
)

// AuditEntry is one line of the audit. It holds no customer's ID, no value of a
// field and no free text.
type AuditEntry struct {
	ID          string
	At          time.Time
	Actor       string // Amend, or who
	Act         string
	What        string // the operation, what was asked, the kind of scan
	Result      string // a stored word
	Subject     string // the customer's pseudonym
	CaseID      string
	Repair      string
	Step        int
	Key         string // the idempotency key
	Rule        string
	RuleVersion string
	Plan        string // fingerprint of the repair's plan
	Bytes       string // fingerprint of the request as it was sent
	Reason      string // fingerprint of the person's reason
}

const auditColumns = `id, at, actor, act, what, result, subject, case_id, repair, step, key, rule, rule_version, plan, bytes, reason`

func scanAudit(r row) (AuditEntry, error) {
	var e AuditEntry
	var at int64
	err := r.Scan(append([]any{&e.ID, &at}, e.rest()...)...)
	e.At = fromMicros(at)
	return e, err
}

// rest are the places of the columns after id and at.
func (e *AuditEntry) rest() []any {
	return []any{&e.Actor, &e.Act, &e.What, &e.Result, &e.Subject, &e.CaseID, &e.Repair, &e.Step, &e.Key, &e.Rule, &e.RuleVersion, &e.Plan, &e.Bytes, &e.Reason}
}

// audit adds an entry within the transaction that makes it true. Where it can't
// be written, neither can anything else of that transaction: what is not in the
// audit is not done.
func (s *Store) audit(tx *tx, e AuditEntry) error {
	e.ID, e.At = s.ids.New("aud"), s.now()
	err := tx.Later(`insert into audit (`+auditColumns+`) values (`+placeholders(16)+`)`, e.ID, micros(e.At), e.Actor, e.Act, e.What, e.Result, e.Subject,
		e.CaseID, e.Repair, e.Step, e.Key, e.Rule, e.RuleVersion, e.Plan, e.Bytes, e.Reason)
	if err == nil {
		err = tx.Later(`insert into audit_unsealed (entry) values ($1)`, e.ID)
	}
	if err != nil {
		return fmt.Errorf("write the audit: %w", err)
	}
	return nil
}

// subject is how the audit speaks of one customer.
type subject struct {
	id  string
	key string
}

// subject finds a customer's pseudonym, or makes one.
func (s *Store) subject(tx *tx, customer string) (who subject, err error) {
	if err := s.name(tx, customer); err != nil {
		return who, err
	}
	who, _, err = knownSubject(tx, customer)
	return who, err
}

// name gives a customer a pseudonym. One that is there already stays, also
// where somebody else is writing it at this moment.
func (s *Store) name(tx *tx, customer string) error {
	err := tx.Later(`insert into subjects (id, customer, key) values ($1, $2, $3) on conflict (customer) do nothing`, s.ids.New("subj"), customer, rand.Text())
	if err != nil {
		return fmt.Errorf("write the audit's subject: %w", err)
	}
	return nil
}

func knownSubject(tx *tx, customer string) (who subject, known bool, err error) {
	err = tx.QueryRow(`select id, key from subjects where customer = $1`, customer).Scan(&who.id, &who.key)
	if errors.Is(err, sql.ErrNoRows) {
		return who, false, nil
	}
	if err != nil {
		return who, false, fmt.Errorf("read the audit's subject: %w", err)
	}
	return who, true, nil
}

// fingerprint is the HMAC-SHA256 of a text under the subject's key, in hex: it
// shows that a text is the one, and tells nothing of it to who hasn't the key.
// An empty text has none.
func (w subject) fingerprint(text string) string {
	if text == "" {
		return ""
	}
	mac := hmac.New(sha256.New, []byte(w.key))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

// auditSent writes that a step of a repair is about to be sent.
func (u *Update) auditSent(r Repair, p Step) error {
	if u.who.id == "" {
		if err := u.name(); err != nil {
			return fmt.Errorf("write the audit's subject: %w", err)
		}
	}
	return u.s.audit(u.tx, AuditEntry{Actor: r.StartedBy, Act: ActSent, What: p.Service + "." + p.Operation, Subject: u.who.id, CaseID: u.ID,
		Repair: p.Repair, Step: p.Number, Key: p.Key, Rule: r.Rule, RuleVersion: r.RuleVersion,
		Plan: u.who.fingerprint(string(r.Plan)), Bytes: u.who.fingerprint(string(p.Request)), Reason: u.who.fingerprint(r.Reason)})
}

// name gives the case's customer a pseudonym. Where somebody else has done so
// since the lease was taken it is their name that counts. Mostly nobody has, and
// PostgreSQL isn't asked the first time, since that takes a journey: if it was
// wrong, the transaction fails and is carried out again.
func (u *Update) name() error {
	const insert = `insert into subjects (id, customer, key) values ($1, $2, $3)`
	made, ask := subject{u.s.ids.New("subj"), rand.Text()}, u.named || !u.s.Shared()
	u.named = true
	if !ask {
		u.who = made
		return u.tx.Later(insert, made.id, u.Customer, made.key)
	}
	return u.tx.QueryRow(insert+` on conflict (customer) do update set customer = excluded.customer returning id, key`,
		made.id, u.Customer, made.key).Scan(&u.who.id, &u.who.key)
}

// auditAsked writes what a person asked for, or what became of it. The hints of
// services, which come by the thousand, are not what people do.
func (s *Store) auditAsked(tx *tx, q Request, act string) error {
	who, err := s.subject(tx, q.Customer)
	if err != nil {
		return err
	}
	e := AuditEntry{Actor: q.Actor, Act: act, What: q.Kind, Subject: who.id, Rule: q.Rule, Reason: who.fingerprint(q.Reason)}
	if act == ActAnswered {
		e.Result = resultWord(q.Result)
	}
	return s.audit(tx, e)
}

// resultWords are the results that say what was done.
var resultWords = []string{"started", "proposed", "settled", "refused"}

// resultWord is the part of a request's result that quotes nobody.
func resultWord(result string) string {
	if word, _, _ := strings.Cut(result, ":"); slices.Contains(resultWords, word) {
		return word
	}
	return "ended"
}

// auditScan writes what a person did with a scan. Those of schedules are in the
// list of scans and nowhere else.
func (s *Store) auditScan(tx *tx, actor, kind, act string) error {
	if actor == Amend {
		return nil
	}
	return s.audit(tx, AuditEntry{Actor: actor, Act: ActScan, What: kind, Result: act})
}

// AuditFilter says which entries are listed.
type AuditFilter struct {
	Customer string    // empty: of all
	Since    time.Time // zero: from the first
	Limit    int
}

// Audit lists entries, newest first. It finds those of a customer only until
// the customer is forgotten.
func (s *Store) Audit(ctx context.Context, f AuditFilter) ([]AuditEntry, error) {
	const newest = ` and at >= $1 order by at desc, id desc limit $2`
	if f.Customer == "" {
		return query(ctx, s, scanAudit, `select `+auditColumns+` from audit where true`+newest, micros(f.Since), f.Limit)
	}
	return query(ctx, s, scanAudit, `select `+auditColumns+` from audit where subject = (select id from subjects where customer = $3)`+newest,
		micros(f.Since), f.Limit, f.Customer)
}
