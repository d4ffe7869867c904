package slacktest

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

// Fault is one way to fail a call. All but LoseAck leave the workspace as it
// was.
type Fault struct {
	name   string
	answer func(http.ResponseWriter, *http.Request) // instead of the method
	cut    bool                                     // after the method
}

// Next makes the next n calls of a method, such as "chat.postMessage", fail.
// Faults already waiting for it come first.
func (s *Server) Next(method string, n int, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.faults[method] = append(s.faults[method], f)
	}
}

// Status answers with an HTTP status and a page, as Slack does when it is down.
func Status(code int) Fault {
	return Fault{name: strconv.Itoa(code), answer: func(w http.ResponseWriter, _ *http.Request) {
		send(w, code, "text/html; charset=utf-8", []byte("<!doctype html><title>no answer</title>"))
	}}
}

// Refuse answers 200 with ok false and Slack's error code.
func Refuse(code string) Fault {
	return Fault{name: code, answer: func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, response{"ok": false, "error": code})
	}}
}

// RateLimit answers 429; after is told in whole seconds, rounded up.
func RateLimit(after time.Duration) Fault {
	return Fault{name: "429", answer: func(w http.ResponseWriter, _ *http.Request) { tooMany(w, after) }}
}

// Answer answers 200 with this body, such as a proxy's.
func Answer(body string) Fault {
	return Fault{name: "200", answer: func(w http.ResponseWriter, _ *http.Request) {
		send(w, http.StatusOK, "application/json; charset=utf-8", []byte(body))
	}}
}

// Hang doesn't answer until the caller gives up or the server closes.
func Hang() Fault {
	return Fault{answer: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }}
}

// LoseAck does what was asked, then cuts the connection instead of answering.
func LoseAck() Fault { return Fault{cut: true} }

// take returns the fault that is due for a method.
func (s *Server) take(method string) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.faults[method]
	if len(waiting) == 0 {
		return Fault{}, false
	}
	s.faults[method] = waiting[1:]
	return waiting[0], true
}

func tooMany(w http.ResponseWriter, after time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(after.Seconds()))))
	reply(w, http.StatusTooManyRequests, response{"ok": false, "error": "ratelimited"})
}
