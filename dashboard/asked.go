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
	p := &progress{Rule: q.Rule, Poll: customerPath(id) + "/asked/" + url.PathEscape(request), Kind: quiet}
	switch {
	case found && q.Customer == id && q.Kind != store.AskLook:
		err = s.follow(ctx, p, q)
	case found:
		err = noRequest(id)
	default:
		err = s.followWord(ctx, p, id, request)
	}
	if err != nil {
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

func noRequest(id string) error {
	return fault{status: http.StatusNotFound, title: "There is no such request", text: "Nothing of this kind was asked for this customer.",
		next: "Look at the customer's page.", back: backTo(id)}
}

// followWord finds what has become of a repair since a person agreed to it, or
// refused it.
func (s *Server) followWord(ctx context.Context, p *progress, id, request string) error {
	said, found, err := s.options.Desk.Store.Approval(ctx, request)
	if err != nil {
		return err
	}
	r, _, err := s.options.Desk.Store.Repair(ctx, said.Repair)
	if err != nil {
		return err
	}
	if !found || r.Customer != id {
		return noRequest(id)
	}
	p.Rule = r.Rule
	asked, _, err := s.options.Desk.Store.Proposal(ctx, r.ID)
	if err != nil {
		return err
	}
	switch {
	case !said.Agrees:
		p.end("Refused", "You have refused it. Nothing is sent; a person has the case.")
	case r.Status == store.RepairProposed && asked.AgreedAt.IsZero():
		p.end("Agreed", fmt.Sprintf("You have agreed, %d of %d. Others must agree before anything is sent.", asked.Agreed, asked.Needs))
		p.Kind = quiet
	case r.Status == store.RepairProposed:
		p.Say = "Enough people have agreed; a worker reads again and sends it."
	default:
		return s.followOne(ctx, p, r)
	}
	return nil
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
	case isRefused && q.Kind != store.AskStart:
		p.end("Not taken", "Your answer was not taken: "+stop(refused)+" Nothing was sent.")
	case isRefused:
		p.end("Not started", "It was not started: "+stop(refused)+" Nothing was sent.")
	case q.Result == "proposed":
		p.end("Proposed", "It is written down. Others must agree before anything is sent.")
		p.Kind = quiet
	case q.Result == "settled":
		p.end("Settled", "Your answer is written down, and the case goes on from there.")
		p.Kind = quiet
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
	return s.followOne(ctx, p, repairs[at])
}

// followOne finds how far a repair has come that was begun.
func (s *Server) followOne(ctx context.Context, p *progress, r store.Repair) error {
	p.Stage = healing
	c, _, err := s.options.Desk.Store.LastCase(ctx, r.Customer)
	if err != nil {
		return err
	}
	switch r.Status {
	case store.RepairDone:
		p.Stage, p.Ended, p.Kind, p.Say = verified, true, good, "Reading again shows it. "+s.afterwards(c)
	case store.RepairFailed, store.RepairVoid:
		p.end("Not repaired", s.say(c.Why)+" "+s.say(c.Next))
	default:
		return s.followSteps(ctx, p, r, c)
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
