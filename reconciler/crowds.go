package reconciler

import (
	"sync"
	"time"

	"amend/rules"
	"amend/store"
)

// crowds remembers for a moment how many customers are in a rule's states, where
// there are many: counting thousands before each of thousands of repairs would
// cost more than the repairs. Few are counted each time.
type crowds struct {
	mu   sync.Mutex
	seen map[string]crowd // by rule
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
)

// load counts what limits and brakes judge.
func (h *heal) load(u *store.Update, rule *rules.Rule) (store.Load, error) {
	known, fresh := h.crowds.find(rule.Name, h.Now())
	from := rule.From
	if fresh {
		from = nil
	}
	load, err := u.Load(rule.Name, shareCause(rule), from, store.Limits{AtOnce: rule.Limits.AtOnce, PerHour: rule.Limits.PerHour})
	if err != nil {
		return load, err
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
