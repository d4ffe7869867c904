package dashboard

import (
	"fmt"
	"net/http"
	"runtime/debug"
)

// page answers one request. An error becomes a page of its own.
type page func(*http.Request) (answer, error)

// route is one address and what can be done there. Without open it needs a
// session. HEAD is GET without the body.
type route struct {
	path      string
	open      bool
	get, post page
}

// routes are the site's map.
func (s *Server) routes() []route {
	return []route{
		{path: "/{$}", get: s.home},
		{path: "/lookup", get: s.lookup},
		{path: "/cases", get: s.cases},
		{path: "/customers/{id}", get: s.customer},
		{path: "/customers/{id}/rules/{rule}", get: s.confirm, post: s.start},
		{path: "/customers/{id}/repairs/{repair}/{word}", get: s.word, post: s.sayWord},
		{path: "/customers/{id}/asked/{request}", get: s.asked},
		{path: "/login", open: true, get: s.loginPage, post: s.login},
		{path: "/healthz", open: true, get: s.healthz},
		{path: "/static/{file}", open: true, get: s.static},
		{path: "/", get: s.missing},
	}
}

// bodyLimit bounds what a form may send, in bytes.
const bodyLimit = 32 << 10

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.HandleFunc(r.path, func(w http.ResponseWriter, q *http.Request) {
			q.Body = http.MaxBytesReader(w, q.Body, bodyLimit)
			got, err := s.answer(r, q)
			s.write(w, q, got, err)
		})
	}
	for _, c := range s.calls() {
		mux.HandleFunc(c.path, func(w http.ResponseWriter, q *http.Request) { s.reply(w, q, c) })
	}
	return guarded(mux)
}

// answer asks for a session, then for the method, then for where a change
// comes from, and only then does what was asked.
func (s *Server) answer(r route, q *http.Request) (got answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			got, err = answer{}, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if !r.open && !s.loggedIn(q) {
		return answer{}, s.stranger()
	}
	switch {
	case (q.Method == http.MethodGet || q.Method == http.MethodHead) && r.get != nil:
		return r.get(q)
	case q.Method == http.MethodPost && r.post != nil:
		if err := sameOrigin(q); err != nil {
			return answer{}, err
		}
		if err := q.ParseForm(); err != nil {
			return answer{}, fault{status: http.StatusBadRequest, title: "The form could not be read", text: "Nothing was changed.", next: "Go back and send it again; keep the reason short.", err: err}
		}
		return r.post(q)
	}
	return answer{}, r.otherMethod()
}

// otherMethod refuses a method that the route doesn't know.
func (r route) otherMethod() fault {
	allow := "GET, HEAD"
	if r.post != nil {
		allow += ", POST"
	}
	return fault{status: http.StatusMethodNotAllowed, title: "This can't be done here", text: "This address answers to " + allow + " only. Nothing was changed.",
		next: "Start from the lookup.", allow: allow}
}

func (s *Server) missing(*http.Request) (answer, error) {
	return answer{}, fault{status: http.StatusNotFound, title: "There is no such page", text: "The address may be mistyped, or from another version.", next: "Look a customer up by ID."}
}

func (s *Server) healthz(*http.Request) (answer, error) {
	return answer{kind: "text/plain; charset=utf-8", body: []byte("ok\n")}, nil
}
