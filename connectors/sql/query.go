package sql

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"amend"
)

// query is one statement, cut at its parameters: texts[0] names[0] texts[1] …
// texts[n].
type query struct {
	texts []string
	names []string
}

// dialect is how a database writes the n-th parameter, counted from 1.
type dialect func(n int) string

func questionMarks(int) string { return "?" }

func dollars(n int) string { return "$" + strconv.Itoa(n) }

func (q *query) uses(name string) bool { return slices.Contains(q.names, name) }

// bind gives the statement with a placeholder for each value, and the values.
// A list becomes as many placeholders between commas.
func (q *query) bind(write dialect, values map[string]any) (string, []any) {
	var text strings.Builder
	var bound []any
	for i, name := range q.names {
		text.WriteString(q.texts[i])
		list, isList := values[name].([]string)
		if !isList {
			bound = append(bound, values[name])
			text.WriteString(write(len(bound)))
			continue
		}
		for n, one := range list {
			if n > 0 {
				text.WriteByte(',')
			}
			bound = append(bound, one)
			text.WriteString(write(len(bound)))
		}
	}
	text.WriteString(q.texts[len(q.texts)-1])
	return text.String(), bound
}

// parse cuts a statement at its {parameters}, of which some must be there and
// others may. Without a text there is no query.
func parse(text string, must, may []string) (*query, amend.Findings) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	p := &parser{text: []rune(text)}
	p.run(slices.Concat(must, may))
	for _, name := range must {
		if !slices.Contains(p.query.names, name) && len(p.found) == 0 { // else it is the one that is misspelt
			p.complain(0, "", "the query never uses {%s}", name)
		}
	}
	first, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(text)), " ")
	if !slices.Contains([]string{"select", "with", "values"}, strings.TrimSpace(first)) {
		p.complain(0, "", "a query only reads: it begins with select")
	}
	return &p.query, p.found
}

// parser knows as much of SQL as it takes to tell a parameter from text in
// quotes and comments.
type parser struct {
	text  []rune
	at    int
	piece strings.Builder
	query query
	found amend.Findings
}

func (p *parser) complain(offset int, hint, format string, args ...any) {
	p.found = append(p.found, amend.Finding{Offset: offset, Text: fmt.Sprintf(format, args...), Hint: hint})
}

func (p *parser) run(known []string) {
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '\'' || c == '"' || c == '`':
			p.through(p.at+1, string(c))
		case p.sees("--"):
			p.through(p.at, "\n")
		case p.sees("/*"):
			p.through(p.at+2, "*/")
		case p.sees("{{") || p.sees("}}"):
			p.piece.WriteRune(c)
			p.at += 2
		case c == '{':
			p.parameter(known)
		case c == '}':
			p.complain(p.at, "write }} for a brace", "a } without its {")
			p.at++
		case c == ';' && strings.TrimSpace(string(p.text[p.at+1:])) == "":
			p.at = len(p.text) // one that only ends the statement
		case c == ';':
			p.complain(p.at, "", "a query is one statement")
			p.at++
		default:
			p.piece.WriteRune(c)
			p.at++
		}
	}
	p.query.texts = append(p.query.texts, p.piece.String())
}

func (p *parser) sees(word string) bool {
	return strings.HasPrefix(string(p.text[p.at:min(len(p.text), p.at+2)]), word)
}

// through copies up to and with what ends a quotation or a comment. A
// parameter inside would be text, so it is found.
func (p *parser) through(from int, ending string) {
	rest := string(p.text[from:])
	length := len(p.text) - p.at
	if end := strings.Index(rest, ending); end >= 0 {
		length = from - p.at + len([]rune(rest[:end])) + len(ending)
	}
	quoted := string(p.text[p.at : p.at+length])
	for _, name := range []string{"{id}", "{ids}", "{cursor}", "{limit}", "{since}"} {
		if before, _, inside := strings.Cut(quoted, name); inside && ending != "\n" && ending != "*/" {
			p.complain(p.at+len([]rune(before)), "write it without the quotes", "a parameter can't stand in quotes")
		}
	}
	p.piece.WriteString(quoted)
	p.at += length
}

func (p *parser) parameter(known []string) {
	start := p.at
	end := slices.Index(p.text[start:], '}')
	if end < 0 {
		p.complain(start, "write {{ for a brace", "this { is never closed")
		p.at = len(p.text)
		return
	}
	name := strings.TrimSpace(string(p.text[start+1 : start+end]))
	if !slices.Contains(known, name) {
		p.complain(start+1, "known are "+strings.Join(known, ", "), "%s is not a parameter of this query", name)
	}
	p.query.texts, p.query.names = append(p.query.texts, p.piece.String()), append(p.query.names, name)
	p.piece.Reset()
	p.at = start + end + 1
}
