package amend

import (
	"errors"
	"fmt"
)

// Code says what kind of error it is, for exit codes, status codes and people.
type Code string

// The error codes. An error without one is Internal.
const (
	Invalid     Code = "invalid"     // what was asked can't be asked
	NotFound    Code = "not_found"   // there is no such thing
	Conflict    Code = "conflict"    // it has changed since, or somebody else was first
	Unavailable Code = "unavailable" // try again later
	Internal    Code = "internal"
)

// Error is an error that people are meant to read: what happened, and what to
// do next.
type Error struct {
	Code Code
	Text string
	Next string // what the reader can do; may be empty
	Err  error  // what caused it; may be nil
}

// Error is text, cause and next step in one line.
func (e *Error) Error() string {
	text := e.Text
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if e.Next != "" {
		text += "; " + e.Next
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error without a next step.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// CodeOf is the code of the first Error in the chain, else Internal; empty for
// nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}

// Finding is one problem in a configuration, at a path in the document
// ("services.ledger.read.one.get"). Whoever knows the document turns the path
// into file, line and column.
type Finding struct {
	Path    string
	Offset  int // characters into the scalar at Path
	Text    string
	Hint    string // "did you mean …", or what was expected
	Warning bool   // doesn't stop the start
}

// Under puts the finding's path below a prefix.
func (f Finding) Under(prefix string) Finding {
	switch {
	case f.Path == "":
		f.Path = prefix
	case prefix != "" && f.Path[0] == '[':
		f.Path = prefix + f.Path
	case prefix != "":
		f.Path = prefix + "." + f.Path
	}
	return f
}

// Findings are all problems of one document, not the first one only.
type Findings []Finding

// Add appends a finding at a path.
func (fs *Findings) Add(path, format string, args ...any) {
	*fs = append(*fs, Finding{Path: path, Text: fmt.Sprintf(format, args...)})
}

// Take appends findings below a prefix.
func (fs *Findings) Take(prefix string, more Findings) {
	for _, f := range more {
		*fs = append(*fs, f.Under(prefix))
	}
}

// Errors are the findings that stop the start.
func (fs Findings) Errors() Findings {
	var errs Findings
	for _, f := range fs {
		if !f.Warning {
			errs = append(errs, f)
		}
	}
	return errs
}

// Nearest is the candidate that a misspelt word most likely meant, or empty.
// The measure is edit distance with neighbours swapped counting once; a third
// of the word may differ.
func Nearest(word string, candidates []string) string {
	best, distance := "", len(word)/3+1
	for _, c := range candidates {
		if d := editDistance(word, c); d < distance || d == distance && best == "" {
			best, distance = c, d
		}
	}
	return best
}

func editDistance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
