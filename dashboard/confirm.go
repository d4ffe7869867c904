package dashboard

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"

	"amend"
	"amend/desk"
	"amend/rules"
)

// confirmPage shows exactly what taking a rule would do, before it is done.
type confirmPage struct {
	frame
	ID          string
	Back        string
	URL         string
	State       string
	Verb        string // take, or propose where others must agree
	Rule        string
	About       string
	Confirm     string // what to consider
	Mode        string
	Requests    []rules.Preview
	Effects     []effect
	Limits      string
	Checked     *moment
	Request     string // makes a form that is sent twice one wish
	Fingerprint string // of what this page shows
	Reason      string
	Problem     string // what is wrong with the reason
}

func (s *Server) confirm(r *http.Request) (answer, error) { return s.showConfirm(r, "", "") }

func (s *Server) showConfirm(r *http.Request, reason, problem string) (answer, error) {
	id, name := r.PathValue("id"), r.PathValue("rule")
	if s.options.Desk.Rules.Rule(name) == nil {
		return s.missing(r)
	}
	sheet, err := s.options.Desk.Customer(r.Context(), id)
	if err != nil {
		return answer{}, s.customerFault(err)
	}
	option, err := s.option(sheet, name)
	if err != nil {
		return answer{}, err
	}
	f, err := s.frame(r, fmt.Sprintf("%s %s for %s?", verb(option.Rule), option.Rule.Name, id), "customer")
	if err != nil {
		return answer{}, err
	}
	p := confirmPage{frame: f, ID: id, Back: customerPath(id), URL: s.ruleURL(sheet, option.Rule.Name), State: inWords(sheet.Look.Verdict.Name),
		Verb: verb(option.Rule), Rule: option.Rule.Name, About: option.Rule.About, Confirm: option.Rule.Confirm, Mode: whoTakes(sheet, option.Rule), Requests: option.Requests,
		Effects: s.effects(sheet, *option), Limits: limits(option.Rule), Checked: s.checked(sheet.Look.View),
		Request: s.options.Desk.Store.NewID("ask"), Fingerprint: option.Fingerprint, Reason: reason, Problem: problem}
	a := answer{page: "confirm", data: p}
	if problem != "" {
		a.status = http.StatusBadRequest
	}
	return a, nil
}

// option finds a rule that can be taken now, or says why it can't.
func (s *Server) option(sheet *desk.Sheet, name string) (*desk.Option, error) {
	f := fault{status: http.StatusConflict, title: name + " can't be taken now", next: "Look at the customer again.", back: backTo(sheet.Look.View.ID)}
	option, err := sheet.Option(s.options.Desk.Rules.Rule(name).Name)
	if err != nil {
		f.text = sentence(err.Error())
		return nil, f
	}
	if f.text = whyNot(*option); f.text != "" {
		return nil, f
	}
	return option, nil
}

// verb says what starting a rule does.
func verb(r *rules.Rule) string {
	if r.Mode == rules.Approve {
		return "Propose"
	}
	return "Take"
}

func backTo(id string) *link { return &link{Title: "Back to " + id, URL: customerPath(id)} }

// limits says how often a rule may be taken, by whomever.
func limits(r *rules.Rule) string {
	return fmt.Sprintf("At most %s under way at once, and %s in an hour. Where that is reached it is refused, and nothing is sent.",
		plural(r.Limits.AtOnce, "repair", "repairs"), number(r.Limits.PerHour))
}

// reasonLimit is the longest reason, in characters.
const reasonLimit = 500

// wish is what a request's identifier looks like.
var wish = regexp.MustCompile(`^ask_[0-9a-z]{17}$`)

// start asks for the rule to be taken. What the page showed must still be true;
// the same form sent twice asks once.
func (s *Server) start(r *http.Request) (answer, error) {
	id, rule, form := r.PathValue("id"), r.PathValue("rule"), r.PostForm
	reason := strings.TrimSpace(strings.ReplaceAll(form.Get("reason"), "\r\n", "\n"))
	if problem := reasonProblem(reason); problem != "" {
		return s.showConfirm(r, reason, problem)
	}
	request := form.Get("request")
	if !wish.MatchString(request) {
		return answer{}, fault{status: http.StatusBadRequest, title: "This form can't be used", text: "It was not made by this page. Nothing was changed.",
			next: "Open the customer's page and start again.", back: backTo(id)}
	}
	err := s.options.Desk.Start(r.Context(), desk.Start{Request: request, Customer: id, Rule: rule, Fingerprint: form.Get("fingerprint"),
		Actor: s.options.Actor, Reason: reason})
	if err != nil {
		return answer{}, refusal(id, err)
	}
	asked, found, err := s.options.Desk.Store.Asked(r.Context(), request)
	if err != nil {
		return answer{}, err
	}
	if !found || asked.Customer != id || asked.Rule != rule {
		return answer{}, fault{status: http.StatusConflict, title: "It was not started", text: "This form was used before, for something else.",
			next: "Open the customer's page and start again.", back: backTo(id)}
	}
	return answer{to: askedPath(id, request)}, nil
}

func reasonProblem(reason string) string {
	switch {
	case reason == "":
		return "Say why, for whoever looks later."
	case utf8.RuneCountInString(reason) > reasonLimit:
		return fmt.Sprintf("This is too long: at most %d characters.", reasonLimit)
	}
	return ""
}

// refusal is the page of a start that the desk refused: nothing was sent.
func refusal(id string, err error) error {
	f := faultOf(err)
	if amend.CodeOf(err) == amend.Conflict {
		f.text += " Nothing was sent."
	}
	if amend.CodeOf(err) != amend.Invalid {
		f.back = backTo(id)
	}
	return f
}
