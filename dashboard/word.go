package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"amend"
	"amend/desk"
	"amend/rules"
	"amend/store"
)

// The words that a person can say about a repair, as they stand in addresses.
const (
	agree    = "agree"
	refuse   = "refuse"
	happened = "happened"
	didNot   = "did-not"
)

// asking is a repair that people are asked to agree to.
type asking struct {
	Rule     string
	By       string
	Reason   string // of who started it
	At       *moment
	Until    *moment
	Voices   []voice
	Missing  string // who still must agree
	Requests []rules.Preview
	Changes  []named
	Agree    string // the confirm page; empty where this person can't
	Refuse   string
	Why      string // why they can't
}

// voice is one person's word.
type voice struct {
	Actor, Reason string
	At            *moment
}

// named is a field of a service before and after.
type named struct{ Name, Before, After string }

// wondering is a step of which only a person can tell whether it happened.
type wondering struct {
	Name     string
	Rule     string
	Sent     *moment
	Times    string
	Answer   string // what came back
	Key      string
	Requests []rules.Preview
	Shown    []named
	Again    []rules.Preview // what is sent if it didn't happen
	Asks     bool            // others must agree before that
	Happened string          // the confirm pages
	DidNot   string
}

// asking shows what is proposed; nil where nothing is.
func (s *Server) asking(sheet *desk.Sheet) *asking {
	p := sheet.Proposal
	if p == nil {
		return nil
	}
	a := &asking{Rule: p.Repair.Rule, By: p.Repair.StartedBy, Reason: p.Repair.Reason, At: s.clock().at(p.At), Until: s.clock().at(p.Until),
		Requests: p.Requests, Changes: changes(p.Changes)}
	for _, v := range p.Said {
		if v.Agrees {
			a.Voices = append(a.Voices, voice{v.Actor, v.Reason, s.clock().at(v.At)})
		}
	}
	switch missing := p.Needs - p.Agreed; {
	case p.RefusedBy != "":
		a.Why = p.RefusedBy + " has refused it."
	case !p.AgreedAt.IsZero():
		a.Missing = "Nobody any more: amend reads again, and sends it if nothing has changed."
	case p.Over(s.options.Now()):
		a.Why = "The time to agree is over."
	default:
		a.Missing = plural(missing, "more person", "more people")
		s.offer(sheet, a)
	}
	return a
}

// offer says what this person can do about what is proposed.
func (s *Server) offer(sheet *desk.Sheet, a *asking) {
	p, me := sheet.Proposal, s.options.Actor
	a.Refuse = wordPath(sheet.Look.View.ID, p.Repair.ID, refuse)
	switch {
	case p.Repair.StartedBy == me:
		a.Why = "You started it, so others have to agree."
	case slices.ContainsFunc(p.Said, func(v store.Approval) bool { return v.Actor == me }):
		a.Why = "You have agreed, and count once: others have to agree, too."
	default:
		a.Agree = wordPath(sheet.Look.View.ID, p.Repair.ID, agree)
	}
}

// wondering shows the step that a person is asked about; nil where there is
// none.
func (s *Server) wondering(sheet *desk.Sheet) *wondering {
	q := sheet.Question
	if q == nil {
		return nil
	}
	shown := s.step(q.Step)
	id := sheet.Look.View.ID
	return &wondering{Name: shown.Name, Rule: q.Repair.Rule, Sent: s.clock().at(q.Step.SentAt), Times: shown.Sent, Answer: join(shown.Outcome, shown.Detail), Key: shown.Key,
		Requests: q.Requests, Shown: changes(q.Shown), Again: q.Again, Asks: q.Asks,
		Happened: wordPath(id, q.Repair.ID, happened), DidNot: wordPath(id, q.Repair.ID, didNot)}
}

func join(outcome, detail string) string {
	if detail == "" {
		return stop(capital(outcome))
	}
	return stop(capital(outcome) + ": " + detail)
}

func changes(all []desk.Change) []named {
	var shown []named
	for _, c := range all {
		shown = append(shown, named{c.Service + "." + c.Field, c.Before, c.After})
	}
	return shown
}

func wordPath(id, repair, word string) string {
	return customerPath(id) + "/repairs/" + url.PathEscape(repair) + "/" + word
}

// wordPage asks for the reason of what a person is about to say.
type wordPage struct {
	frame
	ID          string
	Back        string
	URL         string
	State       string
	Checked     *moment
	Verb        string // what the button says
	Effect      string // what comes of it
	Asking      *asking
	Wondering   *wondering
	Again       []rules.Preview // what is sent then
	Request     string          // makes a form that is sent twice one word
	Fingerprint string          // of what this page shows
	Reason      string
	Problem     string // what is wrong with the reason
}

func (s *Server) word(r *http.Request) (answer, error) { return s.showWord(r, "", "") }

func (s *Server) showWord(r *http.Request, reason, problem string) (answer, error) {
	id, repair, word := r.PathValue("id"), r.PathValue("repair"), r.PathValue("word")
	title, known := wordTitles[word]
	if !known {
		return s.missing(r)
	}
	sheet, err := s.options.Desk.Customer(r.Context(), id)
	if err != nil {
		return answer{}, s.customerFault(err)
	}
	f, err := s.frame(r, fmt.Sprintf("%s for %s?", title, id), "customer")
	if err != nil {
		return answer{}, err
	}
	p := wordPage{frame: f, ID: id, Back: customerPath(id), URL: wordPath(id, repair, word), State: inWords(sheet.Look.Verdict.Name), Checked: s.checked(sheet.Look.View),
		Verb: title, Request: s.options.Desk.Store.NewID("ask"), Reason: reason, Problem: problem}
	if err := s.about(&p, sheet, repair, word); err != nil {
		return answer{}, err
	}
	a := answer{page: "word", data: p}
	if problem != "" {
		a.status = http.StatusBadRequest
	}
	return a, nil
}

// wordTitles are the words as buttons say them.
var wordTitles = map[string]string{agree: "Agree", refuse: "Refuse", happened: "It happened", didNot: "It did not happen"}

// about puts what a word is about on its page. It fails where nobody is asked
// that, or not this person.
func (s *Server) about(p *wordPage, sheet *desk.Sheet, repair, word string) error {
	gone := fault{status: http.StatusConflict, title: "This is no longer asked", text: "Something has happened since. Nothing was written.", next: "Look at the customer again.", back: backTo(p.ID)}
	switch word {
	case agree, refuse:
		p.Asking = s.asking(sheet)
		if p.Asking == nil || sheet.Proposal.Repair.ID != repair {
			return gone
		}
		p.Fingerprint, p.Effect = sheet.Proposal.Fingerprint, "Nothing is sent, and a person has the case."
		if word == refuse && p.Asking.Refuse != "" {
			return nil
		}
		p.Effect = "As soon as enough people have agreed, amend reads again. If nothing has changed it is sent, within 15 minutes."
		if word != agree || p.Asking.Agree == "" {
			gone.title, gone.text = "You can't say that now", p.Asking.Why
			return gone
		}
	default:
		p.Wondering = s.wondering(sheet)
		if p.Wondering == nil || sheet.Question.Repair.ID != repair {
			return gone
		}
		p.Fingerprint, p.Effect = sheet.Question.Fingerprint, "It counts as done by your word. Nothing is sent; amend reads again and decides."
		if word == didNot {
			p.Effect, p.Again = ifNot(p.Wondering), p.Wondering.Again
		}
	}
	return nil
}

// ifNot says what comes of it where a step didn't happen.
func ifNot(w *wondering) string {
	switch {
	case len(w.Again) == 0:
		return w.Rule + " no longer leads out of the customer's state. Nothing is sent; amend reads again and decides."
	case w.Asks:
		return w.Rule + " is proposed again in your name; others must agree before anything is sent."
	}
	return w.Rule + " is taken again, in your name, with a new key: if it did happen, it happens twice."
}

// sayWord writes down what a person says. What the page showed must still be true;
// the same form sent twice says it once.
func (s *Server) sayWord(r *http.Request) (answer, error) {
	id, word, form := r.PathValue("id"), r.PathValue("word"), r.PostForm
	if _, known := wordTitles[word]; !known {
		return s.missing(r)
	}
	reason := strings.TrimSpace(strings.ReplaceAll(form.Get("reason"), "\r\n", "\n"))
	if problem := reasonProblem(reason); problem != "" {
		return s.showWord(r, reason, problem)
	}
	request := form.Get("request")
	if !wish.MatchString(request) {
		return answer{}, fault{status: http.StatusBadRequest, title: "This form can't be used", text: "It was not made by this page. Nothing was changed.",
			next: "Open the customer's page and start again.", back: backTo(id)}
	}
	var err error
	switch word {
	case agree, refuse:
		err = s.options.Desk.Approve(r.Context(), desk.Agreement{Request: request, Customer: id, Repair: r.PathValue("repair"), Fingerprint: form.Get("fingerprint"),
			Actor: s.options.Actor, Reason: reason, Agrees: word == agree})
	default:
		err = s.options.Desk.Answer(r.Context(), desk.Answer{Request: request, Customer: id, Fingerprint: form.Get("fingerprint"),
			Actor: s.options.Actor, Reason: reason, Happened: word == happened})
	}
	if err != nil {
		return answer{}, wordRefusal(id, err)
	}
	return answer{to: askedPath(id, request)}, nil
}

// wordRefusal is the page of a word that the desk didn't take: nothing was
// written.
func wordRefusal(id string, err error) error {
	f := faultOf(err)
	switch {
	case errors.Is(err, store.ErrExpired):
		f.status = http.StatusGone
	case errors.Is(err, store.ErrOwn):
		f.status = http.StatusForbidden
	}
	if amend.CodeOf(err) == amend.Conflict {
		f.title, f.text = "It was not taken", f.text+" Nothing was written."
	}
	if amend.CodeOf(err) != amend.Invalid {
		f.back = backTo(id)
	}
	return f
}
