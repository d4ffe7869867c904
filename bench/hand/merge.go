package hand

import (
	"bytes"
	"context"

	"golang.org/x/sync/errgroup"

	"amend/bench/services"
)

// paper is a page of a list with the answer that its records point into.
type paper struct {
	body    []byte
	records []record
}

// stream is a service's list. Two pages go round: one is read while the other
// is used.
type stream struct {
	full, free chan *paper
	page       *paper
	rest       []record
}

const pages = 2

func newStream(size int) *stream {
	s := &stream{full: make(chan *paper, size+1), free: make(chan *paper, size)} // all pages and the end
	for range size {
		s.free <- &paper{}
	}
	return s
}

func (s *stream) fetch(ctx context.Context, c *client) error {
	defer func() { s.full <- nil }()
	for cursor := ""; ; {
		var p *paper
		select {
		case p = <-s.free:
		case <-ctx.Done():
			return ctx.Err()
		}
		body, _, err := c.get(ctx, "/customers", "limit=1000&cursor="+cursor+c.mask, p.body)
		if err != nil {
			return err
		}
		records, next, err := page(body, p.records)
		if err != nil {
			return err
		}
		p.body, p.records, cursor = body, records, string(next)
		s.full <- p
		if cursor == "" {
			return nil
		}
	}
}

// head is the next record; nil at the end.
func (s *stream) head() *record {
	for len(s.rest) == 0 {
		if s.page != nil {
			s.free <- s.page
		}
		if s.page = <-s.full; s.page == nil {
			s.full <- nil
			return nil
		}
		s.rest = s.page.records
	}
	return &s.rest[0]
}

// Merge looks at all customers by merging the lists of all services, which are
// sorted. It gives how many customers are in which state.
func Merge(ctx context.Context, b Bank) (map[string]int, error) {
	clients, err := b.clients(1)
	if err != nil {
		return nil, err
	}
	defer hangUp(clients)
	group, ctx := errgroup.WithContext(ctx)
	var streams [services.Count]*stream
	for i, c := range clients {
		s := newStream(pages)
		streams[i] = s
		group.Go(func() error { return s.fetch(ctx, c) })
	}
	counts := walk(&streams)
	return counts.byName(), group.Wait()
}

// walk goes through the lists in the order of IDs.
func walk(streams *[services.Count]*stream) *tally {
	var counts tally
	missing := &record{}
	for {
		var v view
		var id []byte
		for i, s := range streams {
			v[i] = s.head()
			if v[i] != nil && (id == nil || bytes.Compare(v[i].id, id) < 0) {
				id = v[i].id
			}
		}
		if id == nil {
			return &counts
		}
		for i, s := range streams {
			if v[i] != nil && bytes.Equal(v[i].id, id) {
				s.rest = s.rest[1:]
			} else {
				v[i] = missing
			}
		}
		counts[classify(&v)]++
	}
}
