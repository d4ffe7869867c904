package reconciler

import (
	"context"
	"slices"
	"sync"
	"time"

	"amend/rules"
	"amend/store"
)

// crowds remembers for a moment how many customers are in a rule's states, where
// there are many: counting thousands before each of thousands of repairs would
// cost more than the repairs. Few are counted each time.
type crowds struct {
	mu    sync.Mutex
	seen  map[string]crowd // by rule
	old   map[string]bool  // versions of rules that aren't new any more, which they never become again
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
	crowdSize = 500
	// weekFor is how long it is believed what the scans of a week have found.
	weekFor = time.Minute
)

// load counts what limits and brakes judge.
func (h *heal) load(u *store.Update, rule *rules.Rule) (store.Load, error) {
	known, fresh := h.crowds.find(rule.Name, h.Now())
	q := store.Question{Rule: rule.Name, Version: rule.Version, States: rule.From, Canary: rules.CanarySize, AtOnce: rule.Limits.AtOnce, PerHour: rule.Limits.PerHour}
	if fresh {
		q.States = nil
	}
	if h.crowds.grown(rule) {
		q.Canary = 0
	}
	load, err := u.Load(q)
	if err != nil {
		return load, err
	}
	if q.Canary == 0 {
		load.Proved = rules.CanarySize
	} else if load.Proved >= q.Canary {
		h.crowds.grow(rule)
	}
	if fresh {
		load.InStates = known.size
	} else {
		h.crowds.keep(rule.Name, crowd{load.InStates, h.Now()})
	}
	return load, nil
}

func (c *crowds) find(rule string, now time.Time) (known crowd, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, some := c.seen[rule]
	age := now.Sub(known.at)
	return known, some && age >= 0 && age < crowdFor
}

func (c *crowds) keep(rule string, k crowd) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k.size < crowdSize {
		delete(c.seen, rule)
		return
	}
	if c.seen == nil {
		c.seen = map[string]crowd{}
	}
	c.seen[rule] = k
}

func (c *crowds) grown(rule *rules.Rule) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.old[rule.Version]
}

func (c *crowds) grow(rule *rules.Rule) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.old == nil {
		c.old = map[string]bool{}
	}
	c.old[rule.Version] = true
}

// remember reads what the full scans of the last week have found, unless that
// is known.
func (e *Engine) remember(ctx context.Context) error {
	c, now := &e.crowds, e.Now()
	c.mu.Lock()
	age := now.Sub(c.weeks.at)
	c.mu.Unlock()
	if age >= 0 && age < weekFor {
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
