package dashboard

import (
	"context"
	"net/http"
	"slices"
	"time"

	"amend/rules"
	"amend/store"
)

// frame is what stands around every page.
type frame struct {
	Title       string
	Here        string // the entry of the navigation that this page belongs to
	Environment string
	Actor       string
	Entity      string // what a customer is called here
	Plural      string
	LoggedIn    bool
	Search      bool    // the lookup box stands in the header
	System      *system // nil on pages that must work without the store
	Refresh     bool    // without scripts, the page loads itself again
}

// system is the one line about the whole.
type system struct {
	Repair    string // whether amend repairs by itself
	Last      *moment
	Customers string  // that the last full scan looked at
	Running   *moment // since when a full scan runs
	Waits     string  // for what; empty where it goes on
	Halted    string  // who paused the full scan
	Held      string  // parts of it that are still looked at: whoever does learns of the pause within seconds
	Paused    []standstill
	Broken    string // how the newest full scan failed
	Backlog   *backlog
}

// standstill is one pause that is in force.
type standstill struct {
	All           bool
	What, Why, By string
	Since         *moment
	Until         string // empty where it doesn't end by itself
	Resume        string // the command that ends it
}

func (s *Server) standstills(ctx context.Context) ([]standstill, error) {
	all, err := s.options.Desk.Store.Pauses(ctx)
	if err != nil {
		return nil, err
	}
	var shown []standstill
	for _, p := range all {
		one := standstill{All: p.Scope == store.PauseAll, What: "All repairs are paused", Why: s.say(p.Why), By: p.By, Since: s.clock().at(p.At), Resume: "amend resume"}
		switch p.Scope {
		case store.PauseRule:
			one.What = "The rule " + p.Target + " is paused"
			if p.Brake != "" {
				one.What = "The rule " + p.Target + " was stopped"
			}
		case store.PauseService:
			one.What = "Repairs through " + p.Target + " are paused"
		case store.PauseCustomer:
			one.What = "Repairs of " + p.Target + " are paused"
		}
		if p.Scope != store.PauseAll {
			one.Resume += " --" + p.Scope + " " + p.Target
		}
		if !p.Until.IsZero() {
			one.Until = p.Until.Format("2 Jan 2006 15:04 MST")
		}
		shown = append(shown, one)
	}
	return shown, nil
}

// backlog is what people haven't been told yet.
type backlog struct {
	Messages string
	Oldest   *moment
	Error    string
}

// backlogLimit is how long a message may wait before the page says so.
const backlogLimit = time.Minute

// bareFrame is the frame of a page that asks the store nothing.
func (s *Server) bareFrame(title string) frame {
	entity := s.options.Desk.Schema.Entity
	return frame{Title: title, Environment: s.options.Environment, Actor: s.options.Actor, Entity: entity.Name, Plural: entity.Plural}
}

func (s *Server) frame(r *http.Request, title, here string) (frame, error) {
	f := s.bareFrame(title)
	f.Here, f.LoggedIn, f.Search = here, true, here != "lookup"
	var err error
	f.System, err = s.system(r.Context())
	return f, err
}

func (s *Server) clock() clock { return clock(s.options.Now()) }

func (s *Server) system(ctx context.Context) (*system, error) {
	c, db := s.clock(), s.options.Desk.Store
	line := &system{Repair: s.repairs()}
	last, any, err := db.LastScan(ctx, store.FullScan, true)
	if err != nil {
		return nil, err
	}
	if any {
		line.Last, line.Customers = c.at(last.EndedAt), number(last.Customers)
	}
	newest, any, err := db.LastScan(ctx, store.FullScan, false)
	if err != nil {
		return nil, err
	}
	switch {
	case any && newest.Status == store.ScanRunning:
		line.Running = c.at(newest.StartedAt)
		if line.Waits, err = s.waits(ctx); err != nil {
			return nil, err
		}
	case any && newest.Status == store.ScanPaused:
		line.Halted = newest.ChangedBy
		held, err := db.HeldPages(ctx, newest.ID)
		if err != nil {
			return nil, err
		}
		if held > 0 {
			line.Held = plural(held, "part is", "parts are")
		}
	case any && (newest.Status == store.ScanPartial || newest.Status == store.ScanFailed):
		line.Broken = s.say(newest.Error)
	}
	if line.Paused, err = s.standstills(ctx); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(line.Paused, func(one standstill) bool { return one.All }) {
		line.Repair = "Automatic repair is paused."
	}
	behind, err := db.Backlog(ctx)
	if err != nil {
		return nil, err
	}
	if behind.Waiting > 0 && s.options.Now().Sub(behind.Oldest) > backlogLimit {
		line.Backlog = &backlog{Messages: plural(behind.Waiting, "message waits", "messages wait"), Oldest: c.at(behind.Oldest), Error: s.say(behind.Error)}
	}
	return line, nil
}

// waits says what a scan waits for.
func (s *Server) waits(ctx context.Context) (string, error) {
	if s.options.Waits == nil {
		return "", nil
	}
	service, until, err := s.options.Waits(ctx)
	if err != nil || service == "" {
		return "", err
	}
	return "It waits until " + s.clock().wall(until) + ": scans have used their part of the calls that " + service + " allows in an hour.", nil
}

// repairs says whether any rule acts by itself.
func (s *Server) repairs() string {
	for _, r := range s.options.Desk.Rules.Rules {
		if r.Mode == rules.Auto {
			return "Automatic repair is on."
		}
	}
	return "No rule repairs automatically."
}
