package bank

import (
	"encoding/json"
	"sync"
	"time"
)

// Entry is one mutation that a service received, whatever became of it.
type Entry struct {
	Seq        int       `json:"seq"` // from 1, in order of receipt, over all services
	Time       time.Time `json:"time"`
	Service    string    `json:"service"`
	Method     string    `json:"method"`
	Path       string    `json:"path"`
	Operation  Operation `json:"operation"`
	Customer   string    `json:"customer"`
	Key        string    `json:"idempotency_key,omitempty"`
	BodySHA256 string    `json:"body_sha256"`

	// Status is what was answered. It is 0 while the request is being worked
	// on, and for ever where the connection was cut before any effect.
	Status int `json:"status"`
	// Before and After are the record in this service around the operation;
	// null where there was none or the operation wasn't reached.
	Before json.RawMessage `json:"before"`
	After  json.RawMessage `json:"after"`
	// Effect: the record was changed.
	Effect bool `json:"effect"`
	// Replayed: the stored answer of an earlier request with the same key.
	Replayed bool `json:"replayed,omitempty"`
	// Lied: it was answered with yes, and nothing was done.
	Lied bool `json:"lied,omitempty"`
	// Lost: the answer was cut off after the operation was done.
	Lost bool `json:"lost,omitempty"`
	// Reissue: a person's block of the card of a customer who is in order.
	Reissue bool `json:"reissue,omitempty"`

	// Wrong says why the precondition was false in truth at receipt; "" means
	// that it was true.
	Wrong string `json:"wrong,omitempty"`
	// DoubleEffect: an effect for a need already served, or for none.
	DoubleEffect bool `json:"double_effect,omitempty"`
	// SecondKey: another key was sent for the same need before.
	SecondKey bool `json:"second_key,omitempty"`
	// OutOfOrder: needed, but the customer's state asks for something else
	// first.
	OutOfOrder bool `json:"out_of_order,omitempty"`
}

// Reads counts the reads that one service received.
type Reads struct {
	Single int `json:"single"`
	Batch  int `json:"batch"`
	List   int `json:"list"`
}

// Journal is the bank's own record of what its services received: each
// mutation one by one, reads only counted, so that memory stays bounded under
// scans. Its methods may be called from any goroutine.
type Journal struct {
	mu         sync.Mutex
	entries    []Entry
	byCustomer map[string][]int // places in entries
	tally      Counts           // all but what is counted from the customers
}

func newJournal() *Journal {
	return &Journal{byCustomer: make(map[string][]int), tally: Counts{Reads: make(map[string]Reads)}}
}

// Entries returns a copy of all entries in order of receipt.
func (j *Journal) Entries() []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]Entry(nil), j.entries...)
}

// Len is the number of entries.
func (j *Journal) Len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.entries)
}

// Of returns a copy of one customer's entries in order of receipt.
func (j *Journal) Of(customer string) []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	entries := make([]Entry, 0, len(j.byCustomer[customer]))
	for _, at := range j.byCustomer[customer] {
		entries = append(entries, j.entries[at])
	}
	return entries
}

// add enters a mutation at receipt and returns its sequence number. What is
// known by then is counted by then, so that a mutation counts as sent even if
// it never ends.
func (j *Journal) add(e Entry) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	e.Seq = len(j.entries) + 1
	j.byCustomer[e.Customer] = append(j.byCustomer[e.Customer], len(j.entries))
	j.entries = append(j.entries, e)
	j.tally.RepairsSent++
	j.tally.WrongSends += one(e.Wrong != "")
	j.tally.SecondKeys += one(e.SecondKey)
	j.tally.OutOfOrder += one(e.OutOfOrder)
	return e.Seq
}

// finish completes an entry with what became of it.
func (j *Journal) finish(seq int, done outcome) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := &j.entries[seq-1]
	e.Status, e.Before, e.After = done.status, done.before, done.after
	e.Effect, e.Replayed, e.Lost = done.changed, done.replayed, done.lost
	e.DoubleEffect, e.Reissue, e.Lied = done.double, done.reissue, done.lied
	j.tally.Effects += one(e.Effect)
	j.tally.Replays += one(e.Replayed)
	j.tally.Lies += one(e.Lied)
	j.tally.DoubleEffects += one(e.DoubleEffect)
	j.tally.Reissues += one(e.Reissue)
}

// countRead counts one read by the kind that count increments.
func (j *Journal) countRead(service string, count func(*Reads)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	reads := j.tally.Reads[service]
	count(&reads)
	j.tally.Reads[service] = reads
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
