package rehearsal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver named "sqlite"

	"amend/connectors"
)

// checker holds a run against its promises, after every move.
type checker struct {
	*run
	db         *sql.DB
	asked      map[string]*sql.Stmt // by text
	version    string               // of the file: it changes with every commit of somebody else
	cases      map[string]caseRow
	steps      map[string]stepRow // by repair and number
	arrived    int                // arrivals that were judged
	received   map[string]int     // by request
	judged     int                // entries of the bank's journal
	doubled    map[int]bool       // of them, by number: effects that were one too many
	recovering bool               // a new worker takes over what the dead one held
	jumped     bool               // the clock did
	over       bool
}

// caseRow is a case as the store holds it; times are microseconds.
type caseRow struct {
	id, customer, status, reason string
	fence, leaseUntil, endedAt   int64
}

// stepRow is a step as the store holds it.
type stepRow struct {
	customer, rule, service, operation, request string
	sent                                        int
}

func newChecker(r *run) (*checker, error) {
	q := url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(0)", "query_only(1)"}}
	db, err := sql.Open("sqlite", "file:"+r.file+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("open the store to check it: %w", err)
	}
	db.SetMaxOpenConns(1)
	return &checker{run: r, db: db, asked: map[string]*sql.Stmt{}, cases: map[string]caseRow{}, steps: map[string]stepRow{}, received: map[string]int{}, doubled: map[int]bool{}}, nil
}

func (c *checker) close() error { return c.db.Close() }

// each asks the store and visits the rows. What is asked after every move is
// parsed once.
func (c *checker) each(query string, visit func(*sql.Rows) error) (err error) {
	ctx := context.Background()
	if c.asked[query] == nil {
		if c.asked[query], err = c.db.PrepareContext(ctx, query); err != nil { //nolint:sqlclosecheck // closing the database closes it
			return err
		}
	}
	rows, err := c.asked[query].QueryContext(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := visit(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// texts are what a query of one column gives.
func (c *checker) texts(query string) (all []string, err error) {
	err = c.each(query, func(rows *sql.Rows) error {
		var text string
		err := rows.Scan(&text)
		all = append(all, text)
		return err
	})
	return all, err
}

// check judges what has happened since the last time.
func (c *checker) check() error {
	version, err := c.texts(`pragma data_version`)
	if err != nil {
		return fmt.Errorf("look whether the store has changed: %w", err)
	}
	if version[0] != c.version {
		c.version = version[0]
		if err := c.checkStore(); err != nil {
			return err
		}
	}
	c.checkArrivals()
	c.checkJournal()
	return nil
}

func (c *checker) checkStore() error {
	if err := c.checkSteps(); err != nil {
		return err
	}
	if err := c.checkCases(); err != nil {
		return err
	}
	for _, s := range standing {
		found, err := c.texts(s.query)
		if err != nil {
			return fmt.Errorf("check that %s: %w", s.promise, err)
		}
		if len(found) > 0 {
			c.broken(s.promise, "%s", strings.Join(found, "; "))
		}
	}
	return nil
}

// checkCases follows leases, fences and ends.
func (c *checker) checkCases() error {
	err := c.each(`select id, customer, status, reason, fence, lease_until, ended_at from cases order by id`, func(rows *sql.Rows) error {
		var row caseRow
		if err := rows.Scan(&row.id, &row.customer, &row.status, &row.reason, &row.fence, &row.leaseUntil, &row.endedAt); err != nil {
			return err
		}
		if before := c.cases[row.id]; row != before {
			c.cases[row.id] = row
			c.checkCase(before, row)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read cases: %w", err)
	}
	c.recovering = c.recovering && !c.taken()
	return nil
}

func (c *checker) checkCase(before, row caseRow) {
	c.line("case of %s, who is %s in truth, is %s (%s), fence %d", row.customer, c.bank.Truth(row.customer), row.status, row.reason, row.fence)
	now := c.clock.now().UnixMicro()
	switch {
	case row.fence < before.fence:
		c.broken(StaleWrites, "%s had fence %d and has %d", row.customer, before.fence, row.fence)
	case row.fence > before.fence && before.leaseUntil > now && !c.recovering:
		c.broken(OneHolder, "%s was taken %s before the lease ended", row.customer, time.Duration(before.leaseUntil-now)*time.Microsecond)
	}
	if row.status == "healed" && before.status != "healed" {
		c.checkHealed(row)
	}
}

// taken reports whether nothing is held that a dead worker has left: the new
// one has taken over, and the first lease after that is its own.
func (c *checker) taken() bool {
	for _, row := range c.cases {
		if row.leaseUntil > 0 && row.endedAt == 0 {
			return false
		}
	}
	return true
}

// checkHealed asks the bank whether the customer was in order at a moment that
// the last reading can have shown.
func (c *checker) checkHealed(row caseRow) {
	if c.byTheClock(row.customer) {
		return
	}
	since := c.wire.readSince(row.customer)
	if !c.bank.CoherentWithin(row.customer, since, time.Now()) {
		c.broken(HealedIsRead, "%s is said to be healed and has been %s since %s", row.customer, c.bank.Truth(row.customer), since.Sub(c.began))
	}
}

// byTheClock reports whether it depends on the clock whether the customer is in
// order, and the clock was changed.
func (c *checker) byTheClock(customer string) bool {
	return c.jumped && strings.HasPrefix(c.bank.Truth(customer), "signing_up")
}

// checkSteps follows what is about to be sent.
func (c *checker) checkSteps() error {
	const query = `select s.repair || '/' || s.number, r.customer, r.rule, s.service, s.operation, s.request, s.sent
		from steps s join repairs r on r.id = s.repair order by s.repair, s.number`
	err := c.each(query, func(rows *sql.Rows) error {
		var row stepRow
		var id, request string
		err := rows.Scan(&id, &row.customer, &row.rule, &row.service, &row.operation, &request, &row.sent)
		if err != nil {
			return err
		}
		before := c.steps[id]
		if row.request = before.request; row.request == "" {
			if row.request, err = wireForm(request); err != nil {
				return err
			}
		}
		c.steps[id] = row
		if row.sent != before.sent {
			c.checkSend(row)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read steps: %w", err)
	}
	return nil
}

func (c *checker) checkSend(row stepRow) {
	c.line("intent: %s.%s for %s, sending %d", row.service, row.operation, row.customer, row.sent)
	for _, p := range c.pauses {
		if p.covers(row) {
			c.broken(PausedMeansNow, "%s.%s is sent for %s while %s %s is paused", row.service, row.operation, row.customer, p.scope, p.target)
		}
	}
}

// wireForm is how a stored request looks when it arrives.
func wireForm(stored string) (string, error) {
	var request connectors.Request
	if err := json.Unmarshal([]byte(stored), &request); err != nil {
		return "", fmt.Errorf("read a stored request: %w", err)
	}
	return requestID(request.Method, request.URL, request.Header["Idempotency-Key"], request.Body), nil
}

// covers reports whether a pause holds a step back.
func (p pausing) covers(s stepRow) bool {
	switch p.scope {
	case "all":
		return true
	case "service":
		return p.target == s.service
	case "rule":
		return p.target == s.rule
	}
	return p.target == s.customer
}

// restless lists who is neither in order nor with people, and what people weren't
// told.
func (c *checker) restless() (all []string, err error) {
	with := map[string]bool{}
	for _, row := range c.cases {
		if row.endedAt != 0 {
			continue
		}
		with[row.customer] = row.status == "escalated" || row.status == "proposed"
		if !with[row.customer] {
			all = append(all, fmt.Sprintf("%s (%s): the case is %s (%s)", row.customer, c.bank.Truth(row.customer), row.status, row.reason))
		}
	}
	for _, customer := range c.customers() {
		if _, has := with[customer]; !has && !c.bank.Coherent(customer) && !c.byTheClock(customer) {
			all = append(all, fmt.Sprintf("%s (%s): no case", customer, c.bank.Truth(customer)))
		}
	}
	untold, err := c.untold()
	all = append(all, untold...)
	slices.Sort(all)
	return all, err
}

// customers are all but the sentinel, in order.
func (r *run) customers() []string {
	all := slices.Sorted(maps.Keys(r.bank.Planted()))
	return slices.DeleteFunc(all, func(id string) bool { return id == "cus_000001" })
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
