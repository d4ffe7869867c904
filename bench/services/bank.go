// Package services plays the five services of a bank to benchmarks, for any
// number of customers: what a customer is follows from their number and the
// seed, so that nothing but the repairs is kept in memory. Answers are put
// together from templates, so that who asks has more to do than who answers.
package services

import "sync"

// The services, in the order of Names.
const (
	identity = iota
	ledger
	cards
	billing
	compliance
	// Count is how many services there are.
	Count
)

// Names are the services' names in bank.yaml.
var Names = [Count]string{"identity", "ledger", "cards", "billing", "compliance"}

// kind is which of the states of bank.yaml a customer is in.
type kind int

const (
	active kind = iota
	closed
	held
	broken // rejected_with_card: blocking the card mends it
	mended // closed
	kinds
)

func (k kind) state() string {
	return [kinds]string{"active", "closed", "held", "rejected_with_card", "closed"}[k]
}

// Load is how many customers there are, and how many are inconsistent.
type Load struct {
	Customers int    `json:"customers"`
	PerMille  int    `json:"per_mille"` // of the customers are inconsistent
	Seed      uint64 `json:"seed"`
}

// random is the same for the same customer.
func (l Load) random(number int) uint64 {
	// splitmix64, by Sebastiano Vigna
	z := l.Seed + uint64(number)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// kind says what a customer is before anybody mends them: one in twenty is
// closed, one in a hundred held.
func (l Load) kind(number int) kind {
	z := l.random(number)
	switch share := int(z >> 32 % 100); {
	case int(uint32(z)%1000) < l.PerMille:
		return broken
	case share < 5:
		return closed
	case share < 6:
		return held
	}
	return active
}

// changed says whether a customer is among the one in a hundred whom a list
// gives that is asked for what changed.
func (l Load) changed(number int) bool {
	l.Seed++
	return l.random(number)%100 == 0
}

// Changed is how many customers have changed.
func (l Load) Changed() (n int) {
	for number := 1; number <= l.Customers; number++ {
		if l.changed(number) {
			n++
		}
	}
	return n
}

// States counts the customers by state, before anybody mends them.
func (l Load) States() map[string]int {
	states := map[string]int{}
	for number := 1; number <= l.Customers; number++ {
		states[l.kind(number).state()]++
	}
	return states
}

// Broken is the state of whoever is inconsistent.
const Broken = "rejected_with_card"

// Counts are what the services were asked for.
type Counts struct {
	Calls   [Count]int64 `json:"calls"`
	Records [Count]int64 `json:"records"` // given
	Bytes   int64        `json:"bytes"`   // of answers
	Mended  int          `json:"mended"`  // customers
	Twice   int          `json:"twice"`   // what was sent for those who were mended already
	Wrong   int          `json:"wrong"`   // what was sent for those who needed nothing
}

// AllCalls is how often the services were called.
func (c Counts) AllCalls() (all int64) {
	for _, calls := range c.Calls {
		all += calls
	}
	return all
}

// bank is what all services share.
type bank struct {
	full, masked *templates

	mu     sync.RWMutex
	load   Load
	mended map[int]bool
	twice  int
	wrong  int
}

func newBank() *bank {
	return &bank{full: makeTemplates(false), masked: makeTemplates(true), mended: map[int]bool{}}
}

func (b *bank) loaded() Load {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.load
}

// append adds a customer's record to an answer; false where there is no such
// customer. The load is passed because a page asks for a thousand of them.
func (b *bank) append(to []byte, l Load, r record) ([]byte, bool) {
	if r.number < 1 || r.number > l.Customers {
		return to, false
	}
	k := l.kind(r.number)
	if k == broken && b.isMended(r.number) {
		k = mended
	}
	all := b.full
	if r.masked {
		all = b.masked
	}
	var number [digits]byte
	for i, n := digits-1, r.number; i >= 0; i, n = i-1, n/10 {
		number[i] = byte('0' + n%10)
	}
	return all[r.service][k][r.number%variants].append(to, number[:]), true
}

// record is one that is asked for.
type record struct {
	service, number int
	masked          bool // the declared fields alone
}

func (b *bank) isMended(number int) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.mended[number]
}

func (b *bank) reset(l Load) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.load, b.mended, b.twice, b.wrong = l, map[int]bool{}, 0, 0
}

// mend blocks a customer's card.
func (b *bank) mend(number int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.load.kind(number) != broken:
		b.wrong++
	case b.mended[number]:
		b.twice++
	default:
		b.mended[number] = true
	}
}
