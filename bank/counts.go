package bank

import "maps"

// Counts is the bank's own verdict: how its customers are, and what it was
// asked to do.
type Counts struct {
	// Customers are known to at least one service; the sentinel cus_000001 is
	// among them.
	Customers    int `json:"customers"`
	Coherent     int `json:"coherent"`
	Inconsistent int `json:"inconsistent"`

	// RepairsSent counts the mutations received, resends included; Effects
	// those that changed a record.
	RepairsSent int `json:"repairs_sent"`
	Effects     int `json:"effects"`
	// DoubleEffects counts effects beyond the one that a need asks for.
	DoubleEffects int `json:"double_effects"`
	// WrongSends counts mutations whose precondition was false in truth when
	// they were received, whether or not they had an effect. Resends that are
	// replayed are not among them.
	WrongSends int `json:"wrong_sends"`
	// SecondKeys counts idempotency keys beyond the first for one need.
	SecondKeys int `json:"second_keys"`
	// OutOfOrder counts mutations that were needed, but not yet: bank.yaml's
	// states ask for another one first. They are not wrong sends.
	OutOfOrder int `json:"out_of_order"`
	// EffectsPerNeed and KeysPerNeed are the most that any one need has seen.
	EffectsPerNeed int `json:"effects_per_need"`
	KeysPerNeed    int `json:"keys_per_need"`
	// Replays counts stored answers given again.
	Replays int `json:"replays"`
	// Lies counts operations answered with yes that nobody did.
	Lies int `json:"lies"`
	// Reissues counts cards blocked for customers who are in order, which is
	// what a person wants who reports a card lost.
	Reissues int `json:"reissues"`

	// Reads counts reads received, by service.
	Reads map[string]Reads `json:"reads"`
}

// Count looks at all customers and adds up the journal.
func (b *Bank) Count() Counts {
	b.world.mu.RLock()
	defer b.world.mu.RUnlock()
	counts := b.journal.counts()
	counts.EffectsPerNeed, counts.KeysPerNeed = b.world.mostEffects, b.world.mostKeys
	now := b.world.now()
	for _, c := range b.world.order {
		state := c.state(now)
		if state == "" {
			continue
		}
		counts.Customers++
		if isCoherent(state) {
			counts.Coherent++
		}
	}
	counts.Inconsistent = counts.Customers - counts.Coherent
	return counts
}

func (j *Journal) counts() Counts {
	j.mu.Lock()
	defer j.mu.Unlock()
	counts := j.tally
	counts.Reads = maps.Clone(counts.Reads)
	return counts
}
