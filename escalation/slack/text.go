package slack

import (
	"strings"
	"unicode"
	"unicode/utf16"
)

const ellipsis = "…"

// line returns s ready for Slack, on one line and not longer than limit.
func line(s string, limit int) string {
	return fit(strings.Join(strings.Fields(clean(s)), " "), limit)
}

// paragraph returns s ready for Slack, with its line breaks, not longer than
// limit.
func paragraph(s string, limit int) string {
	return fit(strings.TrimSpace(clean(s)), limit)
}

// code returns an ID in monospace. A backtick inside would end it early.
func code(id string, limit int) string {
	id = line(strings.ReplaceAll(id, "`", "'"), limit)
	if id == "" {
		return ""
	}
	return "`" + id + "`"
}

// clean drops characters without a shape, and with them those that turn the
// direction of writing, which can make a text look like another one. Invalid
// UTF-8 becomes U+FFFD. A text that shows nothing becomes empty, since Slack
// refuses a whole message for one empty text.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t':
			return ' '
		case unicode.In(r, unicode.Cc, unicode.Bidi_Control):
			return -1
		default:
			return r
		}
	}, s)
	if !strings.ContainsFunc(s, visible) {
		return ""
	}
	return s
}

func visible(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) }

// fit escapes s and shortens it to limit, measured after escaping. What is cut
// off leaves an ellipsis. It never cuts inside an escape or a character.
func fit(s string, limit int) string {
	var out strings.Builder
	used, cut := 0, 0
	for _, r := range s {
		piece := escape(r)
		used += length(piece)
		if used > limit {
			return out.String()[:cut] + ellipsis
		}
		out.WriteString(piece)
		if used < limit { // leaves room for the ellipsis
			cut = out.Len()
		}
	}
	return out.String()
}

// escape spells out the three characters that can start a mention, a link or
// an entity, in plain text as in Slack's markup.
func escape(r rune) string {
	switch r {
	case '&':
		return "&amp;"
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	default:
		return string(r)
	}
}

// length counts as the strictest reader of Slack's limits would: in UTF-16
// units, of which no text has fewer than characters.
func length(s string) int {
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}

// join puts sep between the parts that say something.
func join(sep string, parts ...string) string {
	said := make([]string, 0, len(parts))
	for _, p := range parts {
		if p != "" {
			said = append(said, p)
		}
	}
	return strings.Join(said, sep)
}
