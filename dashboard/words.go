package dashboard

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"amend/desk"
	"amend/lifecycle"
	"amend/rules"
	"amend/states"
)

// inWords is a declared name as people read it: ledger_missing is "Ledger
// missing".
func inWords(name string) string {
	switch name {
	case states.Unseen:
		return "Cannot be judged now"
	case states.Unknown:
		return "No declared state fits"
	case states.Nobody:
		return "Nobody has this ID"
	}
	return capital(strings.NewReplacer("_", " ", "-", " ").Replace(name))
}

func capital(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return text
	}
	return string(unicode.ToUpper(first)) + text[size:]
}

// statusText says what a status means, in one sentence.
func statusText(s lifecycle.Status) string {
	switch s {
	case lifecycle.Watching:
		return "Seen out of order; amend looks again before it decides anything."
	case lifecycle.Proposed:
		return "A repair is written down and people are asked to agree."
	case lifecycle.Healing:
		return "A repair is under way."
	case lifecycle.Waiting:
		return "Not now: each says until when, and why."
	case lifecycle.Escalated:
		return "A person is needed."
	case lifecycle.Healed:
		return "A reading of every service showed the customer in order."
	case lifecycle.Closed:
		return "The customer is gone, or it is no problem."
	}
	return ""
}

// openStatuses are the statuses that a list can be narrowed to: those that
// wait for people first.
func openStatuses() []lifecycle.Status {
	return []lifecycle.Status{lifecycle.Escalated, lifecycle.Proposed, lifecycle.Healing, lifecycle.Waiting, lifecycle.Watching}
}

// whoTakes says who takes a rule for this customer.
func whoTakes(sheet *desk.Sheet, r *rules.Rule) string {
	switch r.Mode {
	case rules.Auto:
		if sheet.Open() && sheet.Case.Status == lifecycle.Escalated {
			return "Here amend no longer takes this rule by itself; a person decides."
		}
		return "amend takes this rule by itself; start it here only if it should be now."
	case rules.Manual:
		return "Only a person starts this rule."
	case rules.Approve:
		return fmt.Sprintf("You only propose it: %s must agree before it is taken, and you don't count.", plural(r.Approvers, "person", "people"))
	case rules.Observe:
		return "This rule only observes; nothing happens unless you start it."
	}
	return ""
}

// number writes 41208 as 41,208.
func number(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// say makes a sentence out of what a case, a service or the timeline says. The
// name of a service, or of amend, keeps its small letter at the beginning too.
func (s *Server) say(text string) string {
	first, _, _ := strings.Cut(text, " ")
	if _, service := s.options.Desk.Schema.Service(first); service != nil || first == "amend" {
		return stop(text)
	}
	return sentence(text)
}

// sentence makes a sentence out of an error's text. A first word that is a name,
// such as cards.block or order-card, keeps its small letter.
func sentence(text string) string {
	first, _, _ := strings.Cut(text, " ")
	isName := strings.IndexFunc(strings.TrimRight(first, ".,:;!?…"), func(r rune) bool { return !unicode.IsLetter(r) && r != '\'' }) >= 0
	if text != "" && !isName {
		text = capital(text)
	}
	return stop(text)
}

// stop ends a text with a full stop, where it has no end of its own.
func stop(text string) string {
	text = strings.TrimSpace(text)
	if last, _ := utf8.DecodeLastRuneInString(text); text == "" || strings.ContainsRune(".!?:…", last) {
		return text
	}
	return text + "."
}
