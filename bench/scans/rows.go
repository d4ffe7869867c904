package main

import "amend/bench/services"

// row is one line of the table: who looks in which way at how many customers.
type row struct {
	name     string
	by       string // hand, amend, or a peer's folder
	way      string
	singly   bool // asks for customers one by one, so for fewer of them
	perMille int  // of the customers are inconsistent
	repairs  bool // whoever is inconsistent is repaired
	goals    []goal
	large    bool    // looks at ten times as many customers
	calls    float64 // a customer at most; 0 for no goal
	waits    waits
}

// waits are the most that half of all, and 99 in a hundred, wait: in ms, 0 for
// no goal.
type waits struct{ p50, p99 float64 }

// goal is a bound on a row's ratios to another row.
type goal struct {
	against    string
	cpu        float64 // at most
	throughput float64 // at least; 0 for no goal
}

// The rows that others are measured against.
const (
	handMerged  = "hand, merged"
	amendMerged = "amend, merged"
	handMasked  = "hand, merged, masked"
	handBatches = "hand, batches"
	handSingly  = "hand, single GETs"
	controller  = "controller-runtime, single GETs"
	riverJobs   = "River, a job per customer"
)

// rows are in the order of performance.md.
var rows = []row{
	{name: handMerged, by: "hand", way: merged},
	{name: "hand, merged, again (A/A)", by: "hand", way: merged, goals: []goal{{against: handMerged}}},
	{name: amendMerged, by: "amend", way: merged, calls: 0.0052, goals: []goal{{handMerged, 1.20, 0.9}}},
	{name: handMasked, by: "hand", way: masked},
	{name: "amend, merged, masked", by: "amend", way: masked, calls: 0.0052, goals: []goal{{handMasked, 1.5, 0}}},
	{name: handBatches, by: "hand", way: batches},
	{name: "amend, batches", by: "amend", way: batches, calls: 0.052, goals: []goal{{handBatches, 1.15, 0}}},
	{name: handSingly, by: "hand", way: singly, singly: true},
	{name: "amend, single GETs", by: "amend", way: singly, singly: true, calls: 5.01, goals: []goal{{handSingly, 1.10, 0.9}}},
	{name: "amend, what changed, 1 %", by: "amend", way: fresh, goals: []goal{{amendMerged, 0.03, 0}}},
	{name: "amend, merged, while people look at pages", by: "amend", way: visited, large: true, waits: waits{5, 25}},

	{name: "one after another, a script", by: "script", way: "sequential", singly: true, perMille: 30, repairs: true},
	{name: "32 goroutines", by: "script", way: "goroutines", singly: true, perMille: 30, repairs: true},
	{name: controller, by: "workqueue", singly: true, perMille: 30, repairs: true},
	{name: riverJobs, by: "river", singly: true, perMille: 30, repairs: true},
	{name: "amend, single GETs, 3 % repaired", by: "amend", way: singly, singly: true, perMille: 30, repairs: true,
		waits: waits{10, 40}, goals: []goal{{controller, 0.7, 0}, {riverJobs, 0.4, 0}}},
	{name: "amend, merged, 3 % repaired", by: "amend", way: merged, perMille: 30, repairs: true, goals: []goal{{controller, 1.0 / 15, 0}}},
	{name: "amend, merged, 100 % repaired", by: "amend", way: merged, singly: true, perMille: 1000, repairs: true},
}

// load is what the services play for a row.
func (r row) load(o options) services.Load {
	l := services.Load{Customers: o.customers, PerMille: r.perMille, Seed: o.seed}
	if r.singly {
		l.Customers = o.singles
	}
	if r.large {
		l.Customers *= 10
	}
	return l
}
