package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Verification is what a look through the whole audit has found.
type Verification struct {
	Links       int64     // entries in the chain
	First       int64     // the number of the first that is there; 0 where there is none
	Since       time.Time // when that was written
	Gone        int64     // how many were cut off before it
	Cut         Cut       // the last that was signed and that the chain bears out; zero where there is none
	Waiting     int64     // entries that the chain doesn't hold yet
	Checkpoints int
	Newest      Checkpoint // zero where there is none
	Key         string     // the public key of the checkpoints
	Folder      string     // where they are kept
	Problems    []Problem  // the first hundred; none where the audit is intact
}

// Problem is one thing that is wrong with the audit.
type Problem struct {
	Link  int64     // its place in the chain; 0 where it has none
	Entry string    // empty where it isn't about one
	At    time.Time // of the entry
	Text  string    // a sentence
}

// problemsLimit bounds what is reported: a thousand more tell no more.
const problemsLimit = 100

func (v *Verification) complain(p Problem) {
	if len(v.Problems) < problemsLimit {
		v.Problems = append(v.Problems, p)
	}
}

// Intact reports whether nothing is wrong.
func (v *Verification) Intact() bool { return len(v.Problems) == 0 }

// VerifyAudit looks through the whole audit as it is at one moment: whether
// every link follows from the one before and from its entry, whether every
// entry has its link, whether the chain holds what every checkpoint has signed,
// and whether amend has signed that its beginning was to be cut off, where that is
// gone. It changes nothing. What it finds is in the Verification; an error is
// that it couldn't look.
func (s *Store) VerifyAudit(ctx context.Context) (v Verification, err error) {
	// Before the chain, whose end only grows: a checkpoint that is written meanwhile
	// would be of more than is seen here.
	signed, err := s.signed(&v)
	if err != nil {
		return v, fmt.Errorf("read the checkpoints of the audit: %w", err)
	}
	snapshot, err := s.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return v, fmt.Errorf("read the audit: %w", err)
	}
	defer func() { err = errors.Join(err, snapshot.Rollback()) }()
	w := &walk{Verification: &v, s: s, tx: snapshot, signed: map[int64][]Checkpoint{}, cuts: map[int64][]Cut{}}
	for _, c := range signed {
		w.signed[c.Links] = append(w.signed[c.Links], c)
	}
	for _, look := range []func(context.Context) error{w.begin, w.chain, w.unlinked, w.waiting} {
		if err := look(ctx); err != nil {
			return v, fmt.Errorf("read the audit: %w", err)
		}
	}
	w.missingBeginning()
	w.missingEnd(signed)
	return v, nil
}

// signed reads the checkpoints of this installation. Those that can't be
// trusted are problems.
func (s *Store) signed(v *Verification) ([]Checkpoint, error) {
	n := s.sealer.notary
	if n == nil {
		return nil, nil
	}
	v.Folder = n.folder
	text, err := n.everything()
	if err != nil || len(text) == 0 {
		return nil, err
	}
	trusted, key, err := n.verifiers()
	if err != nil {
		v.complain(Problem{Text: fmt.Sprintf("The checkpoints can't be checked without their public key: %s.", err)})
		return nil, nil
	}
	v.Key = key
	var all []Checkpoint
	s.sift(v, "checkpoints", text, func(part []byte) (Checkpoint, error) {
		c, err := parseCheckpoint(part, trusted)
		if err == nil && c.Installation == s.installation {
			all, v.Newest = append(all, c), c
		}
		return c, err
	})
	v.Checkpoints = len(all)
	return all, nil
}

// sift goes through what was signed. What can't be trusted, or is of another
// store, is a problem.
func (s *Store) sift(v *Verification, what string, text []byte, take func(part []byte) (Checkpoint, error)) {
	parts := apart(text)
	var distrusted, others []string
	for i, part := range parts {
		switch c, err := take(part); {
		case err != nil:
			distrusted = append(distrusted, fmt.Sprintf("number %d: %s", i+1, err))
		case c.Installation != s.installation:
			others = append(others, fmt.Sprintf("number %d: %s", i+1, c.Installation))
		}
	}
	if len(distrusted) > 0 {
		v.complain(Problem{Text: fmt.Sprintf("%d of %d %s in %s can't be trusted, the first of them %s.", len(distrusted), len(parts), what, v.Folder, distrusted[0])})
	}
	if len(others) > 0 {
		v.complain(Problem{Text: fmt.Sprintf("%d of %d %s in %s are of another store than %s, the first of them %s.", len(others), len(parts), what, v.Folder, s.installation, others[0])})
	}
}

// walk goes through the chain.
type walk struct {
	*Verification
	s      *Store
	tx     *sql.Tx
	signed map[int64][]Checkpoint // by the links that they cover
	cuts   map[int64][]Cut        // by the last link that each let go
	last   chainLink
	gap    bool // before the next link: what it follows isn't known
	anew   bool // a link isn't the one that was signed, and so are all behind it
}

// walkBatch is how many links are read at once.
const walkBatch = 1000

// linked is a link with its entry, where that is there.
type linked struct {
	chainLink
	id    string
	entry *AuditEntry
}

func (w *walk) chain(ctx context.Context) error {
	for {
		batch, err := linksBehind(ctx, w.tx, w.last.seq, walkBatch)
		if err != nil {
			return err
		}
		for i := range batch {
			w.step(&batch[i])
		}
		if len(batch) < walkBatch {
			return nil
		}
	}
}

// linksBehind are the next links behind one, in order.
func linksBehind(ctx context.Context, ask asker, seq int64, limit int) (batch []linked, err error) {
	rows, err := ask.QueryContext(ctx, `select c.seq, c.hash, c.entry, a.id is not null, coalesce(a.at, 0), coalesce(a.actor, ''), coalesce(a.act, ''), coalesce(a.what, ''),
			coalesce(a.result, ''), coalesce(a.subject, ''), coalesce(a.case_id, ''), coalesce(a.repair, ''), coalesce(a.step, 0), coalesce(a.key, ''),
			coalesce(a.rule, ''), coalesce(a.rule_version, ''), coalesce(a.plan, ''), coalesce(a.bytes, ''), coalesce(a.reason, '')
		from audit_chain c left join audit a on a.id = c.entry where c.seq > $1 order by c.seq limit $2`, seq, limit)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var l linked
		var e AuditEntry
		var found bool
		var at int64
		if err := rows.Scan(append([]any{&l.seq, &l.hash, &l.id, &found, &at}, e.rest()...)...); err != nil {
			return nil, err
		}
		if e.ID, e.At = l.id, fromMicros(at); found {
			l.entry = &e
		}
		batch = append(batch, l)
	}
	return batch, rows.Err()
}

// step judges one link. What follows is judged by the hash that stands there,
// so that one change is one problem.
func (w *walk) step(l *linked) {
	if w.Links++; w.Links == 1 {
		w.First = l.seq
		if l.entry != nil {
			w.Since = l.entry.At
		}
	}
	if l.seq != w.last.seq+1 {
		w.complain(Problem{Link: w.last.seq + 1, Text: missing(w.last.seq+1, l.seq-1)})
		w.gap = true
	}
	switch {
	case l.entry == nil:
		w.complain(Problem{Link: l.seq, Entry: l.id, Text: fmt.Sprintf("The entry of link %d, %s, is gone.", l.seq, l.id)})
	case w.gap:
	case w.last.next(l.entry).hash != l.hash:
		w.complain(Problem{Link: l.seq, Entry: l.id, At: l.entry.At, Text: fmt.Sprintf("Link %d doesn't follow from its entry, %s: one of them was changed.", l.seq, l.id)})
	}
	w.last, w.gap = l.chainLink, false
	w.compare(l.chainLink, l.id)
}

// compare holds a link against what was signed of it.
func (w *walk) compare(l chainLink, entry string) {
	for _, c := range w.signed[l.seq] {
		if c.Head != l.hash && !w.anew {
			w.anew = true
			w.complain(Problem{Link: l.seq, Entry: entry, Text: fmt.Sprintf("Link %d isn't the one that was signed at %s: the chain was written anew.", l.seq, c.At.Format(time.RFC3339))})
		}
	}
	for _, c := range w.cuts[l.seq] {
		if c.Head == l.hash {
			w.Cut = c
		}
	}
}

func missing(first, last int64) string {
	if first == last {
		return fmt.Sprintf("Link %d is missing.", first)
	}
	return fmt.Sprintf("Links %d to %d are missing.", first, last)
}

// unlinked finds entries that are in no link and don't wait for one.
func (w *walk) unlinked(ctx context.Context) error {
	return w.each(ctx, `select a.id, a.at from audit a where not exists (select 1 from audit_chain c where c.entry = a.id)
		and not exists (select 1 from audit_unsealed q where q.entry = a.id) order by a.at, a.id limit $1`, func(id string, at time.Time) {
		w.complain(Problem{Entry: id, At: at, Text: fmt.Sprintf("Entry %s is in no link: it was put in, or its link was taken out.", id)})
	})
}

// waiting counts entries that wait for their link, and finds those that were
// taken out meanwhile.
func (w *walk) waiting(ctx context.Context) error {
	err := w.tx.QueryRowContext(ctx, `select count(*) from audit_unsealed q join audit a on a.id = q.entry`).Scan(&w.Waiting)
	if err != nil {
		return err
	}
	return w.each(ctx, `select q.entry, 0 from audit_unsealed q where not exists (select 1 from audit a where a.id = q.entry) order by q.entry limit $1`, func(id string, _ time.Time) {
		w.complain(Problem{Entry: id, Text: fmt.Sprintf("Entry %s is gone; it was in no link yet.", id)})
	})
}

// each gives the entries that a query finds.
func (w *walk) each(ctx context.Context, text string, found func(id string, at time.Time)) (err error) {
	rows, err := w.tx.QueryContext(ctx, text, problemsLimit)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id string
		var at int64
		if err := rows.Scan(&id, &at); err != nil {
			return err
		}
		found(id, fromMicros(at))
	}
	return rows.Err()
}

// missingEnd holds the chain's end against the checkpoints. A chain without any
// shows nothing of its end, and could have been written anew.
func (w *walk) missingEnd(signed []Checkpoint) {
	var most Checkpoint
	for _, c := range signed {
		if c.Links > most.Links {
			most = c
		}
	}
	switch {
	case most.Links > w.last.seq:
		w.complain(Problem{Link: w.last.seq, Text: fmt.Sprintf("The chain ends at link %d; at %s it had %d: its end was cut off, or an old copy of the store was put back.",
			w.last.seq, most.At.Format(time.RFC3339), most.Links)})
	case most.Links == 0 && w.Links > 0 && w.Folder == "":
		w.complain(Problem{Text: "There is no checkpoint of the chain, since no folder for them is set: a cut end, or a chain written anew, would not be noticed."})
	case most.Links == 0 && w.Links > 0:
		w.complain(Problem{Text: fmt.Sprintf("There is no checkpoint of the chain in %s: a cut end, or a chain written anew, would not be noticed.", w.Folder)})
	}
}
