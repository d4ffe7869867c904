package http

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"amend"
	"amend/conditions"
	"amend/connectors"
)

// read is one way of reading the service.
type read struct {
	name    string // one, many, list
	request *template
	rules   rules
	shape   *shape
	mask    []string // what {fields} asks for
	masked  bool     // the request uses {fields}
	max     int
}

// One is part of connectors.Connector.
func (c *connector) One(ctx context.Context, id string) (amend.Record, error) {
	if c.one == nil {
		if c.many == nil {
			return amend.Record{}, malformed("it can't be asked for one customer")
		}
		records, err := c.Many(ctx, []string{id})
		if err != nil {
			return amend.Record{}, err
		}
		return records[0], nil
	}
	if !c.ids.Valid(id) {
		return amend.Record{}, notAnID()
	}
	a, present, err := c.ask(ctx, c.one, conditions.Vars{"id": id, "entity": id})
	if err != nil {
		return amend.Record{}, err
	}
	defer a.release()
	if !present {
		return absentAt(a.at), nil
	}
	return c.one.decodeOne(a, id)
}

// Many is part of connectors.Connector. A customer who is missing in the
// answer is absent, unless the answer also has rows that nobody can be named
// for: one of them may be the customer.
func (c *connector) Many(ctx context.Context, ids []string) ([]amend.Record, error) {
	switch {
	case c.many == nil:
		return nil, malformed("it can't be asked for many customers")
	case len(ids) == 0: // and nobody is never everybody
		return nil, nil
	case len(ids) > c.many.max:
		return nil, malformed(fmt.Sprintf("it can be asked for %d customers at once, not for %d", c.many.max, len(ids)))
	case !slices.ContainsFunc(ids, func(id string) bool { return !c.ids.Valid(id) }):
		return c.askMany(ctx, ids)
	}
	return nil, notAnID()
}

func (c *connector) askMany(ctx context.Context, ids []string) ([]amend.Record, error) {
	a, present, err := c.ask(ctx, c.many, conditions.Vars{"ids": ids})
	if err != nil {
		return nil, err
	}
	defer a.release()
	if !present { // nobody of them
		return connectors.NewBatch(c.entity, ids).Records(a.at), nil
	}
	return c.decodeMany(a, ids)
}

// List is part of connectors.Connector.
func (c *connector) List(ctx context.Context, request connectors.PageRequest) (connectors.Page, error) {
	if c.list == nil {
		return connectors.Page{}, malformed("it can't list its customers")
	}
	since := request.Since
	if since.IsZero() {
		since = time.Unix(0, 0)
	}
	a, _, err := c.ask(ctx, c.list, conditions.Vars{"limit": int64(c.list.max), "cursor": request.Cursor, "since": since.UTC()})
	if err != nil {
		return connectors.Page{}, err
	}
	defer a.release()
	page, err := c.decodePage(a, request.Into)
	if err != nil {
		return connectors.Page{}, err
	}
	if page.Next != "" && page.Next == request.Cursor {
		return connectors.Page{}, malformed("the list does not go on: the next cursor is the one that was sent")
	}
	return page, nil
}

// ask sends a read and says what its answer means. Where it returns an error
// there is no answer to release.
func (c *connector) ask(ctx context.Context, r *read, vars conditions.Vars) (*answer, bool, error) {
	if r.masked { // not always, since CEL makes a list of its own of it for each request
		vars["fields"] = r.mask
	}
	request, err := r.request.render(vars)
	if err != nil {
		return nil, false, malformed("the request can't be made: " + err.Error())
	}
	a, unseen := c.client.ask(ctx, r.request.method, request)
	if unseen != nil {
		return nil, false, unseen
	}
	presence, unseen := r.rules.presence(a)
	if unseen != nil {
		a.release()
		return nil, false, unseen
	}
	return a, presence == amend.Present, nil
}

func absentAt(at time.Time) amend.Record {
	return amend.Record{Presence: amend.Absent, ReadAt: at}
}

func notAnID() error { return malformed("this is no ID; nobody was asked") }

// read compiles one way of reading.
func (c *compiler) read(name string, spec *readSpec, fields []source) *read {
	at := "read." + name
	r := &read{name: name, max: spec.Max}
	r.request = c.request(requestSpec{at: at, verbs: []verb{{"get", spec.Get}, {"post", spec.Post}},
		query: spec.Query, form: spec.Form, body: spec.Body}, c.environment(callNames[name]...))
	r.rules = c.rules(at, spec, name)
	r.shape = c.shape(at, spec, name, fields)
	r.mask, r.masked = r.shape.mask(), r.request.uses("fields")
	c.bound(at, r, spec)
	return r
}

// callNames are what the request of each read may use.
var callNames = map[string][]conditions.Variable{
	"one":  {{Name: "id", Type: amend.String}, {Name: "entity", Type: amend.String}, {Name: "fields", List: true}},
	"many": {{Name: "ids", List: true}, {Name: "fields", List: true}},
	"list": {{Name: "limit", Type: amend.Int}, {Name: "cursor", Type: amend.String}, {Name: "since", Type: amend.Timestamp}, {Name: "fields", List: true}},
}

// environment makes the environment of some names, once for all that use it:
// making one costs more than compiling in it.
func (c *compiler) environment(names ...conditions.Variable) *conditions.Dynamic {
	key := fmt.Sprint(names)
	if c.environments[key] == nil {
		env, err := conditions.NewDynamic(names...)
		if err != nil { // the names are fixed, or were checked before
			panic(err)
		}
		c.environments[key] = env
	}
	return c.environments[key]
}

// bound checks that a request asks for what it must, and that each key stands
// where it means something.
func (c *compiler) bound(at string, r *read, spec *readSpec) {
	switch r.name {
	case "one":
		c.unless(r.request.uses("id") || r.request.uses("entity"), at, "nothing says which customer: use {id}")
		c.unless(spec.Max == 0, at+".max", "max is for many and list")
		allOptional := !slices.ContainsFunc(c.service.Fields, func(f amend.Field) bool { return !f.Optional })
		c.unless(!allOptional || spec.Key != "", at, "no field must be there, so anything could be taken for a record: say with key which customer it belongs to")
	case "many":
		c.unless(r.request.uses("ids"), at, "nothing says which customers: use {ids}")
		if r.max == 0 {
			r.max = defaultMany
		}
	case "list":
		c.unless(spec.Next == "" || r.request.uses("cursor"), at+".next", "nothing sends the cursor back: use {cursor} in the request")
		c.unless(spec.Next != "" || !r.request.uses("cursor"), at, "{cursor} is used, but nothing says where the next one stands: next")
		c.unless(spec.Absent == "", at+".absent", "a list holds who is there; absent is for one and many")
		if r.max == 0 {
			r.max = defaultList
		}
	}
	if r.name != "list" {
		c.unless(spec.Next == "", at+".next", "next is for lists")
	}
	if r.name != "one" {
		c.unless(spec.Key != "", at, "nothing says which customer a record belongs to: key")
	}
	c.unless(spec.Max >= 0, at+".max", "max is a number from 1")
}

func (c *compiler) unless(ok bool, at, text string) {
	if !ok {
		c.found.Add(at, "%s", text)
	}
}

func (c *compiler) rules(at string, spec *readSpec, name string) rules {
	env := c.environment(conditions.Variable{Name: "status", Type: amend.Int}, conditions.Variable{Name: "header"}, conditions.Variable{Name: "answer"})
	r := rules{single: name == "one", on: c.on(at, spec.On, env, []string{"present", "absent", "retry", "unseen"})}
	if spec.Absent != "" {
		r.absent = newCondition(c.expression(at+".absent", spec.Absent, env))
	}
	return r
}

// on compiles exceptions; what is wrong with them is found, so none of them is
// used.
func (c *compiler) on(at string, specs []onSpec, env *conditions.Dynamic, allowed []string) []on {
	var all []on
	for i, spec := range specs {
		here := fmt.Sprintf("%s.on[%d]", at, i)
		if !slices.Contains(allowed, spec.Is) {
			c.found = append(c.found, amend.Finding{Path: here + ".is", Text: fmt.Sprintf("%q is nothing that an answer can be", spec.Is), Hint: "one of " + strings.Join(allowed, ", ")})
		}
		all = append(all, on{when: newCondition(c.expression(here+".when", spec.When, env)), is: spec.Is, say: spec.Say})
	}
	return all
}

func (c *compiler) expression(at, text string, env *conditions.Dynamic) *conditions.Expression {
	x, found := env.Expression(text)
	c.take(at, found)
	return x
}
