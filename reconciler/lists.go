package reconciler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"amend"
	"amend/connectors"
)

// stream is one service's list, page by page and in key order. The next page
// is fetched while this one is used, so memory holds two pages of each service
// whatever the number of customers.
type stream struct {
	service int
	source  bool   // its customers are looked at; others only add to them
	from    string // the cursor of its first page
	after   string // who comes up to here has been looked at before
	pages   chan fetched
	page    []connectors.Keyed
	cursor  string // of this page
	last    string
	failed  error
	ended   bool
}

type fetched struct {
	page   connectors.Page
	cursor string // that it was asked for with
	err    error
}

// position is where a part of a survey begins.
type position struct {
	After   string            `json:"after,omitempty"`   // this customer was the last of the part before
	Cursors map[string]string `json:"cursors,omitempty"` // of the lists' next pages, by service
	Ended   []string          `json:"ended,omitempty"`   // services whose lists are over
}

// errCircle is a list that would never end.
var errCircle = errors.New("the list goes round in circles: a cursor leads back to itself")

// errUnordered says that a list doesn't come in key order, so that it can't be
// merged page by page.
type errUnordered struct{ service int }

// Error is part of error.
func (e errUnordered) Error() string { return fmt.Sprintf("list %d is not in key order", e.service) }

// read reads a list. A staged list is read to its end and sorted first: that
// costs memory in the length of the list, and is done only for lists that don't
// come in order.
func (s *stream) read(ctx context.Context, c connectors.Connector, staged bool) {
	if staged {
		s.stage(ctx, c)
	} else {
		s.fetch(ctx, c)
	}
}

func (s *stream) fetch(ctx context.Context, c connectors.Connector) {
	defer close(s.pages)
	// A circle of any length is noticed by a mark that is moved on ever more
	// seldom (Brent, 1980), and so without remembering every cursor.
	mark, passed, laps := s.from, 0, 1
	for cursor := s.from; ; {
		page, err := c.List(ctx, connectors.PageRequest{Cursor: cursor})
		if err == nil && page.Next != "" && page.Next == mark {
			err = errCircle
		}
		if passed++; passed == laps {
			mark, passed, laps = page.Next, 0, 2*laps
		}
		select {
		case s.pages <- fetched{page, cursor, err}:
		case <-ctx.Done():
			return
		}
		if cursor = page.Next; cursor == "" || err != nil {
			return
		}
	}
}

func (s *stream) stage(ctx context.Context, c connectors.Connector) {
	defer close(s.pages)
	var all []connectors.Keyed
	inner := &stream{service: s.service, pages: make(chan fetched, 1)}
	go inner.fetch(ctx, c)
	for f := range inner.pages {
		if f.err != nil {
			s.pages <- f
			return
		}
		all = append(all, f.page.Records...)
	}
	if ctx.Err() != nil {
		return // a part of a list is no list
	}
	slices.SortStableFunc(all, func(a, b connectors.Keyed) int { return strings.Compare(a.ID, b.ID) })
	s.pages <- fetched{page: connectors.Page{Records: all}}
}

// peek is the next customer of the list; false at its end, or after it failed.
func (s *stream) peek(ctx context.Context) (string, bool) {
	for len(s.page) == 0 {
		if s.ended || s.failed != nil {
			return "", false
		}
		select {
		case f, more := <-s.pages:
			s.page, s.failed, s.ended = f.page.Records, f.err, !more
			s.skip()
			if more {
				s.cursor = f.cursor
			} else {
				s.failed = ctx.Err() // whoever fetched gave up: that isn't the end of the list
			}
		case <-ctx.Done():
			s.failed = ctx.Err()
		}
	}
	return s.page[0].ID, true
}

// skip leaves out whoever belongs to the part before: this one begins in the
// middle of a page. Who comes up later in the list and belongs there is out of
// order.
func (s *stream) skip() {
	for len(s.page) > 0 && s.after != "" {
		if s.page[0].ID > s.after {
			s.last, s.after = s.after, ""
			return
		}
		s.page = s.page[1:]
	}
}

// take gives the record of a customer whom peek has shown. A customer who is
// listed twice can't be believed either time.
func (s *stream) take(ctx context.Context, now time.Time) (amend.Record, error) {
	head := s.page[0]
	s.page = s.page[1:]
	if head.ID <= s.last && s.last != "" {
		return amend.Record{}, errUnordered{s.service}
	}
	s.last = head.ID
	record := head.Record
	for next, more := s.peek(ctx); more && next == head.ID; next, more = s.peek(ctx) {
		s.page = s.page[1:]
		record = amend.UnseenRecord(amend.Malformed, "the list holds this customer twice", now)
	}
	return record, nil
}

// merge walks several lists at once in key order and gives every customer of
// a source with the records that the lists hold. A list that failed leaves the
// records of its service unseen from there on.
type merge struct {
	streams []*stream
	now     func() time.Time
}

// next fills the records of the next customer; false at the end.
func (m *merge) next(ctx context.Context, records []amend.Record) (string, bool, error) {
	for {
		id, source := m.smallest(ctx)
		if id == "" {
			return "", false, ctx.Err()
		}
		at := m.now()
		for _, s := range m.streams {
			head, more := s.peek(ctx)
			switch {
			case more && head == id:
				record, err := s.take(ctx, at)
				if err != nil {
					return "", false, err
				}
				records[s.service] = record
			case !more && s.failed != nil:
				records[s.service] = connectors.AsUnseen(s.failed).Record(at)
			default:
				records[s.service] = amend.Record{Presence: amend.Absent, ReadAt: at}
			}
		}
		if source {
			return id, true, nil
		}
	}
}

// position is where the next part begins, after a customer; false where no list
// goes on.
func (m *merge) position(ctx context.Context, schema *amend.Schema, after string) (p position, more bool) {
	p = position{After: after, Cursors: map[string]string{}}
	for _, s := range m.streams {
		name := schema.Services[s.service].Name
		if _, some := s.peek(ctx); some || s.failed != nil {
			p.Cursors[name] = s.cursor
			more = more || some
		} else {
			p.Ended = append(p.Ended, name)
		}
	}
	return p, more
}

func (m *merge) smallest(ctx context.Context) (id string, source bool) {
	for _, s := range m.streams {
		head, more := s.peek(ctx)
		if !more {
			continue
		}
		if id == "" || head < id {
			id, source = head, s.source
		} else if head == id {
			source = source || s.source
		}
	}
	return id, source
}

// failed is the first source that could not be listed to its end: customers
// may have been left out.
func (m *merge) failed(schema *amend.Schema) error {
	for _, s := range m.streams {
		if s.source && s.failed != nil {
			return fmt.Errorf("list %s: %w", schema.Services[s.service].Name, s.failed)
		}
	}
	return nil
}
