package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"amend"
)

// Cut says that the links up to one, and their entries, are old enough to be cut
// off the chain's beginning. It is signed outside of the store before the first
// of them goes: whoever can change the store can't make one.
type Cut struct {
	Checkpoint               // the last link that goes, and when that was signed
	Keep       time.Duration // the setting: how old an entry is when it goes
}

// cutStart begins every signed cut.
const cutStart = checkpointStart + "cut of "

// text is what is signed. Stored data: it never changes.
func (c *Cut) text() string {
	return fmt.Sprintf("%s%s\n%d\n%s\n%s\n%s\n", cutStart, c.Installation, c.Links, c.Head, c.At.UTC().Format(time.RFC3339), c.Keep)
}

// parseCut reads a note that one of the verifiers has signed.
func parseCut(signed []byte, known note.Verifiers) (c Cut, err error) {
	opened, err := note.Open(signed, known)
	if err != nil {
		return c, err
	}
	text, isCut := strings.CutPrefix(opened.Text, cutStart)
	lines := strings.Split(text, "\n")
	if !isCut || len(lines) != 6 {
		return c, errors.New("it has not the lines of a cut")
	}
	if c.Checkpoint, err = parseLines(lines); err == nil {
		c.Keep, err = time.ParseDuration(lines[4])
	}
	return c, err
}

// addCut signs a cut and writes it behind the others. When it returns the file
// is on the disk, its name included: only then may anything go.
func (n *notary) addCut(c Cut) error {
	return n.sign(c.Installation, c.text(), func(signed []byte) error {
		all, err := n.cuts()
		if err != nil {
			return err
		}
		if err := writeFile(n.path("cuts"), string(all)+string(signed)+"\n"); err != nil {
			return err
		}
		return syncFolder(n.folder)
	})
}

// cuts are those that were ever signed; nothing where there is none.
func (n *notary) cuts() ([]byte, error) {
	all, err := os.ReadFile(n.path("cuts"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return all, err
}

// syncFolder makes the names of new files outlive a power cut.
func syncFolder(path string) (err error) {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	return folder.Sync()
}

const (
	// cutBatch is how many links go in one transaction: others wait for it no
	// longer than for a busy moment.
	cutBatch = 500
	// cutBatches bounds one CutAudit, so that what comes after it isn't late.
	cutBatches = 10
)

// CutAudit cuts links off the chain's beginning whose entries are older than
// keep, with those entries: a bounded number, so that more says whether it is
// worth calling again at once. It gives how many are gone. What stays, and all
// that follows it in the chain:
//
//   - what isn't linked, or not yet behind a checkpoint that was signed;
//   - an entry about a repair that the store still holds, open or ended, so that
//     what was sent has its entry for as long as anything says that it was sent
//     (invariant I21);
//   - the last link, which the next one follows.
//
// The cut is signed outside of the store first and made then, in small
// transactions. A crash between leaves more than was signed away, which
// verifies, and the next call goes on. The other way round it would leave less,
// which nobody could tell from what somebody else has deleted.
//
// It fails with Conflict, and cuts nothing, where the chain isn't the one that
// was signed, or a link that is to go doesn't follow from its entry: evidence
// stays.
func (s *Store) CutAudit(ctx context.Context, keep time.Duration) (cut int, more bool, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cut the audit: %w", err)
		}
	}()
	z := &s.sealer
	if z.notary == nil {
		return 0, false, &amend.Error{Code: amend.Invalid, Text: "no folder is set for what is signed of the audit", Next: "set store.audit"}
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if err := s.compare(ctx); err != nil {
		return 0, false, err
	}
	now := s.now()
	links, err := s.outlived(ctx, now.Add(-keep), z.newest.Links)
	if err != nil || len(links) == 0 {
		return 0, false, err
	}
	last := links[len(links)-1]
	if err := z.notary.addCut(Cut{Checkpoint{Installation: s.installation, Links: last.seq, Head: last.hash, At: now}, keep}); err != nil {
		return 0, false, err
	}
	for batch := range slices.Chunk(links, cutBatch) {
		if err := s.cutUpTo(ctx, batch[len(batch)-1]); err != nil {
			return cut, false, err
		}
		cut += len(batch)
	}
	return cut, len(links) == cutBatch*cutBatches, nil
}

// outlived are the links that may go, in order: a bounded number of those below
// the one that is signed.
func (s *Store) outlived(ctx context.Context, before time.Time, signed int64) ([]chainLink, error) {
	last, err := s.beginning(ctx, s.db)
	if err != nil {
		return nil, err
	}
	all, err := linksBehind(ctx, s.db, last.seq, cutBatch*cutBatches)
	if err != nil {
		return nil, fmt.Errorf("read the chain: %w", err)
	}
	held, err := s.held(ctx, last.seq)
	if err != nil {
		return nil, err
	}
	var old []chainLink
	for i := range all {
		l := &all[i]
		if l.seq >= min(signed, held) || l.entry != nil && !l.entry.At.Before(before) {
			break
		}
		if l.seq != last.seq+1 || l.entry == nil || last.next(l.entry).hash != l.hash {
			return nil, &amend.Error{Code: amend.Conflict, Text: fmt.Sprintf("link %d was changed, or what it follows", l.seq),
				Next: "run `amend audit verify`; nothing is cut off while that is so"}
		}
		last = l.chainLink
		old = append(old, last)
	}
	return old, nil
}

// held is the first link, of the next ones, whose entry is about a repair that
// the store holds; one far behind them where there is none.
func (s *Store) held(ctx context.Context, behind int64) (int64, error) {
	end := behind + cutBatch*cutBatches + 1
	var seq int64
	err := s.db.QueryRowContext(ctx, `select coalesce(min(c.seq), $2) from audit_chain c join audit a on a.id = c.entry join repairs r on r.id = a.repair
		where c.seq > $1 and c.seq < $2`, behind, end).Scan(&seq)
	if err != nil {
		return 0, fmt.Errorf("read which repairs the audit must keep: %w", err)
	}
	return seq, nil
}

// cutUpTo cuts in one transaction. A worker who was first has done it.
func (s *Store) cutUpTo(ctx context.Context, last chainLink) error {
	return s.write(ctx, func(tx *tx) error {
		if err := s.alone(tx, "audit/chain"); err != nil {
			return err
		}
		var gone bool
		err := tx.QueryRow(`select exists (select 1 from audit_cuts where links >= $1)`, last.seq).Scan(&gone)
		if err != nil || gone {
			return err
		}
		// The table's trigger takes the links and the entries.
		return tx.Later(`insert into audit_cuts (links, hash, at) values ($1, $2, $3)`, last.seq, last.hash, micros(s.now()))
	})
}

// asker asks the database, in a transaction or outside.
type asker interface {
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row
}

// beginning is what the first link of the chain follows: the last that was cut
// off, or the genesis with the number 0.
func (s *Store) beginning(ctx context.Context, ask asker) (chainLink, error) {
	return s.head(ask.QueryRowContext(ctx, `select links, hash from audit_cuts order by links desc limit 1`))
}
