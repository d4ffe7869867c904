package hand

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"amend/bench/services"
)

// batch is how many customers are asked for at once.
const batch = 100

// chunk is a part of identity's list.
type chunk struct {
	records []record
	page    *paper
	left    *atomic.Int32 // parts of the page
}

// lanes walks through identity's list and hands its customers to so many lanes,
// which look at them in the other services.
func lanes(ctx context.Context, b Bank, n int, look func(context.Context, *[services.Count]*client, []record, *tally) error) (map[string]int, error) {
	clients, err := b.clients(n)
	if err != nil {
		return nil, err
	}
	defer hangUp(clients)
	group, ctx := errgroup.WithContext(ctx)
	list, chunks := newStream(pages+1), make(chan chunk, n)
	group.Go(func() error { return list.fetch(ctx, clients[identity]) })
	group.Go(func() error { return list.cut(ctx, chunks) })
	var counts tally
	var mu sync.Mutex
	for range n {
		group.Go(func() error {
			var own tally
			for c := range chunks {
				if err := look(ctx, &clients, c.records, &own); err != nil {
					return err
				}
				if c.left.Add(-1) == 0 {
					list.free <- c.page
				}
			}
			mu.Lock()
			defer mu.Unlock()
			counts.add(&own)
			return nil
		})
	}
	err = group.Wait()
	return counts.byName(), err
}

// cut hands out a list in chunks.
func (s *stream) cut(ctx context.Context, chunks chan<- chunk) error {
	defer close(chunks)
	for p := range s.full {
		if p == nil {
			break
		}
		left := new(atomic.Int32)
		left.Store(int32((len(p.records) + batch - 1) / batch))
		for rest := p.records; len(rest) > 0; {
			n := min(batch, len(rest))
			select {
			case chunks <- chunk{rest[:n], p, left}:
			case <-ctx.Done():
				return ctx.Err()
			}
			rest = rest[n:]
		}
	}
	return nil
}

// Batches looks at all customers by walking through identity's list and asking
// the other services for 100 at a time, in so many lanes.
func Batches(ctx context.Context, b Bank, n int) (map[string]int, error) {
	pool := sync.Pool{New: func() any { return new([services.Count]paper) }}
	return lanes(ctx, b, n, func(ctx context.Context, clients *[services.Count]*client, people []record, counts *tally) error {
		ids := make([]string, len(people))
		for i := range people {
			ids[i] = string(people[i].id)
		}
		query := "ids=" + strings.Join(ids, ",")
		papers := pool.Get().(*[services.Count]paper)
		defer pool.Put(papers)
		var all [services.Count][]record
		for i := ledger; i < services.Count; i++ {
			p := &papers[i]
			body, _, err := clients[i].get(ctx, "/customers", query+clients[i].mask, p.body)
			if err != nil {
				return err
			}
			records, _, err := page(body, p.records)
			if err != nil {
				return err
			}
			p.body, p.records, all[i] = body, records, records
		}
		count(people, &all, counts)
		return nil
	})
}

// count classifies customers whose records come in the order that they were
// asked for.
func count(people []record, all *[services.Count][]record, counts *tally) {
	missing := &record{}
	for i := range people {
		v := view{identity: &people[i]}
		for service := ledger; service < services.Count; service++ {
			v[service] = missing
			if rest := all[service]; len(rest) > 0 && bytes.Equal(rest[0].id, people[i].id) {
				v[service], all[service] = &rest[0], rest[1:]
			}
		}
		counts[classify(&v)]++
	}
}

// Singly looks at all customers by walking through identity's list and asking
// each other service for one at a time, in so many lanes.
func Singly(ctx context.Context, b Bank, n int) (map[string]int, error) {
	pool := sync.Pool{New: func() any { return new([services.Count][]byte) }}
	return lanes(ctx, b, n, func(ctx context.Context, clients *[services.Count]*client, people []record, counts *tally) error {
		bodies := pool.Get().(*[services.Count][]byte)
		defer pool.Put(bodies)
		for i := range people {
			var records [services.Count]record
			v := view{identity: &people[i]}
			for service := ledger; service < services.Count; service++ {
				body, found, err := clients[service].get(ctx, "/customers/"+string(people[i].id), clients[service].mask, bodies[service])
				if err != nil {
					return err
				}
				v[service] = &records[service]
				if !found {
					continue
				}
				bodies[service] = body
				s := scanner{text: body}
				if s.record(v[service]); s.bad {
					return errJSON
				}
			}
			counts[classify(&v)]++
		}
		return nil
	})
}
