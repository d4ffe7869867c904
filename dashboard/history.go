package dashboard

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"amend"
	"amend/desk"
	"amend/store"
)

// repair is one taking of a rule in the newest case.
type repair struct {
	Rule   string
	Status string
	Kind   string
	By     string
	Reason string // the person's
	Began  *moment
	Ended  *moment
	Steps  []step
}

// step is one operation that was sent.
type step struct {
	Name    string
	Sent    string
	Key     string // enough of it to be found in a service's log
	Outcome string
	Detail  string
	Proved  *moment
}

// repairsOf lists the repairs of the newest case, newest first.
func (s *Server) repairsOf(ctx context.Context, sheet *desk.Sheet) ([]repair, error) {
	if sheet.Case == nil {
		return nil, nil
	}
	known, err := s.options.Desk.Store.Repairs(ctx, sheet.Case.ID)
	if err != nil {
		return nil, err
	}
	var all []repair
	for _, k := range slices.Backward(known) {
		r := repair{Rule: k.Rule, By: k.StartedBy, Reason: k.Reason, Began: s.clock().at(k.CreatedAt), Ended: s.clock().at(k.EndedAt)}
		r.Status, r.Kind = repairWords(k.Status)
		steps, err := s.options.Desk.Store.Steps(ctx, k.ID)
		if err != nil {
			return nil, err
		}
		for _, st := range steps {
			r.Steps = append(r.Steps, s.step(st))
		}
		all = append(all, r)
	}
	return all, nil
}

func repairWords(status string) (words, kind string) {
	switch status {
	case store.RepairProposed:
		return "Waits for agreement", warn
	case store.RepairOpen:
		return "Under way", quiet
	case store.RepairDone:
		return "Verified", good
	case store.RepairFailed:
		return "Gave up", bad
	case store.RepairObserved:
		return "Only observed: nothing was sent", quiet
	case store.RepairLeft:
		return "Somebody else was first", quiet
	}
	return "Void: nothing was sent", quiet
}

func (s *Server) step(k store.Step) step {
	st := step{Name: k.Service + "." + k.Operation, Sent: plural(k.Sent, "time", "times"), Key: shortKey(k.Key), Detail: k.Detail, Proved: s.clock().at(k.ProvedAt)}
	st.Outcome = outcomeWords(k)
	if k.AnsweredBy != "" {
		st.Proved = nil // by no reading
	}
	if k.Status != 0 && !strings.Contains(k.Detail, strconv.Itoa(k.Status)) {
		st.Outcome += fmt.Sprintf(" (HTTP %d)", k.Status)
	}
	return st
}

func outcomeWords(k store.Step) string {
	switch {
	case k.AnsweredBy != "" && k.Outcome == amend.Done:
		return "happened, as " + k.AnsweredBy + " says"
	case k.AnsweredBy != "":
		return "did not happen, as " + k.AnsweredBy + " says"
	case k.OutcomeAt.IsZero():
		return "no answer yet"
	case k.Outcome == amend.Done:
		return "done"
	case k.Outcome == amend.Refused:
		return "refused"
	case k.Outcome == amend.Failed:
		return "failed; nothing happened"
	}
	return "unsettled; it may have happened"
}

// keyShown is how much of an idempotency key tells it from the others of a day.
const keyShown = 18

func shortKey(key string) string {
	if len(key) <= keyShown {
		return key
	}
	return key[:keyShown] + "…"
}

// event is one line of the timeline.
type event struct {
	Anchor string // where a link to this line leads
	At     *moment
	Actor  string
	Kind   string
	Text   string
}

// timelineShown is how much of it the desk gives.
const timelineShown = 100

// timeline is newest first. A line is known by its time; lines of the same
// microsecond are told apart by a count from the oldest.
func (s *Server) timeline(sheet *desk.Sheet) (all []event, more bool) {
	seen := map[string]int{}
	for _, e := range slices.Backward(sheet.Timeline) {
		anchor := fmt.Sprintf("at-%d", e.At.UnixMicro())
		if seen[anchor]++; seen[anchor] > 1 {
			anchor = fmt.Sprintf("%s-%d", anchor, seen[anchor])
		}
		all = append(all, event{Anchor: anchor, At: s.clock().at(e.At), Actor: e.Actor, Kind: inWords(e.Kind), Text: s.say(e.Text)})
	}
	slices.Reverse(all)
	return all, len(all) >= timelineShown
}
