package slacktest

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const maxBody = 1 << 20

// response is an answer's JSON object.
type response map[string]any

// problem is an error code of Slack's, with the details that go with it.
type problem struct {
	code    string
	details []string
	after   time.Duration // for a 429
}

// method answers one call from its arguments.
type method func(*Server, *Call) (response, *problem)

// methods is the whole API. Each takes the server's lock itself.
func methods(name string) method {
	switch name {
	case "auth.test":
		return (*Server).authTest
	case "chat.postMessage":
		return (*Server).postMessage
	case "chat.postEphemeral":
		return (*Server).postEphemeral
	case "chat.update":
		return (*Server).update
	case "conversations.list":
		return (*Server).list
	case "conversations.history":
		return (*Server).history
	case "conversations.replies":
		return (*Server).replies
	case "views.open":
		return (*Server).openView
	default:
		return func(*Server, *Call) (response, *problem) { return nil, &problem{code: "unknown_method"} }
	}
}

// call runs one method: the request is read whole, recorded, failed where a
// fault is due, and otherwise checked and answered.
func (s *Server) call(w http.ResponseWriter, r *http.Request) {
	form, token, err := arguments(w, r)
	c := s.record(r.PathValue("method"), form)
	if err != nil {
		s.finish(w, c, nil, err)
		return
	}
	fault, due := s.take(c.Method)
	if due && fault.answer != nil {
		s.note(c, fault.name)
		fault.answer(w, r)
		return
	}
	answer, err := s.run(c, token)
	if due && fault.cut {
		s.note(c, "cut")
		panic(http.ErrAbortHandler) // net/http's way to cut a connection
	}
	s.finish(w, c, answer, err)
}

func (s *Server) run(c *Call, token string) (response, *problem) {
	switch {
	case token == "":
		return nil, &problem{code: "not_authed"}
	case subtle.ConstantTimeCompare([]byte(token), []byte(s.token)) != 1:
		return nil, &problem{code: "invalid_auth"}
	default:
		return methods(c.Method)(s, c)
	}
}

func (s *Server) record(name string, form url.Values) *Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &Call{At: s.now(), Method: name, Form: form}
	s.calls = append(s.calls, c)
	return c
}

func (s *Server) note(c *Call, answer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Answer = answer
}

func (s *Server) finish(w http.ResponseWriter, c *Call, answer response, err *problem) {
	switch {
	case err == nil:
		s.note(c, "ok")
		answer["ok"] = true
		reply(w, http.StatusOK, answer)
	case err.after > 0:
		s.note(c, "429")
		tooMany(w, err.after)
	default:
		s.note(c, err.code)
		reply(w, http.StatusOK, response{"ok": false, "error": err.code,
			"response_metadata": response{"messages": err.details}})
	}
}

func reply(w http.ResponseWriter, status int, body response) {
	data, err := json.Marshal(body)
	if err != nil { // blocks and metadata that are no JSON; checked before
		http.Error(w, "the answer can't be written", http.StatusInternalServerError)
		return
	}
	send(w, status, "application/json; charset=utf-8", data)
}

func send(w http.ResponseWriter, status int, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	w.Write(body) // whoever asked may be gone
}

// arguments reads a form or a JSON body, and the token from the header or, in
// a form only, as Slack has it, from the arguments.
func arguments(w http.ResponseWriter, r *http.Request) (url.Values, string, *problem) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err != nil:
		return nil, token, &problem{code: "missing_post_type"}
	case kind == "application/json":
		form, err := fromJSON(r)
		return form, token, err
	case kind != "application/x-www-form-urlencoded":
		return nil, token, &problem{code: "invalid_post_type"}
	}
	if err := r.ParseForm(); err != nil {
		return nil, token, tooBig(err, "invalid_form_data")
	}
	if t := r.PostForm.Get("token"); t != "" {
		token = t
	}
	r.PostForm.Del("token")
	return r.PostForm, token, nil
}

// fromJSON flattens an object into a form: texts as they are, the rest as JSON.
func fromJSON(r *http.Request) (url.Values, *problem) {
	var body map[string]json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return nil, tooBig(err, "invalid_json")
	}
	form := url.Values{}
	for name, raw := range body {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		form.Set(name, text)
	}
	form.Del("token")
	return form, nil
}

func tooBig(err error, otherwise string) *problem {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &problem{code: "request_too_large"}
	}
	return &problem{code: otherwise}
}
