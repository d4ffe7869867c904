package bank

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxBatch     = 100
	defaultLimit = 100
)

// one serves a single record by the ID in the path; missing is the code of the
// 404 that says that this service doesn't know the customer.
func (s *service) one(missing string) reader {
	return func(r *http.Request, _ []byte) answer {
		s.world.mu.RLock()
		defer s.world.mu.RUnlock()
		c, ok := s.world.byID[r.PathValue("id")]
		if !ok {
			return refuse(http.StatusNotFound, missing, "not known here")
		}
		shown := s.shown(c, s.world.now())
		if !s.exists(&shown) {
			return refuse(http.StatusNotFound, missing, "not known here")
		}
		buffer := borrow()
		return answer{status: http.StatusOK, body: s.shape.encode(*buffer, &shown, s.shape.all), buffer: buffer, etag: s.etag(shown.c)}
	}
}

// shown is the customer as reads see them now.
func (s *service) shown(c *customer, now time.Time) record {
	seen := c.seenBy(s.name, now)
	return record{c: seen, card: seen.shownCard(now), now: now}
}

// truth is the customer's real record in this service, also where reads don't
// show it yet; nil where there is none.
func (s *service) truth(c *customer) json.RawMessage {
	real := record{c: c, card: c.card, now: s.world.now()}
	if !s.exists(&real) {
		return nil
	}
	return s.shape.encode(nil, &real, s.shape.all)
}

// etag is the record's version; only the ledger and billing have one.
func (s *service) etag(c *customer) string {
	switch {
	case s.name == ledgerName && c.account != nil:
		return c.account.etag()
	case s.name == billingName && c.plan != nil:
		return c.plan.etag()
	}
	return ""
}

// many serves up to 100 records, in the order asked for; who isn't known is
// left out.
func (s *service) many(items string, ids func(*http.Request, []byte) ([]string, error)) reader {
	return func(r *http.Request, body []byte) answer {
		wanted, err := ids(r, body)
		if err == nil && len(wanted) > maxBatch {
			err = fmt.Errorf("at most %d customers at once, not %d", maxBatch, len(wanted))
		}
		if err != nil {
			return refuse(http.StatusBadRequest, "bad_request", err.Error())
		}
		buffer := borrow()
		b := append(append(append(*buffer, `{"`...), items...), `":[`...)
		s.world.mu.RLock()
		defer s.world.mu.RUnlock()
		now := s.world.now()
		for _, id := range wanted {
			if c, ok := s.world.byID[id]; ok {
				shown := s.shown(c, now)
				b = s.item(b, &shown, s.shape.all)
			}
		}
		return answer{status: http.StatusOK, body: append(b, "]}"...), buffer: buffer}
	}
}

// item appends the record to an array if this service has it.
func (s *service) item(b []byte, r *record, mask uint64) []byte {
	if !s.exists(r) {
		return b
	}
	if b[len(b)-1] != '[' {
		b = append(b, ',')
	}
	return s.shape.encode(b, r, mask)
}

// idsInBody reads a batch whose body is an object with one array of IDs.
func idsInBody(name string) func(*http.Request, []byte) ([]string, error) {
	return func(_ *http.Request, body []byte) ([]string, error) {
		var fields map[string][]string
		if err := json.Unmarshal(body, &fields); err != nil || len(fields) != 1 || fields[name] == nil {
			return nil, fmt.Errorf("the body is not an object with the array %q", name)
		}
		return fields[name], nil
	}
}

// idsInQuery reads a batch whose IDs stand in one parameter, between commas.
func idsInQuery(name string) func(*http.Request, []byte) ([]string, error) {
	return func(r *http.Request, _ []byte) ([]string, error) {
		ids := r.URL.Query().Get(name)
		if ids == "" {
			return nil, fmt.Errorf("%s names nobody", name) // and nobody is never everybody
		}
		return strings.Split(ids, ","), nil
	}
}

// listing says how a service spells its list.
type listing struct {
	items  string // the array in the answer
	cursor string // the parameter that takes the cursor
	next   string // where the answer has the next one
	most   int    // the largest page
	masked bool   // takes fields
	since  bool   // takes updated_after
}

// page is one request for a list.
type page struct {
	limit int
	after string // the last customer of the page before
	mask  uint64
	since time.Time
}

// page reads the parameters of a list. A limit above the largest page is cut
// down to it, as services do; everything else that is odd is refused.
func (s *service) page(r *http.Request, l listing) (page, error) {
	query := r.URL.Query()
	p := page{limit: min(defaultLimit, l.most), mask: s.shape.all}
	var err error
	if limit := query.Get("limit"); limit != "" {
		p.limit, err = strconv.Atoi(limit)
		if err != nil || p.limit < 1 {
			return p, fmt.Errorf("limit %q is not a number from 1", limit)
		}
		p.limit = min(p.limit, l.most)
	}
	if p.after, err = decodeCursor(query.Get(l.cursor)); err != nil {
		return p, err
	}
	if l.masked {
		if p.mask, err = s.shape.mask(query.Get("fields")); err != nil {
			return p, err
		}
	}
	if since := query.Get("updated_after"); l.since && since != "" {
		if p.since, err = time.Parse(time.RFC3339, since); err != nil {
			return p, fmt.Errorf("updated_after %q is not a time of RFC 3339", since)
		}
	}
	return p, nil
}

// list serves all records in byte order of the customer's ID, page by page. A
// cursor is the place behind a customer, so it stays right while others come.
func (s *service) list(l listing) reader {
	return func(r *http.Request, _ []byte) answer {
		p, err := s.page(r, l)
		if err != nil {
			return refuse(http.StatusBadRequest, "bad_request", err.Error())
		}
		buffer := borrow()
		b := append(append(append(*buffer, `{"`...), l.items...), `":[`...)
		b, last := s.fill(b, p)
		b = append(append(append(b, `],"`...), l.next...), `":`...)
		b = append(appendString(b, encodeCursor(last)), '}')
		return answer{status: http.StatusOK, body: b, buffer: buffer}
	}
}

// fill appends the page's records and returns the last customer on it if
// another page follows, else "".
func (s *service) fill(b []byte, p page) ([]byte, string) {
	s.world.mu.RLock()
	defer s.world.mu.RUnlock()
	now := s.world.now()
	count, last := 0, ""
	for _, c := range s.world.order[s.world.after(p.after):] {
		r := s.shown(c, now)
		if !s.exists(&r) || !changedSince(c, p.since) {
			continue
		}
		if count == p.limit {
			return b, last
		}
		b = s.item(b, &r, p.mask)
		count, last = count+1, c.id
	}
	return b, ""
}

// changedSince asks identity only; the other services can't tell.
func changedSince(c *customer, since time.Time) bool {
	return since.IsZero() || c.identity.changed.After(since)
}

// cursorSalt makes a cursor look like nothing that a caller could count up.
const cursorSalt = "bank-1:"

func encodeCursor(last string) string {
	if last == "" {
		return ""
	}
	cursor := []byte(cursorSalt + last)
	slices.Reverse(cursor)
	return base64.RawURLEncoding.EncodeToString(cursor)
}

func decodeCursor(cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	plain, err := base64.RawURLEncoding.DecodeString(cursor)
	slices.Reverse(plain)
	last, ours := strings.CutPrefix(string(plain), cursorSalt)
	if err != nil || !ours || !customerID.MatchString(last) {
		return "", errors.New("the cursor is not one of this list")
	}
	return last, nil
}
