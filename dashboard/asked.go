package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"amend"
	"amend/lifecycle"
	"amend/store"
)

// progress is what has become of a rule that a person started.
type progress struct {
	Rule   string  `json:"-"`
	Poll   string  `json:"-"` // where scripts ask how it goes on
	Stages []stage `json:"-"`
	Stage  int     `json:"stage"` // the one that it has reached
	Words  string  `json:"-"`     // the stage, or how it ended
	Say    string  `json:"say"`   // the same in a sentence
	Ended  bool    `json:"ended"`
	Kind   string  `json:"-"`
}

// stage is one on the way from a wish to its proof.
type stage struct {
	Title string
	Done  bool
	Here  bool
}

// The stages, in order. It has succeeded only when a reading has shown it.
const (
	requested = iota
	healing
	verifying
	verified
)

var stageTitles = []string{"Requested", "Healing", "Verifying", "Verified"}

func askedPath(id, request string) string {
	return customerPath(id) + "?asked=" + url.QueryEscape(request)
}

// asked answers scripts from the store alone: no service is asked.
func (s *Server) asked(r *http.Request) (answer, error) {
	p, err := s.progressOf(r.Context(), r.PathValue("id"), r.PathValue("request"))
	if err != nil {
		return answer{}, err
	}
	body, err := json.Marshal(p)
	if err != nil {
		return answer{}, fmt.Errorf("write the progress: %w", err)
	}
	return answer{kind: "application/json", body: body}, nil
}

func (s *Server) progressOf(ctx context.Context, id, request string) (*progress, error) {
	q, found, err := s.options.Desk.Store.Asked(ctx, request)
	if err != nil {
		return nil, err
	}
	if !found || q.Customer != id || q.Kind != store.AskStart {
		return nil, fault{status: http.StatusNotFound, title: "There is no such request", text: "Nothing of this kind was asked for this customer.",
			next: "Look at the customer's page.", back: backTo(id)}
	}
	p := &progress{Rule: q.Rule, Poll: customerPath(id) + "/asked/" + url.PathEscape(q.ID), Kind: quiet}
	if err := s.follow(ctx, p, q); err != nil {
		return nil, err
	}
	for i, title := range stageTitles {
		p.Stages = append(p.Stages, stage{Title: title, Done: i < p.Stage || p.Stage == verified, Here: i == p.Stage})
	}
	if p.Words == "" {
		p.Words = stageTitles[p.Stage]
	}
	return p, nil
}

// workerLimit is how long a request may lie before the page doubts that anybody
// works.
const workerLimit = 30 * time.Second

// follow finds how far a request has come.
func (s *Server) follow(ctx context.Context, p *progress, q store.Request) error {
	refused, isRefused := strings.CutPrefix(q.Result, "refused: ")
	switch {
	case q.TakenAt.IsZero() && s.options.Now().Sub(q.CreatedAt) > workerLimit:
		p.Say = "Nobody has taken it up yet. Is a worker running (amend run)?"
	case q.TakenAt.IsZero():
		p.Say = "It is written down; a worker takes it up in a moment."
	case isRefused:
		p.end("Not started", "It was not started: "+stop(refused)+" Nothing was sent.")
	case q.Result != "started":
		p.end("Not needed", "Nothing was sent. "+s.say(q.Result))
	default:
		return s.followRepair(ctx, p, q)
	}
	return nil
}

func (p *progress) end(words, say string) { p.Words, p.Say, p.Ended, p.Kind = words, say, true, warn }

// followRepair finds the repair that a request began: the first of its rule
// after it was asked, in the customer's newest case.
func (s *Server) followRepair(ctx context.Context, p *progress, q store.Request) error {
	p.Stage = healing
	c, any, err := s.options.Desk.Store.LastCase(ctx, q.Customer)
	if err != nil || !any {
		return err
	}
	repairs, err := s.options.Desk.Store.Repairs(ctx, c.ID)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(repairs, func(r store.Repair) bool { return r.Rule == q.Rule && !r.CreatedAt.Before(q.CreatedAt) })
	if at < 0 {
		p.end("Ended", "Its case has ended since; the timeline tells the rest.")
		return nil
	}
	switch repairs[at].Status {
	case store.RepairDone:
		p.Stage, p.Ended, p.Kind, p.Say = verified, true, good, "Reading again shows it. "+s.afterwards(c)
	case store.RepairFailed, store.RepairVoid:
		p.end("Not repaired", s.say(c.Why)+" "+s.say(c.Next))
	default:
		return s.followSteps(ctx, p, repairs[at], c)
	}
	return nil
}

func (s *Server) followSteps(ctx context.Context, p *progress, r store.Repair, c store.Case) error {
	steps, err := s.options.Desk.Store.Steps(ctx, r.ID)
	if err != nil || len(steps) == 0 {
		return err
	}
	last := steps[len(steps)-1]
	name := last.Service + "." + last.Operation
	switch {
	case last.OutcomeAt.IsZero():
		p.Say = name + " is being sent."
	case last.Outcome == amend.Done:
		p.Stage, p.Say = verifying, last.Service+" said yes; amend reads again to see whether it is so."
	default:
		p.Say = s.say(c.Why)
	}
	if c.Status == lifecycle.Waiting {
		p.Say = s.say(c.Why) + " " + s.say(c.Next)
	}
	return nil
}

// afterwards says what a verified repair has led to.
func (s *Server) afterwards(c store.Case) string {
	if c.Open() {
		return fmt.Sprintf("The customer is now %q, and the case goes on: %s", inWords(c.State), s.say(c.Next))
	}
	return s.say(c.Why)
}
