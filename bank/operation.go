package bank

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// operation describes one mutation that a service takes.
type operation struct {
	name   Operation
	keyed  bool     // takes an Idempotency-Key, and wants one
	body   []string // the body is an object of exactly these strings
	who    string   // which of them is the customer; "" where the path says it
	value  string   // which of them is the value that the judge checks
	status string   // what the body's status must be, where it has one
	// apply does it, under the world's lock.
	apply func(c *customer, cmd command) answer
}

// service is the part of the name before the dot.
func (o *operation) service() string {
	service, _, _ := strings.Cut(string(o.name), ".")
	return service
}

// command is one request for an operation.
type command struct {
	op       *operation
	customer string
	value    string
	key      string
	hash     string // SHA-256 of the body, in hex
	ifMatch  string
	// character is the service's when the request came.
	character Character
	problem   string // why the service can't understand it; "" where it can
}

// command reads a request. It never fails, because what can't be understood is
// judged too.
func (o *operation) command(r *http.Request, body []byte, character Character) command {
	sum := sha256.Sum256(body)
	cmd := command{
		op:        o,
		customer:  r.PathValue("id"),
		key:       r.Header.Get("Idempotency-Key"),
		hash:      hex.EncodeToString(sum[:]),
		ifMatch:   r.Header.Get("If-Match"),
		character: character,
	}
	fields, err := decodeStrings(body, o.body)
	if o.who != "" {
		cmd.customer = fields[o.who]
	}
	cmd.value = fields[o.value]
	switch {
	case err != nil:
		cmd.problem = err.Error()
	case !customerID.MatchString(cmd.customer):
		cmd.problem = "not the ID of a customer"
	case o.status != "" && fields["status"] != o.status:
		cmd.problem = fmt.Sprintf("the status can only be set to %q", o.status)
	case cmd.keyed() && cmd.key == "":
		cmd.problem = "an Idempotency-Key is wanted"
	}
	return cmd
}

// decodeStrings reads an object that has exactly the wanted strings. What could
// be read is returned beside an error, so that the request can be told whose it
// is.
func decodeStrings(body []byte, wanted []string) (map[string]string, error) {
	fields := make(map[string]string)
	if len(wanted) == 0 {
		if len(bytes.TrimSpace(body)) > 0 {
			return fields, errors.New("a body is not wanted")
		}
		return fields, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(&fields); err != nil {
		return fields, errors.New("the body is not an object of strings")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fields, errors.New("something follows the body's object")
	}
	for _, name := range wanted {
		if fields[name] == "" {
			return fields, fmt.Errorf("%s is missing", name)
		}
	}
	for name := range fields {
		if !slices.Contains(wanted, name) {
			return fields, fmt.Errorf("the body says more than %s", strings.Join(wanted, ", "))
		}
	}
	return fields, nil
}

// operate serves an operation. The journal has the request before any fault can
// touch it, so that what was sent is counted and not only what came through.
func (s *service) operate(o *operation) func(http.ResponseWriter, *http.Request, []byte) {
	return func(w http.ResponseWriter, r *http.Request, body []byte) {
		cmd := o.command(r, body, s.faults.get().Character)
		seq := s.receive(r, cmd)
		drawn := s.faults.draw(true)
		if s.answered(cmd) {
			drawn = drawnFault{outage: drawn.outage} // what is stored is replayed before anything else can fail
		}
		if status, stopped := drawn.stop(w, r); stopped {
			s.keepFailure(cmd, drawn)
			s.finish(seq, cmd, outcome{answer: answer{status: status}})
			return
		}
		done := s.perform(r.Context(), cmd, drawn)
		done.lost = drawn.lose
		// Entered before the answer leaves: whoever has it finds it in the journal.
		s.finish(seq, cmd, done)
		if done.status == 0 || done.lost || !drawn.waitAck(r.Context()) {
			cut(w)
			return
		}
		s.send(w, done.answer)
	}
}

// answered reports whether a service that replays errors has an answer stored
// for the key.
func (s *service) answered(cmd command) bool {
	if cmd.character != ReplaysErrors || !cmd.keyed() {
		return false
	}
	s.world.mu.RLock()
	defer s.world.mu.RUnlock()
	return s.world.keys.match(cmd, s.world.now()) == keyReplay
}

// keepFailure has a service that replays errors remember the one that a fault
// has just given.
func (s *service) keepFailure(cmd command, drawn drawnFault) {
	if cmd.character != ReplaysErrors || !cmd.keyed() || cmd.problem != "" || drawn.status == 0 || drawn.outage != "" || drawn.hang {
		return
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	if _, ok := s.world.keys.begin(cmd, s.world.now()); ok {
		s.world.keys.finish(cmd, refuse(drawn.status, "failed", http.StatusText(drawn.status)))
	}
}

// receive judges the command and enters it into the journal.
func (s *service) receive(r *http.Request, cmd command) int {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	entry := Entry{
		Time: s.world.now(), Service: s.name, Method: r.Method, Path: r.URL.Path, Operation: cmd.op.name,
		Customer: cmd.customer, Key: cmd.key, BodySHA256: cmd.hash,
	}
	if !customerID.MatchString(cmd.customer) {
		// Nobody's: it changes nothing, and there is no need to compare it with.
		entry.Wrong = cmd.problem
		return s.journal.add(entry)
	}
	c := s.world.customer(cmd.customer)
	c.touched = entry.Time
	c.inFlight++
	v := s.world.judge(c, cmd)
	entry.Wrong, entry.OutOfOrder, entry.SecondKey = v.wrong, v.outOfOrder, v.secondKey
	return s.journal.add(entry)
}

// outcome is how a command ended. Status 0 means that no answer was given.
type outcome struct {
	answer
	before, after json.RawMessage
	double        bool
	reissue       bool
	lost          bool
}

// perform takes the key, waits as the fault wants, and acts. A caller that goes
// away meanwhile has its key released, and nothing happens, unless the service
// finishes what it has begun.
func (s *service) perform(ctx context.Context, cmd command, drawn drawnFault) outcome {
	if cmd.problem != "" {
		return outcome{answer: refuse(http.StatusBadRequest, "bad_request", cmd.problem)}
	}
	if a, ok := s.begin(cmd); !ok {
		return outcome{answer: a}
	}
	if cmd.finishes() {
		ctx = context.WithoutCancel(ctx)
	}
	if !drawn.wait(ctx) {
		s.release(cmd)
		return outcome{}
	}
	if drawn.lie {
		return s.lie(cmd)
	}
	return s.apply(cmd, drawn.hide)
}

// lie says that all was done, and does nothing.
func (s *service) lie(cmd command) outcome {
	a := answer{status: http.StatusOK, body: []byte(`{"result":"ok"}`), lied: true}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	if cmd.keyed() {
		s.world.keys.finish(cmd, a)
	}
	return outcome{answer: a}
}

// begin takes the key of a command that has one; false means that the answer
// is known without acting.
func (s *service) begin(cmd command) (answer, bool) {
	if !cmd.keyed() {
		return answer{}, true
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	return s.world.keys.begin(cmd, s.world.now())
}

// release gives the key back, so that the caller may try again with it.
func (s *service) release(cmd command) {
	if !cmd.keyed() {
		return
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	s.world.keys.release(cmd)
}

// apply acts and judges the effect in one hold of the lock. The need is looked
// at before it is settled, because the effect is what ends it. Reads show the
// effect after a while.
func (s *service) apply(cmd command, hide time.Duration) outcome {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	c := s.world.customer(cmd.customer)
	reissue := c.isReissue(cmd.op.name)
	done := outcome{before: s.truth(c)}
	was := c
	if hide > 0 {
		was = c.copy()
	}
	done.answer = cmd.op.apply(c, cmd)
	if done.changed {
		done.reissue = reissue
		if !reissue {
			n := c.need(cmd.op.name)
			done.double = n.addEffect()
			s.world.mostEffects = max(s.world.mostEffects, n.effects)
		}
		if now := s.world.now(); hide > 0 {
			c.hide(glimpse{service: s.name, until: now.Add(hide), was: was}, now)
		}
		s.world.settle(c)
	}
	done.after = s.truth(c)
	if cmd.keyed() {
		s.world.keys.finish(cmd, done.answer)
	}
	return done
}

// applied answers an operation that took effect, with the record as it is now.
func (s *service) applied(c *customer, status int) answer {
	a := s.unchanged(c)
	a.status, a.changed = status, true
	return a
}

// unchanged answers an operation that found everything as wanted.
func (s *service) unchanged(c *customer) answer {
	return answer{status: http.StatusOK, body: s.truth(c), etag: s.etag(c)}
}

// finish completes the journal's entry and lets drift have the customer again.
func (s *service) finish(seq int, cmd command, done outcome) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	if c, ok := s.world.byID[cmd.customer]; ok {
		c.inFlight--
		c.touched = s.world.now()
	}
	s.journal.finish(seq, done)
}
