package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"amend"
)

// problem is one thing that is wrong, with its place.
type problem struct {
	from      *source
	line, col int
	text      string
	hint      string
	warning   bool
}

// Problems are all problems of a configuration, as people read them: file,
// line and column, the line with a caret, and what to do.
type Problems struct{ list []problem }

// mostShown is how many problems are shown; nobody reads more in one go.
const mostShown = 50

// Error shows the problems.
func (p *Problems) Error() string {
	var b strings.Builder
	for i, one := range p.list {
		if i == mostShown {
			fmt.Fprintf(&b, "\nand %d more", len(p.list)-mostShown)
			break
		}
		if i > 0 {
			b.WriteString("\n")
		}
		one.write(&b)
	}
	return strings.TrimRight(b.String(), "\n")
}

// Count is the number of problems.
func (p *Problems) Count() int { return len(p.list) }

func (p *problem) write(b *strings.Builder) {
	word := ""
	if p.warning {
		word = "warning: "
	}
	if p.from == nil {
		fmt.Fprintf(b, "%s%s\n", word, visible(p.text))
	} else {
		fmt.Fprintf(b, "%s:%d:%d: %s%s\n", p.from.name, p.line, p.col, word, visible(p.text))
	}
	if p.from != nil && p.line >= 1 && p.line <= len(p.from.lines) {
		p.excerpt(b)
	}
	if p.hint != "" {
		fmt.Fprintf(b, "  %s\n", visible(p.hint))
	}
}

// excerptWidth is how many characters of a long line are shown.
const excerptWidth = 100

// excerpt shows the line with a caret under the column. A line that is too
// long for a terminal is cut around the caret.
func (p *problem) excerpt(b *strings.Builder) {
	line := []rune(visible(strings.TrimRight(p.from.lines[p.line-1], "\r")))
	for _, h := range p.from.hidden {
		for i := h.from; h.line == p.line && i < h.to && i <= len(line); i++ {
			line[i-1] = '•'
		}
	}
	caret := max(0, min(p.col-1, len(line)))
	start, before, after := 0, "", ""
	if caret > excerptWidth*3/4 {
		start, before = caret-excerptWidth/2, "… "
	}
	end := len(line)
	if end-start > excerptWidth {
		end, after = start+excerptWidth, " …"
	}
	number := fmt.Sprintf("%5d", p.line)
	fmt.Fprintf(b, "%s | %s%s%s\n", number, before, string(line[start:end]), after)
	fmt.Fprintf(b, "%s | %s^\n", strings.Repeat(" ", len(number)), strings.Repeat(" ", caret-start+len([]rune(before))))
}

// visible replaces what a terminal would obey instead of show, one character by
// one.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return '·'
		}
		return r
	}, text)
}

// sortProblems puts problems in the order of the files, without doubles.
func sortProblems(all []problem) []problem {
	slices.SortStableFunc(all, func(a, b problem) int {
		if a.from != b.from {
			return cmp.Compare(a.from.file(), b.from.file())
		}
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.col, b.col), cmp.Compare(a.text, b.text))
	})
	return slices.Compact(all)
}

func (s *source) file() string {
	if s == nil {
		return ""
	}
	return s.name
}

// place turns a finding's path into a place in a file. What follows from a
// problem that is reported already has none: a value that could not be read, a
// key that is missing because it is misspelt.
func (n *node) place(f amend.Finding) (problem, bool) {
	at, missing := n.locate(f.Path)
	if at.broken || missing != "" && at.misspelt(missing) {
		return problem{}, false
	}
	p := problem{from: at.from, line: at.line, col: at.col, text: f.Text, hint: f.Hint, warning: f.Warning}
	switch {
	case missing != "":
		p.line, p.col = at.name()
		if !strings.Contains(f.Text, missing) {
			p.text = fmt.Sprintf("%s: %s", f.Path, f.Text)
		}
	case at.kind == isMap || at.kind == isNull:
		p.line, p.col = at.name()
	case f.Offset > 0 || at.style == block:
		p.line, p.col = at.inside(f.Offset)
	}
	return p, true
}

// name is where a value's key stands; in a list, where the value does.
func (n *node) name() (line, col int) {
	if n.key.line == 0 {
		return n.line, n.col
	}
	return n.key.line, n.key.col
}

func sorted(words []string) []string {
	words = slices.Clone(words)
	slices.Sort(words)
	return slices.Compact(words)
}
