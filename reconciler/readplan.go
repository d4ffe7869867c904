package reconciler

import (
	"fmt"
	"slices"
	"time"

	"amend/connectors"
)

// Way is how a service is read.
type Way string

// The ways of reading.
const (
	ByList      Way = "list"         // page by page, merged with other lists as a stream
	ByWholeList Way = "whole list"   // to its end, and sorted, before anybody is looked at
	ByBatch     Way = "batches"      // several customers a call
	BySingle    Way = "single reads" // a call for each customer
)

// listed reports whether the records come from the service's list.
func (w Way) listed() bool { return w == ByList || w == ByWholeList }

// ReadPlan is how customers are read, service by service, and why.
type ReadPlan struct {
	Readings  []Reading // by Schema.Services index
	Customers int       // how many there may be; 0 where nobody knows
	Together  int       // customers who are read and classified together
	Part      int       // customers of a part of a scan; 0: all are one part
	Slowest   int       // the service that bounds it, by Readings index
}

// Reading is how one service is read, and why.
type Reading struct {
	Service string
	Source  bool // its list says which customers there are
	Way     Way
	Why     string
	Instead Way           // how it is read where its list can't be merged; empty where it isn't
	Asks    bool          // whoever a list or a batch has no record of is asked for singly where it matters
	PerCall int           // customers that a call gives at most; 0 where nobody knows
	Calls   int           // that are expected, beside those that ask again; 0 where nobody knows
	AtOnce  int           // calls in flight
	AtLeast time.Duration // that its rate limit makes of the calls; 0 where it has none
	Hours   float64       // of what scans may use of its calls in an hour; 0 where it has no such limit
	Problem string        // why its list can't be read now; empty where it can, and where nobody asked
}

// offer is what is known of a service before it is read.
type offer struct {
	name   string
	can    connectors.Abilities
	source bool
	doubt  string // why its list can't be merged, as a sentence; empty where it can
	page   int    // customers on a page of its list; 0 where nobody knows
	whole  bool   // that page is all of the list
}

// How many customers a part of a scan has, by the dearest way in which a service
// is read: enough that it costs little to read the pages that every list has
// begun at its end, and the one after it, once more for the next part; few enough
// that several workers have something to do, and that little is lost in a crash.
const (
	partOfLists   = 100_000
	partOfBatches = 20_000
	partOfSingles = 5_000
)

// readPlan chooses how everybody is read. A list gives most for a call; one that
// can't be merged is left aside for batches or single reads, since to sort it
// first takes memory in its length.
func readPlan(offers []offer, customers int) ReadPlan {
	plan := ReadPlan{Customers: customers, Part: partOfLists}
	for _, o := range offers {
		way, why := o.way()
		r := Reading{Service: o.name, Source: o.source, Way: way, Why: why, Asks: o.can.One && way != BySingle}
		switch way {
		case ByList:
			o.doubt = "its list can't be merged"
			r.Instead, _ = o.way()
		case ByWholeList:
			plan.Part = 0
		case ByBatch:
			plan.Part = min(plan.Part, partOfBatches)
		case BySingle:
			plan.Part = min(plan.Part, partOfSingles)
		}
		plan.Readings = append(plan.Readings, r)
	}
	plan.estimate(offers)
	return plan
}

// readPlanOfGiven chooses how given customers are read: a list gives everybody.
func readPlanOfGiven(offers []offer, customers int) ReadPlan {
	plan := ReadPlan{Customers: customers}
	for _, o := range offers {
		way, why := o.asked()
		plan.Readings = append(plan.Readings, Reading{Service: o.name, Source: o.source, Way: way, Why: why, Asks: o.can.One && way != BySingle})
	}
	plan.estimate(offers)
	return plan
}

// way chooses how everybody is read, with a sentence that says why.
func (o *offer) way() (Way, string) {
	other, why := o.asked()
	switch {
	case !o.can.List:
		return other, "it has no list; " + why
	case o.doubt == "" && o.source:
		return ByList, "a page of its list gives most for a call, and says which customers there are"
	case o.doubt == "":
		return ByList, "a page of its list gives most for a call"
	case o.source:
		return ByWholeList, o.doubt + "; it has to be read all the same, since it says which customers there are"
	case o.can.Many == 0 && !o.can.One:
		return ByWholeList, o.doubt + "; it offers nothing else"
	}
	return other, o.doubt + "; " + why
}

// asked chooses how given customers are read, with a sentence that says why.
func (o *offer) asked() (Way, string) {
	switch {
	case o.can.Many > 0:
		return ByBatch, fmt.Sprintf("a batch gives %d for a call", o.can.Many)
	case o.can.One:
		return BySingle, "it gives one customer for a call"
	}
	return BySingle, "it can't be asked for a customer, who is unseen then"
}

// offers are what the services offer. Those whose lists can't be merged are given
// by name, with why.
func (e *Engine) offers(doubts map[string]string) []offer {
	all := make([]offer, len(e.Connectors))
	for i, c := range e.Connectors {
		name := e.Schema.Services[i].Name
		all[i] = offer{name: name, can: c.Can(), source: slices.Contains(e.Source, i), doubt: doubts[name]}
	}
	return all
}
