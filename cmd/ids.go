package cmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"amend/store"
)

const (
	// idsAtOnce is how many customers are looked at before the progress moves.
	idsAtOnce = 1000
	// idLineLimit bounds a line of a list of IDs, in bytes.
	idLineLimit = 64 << 10
	// badLines is how many lines that hold no ID are shown.
	badLines = 20
)

// namedIDs is what a list of IDs came to.
type namedIDs struct {
	*parts
	show    *progress
	found   store.Counted
	looked  int
	invalid int
	lines   []badLine // the first that are invalid
}

// badLine is a line that holds no ID.
type badLine struct {
	Line int    `json:"line"`
	Why  string `json:"why"`
}

// scanIDs looks at the customers that a file names, and at nobody else.
func (a *app) scanIDs(ctx context.Context, path string, piped io.Reader) error {
	show, err := a.newProgress()
	if err != nil {
		return err
	}
	from := piped
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("read the IDs: %w", err)
		}
		defer file.Close() //nolint:errcheck // it is only read
		from = file
	}
	p, end, err := a.opened(ctx, slog.LevelWarn, openStore)
	if err != nil {
		return err
	}
	defer end()
	n := &namedIDs{parts: p, show: show, found: store.Counted{States: map[string]int{}}}
	began := now()
	if err := n.read(ctx, from); err != nil {
		if ctx.Err() != nil {
			return exit{exitInterrupted, fmt.Errorf("interrupted after %s; run it again to look at the rest", customers(p.cfg.Schema, n.looked))}
		}
		return err
	}
	if n.looked+n.invalid == 0 {
		return errors.New("the list holds no ID; write one a line")
	}
	return a.namedText(n, now().Sub(began))
}

// read looks at the customers of a list while it is read.
func (n *namedIDs) read(ctx context.Context, from io.Reader) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, idLineLimit)
	known := map[string]struct{}{}
	var batch []string
	line := 1
	for ; lines.Scan(); line++ {
		id := n.desk.Clean(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if _, twice := known[id]; twice || id == "" {
			continue
		}
		if err := n.desk.Accept(id); err != nil {
			n.refuse(line, err)
			continue
		}
		known[id] = struct{}{}
		if batch = append(batch, id); len(batch) == idsAtOnce {
			if err := n.look(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("line %d is longer than %d KiB: this is no list of IDs", line, idLineLimit>>10)
	} else if err := lines.Err(); err != nil {
		return fmt.Errorf("read the IDs: %w", err)
	}
	return n.look(ctx, batch)
}

func (n *namedIDs) refuse(line int, why error) {
	if n.invalid++; len(n.lines) < badLines {
		n.lines = append(n.lines, badLine{line, why.Error()})
	}
}

func (n *namedIDs) look(ctx context.Context, ids []string) error {
	found, err := n.engine.Examine(ctx, ids)
	if err != nil {
		return err
	}
	n.looked += len(ids)
	n.found.Customers += found.Customers
	n.found.Coherent += found.Coherent
	n.found.Opened += found.Opened
	n.found.Unseen += found.Unseen
	for name, count := range found.States {
		n.found.States[name] += count
	}
	n.show.show(fmt.Sprintf("%s looked at", customers(n.cfg.Schema, n.looked)), false)
	return nil
}

func (a *app) namedText(n *namedIDs, took time.Duration) error {
	nobody := n.looked - n.found.Customers
	if a.output == "json" {
		err := a.json(map[string]any{"looked_at": n.looked, "states": n.found.States, "coherent": n.found.Coherent, "unseen": n.found.Unseen, "nobody": nobody,
			"cases_opened": n.found.Opened, "invalid": n.invalid, "invalid_lines": append([]badLine{}, n.lines...), "seconds": took.Seconds()})
		if err != nil {
			return err
		}
	} else if n.looked > 0 {
		fmt.Fprintf(a.stdout, "Looked at %s in %s services in %s.\n\n", customers(n.cfg.Schema, n.looked), number(len(n.cfg.Schema.Services)), took.Round(10*time.Millisecond))
		a.statesText(a.stdout, n.found.States)
		if nobody > 0 {
			fmt.Fprintf(a.stdout, "  %9s  nobody: no service knows the ID\n", number(nobody))
		}
		a.openedText(n.found.Opened)
	}
	for _, bad := range n.lines {
		fmt.Fprintf(a.stderr, "line %d: %s\n", bad.Line, bad.Why)
	}
	if more := n.invalid - len(n.lines); more > 0 {
		fmt.Fprintf(a.stderr, "and %s more\n", plural(more, "line", "lines"))
	}
	switch {
	case n.looked == 0:
		return errors.New("no line holds an ID; nobody was looked at")
	case n.invalid > 0:
		return exit{exitPartial, fmt.Errorf("%s left out", plural(n.invalid, "line holds no ID and was", "lines hold no ID and were"))}
	}
	return unseen(n.cfg.Schema, n.found.Unseen)
}
