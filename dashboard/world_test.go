package dashboard

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/conditions"
	"amend/desk"
	"amend/rules"
	"amend/states"
	"amend/store"
)

// world is a whole installation in small: a real desk on a real store, with a
// dashboard that is served, and services that say what the test wants.
type world struct {
	t      *testing.T
	clock  *hands
	store  *store.Store
	desk   *desk.Desk
	server *Server
	log    *notebook
	path   string
	said   *services
}

// start is when every test begins.
var start = time.Date(2025, 11, 21, 14, 32, 5, 0, time.UTC)

func newWorld(t *testing.T, change ...func(*Options)) *world {
	t.Helper()
	w := &world{t: t, clock: &hands{now: start}, log: &notebook{}, path: filepath.Join(t.TempDir(), "amend.db")}
	log := slog.New(slog.NewJSONHandler(w.log, nil))
	var err error
	w.store, err = store.Open(t.Context(), "sqlite:"+w.path, store.Options{Now: w.clock.Now, Rand: rand.NewPCG(1, 2), Log: log})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.store.Close()) })
	schema := bank()
	m, set := machine(t, schema)
	w.said = &services{schema: schema, machine: m, clock: w.clock, views: map[string][]amend.Record{}}
	w.desk = &desk.Desk{Schema: w.said.schema, Rules: set, Store: w.store, Reader: w.said, Now: w.clock.Now}
	options := Options{Listen: "127.0.0.1:0", Desk: w.desk, Machine: m, Now: w.clock.Now, Log: log, Environment: "test", Actor: "kim"}
	for _, c := range change {
		c(&options)
	}
	w.server, err = Listen(options)
	require.NoError(t, err)
	w.serve()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log:\n%s", w.log)
		}
	})
	return w
}

// serve answers until the test ends.
func (w *world) serve() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.server.Serve(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		require.NoError(w.t, <-done)
	})
}

// bank is the reference example in small.
func bank() *amend.Schema {
	status := func(values ...string) amend.Field {
		return amend.Field{Name: "status", Type: amend.String, Values: values}
	}
	email := amend.Field{Name: "email", Type: amend.String, Sensitive: true}
	return &amend.Schema{
		Entity: amend.Entity{Name: "customer", Plural: "customers", ID: regexp.MustCompile(`\A(?:^cus_[0-9]{6,}$)\z`)},
		Services: []amend.Service{
			{Name: "identity", About: "Who the customer is.", Owner: amend.Owner{Team: "Onboarding", Slack: "#onboarding", Runbook: "https://wiki.bank.example/identity"},
				Links:  []amend.Link{{Title: "profile", URL: "https://identity.bank.example/customers/{id}"}, {Title: "bad", URL: "javascript:alert(1)"}},
				Fields: []amend.Field{status("pending", "approved", "rejected"), email, {Name: "country", Type: amend.String}, {Name: "changed_at", Type: amend.Timestamp, Optional: true}}},
			{Name: "ledger", About: "The money account.", Owner: amend.Owner{Team: "Core ledger", Slack: "#ledger"},
				Fields:     []amend.Field{status("open", "frozen", "closed"), {Name: "balance", Type: amend.Int, Scale: 2, Unit: "EUR"}},
				Operations: []amend.Operation{{Name: "open"}, {Name: "close"}}},
			{Name: "cards", About: "The debit card.", Fields: []amend.Field{status("ordered", "active", "blocked")},
				Operations: []amend.Operation{{Name: "order"}, {Name: "block"}}},
			{Name: "billing", About: "The monthly plan.", Fields: []amend.Field{status("active", "past_due", "cancelled"), email},
				Operations: []amend.Operation{{Name: "set_email"}}},
		},
	}
}

// builder compiles what the configuration would.
type builder struct {
	t      *testing.T
	schema *amend.Schema
	env    *conditions.Environment
}

func (b *builder) when(text string) *conditions.Condition {
	c, findings := b.env.Condition(text)
	require.Empty(b.t, findings, text)
	return c
}

func (b *builder) tell(text string) *conditions.Template {
	c, findings := b.env.Template(text)
	require.Empty(b.t, findings, text)
	return c
}

// step is one operation that sets one field of its service.
func (b *builder) step(name, field, value string, arguments ...rules.Argument) rules.Step {
	service, operation, _ := strings.Cut(name, ".")
	index, found := b.schema.Service(service)
	require.NotNil(b.t, found, name)
	names := []conditions.Variable{{Name: "id", Type: amend.String}}
	for _, a := range arguments {
		names = append(names, conditions.Variable{Name: a.Name, Type: a.Type})
	}
	env, err := conditions.NewDynamic(names...)
	require.NoError(b.t, err)
	text, findings := env.Text(value)
	require.Empty(b.t, findings)
	at, _ := found.Field(field)
	return rules.Step{Service: index, Name: name, Operation: found.Operation(operation), Arguments: arguments, Effects: []rules.Effect{{Field: at, Value: text}}}
}

func machine(t *testing.T, schema *amend.Schema) (*states.Machine, *rules.Set) {
	t.Helper()
	env, err := conditions.New(schema)
	require.NoError(t, err)
	b := &builder{t, schema, env}
	m := &states.Machine{Environment: env, States: []states.State{
		{Name: "rejected_with_money", About: "KYC rejected a customer whose account holds money. Regulation wants a person.", Owner: "identity", Severity: states.High,
			When: b.when(`identity.status == "rejected" && ledger.present && ledger.balance != 0`), Tell: b.tell("We will return your money within 3 days."), Promise: 72 * time.Hour},
		{Name: "rejected_but_open", Severity: states.Normal, When: b.when(`identity.status == "rejected" && ledger.present && ledger.status != "closed"`)},
		{Name: "ledger_missing", About: "Approved, but the ledger account was never opened.", Severity: states.High, When: b.when("ledger.absent"),
			Tell: b.tell("Your account is being opened. You do not need to do anything."), Promise: time.Hour, Settle: 5 * time.Minute},
		{Name: "card_blocked", About: "The card was blocked and no new one ordered.", Severity: states.Normal, When: b.when(`cards.status == "blocked"`),
			Tell: b.tell("Your new card is being ordered."), Promise: 24 * time.Hour},
		{Name: "email_differs", About: "Billing sends its letters to another address than the one the customer confirmed.", Severity: states.Normal,
			When: b.when("billing.email != identity.email"), Tell: b.tell("We have corrected the address for your bills."), Promise: 24 * time.Hour},
		{Name: "active", Coherent: true, When: b.when("true"), Tell: b.tell("Your account is in order.")},
	}}
	limits := rules.Limits{AtOnce: 8, PerHour: 500, Share: 0.02}
	set := &rules.Set{Rules: []rules.Rule{
		{Name: "close-account", From: []string{"rejected_but_open"}, Mode: rules.Approve, Approvers: 2, Limits: limits, Steps: []rules.Step{b.step("ledger.close", "status", "closed")}},
		{Name: "open-ledger", From: []string{"ledger_missing"}, Mode: rules.Auto, Attempts: 5, Limits: limits, Steps: []rules.Step{b.step("ledger.open", "status", "open")}},
		{Name: "order-card", From: []string{"card_blocked"}, Mode: rules.Auto, Attempts: 5, Limits: limits, Steps: []rules.Step{b.step("cards.order", "status", "ordered")}},
		{Name: "copy-email", From: []string{"email_differs"}, Mode: rules.Auto, Attempts: 5, Limits: limits, Steps: []rules.Step{b.step("billing.set_email", "email", "{email}",
			rules.Argument{Name: "email", Type: amend.String, Value: b.tell("{identity.email}"), Sensitive: true})}},
		{Name: "reissue-card", From: []string{"active"}, To: []string{"card_blocked"}, Mode: rules.Manual, Attempts: 5, Limits: limits, Version: "1",
			About:   "For a customer who reports the card lost. Blocks it; order-card then orders a new one.",
			Confirm: "The customer cannot pay until the new card arrives.", Steps: []rules.Step{b.step("cards.block", "status", "blocked")}},
	}}
	return m, set
}

// hands are a clock that a test moves.
type hands struct {
	mu  sync.Mutex
	now time.Time
}

func (c *hands) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *hands) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// notebook keeps the log.
type notebook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (n *notebook) Write(line []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(line)
}

func (n *notebook) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.String()
}

// services are what every service says, kept in memory.
type services struct {
	schema  *amend.Schema
	machine *states.Machine
	clock   *hands

	mu    sync.Mutex
	views map[string][]amend.Record
	panic bool
}

// Look reads a customer; who was never mentioned is absent everywhere.
func (s *services) Look(_ context.Context, customer string) states.Look {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.panic {
		panic("the reader broke on kim@example.com")
	}
	view := &amend.View{ID: customer}
	for i := range s.schema.Services {
		record := amend.Record{Presence: amend.Absent}
		if said := s.views[customer]; said != nil {
			record = said[i]
		}
		record.ReadAt = s.clock.Now()
		view.Records = append(view.Records, record)
	}
	scope := s.machine.Environment.Scope(view, s.clock.Now())
	return states.Look{View: view, Scope: scope, Verdict: s.machine.Classify(scope)}
}

// Preview renders a plan, with sensitive arguments hidden.
func (s *services) Preview(view *amend.View, plan rules.Plan) ([]rules.Preview, error) {
	var all []rules.Preview
	for _, step := range plan.Steps {
		body := `{"status":"` + step.Operation + `"}`
		if len(step.Sensitive) > 0 {
			body = `{"email":"[hidden]"}`
		}
		all = append(all, rules.Preview{Service: step.Service, Operation: step.Operation, Method: http.MethodPut,
			URL: "http://127.0.0.1:4003/" + step.Service + "/" + url.PathEscape(view.ID), Body: body})
	}
	return all, nil
}

// say makes every service say something of a customer: nil is absent, an error
// is a record that could not be read.
func (s *services) say(customer string, records ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	said := make([]amend.Record, len(s.schema.Services))
	for i := range said {
		switch r := records[i].(type) {
		case nil:
			said[i] = amend.Record{Presence: amend.Absent}
		case error:
			said[i] = amend.Record{Presence: amend.Unseen, Cause: amend.TimedOut, Reason: r.Error()}
		case []amend.Value:
			said[i] = amend.Record{Presence: amend.Present, Values: r}
		}
	}
	s.views[customer] = said
}

func (s *services) breakDown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.panic = true
}

func values(all ...any) []amend.Value {
	var vs []amend.Value
	for _, a := range all {
		v, ok := conditions.Plain(a)
		if !ok {
			panic(fmt.Sprintf("%v is no value", a))
		}
		vs = append(vs, v)
	}
	return vs
}

// inOrder makes a customer of whom everything is as it should be.
func (w *world) inOrder(id string) {
	w.said.say(id, values("approved", "ada@example.com", "DE", nil), values("open", 123456), values("active"), values("active", "ada@example.com"))
}

// visitor is one browser, as far as HTTP goes.
type visitor struct {
	w      *world
	client *http.Client
}

func (w *world) visitor() *visitor {
	jar, err := cookiejar.New(nil)
	require.NoError(w.t, err)
	return &visitor{w, &http.Client{Jar: jar, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// member is a visitor who is logged in.
func (w *world) member() *visitor {
	v := w.visitor()
	link, err := url.Parse(w.server.LoginURL())
	require.NoError(w.t, err)
	got := v.post("/login", url.Values{"token": {link.Query().Get("token")}})
	require.Equal(w.t, http.StatusSeeOther, got.status, got.body)
	return v
}

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

func (v *visitor) do(method, path string, body io.Reader, headers map[string]string) reply {
	v.w.t.Helper()
	q, err := http.NewRequestWithContext(v.w.t.Context(), method, v.w.server.URL()+path, body)
	require.NoError(v.w.t, err)
	for name, value := range headers {
		if name == "Host" {
			q.Host = value
		}
		q.Header.Set(name, value)
	}
	got, err := v.client.Do(q)
	require.NoError(v.w.t, err)
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	require.NoError(v.w.t, err)
	return reply{got.StatusCode, got.Header, string(text)}
}

func (v *visitor) get(path string) reply { return v.do(http.MethodGet, path, nil, nil) }

// post sends a form as a browser does from a page of ours.
func (v *visitor) post(path string, form url.Values) reply {
	return v.do(http.MethodPost, path, strings.NewReader(form.Encode()),
		map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Origin": v.w.server.URL(), "Sec-Fetch-Site": "same-origin"})
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]+)">`)

// form reads what a confirm page would send, but for the reason.
func (v *visitor) form(path string) url.Values {
	v.w.t.Helper()
	got := v.get(path)
	require.Equal(v.w.t, http.StatusOK, got.status)
	form := url.Values{}
	for _, found := range hiddenField.FindAllStringSubmatch(got.body, -1) {
		form.Set(found[1], html.UnescapeString(found[2]))
	}
	require.Len(v.w.t, form, 2)
	return form
}
