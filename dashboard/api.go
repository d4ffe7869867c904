package dashboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"mime"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"amend"
)

// call is what programs may do: an address that takes JSON by POST and shows a
// token instead of a session. Its answers are JSON, too.
type call struct {
	path string
	post func(*http.Request) (status int, body any, err error)
}

// calls are the addresses for programs.
func (s *Server) calls() []call {
	return []call{{path: "/api/v1/observe", post: s.observe}}
}

// callLimit bounds the body of a call, in bytes.
const callLimit = 1 << 20

// rejection is an error that a program is told, as RFC 9457 writes it.
type rejection struct {
	status  int
	title   string
	detail  string
	invalid []string      // the IDs that were refused
	retry   time.Duration // when to try again
	allow   string
}

// Error is the title with the detail.
func (r rejection) Error() string { return r.title + ": " + r.detail }

// reply carries a call out and writes its answer.
func (s *Server) reply(w http.ResponseWriter, q *http.Request, c call) {
	q.Body = http.MaxBytesReader(w, q.Body, callLimit)
	status, body, err := s.called(q, c)
	kind := "application/json"
	if err != nil {
		var r rejection
		if !errors.As(err, &r) {
			r = s.failed(q, err)
		}
		status, body, kind = r.status, problem(r), "application/problem+json"
		if r.retry > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(r.retry.Seconds()))))
		}
		if r.status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		if r.allow != "" {
			w.Header().Set("Allow", r.allow)
		}
	}
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "The answer could not be written.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	w.Write(append(text, '\n'))
}

// called asks for the token first, and for nothing of the request before.
func (s *Server) called(q *http.Request, c call) (status int, body any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if s.pass == nil {
		return 0, nil, rejection{status: http.StatusNotFound, title: "There is nothing here", detail: "Programs may call where scans.observe.token is set."}
	}
	if err := s.pass.check(q); err != nil {
		return 0, nil, err
	}
	if q.Method != http.MethodPost {
		return 0, nil, rejection{status: http.StatusMethodNotAllowed, title: "This can't be done here", detail: "This address answers to POST only.", allow: http.MethodPost}
	}
	// Programs send neither Origin nor Sec-Fetch-Site; pages of other sites do.
	if err := http.NewCrossOriginProtection().Check(q); err != nil {
		return 0, nil, rejection{status: http.StatusForbidden, title: "Pages of other sites can't call"}
	}
	if kind, _, err := mime.ParseMediaType(q.Header.Get("Content-Type")); err != nil || kind != "application/json" || q.Header.Get("Content-Encoding") != "" {
		return 0, nil, rejection{status: http.StatusUnsupportedMediaType, title: "This is no JSON", detail: "Send Content-Type: application/json, not compressed."}
	}
	return c.post(q)
}

// failed is an error of ours. It is logged, once, under an ID that the caller is
// told.
func (s *Server) failed(q *http.Request, err error) rejection {
	if amend.CodeOf(err) == amend.Invalid {
		return rejection{status: http.StatusBadRequest, title: "This can't be asked", detail: err.Error()}
	}
	id := s.options.Desk.Store.NewID("err")
	if q.Context().Err() == nil {
		s.options.Log.Error("a call failed", "error_id", id, "method", q.Method, "path", q.URL.Path, "error", err)
	}
	r := rejection{status: http.StatusInternalServerError, title: "Something went wrong", detail: "Nothing was written. The log has the cause under " + id + "."}
	if amend.CodeOf(err) == amend.Unavailable {
		r.status, r.retry = http.StatusServiceUnavailable, time.Minute
	}
	return r
}

func problem(r rejection) map[string]any {
	p := map[string]any{"title": r.title, "status": r.status}
	if r.detail != "" {
		p["detail"] = r.detail
	}
	if len(r.invalid) > 0 {
		p["invalid"] = r.invalid
	}
	return p
}
