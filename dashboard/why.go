package dashboard

import (
	"strings"
	"time"

	"amend"
	"amend/conditions"
	"amend/desk"
	"amend/states"
)

// why is the way to the verdict: every condition that was asked, in order.
type why struct {
	Decided *condition  // nil where none did
	Before  []condition // all false
}

// condition is one state's condition with the values that it read.
type condition struct {
	State  string
	Text   string
	Truth  string
	Kind   string
	Values []reading
	Reason string
}

// reading is one thing that a condition looked at.
type reading struct{ Name, Value string }

func (s *Server) why(sheet *desk.Sheet) why {
	if sheet.Look.Verdict.Name == states.Nobody {
		return why{}
	}
	var w why
	for _, e := range s.options.Machine.Explain(sheet.Look.Scope) {
		c := s.condition(sheet.Look, e)
		if e.Truth == conditions.False {
			w.Before = append(w.Before, c)
			continue
		}
		w.Decided = &c
	}
	return w
}

func (s *Server) condition(look states.Look, e states.Explanation) condition {
	c := condition{State: inWords(e.State), Text: e.When, Truth: e.Truth.String(), Kind: quiet}
	hides := false
	for _, r := range e.Reads {
		c.Values = append(c.Values, reading{r.Name, s.reading(look, r)})
		hides = hides || s.sensitive(r)
	}
	switch e.Truth {
	case conditions.True:
		c.Kind = good
	case conditions.Undecided:
		c.Kind, c.Reason = warn, s.say(e.Reason)
	case conditions.Erred:
		// The error could quote what was read.
		if c.Kind, c.Reason = bad, s.say(e.Reason); hides {
			c.Reason = "It can't be evaluated with these values."
		}
	case conditions.False:
	}
	return c
}

func (s *Server) sensitive(r conditions.Reference) bool {
	return r.Service >= 0 && r.Field >= 0 && s.options.Desk.Schema.Services[r.Service].Fields[r.Field].Sensitive
}

// reading is what a condition found under a name.
func (s *Server) reading(look states.Look, r conditions.Reference) string {
	if r.Service < 0 {
		return look.Scope.Now().UTC().Format(time.RFC3339)
	}
	record := &look.View.Records[r.Service]
	switch {
	case record.Presence == amend.Unseen:
		return "could not be read"
	case r.Field >= 0 && record.Value(r.Field).IsNull():
		return "null"
	case r.Field >= 0:
		return desk.Show(&s.options.Desk.Schema.Services[r.Service].Fields[r.Field], record.Value(r.Field))
	case strings.HasSuffix(r.Name, ".age"):
		return span(look.Scope.Now().Sub(record.ReadAt))
	case strings.HasSuffix(r.Name, ".absent"):
		return yes(record.Presence == amend.Absent)
	}
	return yes(record.Presence == amend.Present)
}

func yes(b bool) string {
	if b {
		return "true"
	}
	return "false"
}
