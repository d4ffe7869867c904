package store

import (
	"context"
	"fmt"
	"time"
)

// begin finds what the chain's first link follows. Its question is the first of
// the snapshot, and what was signed is read after it: since a cut is signed
// before anything goes, all that is gone from the snapshot is signed there.
func (w *walk) begin(ctx context.Context) (err error) {
	if w.last, err = w.s.beginning(ctx, w.tx); err != nil {
		return err
	}
	w.Gone = w.last.seq
	if err := w.readCuts(); err != nil {
		return fmt.Errorf("read what was cut off: %w", err)
	}
	w.compare(w.last, "")
	var left int64
	err = w.tx.QueryRowContext(ctx, `select count(*) from audit_chain where seq <= $1`, w.Gone).Scan(&left)
	if err == nil && left > 0 {
		w.complain(Problem{Link: w.Gone, Text: fmt.Sprintf("Links up to %d were cut off and are there again (%d of them): they were put in.", w.Gone, left)})
	}
	return err
}

// readCuts reads the cuts that were signed for this installation.
func (w *walk) readCuts() error {
	n := w.s.sealer.notary
	if n == nil {
		return nil
	}
	text, err := n.cuts()
	if err != nil || len(text) == 0 {
		return err
	}
	trusted, key, err := n.verifiers()
	if err != nil {
		w.complain(Problem{Text: fmt.Sprintf("What was cut off can't be checked without the public key: %s.", err)})
		return nil
	}
	w.Key = key
	w.s.sift(w.Verification, "cuts", text, func(part []byte) (Checkpoint, error) {
		c, err := parseCut(part, trusted)
		if err == nil && c.Installation == w.s.installation {
			w.cuts[c.Links] = append(w.cuts[c.Links], c)
		}
		return c.Checkpoint, err
	})
	return nil
}

// missingBeginning asks for a cut that amend has signed where the chain's
// beginning is gone: one of just as much, or of more, whose last link is there.
// What the store itself says of it proves nothing.
func (w *walk) missingBeginning() {
	if w.Gone == 0 || w.Cut.Links >= w.Gone {
		return
	}
	var most Cut
	for links, all := range w.cuts {
		if links > most.Links && links < w.Gone {
			most = all[len(all)-1]
		}
	}
	const by = "somebody else has cut off the chain's beginning, or the file cuts is gone or an older copy"
	if most.Links == 0 {
		w.complain(Problem{Link: w.Gone, Text: fmt.Sprintf("Links 1 to %d are gone, and no signed cut bears that out: %s.", w.Gone, by)})
		return
	}
	w.complain(Problem{Link: w.Gone, Text: fmt.Sprintf("Links 1 to %d are gone, and the last cut that was signed, at %s, let go those up to %d alone: %s.",
		w.Gone, most.At.Format(time.RFC3339), most.Links, by)})
}
