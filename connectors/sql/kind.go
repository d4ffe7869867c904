// Package sql reads services that keep their records in a database: SQLite or
// PostgreSQL, opened for reading only, with single queries and bound
// parameters.
package sql

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"amend"
	"amend/connectors"
)

// Kind is the kind of services that a key sql declares.
func Kind() connectors.Kind {
	return connectors.Kind{Name: "sql", New: open}
}

const (
	defaultTimeout = 5 * time.Second
	defaultAtOnce  = 8
	manyAtOnce     = 100  // customers per query
	pageSize       = 1000 // customers per page
)

// declaration is what this kind reads of a service.
type declaration struct {
	SQL struct {
		DSN       amend.Secret  `yaml:"dsn"`
		One       string        `yaml:"one"`
		Many      string        `yaml:"many"`
		List      string        `yaml:"list"`
		Timeout   time.Duration `yaml:"timeout"`
		AtOnce    int           `yaml:"at_once"`
		PerSecond float64       `yaml:"per_second"`
		PerHour   int           `yaml:"per_hour"`
	} `yaml:"sql"`
	HTTP any `yaml:"http"`
}

// connector is one service in a database.
type connector struct {
	service *amend.Service
	entity  *amend.Entity
	fields  []connectors.FieldReader
	db      *database
	one     *query // nil where it isn't declared; the same for the next two
	many    *query
	list    *query
	can     connectors.Abilities
	timeout time.Duration
	now     func() time.Time
	log     *slog.Logger
	skipped atomic.Bool // a list with rows that nobody can be named for was reported
}

func open(d connectors.Declaration, s connectors.Surroundings) (connectors.Connector, amend.Findings) {
	s = s.OrReal()
	var spec declaration
	d.Decode(&spec)
	var found amend.Findings
	c := &connector{service: d.Service, entity: d.Entity, fields: connectors.FieldReaders(d.Service),
		timeout: spec.SQL.Timeout, now: s.Now, log: s.Log.With("service", d.Service.Name)}
	if c.timeout <= 0 {
		c.timeout = defaultTimeout
	}
	var faults amend.Findings
	c.one, faults = parse(spec.SQL.One, []string{"id"}, nil)
	found.Take("sql.one", faults)
	c.many, faults = parse(spec.SQL.Many, []string{"ids"}, nil)
	found.Take("sql.many", faults)
	c.list, faults = parse(spec.SQL.List, []string{"cursor", "limit"}, []string{"since"})
	found.Take("sql.list", faults)
	c.check(&found, &spec)
	c.can = connectors.Abilities{One: c.one != nil || c.many != nil, List: c.list != nil, AtOnce: spec.SQL.AtOnce, PerSecond: spec.SQL.PerSecond, PerHour: spec.SQL.PerHour}
	if c.many != nil {
		c.can.Many = manyAtOnce
	}
	if c.list != nil {
		c.can.Since = c.list.uses("since")
	}
	atOnce := spec.SQL.AtOnce
	if atOnce <= 0 {
		atOnce = defaultAtOnce
	}
	if c.db = connect(&found, spec.SQL.DSN.Reveal(), atOnce); len(found.Errors()) > 0 {
		return nil, found
	}
	return c, found
}

func (c *connector) check(found *amend.Findings, spec *declaration) {
	if spec.SQL.One == "" && spec.SQL.Many == "" {
		found.Add("sql", "nothing says how one customer is read: declare one, or many")
	}
	if spec.SQL.AtOnce < 0 || spec.SQL.PerSecond < 0 {
		found.Add("sql", "at_once and per_second are limits; they can't be negative")
	}
	connectors.CheckPerHour(found, "sql.per_hour", spec.SQL.PerHour)
	if spec.HTTP != nil {
		found.Add("http", "http beside sql is not supported yet; declare operations in a service of their own")
	} else if len(c.service.Operations) > 0 {
		found.Add("operations", "a service behind sql is only read; operations beside it are not supported yet")
	}
	for _, f := range c.service.Fields {
		if f.Path != "" {
			found.Add("fields."+f.Name+".path", "a field of an sql service is the column of that name; write \"as %s\" in the queries", f.Name)
		}
	}
}

// Can is part of connectors.Connector.
func (c *connector) Can() connectors.Abilities { return c.can }

// Close closes the database.
func (c *connector) Close() error { return c.db.Close() }

// Prepare is part of connectors.Connector.
func (c *connector) Prepare(call connectors.Call) (connectors.Request, error) {
	return connectors.Request{}, amend.Errorf(amend.NotFound, "%s has no operation %s", c.service.Name, call.Operation)
}

// Send is part of connectors.Connector.
func (c *connector) Send(context.Context, connectors.Request) connectors.Answer {
	return connectors.Answer{Outcome: amend.Failed, Detail: "not sent: " + errReadOnly.Error()}
}

var errReadOnly = errors.New("the service is only read")
