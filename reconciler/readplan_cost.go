package reconciler

import (
	"slices"
	"time"

	"amend/connectors"
)

const (
	// mergedTogether is how many customers are classified together where all
	// records come from lists: what is done once for a batch costs little for each
	// of them, and their records still fit into a processor's cache.
	mergedTogether = 500
	// askedTogether is the same where a service has to be asked for them: answers
	// that come at the same time take memory.
	askedTogether = 100
	// mostTogether bounds it where batches are larger than that.
	mostTogether = 1000

	// allowedUnlessSaid is how many calls connectors.Guard has in flight where a
	// service doesn't say.
	allowedUnlessSaid = 8

	// What services are compared by where nobody knows better: how long a call
	// takes, how many customers a page has, and how many there are.
	guessedAnswer    = 50 * time.Millisecond
	guessedPage      = 100
	guessedCustomers = 1_000_000
)

// estimate fills in how many customers are read together, what it costs, and
// which service bounds it.
func (p *ReadPlan) estimate(offers []offer) {
	p.Together = together(p.Readings, offers)
	longest := time.Duration(-1)
	for i := range p.Readings {
		r, o := &p.Readings[i], &offers[i]
		r.limits(o, p.Together)
		r.Calls = p.calls(r, o, p.Customers)
		r.AtLeast = atRate(r.Calls, o.can.PerSecond)
		r.Hours = inHours(r.Calls, o.can.PerHour)
		p.Part = r.part(p.Part, o.can.PerHour)
		if took := p.guess(*r, o); took > longest {
			longest, p.Slowest = took, i
		}
	}
}

// limits says what one call gives and how many are in flight. The pages of a
// list come one after another, since each names the next.
func (r *Reading) limits(o *offer, together int) {
	allowed := o.can.AtOnce
	if allowed == 0 {
		allowed = allowedUnlessSaid
	}
	switch r.Way {
	case ByList, ByWholeList:
		r.PerCall, r.AtOnce = o.page, 1
	case ByBatch:
		r.PerCall, r.AtOnce = o.can.Many, min(surveyLanes*parts(together, o.can.Many), allowed)
	case BySingle:
		r.PerCall, r.AtOnce = 1, allowed
	}
}

// partOfHour is into how many parts of a scan an hour's calls are cut, at least:
// one that a crash or a deployment interrupts is looked at anew, and must come to
// its end before the next.
const partOfHour = 2

// part makes the parts of a scan small enough for a service that is asked for
// customers and allows so many calls in an hour.
func (r *Reading) part(size, perHour int) int {
	if size == 0 || perHour == 0 || r.Way.listed() {
		return size
	}
	return min(size, max(1, r.PerCall*connectors.Scanning.Part(perHour)/partOfHour))
}

// calls is how many calls so many customers need at most; 0 where nobody knows.
func (p *ReadPlan) calls(r *Reading, o *offer, customers int) int {
	switch {
	case r.Way.listed() && o.whole:
		return 1
	case r.PerCall == 0:
		return 0
	case r.Way == ByBatch:
		return customers/p.Together*parts(p.Together, r.PerCall) + parts(customers%p.Together, r.PerCall)
	}
	return parts(customers, r.PerCall)
}

// guess is how long a service takes, in comparison with the others.
func (p *ReadPlan) guess(r Reading, o *offer) time.Duration {
	customers := p.Customers
	if customers == 0 {
		customers = guessedCustomers
	}
	if r.PerCall == 0 {
		r.PerCall = guessedPage
	}
	calls := p.calls(&r, o, customers)
	took := max(atRate(calls, o.can.PerSecond), time.Duration(parts(calls, r.AtOnce))*guessedAnswer)
	if hours := inHours(calls, o.can.PerHour); hours > 1 { // what fits into an hour needn't wait
		took = max(took, time.Duration(hours*float64(time.Hour)))
	}
	return took
}

// inHours is how many hours' calls, as far as scans may use them, so many are.
func inHours(calls, perHour int) float64 {
	if perHour <= 0 {
		return 0
	}
	return float64(calls) / float64(connectors.Scanning.Part(perHour))
}

// atRate is how long calls take at a rate. The first needn't wait.
func atRate(calls int, perSecond float64) time.Duration {
	if perSecond <= 0 || calls == 0 {
		return 0
	}
	return time.Duration(float64(calls-1) / perSecond * float64(time.Second))
}

// parts is into how many parts of a size something is cut.
func parts(n, size int) int { return (n + size - 1) / size }

// together is how many customers are read together.
func together(readings []Reading, offers []offer) int {
	most := mergedTogether
	var sizes []int
	for i := range readings {
		switch readings[i].Way {
		case ByBatch:
			most, sizes = askedTogether, append(sizes, offers[i].can.Many)
		case BySingle:
			most = askedTogether
		case ByList, ByWholeList:
		}
	}
	if len(sizes) > 0 {
		return fewestCalls(sizes, min(max(most, slices.Max(sizes)), mostTogether))
	}
	return most
}

// fewestCalls is the largest number of customers for whom batches of some sizes
// take the fewest calls for each of them.
func fewestCalls(sizes []int, most int) int {
	best, fewest := 0, 0.0
	for n := most; n > most/2; n-- {
		calls := 0
		for _, size := range sizes {
			calls += parts(n, size)
		}
		if each := float64(calls) / float64(n); best == 0 || each < fewest {
			best, fewest = n, each
		}
	}
	return best
}
