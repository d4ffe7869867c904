package slack

import (
	"net/url"
	"time"

	slackapi "github.com/slack-go/slack"

	"amend/escalation"
)

// The longest that each part may be, in UTF-16 units after escaping. Together
// they stay below 8,000, so a message always arrives, whatever a notice holds.
const (
	maxState = 80 // with a severity and an ID below Slack's 150 for a header
	maxID    = 40 // of a customer, a case, an incident
	maxFact  = 350
	maxAbout = 1_000
	maxWhy   = 300
	maxTell  = 2_000
	maxURL   = 3_000 // Slack's own limit, and not shown
	maxNamed = 3     // customers named by ID
)

// Message is a notice in Slack's terms: blocks to be read in the channel, and
// Text, which says the same in short where blocks can't be shown, such as in a
// notification or to a screen reader. Both are escaped.
type Message struct {
	Text   string
	Blocks []slackapi.Block
}

// Build lays out a notice. It shortens and never fails, and equal notices give
// equal messages. Nothing in a notice can ping anybody or make a link; only an
// http or https URL becomes the button.
func Build(n escalation.Notice) Message {
	if over(n) {
		n.Due, n.Next, n.Tell = time.Time{}, "", "" // nothing calls for anything any more
	}
	blocks := []slackapi.Block{slackapi.NewHeaderBlock(plain(title(n)))}
	blocks = append(blocks, sections(n)...)
	if webLink(n.URL) {
		open := slackapi.NewButtonBlockElement("open", "", plain("Open")).WithURL(n.URL)
		blocks = append(blocks, slackapi.NewActionBlock("", open))
	}
	if about := footer(n); about != "" {
		blocks = append(blocks, slackapi.NewContextBlock("", markup(about)))
	}
	return Message{Text: summary(n), Blocks: blocks}
}

// sections says, in this order, what is wrong, the facts, why a person is
// needed, and what the customer may be told.
func sections(n escalation.Notice) []slackapi.Block {
	var blocks []slackapi.Block
	add := func(text string) {
		if text != "" {
			blocks = append(blocks, slackapi.NewSectionBlock(markup(text), nil, nil))
		}
	}
	add(paragraph(n.About, maxAbout))
	if facts := fields(n); len(facts) > 0 {
		blocks = append(blocks, slackapi.NewSectionBlock(nil, facts, nil))
	}
	add(labelled("Why", paragraph(n.Why, maxWhy)))
	add(labelled("Tell the customer", paragraph(n.Tell, maxTell)))
	return blocks
}

// fields are the facts side by side, at most six.
func fields(n escalation.Notice) []*slackapi.TextBlockObject {
	var facts []*slackapi.TextBlockObject
	for _, f := range [...]struct{ label, text string }{
		{"Since", past(n.Since, n.UpdatedAt)},
		{"Customers", customers(n)},
		{"Owner", owner(n)},
		{"Due", deadline(n.Due, n.UpdatedAt)},
		{"Tried", line(n.Tried, maxFact)},
		{"Next", line(n.Next, maxFact)},
	} {
		if f.text != "" {
			facts = append(facts, markup(labelled(f.label, f.text)))
		}
	}
	return facts
}

// footer names what a report or a search needs.
func footer(n escalation.Notice) string {
	rule := join(" ", line(n.Rule, maxState), line(n.RuleVersion, maxID))
	updated := ""
	if !n.UpdatedAt.IsZero() {
		updated = "updated " + n.UpdatedAt.UTC().Format("2 Jan 2006 15:04 UTC")
	}
	return join(" · ", after("incident ", code(n.Incident, maxID)), after("case ", code(n.CaseID, maxID)),
		after("rule ", rule), updated)
}

func labelled(label, text string) string { return after("*"+label+"*\n", text) }

// after puts a prefix before a text that says something.
func after(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

// markup is a text whose *labels* and `codes` are styled. Verbatim keeps Slack
// from making links and mentions of anything else that looks like one.
func markup(text string) *slackapi.TextBlockObject {
	return slackapi.NewTextBlockObject(slackapi.MarkdownType, text, false, true)
}

func plain(text string) *slackapi.TextBlockObject {
	return slackapi.NewTextBlockObject(slackapi.PlainTextType, text, false, false)
}

func webLink(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && length(raw) <= maxURL
}
