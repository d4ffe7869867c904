package dashboard

import (
	"errors"
	"net/http"

	"amend"
)

// fault is an error that has a page: what happened, and what to do next.
type fault struct {
	status int
	title  string
	text   string
	next   string
	back   *link  // where to go on
	allow  string // the methods that would have been allowed
	again  bool   // opening the page again may help
	err    error  // the cause, for the log
}

// Error is the text with its cause.
func (f fault) Error() string {
	if f.err == nil {
		return f.title
	}
	return f.title + ": " + f.err.Error()
}

// Unwrap gives the cause.
func (f fault) Unwrap() error { return f.err }

// link leads somewhere.
type link struct{ Title, URL string }

// errorPage is what a fault looks like.
type errorPage struct {
	frame
	Status int
	Text   string
	Next   string
	ID     string // stands in the log too; empty where nothing was logged
	Back   *link
	Again  bool
}

// titles are the headings of errors that come from below.
var titles = map[amend.Code]fault{
	amend.Invalid:     {status: http.StatusBadRequest, title: "This can't be asked"},
	amend.NotFound:    {status: http.StatusNotFound, title: "Nothing was found"},
	amend.Conflict:    {status: http.StatusConflict, title: "It was not started"},
	amend.Unavailable: {status: http.StatusServiceUnavailable, title: "Not now"},
}

// faultOf turns an error into a fault. What isn't meant for people stays in the
// log.
func faultOf(err error) fault {
	var f fault
	if errors.As(err, &f) {
		return f
	}
	var e *amend.Error
	known, has := titles[amend.CodeOf(err)]
	if !has || !errors.As(err, &e) {
		return fault{status: http.StatusInternalServerError, title: "Something went wrong", text: "This page could not be made. Nothing was changed by opening it.",
			next: "Try again. If it stays so, give the number below to whoever runs amend: the log has the cause under it.", again: true, err: err}
	}
	known.text, known.next, known.err = sentence(e.Text), sentence(e.Next), err
	return known
}

// showFault makes the page of an error. What is our own fault is logged, once,
// under an ID that the page shows.
func (s *Server) showFault(r *http.Request, err error) answer {
	f := faultOf(err)
	shown := errorPage{frame: s.bareFrame(f.title), Status: f.status, Text: f.text, Next: f.next, Back: f.back, Again: f.again}
	shown.LoggedIn = f.status != http.StatusUnauthorized
	if f.status == http.StatusInternalServerError && r.Context().Err() == nil {
		shown.ID = s.options.Desk.Store.NewID("err")
		s.options.Log.Error("a page failed", "error_id", shown.ID, "method", r.Method, "path", r.URL.Path, "error", err)
	}
	return answer{status: f.status, page: "error", data: shown, allow: f.allow}
}
