package bank

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// maxBody is the largest request body in bytes that a service reads.
const maxBody = 1 << 20

// service is one of the bank's HTTP services.
type service struct {
	name    string
	token   string // the bearer that it wants; "" wants none
	world   *world
	journal *Journal
	faults  *faults
	shape   *shape
	exists  func(r *record) bool // whether this service knows the record's customer
	mux     *http.ServeMux
}

// newService makes a service without routes.
func (b *Bank) newService(name string, shape *shape, exists func(*record) bool) *service {
	s := &service{
		name: name, world: b.world, journal: b.journal, shape: shape, exists: exists,
		faults: newFaults(b.options.Rand("faults/" + name)), mux: http.NewServeMux(),
	}
	s.handle("/", s.unrouted)
	return s
}

// ServeHTTP routes a request.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// handle adds a route whose handler gets the body. Reading it before anything
// else lets the server notice when the caller goes away. Of a body that is too
// large the handler gets the beginning, which no handler understands, so that
// it is refused and yet counted.
func (s *service) handle(pattern string, serve func(http.ResponseWriter, *http.Request, []byte)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		var tooLarge *http.MaxBytesError
		if err != nil && !errors.As(err, &tooLarge) {
			cut(w) // the caller left in the middle of the request
			return
		}
		serve(w, r, body)
	})
}

// unrouted answers what no route takes. What isn't a plain read was meant to
// change something, so it is a mutation sent, and a wrong one.
func (s *service) unrouted(w http.ResponseWriter, r *http.Request, body []byte) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		sum := sha256.Sum256(body)
		s.journal.add(Entry{
			Time: s.world.now(), Service: s.name, Method: r.Method, Path: r.URL.Path, Status: http.StatusNotFound,
			Key: r.Header.Get("Idempotency-Key"), BodySHA256: hex.EncodeToString(sum[:]), Wrong: "no such operation",
		})
	}
	s.send(w, refuse(http.StatusNotFound, "no_such_path", "this service has no such path"))
}

// reader answers a read.
type reader func(r *http.Request, body []byte) answer

// read adds a route that changes nothing. It is counted before any fault.
func (s *service) read(pattern string, kind func(*http.Request) func(*Reads), read reader) {
	s.handle(pattern, func(w http.ResponseWriter, r *http.Request, body []byte) {
		s.journal.countRead(s.name, kind(r))
		drawn := s.faults.draw(false)
		if _, stopped := drawn.stop(w, r); stopped {
			return
		}
		if !drawn.wait(r.Context()) || drawn.lose {
			cut(w)
			return
		}
		if !s.authorized(r) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			s.send(w, refuse(http.StatusUnauthorized, "unauthorized", "a valid bearer token is wanted"))
			return
		}
		a := read(r, body)
		s.send(w, a)
		a.recycle()
	})
}

// The kinds of reads.
func single(*http.Request) func(*Reads) { return func(r *Reads) { r.Single++ } }
func batch(*http.Request) func(*Reads)  { return func(r *Reads) { r.Batch++ } }
func list(*http.Request) func(*Reads)   { return func(r *Reads) { r.List++ } }

// authorized compares in constant time, as a real service would: a token can't
// be guessed byte by byte.
func (s *service) authorized(r *http.Request) bool {
	if s.token == "" {
		return true
	}
	given := r.Header.Get("Authorization")
	return subtle.ConstantTimeCompare([]byte(given), []byte("Bearer "+s.token)) == 1
}

// answer is what a service says.
type answer struct {
	status   int
	body     []byte
	etag     string
	buffer   *[]byte // where body belongs once it is sent; nil where it is kept
	changed  bool    // an operation took effect
	replayed bool    // a stored answer
	lied     bool    // yes, and nothing was done
}

// refuse is an answer that says what is wrong, in the form that all services
// share.
func refuse(status int, code, message string) answer {
	body := appendString([]byte(`{"code":`), code)
	body = appendString(append(body, `,"message":`...), message)
	return answer{status: status, body: append(body, '}')}
}

// send writes an answer. A client that has gone away can't be told, so errors
// of writing end here.
func (s *service) send(w http.ResponseWriter, a answer) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(a.body)))
	if a.etag != "" {
		header.Set("ETag", a.etag)
	}
	if a.replayed {
		header.Set("Idempotent-Replayed", "true")
	}
	w.WriteHeader(a.status)
	w.Write(a.body)
}

// cut ends the connection without an answer.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // the server's own way to cut
	}
	conn.Close() //nolint:errcheck // nobody is left to be told
}

// buffers are for the answers of reads, which are large and short-lived.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// borrow returns an empty buffer; an answer's recycle gives it back.
func borrow() *[]byte {
	buffer := buffers.Get().(*[]byte)
	*buffer = (*buffer)[:0]
	return buffer
}

// recycle gives the answer's buffer back; the answer is then spent.
func (a answer) recycle() {
	if a.buffer == nil {
		return
	}
	*a.buffer = a.body
	buffers.Put(a.buffer)
}
