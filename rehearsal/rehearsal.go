package rehearsal

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"amend/bank"
	"amend/connectors"
	"amend/store"
)

// Surroundings are what a run needs of whoever calls it.
type Surroundings struct {
	// Wait returns when every other goroutine of the bubble waits for something
	// in it: synctest.Wait.
	Wait func()
	// Folder is an empty one for the run's files.
	Folder string
	// Wrap puts something around a service's connector, below everything that
	// amend itself puts there. Nil puts nothing.
	Wrap func(service string, c connectors.Connector) connectors.Connector
}

// Trace is what happened in a run, one line for each turn and event.
type Trace struct {
	Lines []string
	Turns int
	Sent  int           // mutations that arrived at services
	Took  time.Duration // virtual
	Moved map[Kind]int  // events that took place
}

// Hash tells traces apart.
func (t Trace) Hash() string {
	sum := sha256.Sum256([]byte(strings.Join(t.Lines, "\n")))
	return hex.EncodeToString(sum[:12])
}

// Violation is a promise that was broken.
type Violation struct {
	Promise Promise
	Text    string
	Turn    int
	At      time.Duration // since the start
}

// Error says what was broken, and when.
func (v *Violation) Error() string {
	return fmt.Sprintf("%s, at turn %d after %s: %s", v.Promise, v.Turn, v.At, v.Text)
}

// run is one run under way. What isn't guarded by a lock of its own is the
// scheduler's alone.
type run struct {
	plan         Plan
	surroundings Surroundings
	file         string // of the store
	holds        string // of compliance
	document     string // of the configuration

	bus     *bus
	random  *rand.Rand
	network *network
	clock   clock
	wire    wire
	odd     oddities
	inner   map[string]http.Handler // the bank's own, by service
	bank    *bank.Bank
	people  *store.Store // as people's pages have it
	visits  sync.WaitGroup
	board   board

	began      time.Time
	turns      int
	worker     *worker // nil while none runs
	generation int
	doomed     []doom // deaths to come
	stalled    string // the engine that stands still, if any
	due        []task // by time
	pauses     map[string]pausing
	touched    map[string]time.Time // when a person last changed a customer
	checker    *checker

	mu     sync.Mutex // guards what goroutines of workers tell
	trace  Trace
	failed *Violation
}

// Run plays a plan. It must be called in a bubble of testing/synctest, in which
// nothing else goes on. The error is a *Violation where a promise was broken.
func Run(plan Plan, s Surroundings) (trace Trace, err error) {
	r := &run{plan: plan, surroundings: s, file: filepath.Join(s.Folder, "amend.db"), holds: filepath.Join(s.Folder, "holds.db"), document: filepath.Join(s.Folder, "bank.yaml"),
		bus: newBus(), random: stream(plan.Seed, "turns"), network: newNetwork(), began: time.Now(),
		inner: map[string]http.Handler{}, pauses: map[string]pausing{}, touched: map[string]time.Time{},
		wire: wire{reads: map[string]int{}, lastRead: map[string]map[string]time.Time{}}, odd: oddities{on: map[string]Odd{}}, trace: Trace{Moved: map[Kind]int{}}}
	err = r.open()
	if err == nil {
		err = r.play()
	}
	err = errors.Join(err, r.close())
	r.trace.Turns, r.trace.Took, r.trace.Sent = r.turns, time.Since(r.began), len(r.wire.arrived)
	if broken, is := errors.AsType[*Violation](err); is {
		return r.trace, broken
	}
	return r.trace, err
}

// open makes the bank, the store and the first worker.
func (r *run) open() (err error) {
	if err := os.WriteFile(r.document, bank.Configuration, 0o600); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	if err := r.newBank(); err != nil {
		return fmt.Errorf("make the bank: %w", err)
	}
	r.people, err = openPeople(r)
	if err != nil {
		return err
	}
	if r.checker, err = newChecker(r); err != nil {
		return err
	}
	r.schedule()
	return r.startWorker()
}

// close ends everything, so that no goroutine is left.
func (r *run) close() error {
	var errs []error
	if r.worker != nil {
		errs = append(errs, r.worker.kill())
		<-r.worker.done
		errs = append(errs, r.worker.bury())
	}
	r.visits.Wait()
	if r.checker != nil {
		errs = append(errs, r.checker.close())
	}
	if r.people != nil {
		errs = append(errs, r.people.Close())
	}
	if r.bank != nil {
		r.bus.end()
		errs = append(errs, r.bank.Close())
	}
	time.Sleep(lingering) // what waits for a timer ends by itself
	return errors.Join(errs...)
}

// lingering is longer than anything in the engine or a service sleeps that
// nobody waits for.
const lingering = 3 * time.Minute

// elapsed is how long the run has gone on.
func (r *run) elapsed() time.Duration { return time.Since(r.began) }

// line adds a line to the trace.
func (r *run) line(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trace.Lines = append(r.trace.Lines, fmt.Sprintf("%13.6f %s", r.elapsed().Seconds(), fmt.Sprintf(format, args...)))
}

// said is what a worker logs.
func (w *worker) said(text string) {
	w.line("%s says: %s", w.name, text)
	if strings.Contains(text, "panic") {
		w.broken(NoPanic, "%s", text)
	}
}

// note is for what a worker's helpers come across.
func (r *run) note(format string, args ...any) { r.line(format, args...) }

// broken notes the first promise that was broken.
func (r *run) broken(p Promise, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil {
		r.failed = &Violation{Promise: p, Text: fmt.Sprintf(format, args...), Turn: r.turns, At: r.elapsed()}
	}
}

func (r *run) violation() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil {
		return nil
	}
	return r.failed
}
