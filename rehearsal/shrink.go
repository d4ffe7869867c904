package rehearsal

import "slices"

// Shrink drops events of a plan that fails, one after another, while it still
// does, and gives the places of those that are left. What fails says whether a
// plan still fails; where it takes too long to find out it may say no.
func Shrink(plan Plan, fails func(Plan) bool) []int {
	kept := make([]int, len(plan.Events))
	for i := range kept {
		kept[i] = i
	}
	// Large parts first: most events have nothing to do with a failure.
	for size := len(kept) / 2; size > 0; size /= 2 {
		for at := 0; at < len(kept); {
			fewer := slices.Delete(slices.Clone(kept), at, min(at+size, len(kept)))
			if fails(plan.Keep(fewer)) {
				kept = fewer
			} else {
				at += size
			}
		}
	}
	return kept
}

// Keep is the plan with some of its events.
func (p Plan) Keep(places []int) Plan {
	all := p.Events
	p.Events = nil
	for _, at := range places {
		if at >= 0 && at < len(all) {
			p.Events = append(p.Events, all[at])
		}
	}
	return p
}
