package reconciler

import (
	"context"
	"slices"
	"sync"
	"time"

	"amend/rules"
	"amend/store"
)

// crowds remembers for a moment how many customers are in a rule's states, and
// how many repairs it has begun in an hour, where there are many: counting
// thousands before each of thousands of repairs would cost more than the
// repairs. Few are counted each time.
type crowds struct {
	mu    sync.Mutex
	seen  map[string]crowd      // by rule
	hours map[string]store.Hour // by rule
	old   map[string]bool       // versions of rules that aren't new any more, which they never become again
	pass  map[string]time.Time  // versions of rules: when it was asked whether a full scan has ended; zero: one has
	weeks week
}

// week is what full scans found within the last one.
type week struct {
	scans []map[string]int // customers by state
	at    time.Time
}

type crowd struct {
	size int
	at   time.Time
}

const (
	// crowdFor is how long a count is believed.
	crowdFor = time.Second
	// crowdSize is from when on one is worth it. It lies far above the number of
	// customers whom a brake always lets pass.
	crowdSize = 100
	// perBegun is how long it is believed how many repairs an hour has seen, for
	// each of them: what takes longer to count is counted more seldom.
	perBegun = 10 * time.Microsecond
	// weekFor is how long it is believed what the scans of a week have found.
	weekFor = time.Minute
)

// load counts what limits and brakes judge.
func (h *heal) load(u *store.Update, rule *rules.Rule) (store.Load, error) {
	now := h.Now()
	q := h.crowds.question(rule, now)
	load, err := u.Load(q)
	if err == nil {
		h.crowds.learn(rule, q, &load, now)
	}
	return load, err
}

// facts asks the store all that the guards of a rule want to know.
func (h *heal) facts(u *store.Update, rule *rules.Rule) (store.Facts, error) {
	now := h.Now()
	q := h.crowds.question(rule, now)
	q.Calls = h.calls(rule)
	facts, err := u.Facts(q)
	if err == nil {
		h.crowds.learn(rule, q, &facts.Load, now)
	}
	return facts, err
}

// question leaves out what is known.
func (c *crowds) question(rule *rules.Rule, now time.Time) store.Question {
	q := store.Question{Rule: rule.Name, Was: rule.Was, Version: rule.Version, States: rule.From, Canary: rules.CanarySize, AtOnce: rule.Limits.AtOnce, PerHour: rule.Limits.PerHour}
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, some := c.seen[rule.Name]; some && fresh(known.at, now, crowdFor) {
		q.States, q.InStates = nil, known.size
	}
	if known, some := c.hours[rule.Name]; some && fresh(known.At, now, min(crowdFor, time.Duration(known.Begun)*perBegun)) {
		q.Hour = known
	}
	if c.old[rule.Version] {
		q.Canary = 0
	}
	return q
}

// fresh reports whether what is known since a time isn't older than so long. What
// comes from the future, after a clock was put back, is not.
func fresh(at, now time.Time, long time.Duration) bool {
	age := now.Sub(at)
	return age >= 0 && age < long
}

// learn remembers what was asked, and fills in what was not.
func (c *crowds) learn(rule *rules.Rule, q store.Question, l *store.Load, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if q.States != nil {
		keep(&c.seen, rule.Name, crowd{l.InStates, now}, l.InStates)
	}
	if q.Hour.At.IsZero() {
		keep(&c.hours, rule.Name, store.Hour{Begun: l.LastHour, At: now}, l.LastHour)
	}
	if q.Canary == 0 {
		l.Proved = rules.CanarySize
	} else if l.Proved >= q.Canary {
		if c.old == nil {
			c.old = map[string]bool{}
		}
		c.old[rule.Version] = true
	}
}

// keep remembers what was counted, where it was much.
func keep[T any](all *map[string]T, rule string, counted T, n int) {
	if n < crowdSize {
		delete(*all, rule)
		return
	}
	if *all == nil {
		*all = map[string]T{}
	}
	(*all)[rule] = counted
}

// passed reports whether a full scan has ended that began with the rule as it is.
func (e *Engine) passed(ctx context.Context, rule *rules.Rule) (bool, error) {
	c, now := &e.crowds, e.Now()
	c.mu.Lock()
	asked, known := c.pass[rule.Version]
	c.mu.Unlock()
	if known && (asked.IsZero() || fresh(asked, now, crowdFor)) {
		return asked.IsZero(), nil
	}
	passed, err := e.Store.Passed(ctx, rule.Name, rule.Version)
	if err != nil {
		return false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pass == nil {
		c.pass = map[string]time.Time{}
	}
	if c.pass[rule.Version] = now; passed {
		c.pass[rule.Version] = time.Time{}
	}
	return passed, nil
}

func (c *crowds) grown(rule *rules.Rule) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.old[rule.Version]
}

// remember reads what the full scans of the last week have found, unless that
// is known.
func (e *Engine) remember(ctx context.Context) error {
	c, now := &e.crowds, e.Now()
	c.mu.Lock()
	known := fresh(c.weeks.at, now, weekFor)
	c.mu.Unlock()
	if known {
		return nil
	}
	scans, err := e.Store.StatesSince(ctx, now.Add(-7*24*time.Hour))
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.weeks = week{scans, now}
	return nil
}

// usualOf is how many full scans it takes to say what is usual.
const usualOf = 3

// usual is the median of how many customers were in a rule's states; 0 where
// too few scans can say so. The newest scan is left out: what it has found is
// what is held against that.
func (c *crowds) usual(rule *rules.Rule) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.weeks.scans) <= usualOf {
		return 0
	}
	before := c.weeks.scans[:len(c.weeks.scans)-1]
	sizes := make([]int, 0, len(before))
	for _, counts := range before {
		size := 0
		for _, state := range rule.From {
			size += counts[state]
		}
		sizes = append(sizes, size)
	}
	slices.Sort(sizes)
	return sizes[(len(sizes)-1)/2]
}
