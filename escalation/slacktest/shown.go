package slacktest

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// pageData is what page.html shows, newest message first.
type pageData struct {
	Channels []string
	Messages []pageMessage
}

type pageMessage struct {
	Channel, TS string
	Posted      time.Time
	OnlyFor     string
	Reply       bool
	Deleted     bool
	Now         pageVersion
	Earlier     []pageVersion // newest first
}

type pageVersion struct {
	At      time.Time
	Summary []span // where there are no blocks
	Blocks  []pageBlock
}

// pageBlock is one block in plain terms; only one of its parts is set.
type pageBlock struct {
	Header  string
	Text    []span
	Fields  [][]span
	Context []span
	Links   []link
}

type link struct{ Label, URL string }

// span is a piece of text in one style.
type span struct {
	Text       string
	Bold, Code bool
}

func (s *Server) pageData() pageData {
	var data pageData
	for _, c := range s.rooms() {
		data.Channels = append(data.Channels, "#"+c)
	}
	messages := s.Messages()
	slices.Reverse(messages)
	for _, m := range messages {
		data.Messages = append(data.Messages, shownMessage(m))
	}
	return data
}

func (s *Server) rooms() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, len(s.channels))
	for i, c := range s.channels {
		names[i] = c.name
	}
	return names
}

func shownMessage(m Message) pageMessage {
	out := pageMessage{Channel: "#" + m.ChannelName, TS: m.TS, Posted: m.At, OnlyFor: m.OnlyFor,
		Reply: m.Thread != "", Deleted: m.Deleted, Now: shownVersion(m.Version)}
	for _, v := range m.Earlier {
		out.Earlier = append(out.Earlier, shownVersion(v))
	}
	slices.Reverse(out.Earlier)
	if n := len(m.Earlier); n > 0 {
		out.Posted = m.Earlier[0].At
	}
	return out
}

func shownVersion(v Version) pageVersion {
	out := pageVersion{At: v.At.UTC()}
	var blocks []block
	if json.Unmarshal(v.Blocks, &blocks) != nil || len(blocks) == 0 {
		out.Summary = spans(textObject{Type: "mrkdwn", Text: v.Text})
		return out
	}
	for _, b := range blocks {
		out.Blocks = append(out.Blocks, shownBlock(b))
	}
	return out
}

func shownBlock(b block) pageBlock {
	var out pageBlock
	switch {
	case b.Type == "header" && b.Text != nil:
		out.Header = unescape.Replace(b.Text.Text)
	case b.Type == "section":
		if b.Text != nil {
			out.Text = spans(*b.Text)
		}
		for _, f := range b.Fields {
			out.Fields = append(out.Fields, spans(f))
		}
	case b.Type == "context":
		for _, e := range b.Elements {
			out.Context = append(out.Context, spans(e.label())...)
		}
	case b.Type == "actions":
		for _, e := range b.Elements {
			out.Links = append(out.Links, link{Label: unescape.Replace(e.label().Text), URL: webURL(e.URL)})
		}
	}
	return out
}

// unescape undoes the three escapes that Slack knows, and no others.
var unescape = strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">")

// webURL keeps a button from leading anywhere but to a web page.
func webURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return ""
	}
	return raw
}

// styled finds *bold* and `code` in Slack's markup. Everything else is shown
// as it is written.
var styled = regexp.MustCompile("\\*([^*\n]+)\\*|`([^`\n]+)`")

// spans cuts a text by style. The template escapes it for the page.
func spans(t textObject) []span {
	if t.Type != "mrkdwn" {
		return []span{{Text: unescape.Replace(t.Text)}}
	}
	var out []span
	rest := t.Text
	for rest != "" {
		at := styled.FindStringSubmatchIndex(rest)
		if at == nil {
			break
		}
		out = appendText(out, rest[:at[0]])
		if at[2] >= 0 {
			out = append(out, span{Text: unescape.Replace(rest[at[2]:at[3]]), Bold: true})
		} else {
			out = append(out, span{Text: unescape.Replace(rest[at[4]:at[5]]), Code: true})
		}
		rest = rest[at[1]:]
	}
	return appendText(out, rest)
}

func appendText(out []span, text string) []span {
	if text == "" {
		return out
	}
	return append(out, span{Text: unescape.Replace(text)})
}
