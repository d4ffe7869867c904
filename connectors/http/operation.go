package http

import (
	"errors"
	"fmt"
	"slices"

	"amend"
	"amend/conditions"
	"amend/connectors"
)

// operation is one operation with how its request looks.
type operation struct {
	declared *amend.Operation
	request  *template
	on       []on
	done     *condition
}

// Prepare is part of connectors.Connector. Its errors name arguments and never
// their values.
func (c *connector) Prepare(call connectors.Call) (connectors.Request, error) {
	op := c.operations[call.Operation]
	switch {
	case op == nil:
		return connectors.Request{}, amend.Errorf(amend.NotFound, "%s has no operation %s", c.service.Name, call.Operation)
	case !c.entity.Valid(call.ID):
		return connectors.Request{}, amend.Errorf(amend.Invalid, "this is no ID; nothing was prepared")
	}
	request, err := op.prepare(c.client, call)
	if err != nil {
		return connectors.Request{}, fmt.Errorf("prepare %s.%s: %w", c.service.Name, call.Operation, err)
	}
	return request, nil
}

func (o *operation) prepare(client *client, call connectors.Call) (connectors.Request, error) {
	vars, err := o.vars(call)
	if err != nil {
		return connectors.Request{}, err
	}
	r, err := o.request.render(vars)
	if err != nil {
		return connectors.Request{}, err
	}
	request := connectors.Request{Operation: call.Operation, Method: o.request.method,
		URL: client.base.Scheme + "://" + client.base.Host + client.base.Path + r.path, Header: map[string]string{}, Body: r.body}
	if r.contentType != "" {
		request.Header["Content-Type"] = r.contentType
	}
	err = o.seal(&request, call)
	return request, err
}

// seal adds the headers that make a request harmless to repeat, and void where
// the record has changed.
func (o *operation) seal(request *connectors.Request, call connectors.Call) error {
	if repeat := o.declared.Repeat; repeat.How == amend.RepeatByKey {
		if call.Key == "" || !isHeaderValue(call.Key) {
			return errors.New("the idempotency key is missing, or can't stand in a header")
		}
		if !repeat.InBody {
			request.Header[repeat.Header] = call.Key
		}
	}
	if o.declared.IfUnchanged {
		if call.Version == "" || !isHeaderValue(call.Version) {
			return errors.New("the record's version is missing, so it can't be sent only if nothing changed")
		}
		request.Header["If-Match"] = call.Version
	}
	return nil
}

// vars are what the expressions of a request see; every declared argument must
// be there, with its type, and no other.
func (o *operation) vars(call connectors.Call) (conditions.Vars, error) {
	vars := conditions.Vars{"id": call.ID, "entity": call.ID, "key": call.Key}
	for _, p := range o.declared.With {
		v, given := call.Arguments[p.Name]
		switch {
		case !given || v.IsNull():
			return nil, amend.Errorf(amend.Invalid, "the argument %s is missing", p.Name)
		case v.Type() != p.Type:
			return nil, amend.Errorf(amend.Invalid, "the argument %s is of type %s, not %s", p.Name, v.Type(), p.Type)
		}
		vars[p.Name] = v
	}
	for name := range call.Arguments {
		if !slices.ContainsFunc(o.declared.With, func(p amend.Parameter) bool { return p.Name == name }) {
			return nil, amend.Errorf(amend.Invalid, "there is no argument %s", name)
		}
	}
	return vars, nil
}

func (c *compiler) operation(declared *amend.Operation, spec *operationSpec, made *connector) *operation {
	at := "operations." + declared.Name
	o := &operation{declared: declared}
	o.request = c.request(requestSpec{at: at,
		verbs: []verb{{"get", spec.Get}, {"post", spec.Post}, {"put", spec.Put}, {"patch", spec.Patch}, {"delete", spec.Delete}},
		query: spec.Query, form: spec.Form, body: spec.Body}, c.environment(c.operationNames(at, declared)...))
	answer := c.environment(conditions.Variable{Name: "status", Type: amend.Int}, conditions.Variable{Name: "header"}, conditions.Variable{Name: "answer"})
	o.on = c.on(at, spec.On, answer, []string{"done", "refused", "failed", "unsettled"})
	if declared.Done != "" {
		o.done = newCondition(c.expression(at+".done", declared.Done, answer))
	}
	c.contract(at, o, made)
	return o
}

// operationNames are what the request of an operation may use. Arguments that
// hide another name are found and left out.
func (c *compiler) operationNames(at string, declared *amend.Operation) []conditions.Variable {
	names := []conditions.Variable{{Name: "id", Type: amend.String}, {Name: "entity", Type: amend.String}, {Name: "key", Type: amend.String}}
	for _, p := range declared.With {
		taken := slices.ContainsFunc(names, func(v conditions.Variable) bool { return v.Name == p.Name })
		c.unless(!taken, at+".with."+p.Name, "id, entity and key are known already; call the argument something else")
		if !taken {
			names = append(names, conditions.Variable{Name: p.Name, Type: p.Type})
		}
	}
	return names
}

// contract checks that the request keeps what the operation declares.
func (c *compiler) contract(at string, o *operation, made *connector) {
	aboutCustomer := o.request.uses("id") || o.request.uses("entity")
	for _, p := range o.declared.With {
		c.unless(o.request.uses(p.Name), at+".with."+p.Name, "the argument is declared, but the request never uses it")
		aboutCustomer = true
	}
	c.unless(aboutCustomer, at, "nothing in the request says which customer: use {id}")
	repeat := o.declared.Repeat
	if repeat.How == amend.RepeatByKey {
		c.unless(!repeat.InBody || o.request.uses("key"), at+".repeat", "the key goes in the body, but no {key} stands there")
		if !repeat.InBody {
			c.header(at+".repeat", repeat.Header, amend.Secret{})
		}
	}
	versioned := func(r *read) bool { return r != nil && r.shape.version.declared() }
	c.unless(!o.declared.IfUnchanged || versioned(made.one) || versioned(made.many) || versioned(made.list), at+".if_unchanged",
		"no read says where a record's version stands: version")
}
