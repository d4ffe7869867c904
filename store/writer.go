package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"amend/internal/crash"
)

// writer carries out all writes of a process, one after another, and commits
// those that wait together: a disk takes as long for one as for many.
type writer struct {
	db    *sql.DB
	conn  *sql.Conn // the one that it has: a transaction is what is said to it between begin and commit
	known *texts    // on conn
	jobs  chan *job
	done  chan struct{}
	log   *slog.Logger
	said  string // the last failure to commit, so that its repeats aren't logged

	mu     sync.RWMutex
	closed bool
}

// job is one unit of writing. Either all of it is committed or nothing.
type job struct {
	ctx   context.Context
	do    func(*tx) error
	err   error
	reply chan struct{}
}

// groupLimit bounds how many jobs share a commit.
const groupLimit = 128

var errClosed = errors.New("the store is closed")

func newWriter(path string, log *slog.Logger) (*writer, error) {
	db, err := connect(path)
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the store: %w", err), db.Close())
	}
	w := &writer{db: db, conn: conn, known: newTexts(conn), jobs: make(chan *job, groupLimit), done: make(chan struct{}), log: log}
	go w.run()
	return w, nil
}

// write carries out one job and waits for its commit. A job that has been
// handed over is finished even if the context ends meanwhile: its caller must
// know what became of it.
func (w *writer) write(ctx context.Context, do func(*tx) error) error {
	j := &job{ctx: ctx, do: do, reply: make(chan struct{})}
	w.mu.RLock()
	if w.closed {
		w.mu.RUnlock()
		return errClosed
	}
	select {
	case w.jobs <- j:
		w.mu.RUnlock()
	case <-ctx.Done():
		w.mu.RUnlock()
		return ctx.Err()
	}
	<-j.reply
	return j.err
}

func (w *writer) close() error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.jobs)
	}
	w.mu.Unlock()
	<-w.done
	return errors.Join(w.known.close(), w.conn.Close(), w.db.Close())
}

func (w *writer) run() {
	defer close(w.done)
	for first := range w.jobs {
		group := w.gather(first)
		w.commit(group)
		for _, j := range group {
			close(j.reply)
		}
	}
}

// gather takes what waits already; it never waits for more.
func (w *writer) gather(first *job) []*job {
	group := []*job{first}
	for len(group) < groupLimit {
		select {
		case j, open := <-w.jobs:
			if !open {
				return group
			}
			group = append(group, j)
		default:
			return group
		}
	}
	return group
}

// commit carries out a group in one transaction. Mostly all of it goes well;
// where a job fails everything is begun anew, with a savepoint before each job,
// so that it is rolled back alone. Savepoints cost as much as what stands between
// them: SQLite copies every page that is changed after one.
func (w *writer) commit(group []*job) {
	if !w.together(group, false) {
		w.together(group, true)
	}
}

// together is false where a job has failed that could not be rolled back alone;
// nothing was written then.
func (w *writer) together(group []*job, apart bool) bool {
	tx := &tx{inFile{w.known}}
	if err := tx.Later("begin immediate"); err != nil {
		w.rollback(tx)
		fail(group, fmt.Errorf("begin to write: %w", err))
		return true
	}
	if apart {
		w.each(tx, group)
	} else if !w.all(tx, group) {
		w.rollback(tx)
		return len(group) == 1
	}
	crash.At(crash.StoreCommitting)
	err := tx.Later("commit")
	crash.At(crash.StoreCommitted)
	w.say(err)
	if err != nil {
		fail(group, fmt.Errorf("commit: %w", err))
		w.rollback(tx)
	}
	return true
}

// rollback ends what couldn't be committed: it must not stay open on the one
// connection. Mostly the failure has taken it along, and then this fails.
func (w *writer) rollback(tx *tx) {
	tx.Later("rollback") //nolint:errcheck // see above
}

// all carries out jobs up to the first that fails.
func (w *writer) all(tx *tx, group []*job) bool {
	for _, j := range group {
		if j.err = j.ctx.Err(); j.err != nil {
			continue
		}
		if j.err = guarded(tx, j.do); j.err != nil {
			return false
		}
	}
	return true
}

// each carries out jobs, those too that come after one that fails.
func (w *writer) each(tx *tx, group []*job) {
	whole := true
	for _, j := range group {
		if !whole {
			j.err = errBroken
			continue
		}
		whole = w.one(tx, j)
	}
}

// errBroken is the error of jobs behind one whose failure took the whole
// transaction with it, as a full disk does: what they wrote would be committed
// on its own, although their callers are told that nothing was.
var errBroken = errors.New("the transaction was rolled back by a failure before this write")

// say logs a failure to commit, and its repeats only after a success between.
func (w *writer) say(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != w.said && err != nil {
		w.log.Error("the store can't commit", "error", err)
	}
	w.said = text
}

// one carries out one job; false where the transaction is no longer there.
func (w *writer) one(tx *tx, j *job) bool {
	if j.err = j.ctx.Err(); j.err != nil {
		return true
	}
	if _, err := tx.Exec("savepoint job"); err != nil {
		j.err = fmt.Errorf("begin to write: %w", err)
		return false
	}
	end := "release job"
	if j.err = guarded(tx, j.do); j.err != nil {
		end = "rollback to job"
	}
	if _, err := tx.Exec(end); err != nil {
		j.err = errors.Join(j.err, fmt.Errorf("end a write: %w", err))
		return false
	}
	return true
}

// guarded keeps a panic from ending the writer, which all others need.
func guarded(tx *tx, do func(*tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic while writing: %v", p)
		}
	}()
	return do(tx)
}

func fail(group []*job, err error) {
	for _, j := range group {
		j.err = errors.Join(j.err, err)
	}
}
