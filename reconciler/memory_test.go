package reconciler_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"amend"
	"amend/connectors"
)

// memory is a service of a registered kind: records that are made up when they
// are asked for, so that any number of customers costs nothing.
type memory struct {
	count   int                     // customers cus_100000, cus_100001, …
	order   func([]string) []string // of a page's IDs; nil: as they are
	failAt  int                     // the list fails from this customer on; 0: never
	status  func(n int) string      // "" is absent; nil: all are fine
	onlyOne func(n int) bool        // the list leaves these out, although One has them
	changed []int                   // what the list gives for what changed
	now     *clock
	singles atomic.Int64
	lists   atomic.Int64
}

const (
	firstNumber = 100000
	pageSize    = 500
)

func customerID(n int) string { return fmt.Sprintf("cus_%06d", firstNumber+n) }

// inMemory is the kind of such services, by name.
func inMemory(services map[string]*memory) connectors.Kind {
	return connectors.Kind{Name: "memory", New: func(d connectors.Declaration, _ connectors.Surroundings) (connectors.Connector, amend.Findings) {
		d.Decode(&struct {
			Memory struct{} `yaml:"memory"`
		}{})
		return services[d.Service.Name], nil
	}}
}

// Can is part of connectors.Connector.
func (m *memory) Can() connectors.Abilities {
	return connectors.Abilities{One: true, List: true, Since: m.changed != nil, AtOnce: 8}
}

func (m *memory) record(n int) amend.Record {
	status := "fine"
	if m.status != nil {
		status = m.status(n)
	}
	if status == "" || n < 0 || n >= m.count {
		return amend.Record{Presence: amend.Absent, ReadAt: m.now.Now()}
	}
	return amend.Record{Presence: amend.Present, Values: []amend.Value{amend.StringOf(status)}, ReadAt: m.now.Now()}
}

// One is part of connectors.Connector.
func (m *memory) One(_ context.Context, id string) (amend.Record, error) {
	m.singles.Add(1)
	var n int
	if _, err := fmt.Sscanf(id, "cus_%d", &n); err != nil {
		return amend.Record{}, err
	}
	return m.record(n - firstNumber), nil
}

// Many is part of connectors.Connector.
func (m *memory) Many(context.Context, []string) ([]amend.Record, error) {
	return nil, errors.New("one by one, please")
}

// List is part of connectors.Connector.
func (m *memory) List(_ context.Context, r connectors.PageRequest) (connectors.Page, error) {
	m.lists.Add(1)
	for i := range r.Into { // nobody may need it any more
		r.Into[i] = connectors.Keyed{ID: "cus_999999", Record: amend.UnseenRecord(amend.Malformed, "this was a record", time.Time{})}
	}
	at := 0
	if r.Cursor != "" {
		if _, err := fmt.Sscan(r.Cursor, &at); err != nil {
			return connectors.Page{}, err
		}
	}
	var ids []string
	if !r.Since.IsZero() {
		for _, n := range m.changed {
			ids = append(ids, customerID(n))
		}
		at = m.count
	}
	end := min(m.count, at+pageSize)
	for n := at; n < end; n++ {
		if m.failAt > 0 && n >= m.failAt {
			return connectors.Page{}, &connectors.Unseen{Cause: amend.Forbidden, Reason: "the list broke off"}
		}
		if m.onlyOne == nil || !m.onlyOne(n) {
			ids = append(ids, customerID(n))
		}
	}
	if m.order != nil {
		ids = m.order(slices.Clone(ids))
	}
	page := connectors.Page{Records: r.Into[:0]}
	if end < m.count {
		page.Next = fmt.Sprint(end)
	}
	for _, id := range ids {
		var n int
		if _, err := fmt.Sscanf(id, "cus_%d", &n); err != nil {
			return page, err
		}
		if record := m.record(n - firstNumber); record.Presence == amend.Present {
			page.Records = append(page.Records, connectors.Keyed{ID: id, Record: record})
		}
	}
	return page, nil
}

// Prepare is part of connectors.Connector.
func (m *memory) Prepare(connectors.Call) (connectors.Request, error) {
	return connectors.Request{}, errors.New("there is nothing to do here")
}

// Send is part of connectors.Connector.
func (m *memory) Send(context.Context, connectors.Request) connectors.Answer {
	return connectors.Answer{Outcome: amend.Failed}
}

// memoryConfiguration has two services of such records; both are sources.
const memoryConfiguration = `
version: 1
entity: {name: customer, plural: customers, id: '^cus_[0-9]{6,}$'}
services:
  crm:  {memory: {}, fields: {status: {type: string}}}
  shop: {memory: {}, fields: {status: {type: string}}}
states:
  missing: {when: shop.absent}
  wrong: {when: crm.status != shop.status}
  fine: {coherent: true, when: "true"}
scans: {source: [crm, shop]}
`
