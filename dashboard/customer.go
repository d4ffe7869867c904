package dashboard

import (
	"net/http"
	"net/url"
	"strings"

	"amend"
	"amend/desk"
	"amend/states"
)

// customerPage is all that is known of one customer, read live.
type customerPage struct {
	frame
	ID        string
	URL       string
	Checked   *moment
	Links     []link
	Asked     *progress // of what was just started from here
	Verdict   verdict
	Asking    *asking    // what people are asked to agree to
	Wondering *wondering // what only a person can tell
	Acts      []act      // what can be done
	Not       []act      // what can't be done now, with the reason
	Table     table
	Why       why
	Repairs   []repair
	Timeline  []event
	More      bool // there is more of the timeline than is shown
}

func (s *Server) customer(r *http.Request) (answer, error) {
	id := r.PathValue("id")
	sheet, err := s.options.Desk.Customer(r.Context(), id)
	if err != nil {
		return answer{}, s.customerFault(err)
	}
	f, err := s.frame(r, "", "customer")
	if err != nil {
		return answer{}, err
	}
	view := sheet.Look.View
	p := customerPage{frame: f, ID: id, URL: customerPath(id), Checked: s.checked(view), Links: s.links(id), Verdict: s.verdict(sheet)}
	p.Title = p.Verdict.Words + ": " + id
	p.Asking, p.Wondering = s.asking(sheet), s.wondering(sheet)
	p.Acts, p.Not = s.acts(sheet)
	p.Table, p.Why = s.table(sheet), s.why(sheet)
	if p.Repairs, err = s.repairsOf(r.Context(), sheet); err != nil {
		return answer{}, err
	}
	p.Timeline, p.More = s.timeline(sheet)
	if request := r.URL.Query().Get("asked"); request != "" {
		if p.Asked, err = s.progressOf(r.Context(), id, request); err != nil {
			return answer{}, err
		}
		p.Refresh = !p.Asked.Ended
		p.Title = p.Asked.Words + ": " + p.Title
	}
	return answer{page: "customer", data: p}, nil
}

// customerFault gives the errors of a look their headings.
func (s *Server) customerFault(err error) error {
	f := faultOf(err)
	switch amend.CodeOf(err) {
	case amend.NotFound:
		f.title = "No service knows this ID"
	case amend.Invalid:
		f.title = "This can't be an ID"
		if pattern := s.pattern(); pattern != "" {
			f.next = "An ID fits " + pattern + " and nothing else stands beside it."
		}
	case amend.Conflict, amend.Unavailable, amend.Internal:
	}
	return f
}

// checked tells the oldest reading of a look, always to the second.
func (s *Server) checked(view *amend.View) *moment {
	m := s.clock().at(view.Oldest())
	if m != nil {
		m.Clock = view.Oldest().UTC().Format("15:04:05 UTC")
	}
	return m
}

// links lead to the customer in the services' own pages; {id} in an address
// stands for the ID. Only web addresses become links.
func (s *Server) links(id string) []link {
	var all []link
	for _, service := range s.options.Desk.Schema.Services {
		for _, l := range service.Links {
			address := strings.ReplaceAll(l.URL, "{id}", url.PathEscape(id))
			if webAddress(address) {
				all = append(all, link{Title: service.Name + ": " + l.Title, URL: address})
			}
		}
	}
	return all
}

func webAddress(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

// act is one rule that could be taken.
type act struct {
	Verb    string
	Rule    string
	About   string
	Mode    string
	URL     string // its confirm page
	Primary bool   // the one that is recommended
	Effects []effect
	Why     string // why it can't be taken now
}

// effect is one operation of a rule and what it changes.
type effect struct {
	Service   string
	Operation string
	Changes   []change
}

// change is a field before and after.
type change struct{ Field, Before, After string }

// acts are the rules that lead out of the customer's state. One is recommended,
// and only where something is out of order: for a customer in order nothing is.
func (s *Server) acts(sheet *desk.Sheet) (can, cannot []act) {
	for _, o := range sheet.Options {
		a := act{Verb: verb(o.Rule), Rule: o.Rule.Name, About: o.Rule.About, Mode: whoTakes(sheet, o.Rule), URL: s.ruleURL(sheet, o.Rule.Name), Effects: s.effects(sheet, o), Why: whyNot(o)}
		if a.Why != "" {
			cannot = append(cannot, a)
			continue
		}
		a.Primary = !sheet.Coherent && len(can) == 0 && sheet.Proposal == nil && sheet.Question == nil
		can = append(can, a)
	}
	return can, cannot
}

func (s *Server) ruleURL(sheet *desk.Sheet, rule string) string {
	return customerPath(sheet.Look.View.ID) + "/rules/" + url.PathEscape(rule)
}

// whyNot is the desk's reason. Where a sensitive argument can't be computed the
// error could quote it, so it is told in general words.
func whyNot(o desk.Option) string {
	if o.Why == "" || len(o.Plan.Steps) > 0 {
		return sentence(o.Why)
	}
	for _, step := range o.Rule.Steps {
		for _, a := range step.Arguments {
			if a.Sensitive {
				return "What it would send can't be computed now."
			}
		}
	}
	return sentence(o.Why)
}

// effects put a plan's changes beside the operations that make them.
func (s *Server) effects(sheet *desk.Sheet, o desk.Option) []effect {
	var all []effect
	at := 0
	for _, step := range o.Plan.Steps {
		e := effect{Service: step.Service, Operation: step.Operation}
		index, service := s.options.Desk.Schema.Service(step.Service)
		for _, want := range step.Expect {
			c := change{Field: o.Changes[at].Field, Before: o.Changes[at].Before, After: o.Changes[at].After}
			if field, _ := service.Field(want.Field); c.After == desk.Hidden {
				c.After = hiddenAfter(sheet.Look, index, field, want.Value)
			}
			e.Changes, at = append(e.Changes, c), at+1
		}
		all = append(all, e)
	}
	return all
}

// hiddenAfter says of a sensitive value only whether it changes.
func hiddenAfter(look states.Look, service, field int, want amend.Value) string {
	if look.View.Records[service].Value(field) == want {
		return "the same (hidden)"
	}
	return "another value (hidden)"
}
