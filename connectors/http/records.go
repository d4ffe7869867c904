package http

import (
	"strconv"
	"time"

	"amend"
	"amend/connectors"
)

// record is the row as a record; its values are handed out.
func (s *scanner) record(at time.Time) amend.Record {
	if s.row.problem != "" {
		return amend.UnseenRecord(amend.Malformed, s.row.problem, at)
	}
	return amend.Record{Presence: amend.Present, Values: s.keep(), Version: s.row.version, ReadAt: at}
}

// decodeOne reads the answer to one. No item at all is absence, more than one
// is no answer.
func (r *read) decodeOne(a *answer, id string) (amend.Record, error) {
	s := newScanner(r.shape, a)
	defer s.free()
	record, items := absentAt(a.at), 0
	s.each = func() {
		items++
		if s.foreign(id) {
			s.complain("the record belongs to somebody else")
		}
		record = s.record(a.at)
	}
	switch err := s.read(); {
	case err != nil:
		return amend.Record{}, malformed(err.Error())
	case items > 1:
		return amend.UnseenRecord(amend.Malformed, "there are "+strconv.Itoa(items)+" records of one customer", a.at), nil
	}
	if r.shape.version.of("header") && record.Presence == amend.Present {
		record.Version = a.header.Get(r.shape.version.path[1])
	}
	return record, nil
}

// foreign reports whether the row says that it belongs to somebody else, or
// fails to say whose it is where it must.
func (s *scanner) foreign(id string) bool {
	if s.shape.lent && len(s.row.key) == 0 {
		return false
	}
	return s.shape.key.declared() && string(s.row.key) != id
}

func (c *connector) decodeMany(a *answer, ids []string) ([]amend.Record, error) {
	s := newScanner(c.many.shape, a)
	defer s.free()
	batch, record := connectors.NewBatch(c.entity, ids), s.record
	s.each = func() { batch.Add(s.row.key, a.at, record) }
	if err := s.read(); err != nil {
		return nil, malformed(err.Error())
	}
	if batch.Strangers > 0 {
		c.log.Debug("records of customers that nobody asked for", "count", batch.Strangers)
	}
	return batch.Records(a.at), nil
}

func (c *connector) decodePage(a *answer, into []connectors.Keyed) (connectors.Page, error) {
	s := newScanner(c.list.shape, a)
	defer s.free()
	listing, record := connectors.NewListing(c.ids, min(c.list.max, defaultList)), s.record
	listing.Into(into)
	s.each = func() { listing.Add(s.row.key, a.at, record) }
	if err := s.read(); err != nil {
		return connectors.Page{}, malformed(err.Error())
	}
	page := listing.Page(s.next, a.at)
	if page.Skipped > 0 && !c.skipped.Swap(true) {
		c.log.Warn("a list has rows that nobody can be named for; they are skipped", "count", page.Skipped)
	}
	return page, nil
}
