package dashboard

import (
	"fmt"
	"net/http"
	"slices"

	"amend/lifecycle"
	"amend/store"
)

// casesPage lists open cases.
type casesPage struct {
	frame
	Status  string // the only one that is listed; empty for all
	Meaning string
	Filters []filter
	List    caseList
	Limit   string // said where not all are shown
	Empty   string
}

// filter narrows the list to one status.
type filter struct {
	Title  string
	URL    string
	Number string
	Here   bool
}

// caseList is a table of cases.
type caseList struct {
	Label string
	Rows  []caseRow
}

// caseRow is one case in a list.
type caseRow struct {
	ID     string
	URL    string
	State  string
	Status string
	Why    string
	Since  *moment
	Due    *due
}

// listLimit is how many cases a list shows.
const listLimit = 200

func (s *Server) cases(r *http.Request) (answer, error) {
	status := lifecycle.Status(r.URL.Query().Get("status"))
	if status != "" && !slices.Contains(openStatuses(), status) {
		return answer{}, fault{status: http.StatusBadRequest, title: "There is no such status", text: fmt.Sprintf("No open case can be %q.", clip(string(status))),
			next: "Choose one from the list of all open cases.", back: &link{"All open cases", "/cases"}}
	}
	f, err := s.frame(r, "Cases", "cases")
	if err != nil {
		return answer{}, err
	}
	open, err := s.options.Desk.Store.OpenCases(r.Context(), status, listLimit+1)
	if err != nil {
		return answer{}, err
	}
	counts, err := s.options.Desk.Store.CountCases(r.Context())
	if err != nil {
		return answer{}, err
	}
	p := casesPage{frame: f, Status: string(status), Meaning: statusText(status), Filters: filters(counts, status)}
	total := totalOpen(counts)
	if len(open) > listLimit {
		shown := total
		if status != "" {
			shown = counts.Open[status]
		}
		open, p.Limit = open[:listLimit], fmt.Sprintf("The first %s of %s, those that are due first.", number(listLimit), number(shown))
	}
	p.List = caseList{"Open cases, those that are due first", s.caseRows(open)}
	switch {
	case len(open) > 0:
	case total > 0:
		p.Empty = nothingMatches
	default:
		p.Empty = emptiness(f.System)
	}
	return answer{page: "cases", data: p}, nil
}

func totalOpen(c store.Counts) int {
	total := 0
	for _, n := range c.Open {
		total += n
	}
	return total
}

func filters(c store.Counts, here lifecycle.Status) []filter {
	all := []filter{{Title: "All", URL: "/cases", Number: number(totalOpen(c)), Here: here == ""}}
	for _, status := range openStatuses() {
		all = append(all, filter{Title: capital(string(status)), URL: "/cases?status=" + string(status), Number: number(c.Open[status]), Here: here == status})
	}
	return all
}

func (s *Server) caseRows(open []store.Case) []caseRow {
	now := s.clock()
	var rows []caseRow
	for _, c := range open {
		rows = append(rows, caseRow{ID: c.Customer, URL: customerPath(c.Customer), State: inWords(c.State), Status: capital(string(c.Status)), Why: s.say(c.Why),
			Since: now.at(c.Since), Due: now.due(c.DueAt)})
	}
	return rows
}
