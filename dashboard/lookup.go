package dashboard

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"amend/lifecycle"
	"amend/store"
)

// homePage is the lookup, and what waits for people below it.
type homePage struct {
	frame
	Pattern string // what an ID looks like; empty where anything can be one
	ID      string // as typed, where it can't be one
	Problem string
	Waiting caseList
	More    bool // more wait than are shown
	Counts  []count
	Empty   string // why nothing waits: nothing yet, or all is well
}

// count is the number of cases in a status.
type count struct {
	Status string
	Text   string
	Number string
	URL    string // empty where there is no list
}

// nearest is how many cases the lookup shows.
const nearest = 5

func (s *Server) home(r *http.Request) (answer, error) { return s.showHome(r, "", "") }

// lookup leads to the customer that was pasted; the ID is judged before it
// reaches any address.
func (s *Server) lookup(r *http.Request) (answer, error) {
	typed := r.URL.Query().Get("id")
	id := s.options.Desk.Clean(typed)
	entity := s.options.Desk.Schema.Entity
	switch {
	case id == "":
		return s.showHome(r, "", "Enter the ID of a "+entity.Name+".")
	case !entity.Valid(id):
		return s.showHome(r, typed, "This can't be the ID of a "+entity.Name+".")
	}
	return answer{to: customerPath(id)}, nil
}

func (s *Server) showHome(r *http.Request, typed, problem string) (answer, error) {
	f, err := s.frame(r, "Lookup", "lookup")
	if err != nil {
		return answer{}, err
	}
	p := homePage{frame: f, ID: clip(typed), Problem: problem, Pattern: s.pattern()}
	if err := s.waiting(r.Context(), &p); err != nil {
		return answer{}, err
	}
	a := answer{page: "home", data: p}
	if problem != "" {
		a.status = http.StatusBadRequest
	}
	return a, nil
}

// pattern is the expression for IDs without what makes it match the whole text.
func (s *Server) pattern() string {
	id := s.options.Desk.Schema.Entity.ID
	if id == nil {
		return ""
	}
	whole := strings.TrimSuffix(strings.TrimPrefix(id.String(), `\A(?:`), `)\z`)
	return strings.TrimSuffix(strings.TrimPrefix(whole, "^"), "$")
}

// clip keeps what was pasted from filling the screen.
func clip(text string) string {
	if r := []rune(text); len(r) > 200 {
		return string(r[:200]) + "…"
	}
	return text
}

// waiting fills in the cases that wait for a person, those that are due first,
// and how many cases there are.
func (s *Server) waiting(ctx context.Context, p *homePage) error {
	db := s.options.Desk.Store
	var open []store.Case
	for _, status := range []lifecycle.Status{lifecycle.Escalated, lifecycle.Proposed} {
		some, err := db.OpenCases(ctx, status, nearest+1)
		if err != nil {
			return err
		}
		open = append(open, some...)
	}
	slices.SortStableFunc(open, dueFirst)
	if p.More = len(open) > nearest; p.More {
		open = open[:nearest]
	}
	p.Waiting = caseList{"Cases that wait for a person", s.caseRows(open)}
	counts, err := db.CountCases(ctx)
	if err != nil {
		return err
	}
	p.Counts = countRows(counts)
	if len(open) == 0 {
		p.Empty = emptiness(p.System)
	}
	return nil
}

func dueFirst(a, b store.Case) int {
	if a.DueAt.IsZero() != b.DueAt.IsZero() {
		if a.DueAt.IsZero() {
			return 1
		}
		return -1
	}
	return cmp.Or(a.DueAt.Compare(b.DueAt), a.OpenedAt.Compare(b.OpenedAt))
}

// The reasons why a list is empty.
const (
	nothingYet     = "nothing yet"
	nothingMatches = "nothing matches"
	allIsWell      = "all is well"
)

func emptiness(line *system) string {
	if line.Last == nil {
		return nothingYet
	}
	return allIsWell
}

func countRows(c store.Counts) []count {
	var all []count
	for _, status := range openStatuses() {
		all = append(all, count{Status: capital(string(status)), Text: statusText(status), Number: number(c.Open[status]), URL: "/cases?status=" + string(status)})
	}
	return append(all,
		count{Status: "Healed", Text: statusText(lifecycle.Healed), Number: number(c.Healed)},
		count{Status: "Closed", Text: statusText(lifecycle.Closed), Number: number(c.Closed)})
}
