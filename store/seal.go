package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"amend"
	"amend/internal/crash"
)

const (
	// sealBatch is how many entries are linked in one transaction: others wait
	// for it no longer than for a busy moment.
	sealBatch = 500
	// sealBatches bounds one Seal, so that what comes after it isn't late.
	sealBatches = 10
	// checkpointEvery is how often the chain's head is signed while it grows.
	// What is cut off its end after the newest is not noticed.
	checkpointEvery = 5 * time.Minute
)

// sealer is what a process remembers of the checkpoints that it has written.
type sealer struct {
	notary *notary // nil where no checkpoints are kept

	mu     sync.Mutex
	at     time.Time  // when one was last put behind the others; zero: not yet in this process
	newest Checkpoint // that is known to have been signed; zero: not looked yet
}

// Seal links entries that the chain doesn't hold yet, a bounded number of them,
// and writes a checkpoint where five minutes have passed since the last. It is
// for one process of all, the one that ticks; should there be two, they take
// turns. A checkpoint that can't be written is an error; the entries are linked
// all the same.
func (s *Store) Seal(ctx context.Context) error {
	for range sealBatches {
		linked, err := s.link(ctx)
		if err != nil {
			return err
		}
		if linked < sealBatch {
			break
		}
	}
	return s.checkpoint(ctx, checkpointEvery)
}

// SealAll links every entry and writes a checkpoint: for the end of a run.
func (s *Store) SealAll(ctx context.Context) error {
	for {
		linked, err := s.link(ctx)
		if err != nil {
			return err
		}
		if linked == 0 {
			return s.checkpoint(ctx, 0)
		}
	}
}

// link appends a batch to the chain. An entry whose transaction came late is
// linked with the next one: the chain is in the order of linking.
func (s *Store) link(ctx context.Context) (linked int, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("link the audit: %w", err)
		}
	}()
	last, err := s.head(s.db.QueryRowContext(ctx, headOfChain))
	if err != nil {
		return 0, err
	}
	entries, err := query(ctx, s, scanAudit, `select `+auditColumns+` from audit where id in (select entry from audit_unsealed) order by at, id limit $1`, sealBatch)
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	err = s.write(ctx, func(tx *tx) error {
		linked = 0
		if err := s.alone(tx, "audit/chain"); err != nil {
			return err
		}
		now, err := s.head(tx.QueryRow(headOfChain))
		if err != nil || now != last {
			return err // another one was first
		}
		linked = len(entries)
		return appendLinks(tx, last, entries)
	})
	return linked, err
}

// chainLink is one place of the chain.
type chainLink struct {
	seq  int64
	hash string
}

const headOfChain = `select seq, hash from audit_chain order by seq desc limit 1`

// head is the chain's last link; one with the number 0 where there is none.
func (s *Store) head(r row) (chainLink, error) {
	last := chainLink{hash: genesis(s.installation)}
	err := r.Scan(&last.seq, &last.hash)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return last, fmt.Errorf("read the chain's head: %w", err)
	}
	return last, nil
}

func appendLinks(tx *tx, last chainLink, entries []AuditEntry) error {
	for i := range entries {
		last = last.next(&entries[i])
		if err := tx.Later(`insert into audit_chain (seq, entry, hash) values ($1, $2, $3)`, last.seq, entries[i].ID, last.hash); err != nil {
			return fmt.Errorf("append to the chain: %w", err)
		}
		if err := tx.Later(`delete from audit_unsealed where entry = $1`, entries[i].ID); err != nil {
			return fmt.Errorf("append to the chain: %w", err)
		}
	}
	crash.At(crash.ChainWritten)
	return nil
}

// next is the link of an entry behind this one.
func (l chainLink) next(e *AuditEntry) chainLink {
	sum := sha256.Sum256(append([]byte(l.hash+"\n"), e.canonical()...))
	return chainLink{l.seq + 1, hex.EncodeToString(sum[:])}
}

// genesis is what the first link follows: another one in every installation.
func genesis(installation string) string {
	sum := sha256.Sum256([]byte("amend audit of " + installation))
	return hex.EncodeToString(sum[:])
}

// canonical is the one way to write an entry down for its hash: every column in
// order, each with its length before it, so that nothing can be moved from one
// to the next. Hashes are stored: it never changes.
func (e *AuditEntry) canonical() []byte {
	columns := []string{e.ID, strconv.FormatInt(micros(e.At), 10), e.Actor, e.Act, e.What, e.Result, e.Subject, e.CaseID, e.Repair,
		strconv.Itoa(e.Step), e.Key, e.Rule, e.RuleVersion, e.Plan, e.Bytes, e.Reason}
	var text []byte
	for _, c := range columns {
		text = fmt.Appendf(text, "%d:%s,", len(c), c)
	}
	return text
}

// checkpoint has the chain's head signed outside of the store where it has
// grown: each time as the newest, and behind the others where so much time has
// passed since the last. A clock that was put back doesn't hold it up.
//
// Before that it looks whether the chain still holds what was signed last. Where
// it doesn't, that is an error, too.
func (s *Store) checkpoint(ctx context.Context, every time.Duration) error {
	z := &s.sealer
	if z.notary == nil {
		return nil
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	older, err := s.recognize(ctx)
	if err != nil {
		return fmt.Errorf("write a checkpoint of the audit: %w", err)
	}
	return s.sign(ctx, every, older)
}

// begin is checkpoint before any work. Only that the head can't be signed is no
// error then: the next checkpoint says it.
func (s *Store) begin(ctx context.Context) (older, err error) {
	z := &s.sealer
	if z.notary == nil {
		return nil, nil
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if older, err = s.recognize(ctx); err != nil {
		return nil, &amend.Error{Code: amend.CodeOf(err), Text: "nothing is repaired with a store that can't be compared with what was signed of its audit", Err: err,
			Next: "see that the store and the folder of its audit can be read and written"}
	}
	s.sign(ctx, checkpointEvery, older) //nolint:errcheck // older is known, and the rest is said by the next
	return older, nil
}

// recognize says whether an old copy of the store was put back, or somebody has
// changed it. All repairs are paused then; where that can't be written, or
// nobody can tell, it fails.
func (s *Store) recognize(ctx context.Context) (older, err error) {
	err = s.compare(ctx)
	if !errors.Is(err, ErrOlder) {
		return nil, err
	}
	if failed := s.distrust(ctx); failed != nil {
		return nil, fmt.Errorf("pause all repairs, since %s: %w", ErrOlder.Error(), failed)
	}
	return err, nil
}

// sign is for the chain as it is, also where that isn't what was signed before:
// that stays as evidence, and its error is given back.
func (s *Store) sign(ctx context.Context, every time.Duration, broken error) error {
	z := &s.sealer
	head, err := s.head(s.db.QueryRowContext(ctx, headOfChain))
	if err != nil {
		return err
	}
	now := s.now()
	c := Checkpoint{Installation: s.installation, Links: head.seq, Head: head.hash, At: now}
	passed := now.Sub(z.at)
	behind := broken != nil || passed < 0 || passed >= every
	if broken == nil && z.newest.Links == c.Links && (!behind || z.newest.At.Equal(z.at)) {
		return nil // nothing is new
	}
	if broken != nil && !z.newest.At.Equal(z.at) {
		err = z.notary.append(z.newest) // the evidence
	}
	if err == nil && behind {
		err = z.notary.append(c)
	}
	if err == nil {
		err = z.notary.replace(c)
	}
	if err != nil {
		return errors.Join(broken, fmt.Errorf("write a checkpoint of the audit: %w", err))
	}
	if z.newest = c; behind {
		z.at = now
	}
	return broken
}

// compare holds the chain against what was signed last, by this process or by
// one before it. It fails with Conflict where the chain is another one.
func (s *Store) compare(ctx context.Context) error {
	z := &s.sealer
	if z.newest.Installation == "" {
		newest, last, err := z.notary.newest()
		if err != nil || newest.Installation == "" {
			return err
		}
		if newest.Installation != s.installation {
			return foreign(z.notary.folder, newest)
		}
		z.newest, z.at = newest, last.At
	}
	err := s.contains(ctx, z.newest)
	if !errors.Is(err, ErrOlder) {
		return err
	}
	// Where another worker has signed since, it has compared before, and may have
	// cut off what this one knows.
	newest, last, failed := z.notary.newest()
	if failed != nil || newest.Installation != s.installation || newest.Links <= z.newest.Links {
		return err
	}
	z.newest, z.at = newest, last.At
	return s.contains(ctx, newest)
}

// distrust pauses all repairs of a store that isn't the one that was signed: it
// may have forgotten what was sent (fault T30). What was signed is taken as the
// newest until that is committed, so that a crash between leaves nothing open.
func (s *Store) distrust(ctx context.Context) error {
	why := fmt.Sprintf("the store is older than what was signed of it at %s, or was changed; what was sent since then is not known to it. Compare with the services before you resume",
		s.sealer.newest.At.UTC().Format(time.RFC3339))
	err := s.write(ctx, func(tx *tx) error {
		_, err := s.replace(tx, Pause{Scope: PauseAll, By: Amend, Why: why})
		return err
	})
	if err == nil {
		_, err = s.link(ctx)
	}
	return err
}

// ErrOlder says that the store is not the one that was worked on last.
var ErrOlder = errors.New("an older copy of the store was put back, or somebody has changed it")

// contains fails with Conflict where the chain doesn't hold what a checkpoint
// signed: somebody has changed the store, or an old copy of it was put back.
func (s *Store) contains(ctx context.Context, c Checkpoint) error {
	var hash string
	err := s.db.QueryRowContext(ctx, `select hash from audit_chain where seq = $1`, c.Links).Scan(&hash)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read the chain: %w", err)
	}
	if hash == c.Head {
		return nil
	}
	return &amend.Error{Code: amend.Conflict, Text: fmt.Sprintf("the audit isn't the one whose checkpoint was signed at %s", c.At.Format(time.RFC3339)),
		Err: ErrOlder, Next: "all repairs are paused; run `amend audit verify`"}
}
