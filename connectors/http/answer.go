package http

import (
	"bytes"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"amend/conditions"
	"amend/connectors"
)

// answer is one HTTP answer. Expressions see as much of it as they ask for;
// the body is decoded as a whole only where one does.
type answer struct {
	status int
	header http.Header
	body   *bytes.Buffer // nil once released
	at     time.Time     // when it was whole

	decoded   any
	decodeErr error
	tried     bool
}

// release gives the body's memory back. What was picked out of it was copied.
func (a *answer) release() {
	const largest = 4 << 20 // larger ones are left to the garbage collector
	if a.body != nil && a.body.Cap() <= largest {
		a.body.Reset()
		buffers.Put(a.body)
	}
	a.body = nil
}

var errNotJSON = errors.New("the answer is not JSON")

// json is the body, if its header says that it is JSON as it stands.
func (a *answer) json() ([]byte, error) {
	if a.body == nil {
		return nil, errNotJSON
	}
	if encoding := a.header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, errors.New("the answer is compressed, which nobody asked for")
	}
	said := a.header.Get("Content-Type")
	if said == "application/json" || said == "application/json; charset=utf-8" { // what nearly all say
		return a.body.Bytes(), nil
	}
	kind, parameters, err := mime.ParseMediaType(said)
	if err != nil || kind != "application/json" && kind != "text/json" && !strings.HasSuffix(kind, "+json") {
		return nil, errNotJSON
	}
	if charset := parameters["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return nil, errors.New("the answer is not in UTF-8")
	}
	return a.body.Bytes(), nil
}

// decode gives the whole body as plain Go.
func (a *answer) decode() (any, error) {
	if !a.tried {
		a.tried = true
		body, err := a.json()
		if err == nil {
			a.decoded, err = decodeAll(body)
		}
		a.decodeErr = err
	}
	return a.decoded, a.decodeErr
}

// errNotEvaluable hides CEL's own errors, which can quote the answer.
var errNotEvaluable = errors.New("it can't be evaluated for this answer")

// eval computes an expression over status, header and answer. It is tried
// without the body first: status == 404 && … is false for most answers.
func (a *answer) eval(x *conditions.Expression) (any, error) {
	vars := conditions.Vars{"status": int64(a.status)}
	if x.Uses("header") {
		vars["header"] = a.headers()
	}
	out, err := x.Eval(vars)
	if err != nil && x.Uses("answer") {
		if vars["answer"], err = a.decode(); err != nil {
			return nil, err
		}
		out, err = x.Eval(vars)
	}
	if err != nil {
		return nil, errNotEvaluable
	}
	return out, nil
}

// headers are the answer's headers by lower-case name.
func (a *answer) headers() map[string]any {
	all := make(map[string]any, len(a.header))
	for name, values := range a.header {
		all[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return all
}

// longestRetryAfter is how long a service can ask to be left alone.
const longestRetryAfter = 15 * time.Minute

// retryAfter is how long the service asks to be left alone. What can't be
// understood, and what lies in the past, is nothing.
func (a *answer) retryAfter() time.Duration {
	text := strings.TrimSpace(a.header.Get("Retry-After"))
	if text == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(longestRetryAfter/time.Second))) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(0, at.Sub(a.at)), longestRetryAfter)
}

func tooLarge(limit int64) *connectors.Unseen {
	return malformed("the answer is larger than " + strconv.FormatInt(limit, 10) + " bytes; max_body allows more")
}
