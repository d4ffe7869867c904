// Package desk is what people may do: look at a customer, and ask for a rule
// to be taken. It writes down what they ask for and never sends anything; the
// heal that holds the customer's lease carries it out. The dashboard, the
// command line and later Slack all come through here.
package desk

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"amend"
	"amend/queue"
	"amend/rules"
	"amend/states"
	"amend/store"
)

// Reader looks at customers, and renders what a repair would send.
type Reader interface {
	Look(ctx context.Context, customer string) states.Look
	Preview(view *amend.View, plan rules.Plan) ([]rules.Preview, error)
}

// Waker has a customer worked on soon. In a process without a worker it is nil:
// the worker finds what was asked in the store.
type Waker interface {
	Wake(at time.Time, jobs ...queue.Job)
}

// Desk is where people ask. It is safe for concurrent use.
type Desk struct {
	Schema *amend.Schema
	Rules  *rules.Set
	Store  *store.Store
	Reader Reader
	Waker  Waker
	Now    func() time.Time
}

// Option is one rule that could be taken for a customer.
type Option struct {
	Rule        *rules.Rule
	Plan        rules.Plan
	Requests    []rules.Preview
	Changes     []Change
	Fingerprint string
	Why         string // why it isn't possible now; empty where it is
}

// Change is one field before and after.
type Change struct {
	Service string
	Field   string
	Before  string
	After   string
}

// Sheet is all that is known of one customer.
type Sheet struct {
	Look     states.Look
	Since    time.Time
	Coherent bool
	Case     *store.Case // the newest one; nil where there never was any
	Repair   *store.Repair
	Proposal *Proposal // what people are asked to agree to; nil where nothing is
	Question *Question // the step that only a person can tell of; nil where there is none
	Timeline []store.Entry
	Options  []Option
	newest   string // repair, before the customer was read
}

// timelineLimit is how many lines of a timeline are shown.
const timelineLimit = 100

// Customer reads one customer from every service, now, and puts beside it what
// the store knows. It fails with Invalid where the ID can't be one, and with
// NotFound where every service says that nobody has it.
func (d *Desk) Customer(ctx context.Context, id string) (*Sheet, error) {
	if err := d.Accept(id); err != nil {
		return nil, err
	}
	newest, err := d.Store.NewestRepair(ctx, id) // before the services are read: what is sent meanwhile isn't seen
	if err != nil {
		return nil, err
	}
	sheet := &Sheet{Look: d.Reader.Look(ctx, id), newest: newest}
	found, any, err := d.Store.LastCase(ctx, id)
	if err != nil {
		return nil, err
	}
	if any {
		sheet.Case = &found
		if sheet.Timeline, err = d.Store.Timeline(ctx, id, timelineLimit); err != nil {
			return nil, err
		}
	}
	if sheet.Open() {
		if err := d.pending(ctx, sheet); err != nil {
			return nil, err
		}
	}
	if sheet.Look.Verdict.Name == states.Nobody && !any {
		return nil, &amend.Error{Code: amend.NotFound, Text: fmt.Sprintf("no service knows %s", id), Next: "check the ID"}
	}
	d.judge(sheet)
	return sheet, nil
}

// pending finds the repair that is open, and what people are asked.
func (d *Desk) pending(ctx context.Context, sheet *Sheet) error {
	repair, open, err := d.Store.OpenRepair(ctx, sheet.Case.ID)
	if err != nil {
		return err
	}
	if open {
		sheet.Repair = &repair
	}
	switch {
	case !open:
		sheet.Question, err = d.question(ctx, sheet.Look, *sheet.Case)
	case repair.Status == store.RepairProposed:
		sheet.Proposal, err = d.proposal(ctx, sheet.Look, repair)
	}
	return err
}

// Accept refuses what can't be a customer's ID: it must not reach a URL or a
// query, and nothing may ever be repaired on a sentinel. It fails with Invalid.
func (d *Desk) Accept(id string) error {
	for i := range d.Schema.Services {
		if s := d.Schema.Services[i].Sentinels; s.Declared() && (id == s.Present || id == s.Absent) {
			return amend.Errorf(amend.Invalid, "%s is a sentinel of %s, which proves what absent means, and no %s", id, d.Schema.Services[i].Name, d.Schema.Entity.Name)
		}
	}
	if plausible(id) && d.Schema.Entity.Valid(id) {
		return nil
	}
	return d.invalid(id)
}

// idLimit bounds an ID, in bytes, also where no pattern says what it looks like.
const idLimit = 256

// plausible holds of everything that anybody calls an ID.
func plausible(id string) bool {
	return id != "" && len(id) <= idLimit && utf8.ValidString(id) && !strings.ContainsFunc(id, unicode.IsControl)
}

func (d *Desk) invalid(id string) error {
	e := &amend.Error{Code: amend.Invalid, Text: fmt.Sprintf("%q can't be the ID of a %s", clip(id), d.Schema.Entity.Name)}
	if pattern := d.Schema.Entity.ID; pattern != nil {
		e.Next = "an ID looks like " + strings.TrimSuffix(strings.TrimPrefix(pattern.String(), `\A(?:`), `)\z`)
	}
	return e
}

// clip keeps what people pasted from filling their screen.
func clip(text string) string {
	if r := []rune(text); len(r) > 80 {
		return string(r[:80]) + "…"
	}
	return text
}

// judge says since when the state counts, whether it is in order, and what
// could be done.
func (d *Desk) judge(sheet *Sheet) {
	first := d.Now()
	open := sheet.Case != nil && sheet.Case.Open()
	if open && sheet.Case.State == sheet.Look.Verdict.Name {
		first = sheet.Case.Since
	}
	sheet.Since = sheet.Look.Verdict.Since(sheet.Look.Scope, first)
	sheet.Coherent = sheet.Look.Verdict.Coherent(sheet.Since, d.Now())
	for _, rule := range d.Rules.Startable(sheet.Look.Verdict.Name) {
		sheet.Options = append(sheet.Options, d.option(sheet, rule))
	}
}

func (d *Desk) option(sheet *Sheet, rule *rules.Rule) Option {
	o := Option{Rule: rule}
	var err error
	if o.Plan, err = rule.Plan(sheet.Look.Scope, d.Schema); err == nil {
		o.Requests, err = d.Reader.Preview(sheet.Look.View, o.Plan)
	}
	switch {
	case err != nil:
		o.Why = err.Error()
	case sheet.Repair != nil && sheet.Repair.Status == store.RepairOpen:
		o.Why = fmt.Sprintf("%s is under way", sheet.Repair.Rule)
	case sheet.Proposal != nil && sheet.Proposal.Repair.Rule == rule.Name:
		o.Why = "it is proposed already, and people are asked to agree"
	}
	o.Fingerprint = rules.StartFingerprint(sheet.Look, rule, o.Plan, sheet.newest)
	o.Changes = d.changes(sheet.Look.View, o.Plan)
	return o
}

// changes are the fields that a plan sets, before and after.
func (d *Desk) changes(view *amend.View, plan rules.Plan) []Change {
	var all []Change
	for _, step := range plan.Steps {
		index, service := d.Schema.Service(step.Service)
		for _, want := range step.Expect {
			at, field := service.Field(want.Field)
			if field == nil {
				continue // of a plan that was written down before the field was taken away
			}
			c := Change{Service: step.Service, Field: want.Field, Before: view.Records[index].Presence.String(), After: Show(field, want.Value)}
			if view.Records[index].Presence == amend.Present {
				c.Before = Show(field, view.Records[index].Value(at))
			}
			all = append(all, c)
		}
	}
	return all
}

// Hidden stands where a sensitive value would.
const Hidden = "hidden"

// Show writes a field's value for people: sensitive ones are hidden, scaled
// ints have their point back.
func Show(field *amend.Field, v amend.Value) string {
	switch {
	case v.IsNull():
		return "–"
	case field.Sensitive:
		return Hidden
	case field.Type == amend.Int && field.Scale > 0:
		return scaled(v.Int(), field.Scale)
	}
	return v.String()
}

func scaled(n int64, scale int) string {
	digits, negative := strings.CutPrefix(strconv.FormatInt(n, 10), "-")
	sign := ""
	if negative {
		sign = "-"
	}
	digits = strings.Repeat("0", max(0, scale+1-len(digits))) + digits
	return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
}

// Option finds what taking a rule for a customer would mean. It fails with
// NotFound where the rule doesn't lead out of the customer's state.
func (s *Sheet) Option(rule string) (*Option, error) {
	i := slices.IndexFunc(s.Options, func(o Option) bool { return o.Rule.Name == rule })
	if i < 0 {
		return nil, amend.Errorf(amend.NotFound, "the rule %s can't be taken while the customer is %s", rule, s.Look.Verdict.Name)
	}
	return &s.Options[i], nil
}

// Start is a person's wish to take a rule.
type Start struct {
	Request     string // made with the page that asks; sent twice it is one wish
	Customer    string
	Rule        string
	Fingerprint string // of what the page showed
	Actor       string
	Reason      string
}

// Start asks for a rule to be taken. It fails with Conflict where the customer
// has changed since the page was shown: nothing is written then.
func (d *Desk) Start(ctx context.Context, s Start) error {
	if _, twice, err := d.Store.Asked(ctx, s.Request); err != nil || twice {
		return err
	}
	sheet, err := d.Customer(ctx, s.Customer)
	if err != nil {
		return err
	}
	option, err := sheet.Option(s.Rule)
	switch {
	case err != nil:
		return &amend.Error{Code: amend.Conflict, Text: err.Error(), Next: "look at the customer again"}
	case option.Why != "":
		return amend.Errorf(amend.Conflict, "%s can't be started: %s", s.Rule, option.Why)
	case option.Fingerprint != s.Fingerprint:
		return &amend.Error{Code: amend.Conflict, Text: "the customer has changed since the page was shown", Next: "look at it again"}
	}
	_, err = d.Store.Ask(ctx, store.Request{ID: s.Request, Customer: s.Customer, Kind: store.AskStart, Rule: s.Rule, Fingerprint: s.Fingerprint, Actor: s.Actor, Reason: s.Reason})
	if err == nil {
		d.wake(s.Customer)
	}
	return err
}

// Check asks for a customer to be looked at now.
func (d *Desk) Check(ctx context.Context, customer, actor string) (request string, err error) {
	if err := d.Accept(customer); err != nil {
		return "", err
	}
	request = d.Store.NewID("ask")
	_, err = d.Store.Ask(ctx, store.Request{ID: request, Customer: customer, Kind: store.AskLook, Actor: actor})
	if err == nil {
		d.wake(customer)
	}
	return request, err
}

// Clean finds the ID in what people paste: quotes, spaces and the address of a
// page around it are dropped.
func (d *Desk) Clean(pasted string) string {
	id := strings.Trim(strings.TrimSpace(pasted), `"'<>`+"`")
	if u, err := url.Parse(id); err == nil && u.Scheme != "" && u.Host != "" {
		parts := strings.Split(strings.Trim(u.Path, "/"), "/")
		for _, part := range slices.Backward(parts) {
			if d.Schema.Entity.Valid(part) {
				return part
			}
		}
	}
	return id
}

// Open reports whether something is going on for the customer.
func (s *Sheet) Open() bool { return s.Case != nil && s.Case.Open() }
