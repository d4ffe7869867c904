// Package http reads and repairs services that speak JSON over HTTP: single
// reads, batches and lists with cursors, and operations that are sent exactly
// once. What isn't exactly as declared is unseen.
package http

import (
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"amend"
	"amend/conditions"
	"amend/connectors"
)

// Kind is the kind of services that a key http declares.
func Kind() connectors.Kind {
	return connectors.Kind{Name: "http", New: open}
}

const (
	defaultTimeout = 5 * time.Second
	defaultAtOnce  = 8
	defaultMaxBody = size(1 << 20)
	defaultMany    = 100
	defaultList    = 1000
)

// connector is one service behind HTTP.
type connector struct {
	service    *amend.Service
	entity     *amend.Entity
	ids        *ids // of the entity
	client     *client
	one        *read // nil where it isn't offered; the same for the next two
	many       *read
	list       *read
	operations map[string]*operation
	can        connectors.Abilities
	now        func() time.Time
	log        *slog.Logger
	skipped    atomic.Bool // a list with rows that nobody can be named for was reported
}

func open(d connectors.Declaration, s connectors.Surroundings) (connectors.Connector, amend.Findings) {
	s = s.OrReal()
	var spec declaration
	d.Decode(&spec)
	c := &compiler{service: d.Service, environments: map[string]*conditions.Dynamic{}}
	made := &connector{service: d.Service, entity: d.Entity, ids: newIDs(d.Entity), now: s.Now, log: s.Log.With("service", d.Service.Name)}
	made.client = c.client(&spec.HTTP, s)
	c.reads(&spec.Read, made)
	c.operations(spec.Operations, made)
	made.can = connectors.Abilities{
		One:        made.one != nil || made.many != nil,
		List:       made.list != nil,
		AtOnce:     spec.HTTP.AtOnce,
		PerSecond:  spec.HTTP.PerSecond,
		PerHour:    spec.HTTP.PerHour,
		Operations: len(made.operations) > 0,
	}
	if made.many != nil {
		made.can.Many = made.many.max
	}
	if made.list != nil {
		made.can.Since = made.list.request.uses("since")
	}
	if made.one != nil {
		// An empty list of items is an absence as well, and anybody's answer.
		made.can.Marker = made.one.shape.single && made.one.rules.marked()
	}
	if len(c.found.Errors()) > 0 {
		return nil, c.found
	}
	return made, c.found
}

// Can is part of connectors.Connector.
func (c *connector) Can() connectors.Abilities { return c.can }

// Close lets go of idle connections.
func (c *connector) Close() error {
	c.client.close()
	return nil
}

// compiler turns the declaration into requests and shapes, and collects what
// is wrong with it.
type compiler struct {
	service      *amend.Service
	environments map[string]*conditions.Dynamic // by their names
	found        amend.Findings
}

func (c *compiler) reads(spec *readsSpec, made *connector) {
	if spec.One == nil && spec.Many == nil {
		c.found.Add("read", "nothing says how one customer is read: declare one, or many")
	}
	fields := c.fields()
	if spec.One != nil {
		made.one = c.read("one", spec.One, fields)
	}
	if spec.Many != nil {
		made.many = c.read("many", spec.Many, fields)
	}
	if spec.List != nil {
		made.list = c.read("list", spec.List, fields)
	}
	made.lendKey()
}

// lendKey gives one the key of many or list where it has none of its own, so
// that a record of somebody else is noticed wherever it says whose it is.
func (c *connector) lendKey() {
	if c.one == nil || c.one.shape.key.declared() {
		return
	}
	for _, r := range []*read{c.many, c.list} {
		if r != nil && r.shape.key.of("item") && c.one.shape.lend(r.shape.key) {
			c.one.mask = c.one.shape.mask()
			return
		}
	}
}

func (c *compiler) operations(specs map[string]*operationSpec, made *connector) {
	made.operations = map[string]*operation{}
	for i := range c.service.Operations {
		declared := &c.service.Operations[i]
		spec := specs[declared.Name]
		if spec == nil {
			spec = &operationSpec{}
		}
		made.operations[declared.Name] = c.operation(declared, spec, made)
	}
	for _, name := range slices.Sorted(maps.Keys(specs)) {
		if made.operations[name] == nil {
			c.found.Add("operations."+name, "%s has no operation %s", c.service.Name, name)
		}
	}
}
