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
// is fetched while this one is used, so memory holds two pages of each service,
// whatever the number of customers.
type stream struct {
	service int
	source  bool   // its customers are looked at; others only add to them
	from    string // the cursor of its first page
	after   string // who comes up to here has been looked at before
	pages   chan fetched
	page    []connectors.Keyed // the connector's: it is only read
	at      int                // where on the page its next customer is
	repeats bool               // the page holds a customer more than once
	last    string             // the last customer of the page
	cursor  string             // of the page
	missing amend.Record       // of whoever isn't in the list at this place
	twice   int                // customers who were listed more than once
	failed  error
	wrong   error // it isn't in key order
	ended   bool
}

type fetched struct {
	page   connectors.Page
	cursor string    // that it was asked for with
	at     time.Time // when it came
	err    error
	order  order
}

// order is how the customers of a page follow each other.
type order uint8

const (
	rises order = iota
	repeats
	falls
)

// orderOf looks through a page. It is done by whoever fetches it, beside the
// merge.
func orderOf(page []connectors.Keyed) order {
	found := rises
	for i := 1; i < len(page); i++ {
		switch c := strings.Compare(page[i].ID, page[i-1].ID); {
		case c < 0:
			return falls
		case c == 0:
			found = repeats
		}
	}
	return found
}

// position is where a part of a survey begins.
type position struct {
	After   string            `json:"after,omitempty"`   // this customer was the last of the part before
	Cursors map[string]string `json:"cursors,omitempty"` // of the lists' next pages, by service
	Ended   []string          `json:"ended,omitempty"`   // services whose lists are over
}

// errCircle is a list that would never end.
var errCircle = errors.New("the list goes round in circles: a cursor leads back to itself")

// circle notices cursors that lead back to one of them, however many there are,
// and without remembering each: by a mark that is moved on ever more seldom
// (Brent, 1980). The zero circle begins at the first page.
type circle struct {
	mark         string
	passed, laps int // pages since the mark, and how many there may be
}

// closes takes the next cursor.
func (c *circle) closes(next string) bool {
	closed := next != "" && next == c.mark
	if c.passed++; c.passed > c.laps {
		c.mark, c.passed, c.laps = next, 0, 2*max(c.laps, 1)
	}
	return closed
}

// What a list can be that isn't as it should be. It ends sentences that begin
// with the list.
const (
	unordered = "is not in key order"
	repeating = "holds customers more than once"
	skipping  = "leaves out customers whom the service knows"
)

// errList says why a list can't be merged page by page.
type errList struct {
	service int
	problem string
}

// Error is part of error.
func (e errList) Error() string { return fmt.Sprintf("list %d %s", e.service, e.problem) }

// read reads a list. A staged list is read to its end and sorted first: that
// costs memory in the length of the list.
func (s *stream) read(ctx context.Context, c connectors.Connector, staged bool, now func() time.Time) {
	if staged {
		s.stage(ctx, c, now)
	} else {
		s.fetch(ctx, c, now)
	}
}

func (s *stream) fetch(ctx context.Context, c connectors.Connector, now func() time.Time) {
	defer close(s.pages)
	turns := circle{mark: s.from}
	var used, last []connectors.Keyed
	for cursor := s.from; ; {
		page, err := c.List(ctx, connectors.PageRequest{Cursor: cursor, Into: used})
		if err == nil && turns.closes(page.Next) {
			err = errCircle
		}
		if !s.give(ctx, fetched{page, cursor, now(), err, orderOf(page.Records)}) {
			return
		}
		used, last = last, page.Records // whoever takes a page has done with the one before
		if cursor = page.Next; cursor == "" || err != nil {
			return
		}
	}
}

// give hands a page over; false where nobody wants it any more.
func (s *stream) give(ctx context.Context, f fetched) bool {
	select {
	case s.pages <- f:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *stream) stage(ctx context.Context, c connectors.Connector, now func() time.Time) {
	defer close(s.pages)
	var all []connectors.Keyed
	inner := &stream{service: s.service, pages: make(chan fetched)}
	go inner.fetch(ctx, c, now)
	for f := range inner.pages {
		if f.err != nil {
			s.give(ctx, f)
			return
		}
		all = append(all, f.page.Records...)
	}
	if ctx.Err() != nil {
		return // a part of a list is no list
	}
	slices.SortStableFunc(all, func(a, b connectors.Keyed) int { return strings.Compare(a.ID, b.ID) })
	s.give(ctx, fetched{page: connectors.Page{Records: all}, at: now(), order: orderOf(all)})
}

// turn goes on to the next page that holds somebody; false where there is none.
func (s *stream) turn(ctx context.Context) bool {
	for s.at == len(s.page) {
		if s.ended || s.failed != nil {
			return false
		}
		select {
		case f, more := <-s.pages:
			s.open(f, more, ctx.Err())
		case <-ctx.Done():
			s.failed = ctx.Err()
		}
		if s.failed != nil {
			s.missing = connectors.AsUnseen(s.failed).Record(s.missing.ReadAt)
		}
	}
	return true
}

// open takes over a page, or the end of the list. Where whoever fetched gave up
// that isn't the end of the list.
func (s *stream) open(f fetched, more bool, gaveUp error) {
	s.page, s.at = nil, 0
	if !more {
		s.ended, s.failed = true, gaveUp
		return
	}
	s.cursor, s.failed = f.cursor, f.err
	s.missing = amend.Record{Presence: amend.Absent, ReadAt: f.at}
	if len(f.page.Records) == 0 {
		return
	}
	if f.order == falls || f.page.Records[0].ID < s.last {
		s.wrong = errList{s.service, unordered}
		s.failed = s.wrong
		return
	}
	s.page, s.repeats, s.last = f.page.Records, f.order == repeats, f.page.Records[len(f.page.Records)-1].ID
	s.skip()
}

// skip leaves out whoever belongs to the part before: this one begins in the
// middle of a page.
func (s *stream) skip() {
	for s.after != "" && s.at < len(s.page) {
		if s.page[s.at].ID > s.after {
			s.after = ""
			return
		}
		s.at++
	}
}

// take gives the record of the next customer. One who is listed twice can't be
// believed either time.
func (s *stream) take(ctx context.Context, record *amend.Record) {
	*record = s.page[s.at].Record
	id := s.page[s.at].ID
	s.at++
	if record.Presence == amend.Unseen && record.Reason == connectors.ListedTwice { // on this page, as the connector has found
		s.twice++
	}
	if s.at < len(s.page) && !s.repeats {
		return
	}
	for times := 1; (s.at < len(s.page) || s.turn(ctx)) && s.page[s.at].ID == id; times++ {
		s.at++
		if times == 1 {
			*record = amend.UnseenRecord(amend.Malformed, connectors.ListedTwice, record.ReadAt)
			s.twice++
		}
	}
}

// merge walks several lists at once in key order and gives every customer of
// a source with the records that the lists hold. A list that failed leaves the
// records of its service unseen from there on.
type merge struct {
	streams []*stream
	holding []*stream // those that hold the next customer, in the order of streams
}

// next fills the records of the next customer; false at the end.
func (m *merge) next(ctx context.Context, records []amend.Record) (string, bool, error) {
	for {
		id, source, err := m.smallest(ctx)
		if id == "" || err != nil {
			return "", false, errors.Join(err, ctx.Err())
		}
		m.take(ctx, records)
		if source { // else the next customer's records take their place
			return id, true, nil
		}
	}
}

// take fills the records of the customer whom smallest has found.
func (m *merge) take(ctx context.Context, records []amend.Record) {
	holding := m.holding
	for _, s := range m.streams {
		if len(holding) == 0 || holding[0] != s {
			records[s.service] = s.missing
			continue
		}
		holding = holding[1:]
		s.take(ctx, &records[s.service])
	}
}

// smallest finds the next customer of all lists, and the lists that hold them.
// It fails where a list isn't in key order.
func (m *merge) smallest(ctx context.Context) (id string, source bool, err error) {
	m.holding = m.holding[:0]
	for _, s := range m.streams {
		if s.at == len(s.page) && !s.turn(ctx) {
			if s.wrong != nil {
				return "", false, s.wrong
			}
			continue
		}
		head := s.page[s.at].ID
		switch c := strings.Compare(head, id); {
		case len(m.holding) == 0 || c < 0:
			id, source = head, s.source
			m.holding = append(m.holding[:0], s)
		case c == 0:
			source = source || s.source
			m.holding = append(m.holding, s)
		}
	}
	return id, source, nil
}

// position is where the next part begins, after a customer; false where no list
// goes on. It fails where a list isn't in key order: the next part couldn't tell.
func (m *merge) position(ctx context.Context, schema *amend.Schema, after string) (p position, more bool, err error) {
	p = position{After: after, Cursors: map[string]string{}}
	for _, s := range m.streams {
		name := schema.Services[s.service].Name
		switch some := s.at < len(s.page) || s.turn(ctx); {
		case s.wrong != nil:
			return p, false, s.wrong
		case some || s.failed != nil:
			p.Cursors[name] = s.cursor
			more = more || some
		default:
			p.Ended = append(p.Ended, name)
		}
	}
	return p, more, ctx.Err()
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

// brokeOff reports whether any list could not be read as far as it was needed.
func (m *merge) brokeOff() bool {
	return slices.ContainsFunc(m.streams, func(s *stream) bool { return s.failed != nil })
}
