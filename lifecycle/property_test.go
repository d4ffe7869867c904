package lifecycle_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"amend"
	"amend/lifecycle"
)

var statuses = []lifecycle.Status{lifecycle.Watching, lifecycle.Proposed, lifecycle.Healing, lifecycle.Waiting, lifecycle.Escalated, lifecycle.Healed, lifecycle.Closed}

var events = []lifecycle.Event{lifecycle.Start, lifecycle.Propose, lifecycle.Agree, lifecycle.Withdraw, lifecycle.Wait, lifecycle.Look, lifecycle.Resume,
	lifecycle.Advance, lifecycle.Escalate, lifecycle.TakeOver, lifecycle.Reconsider, lifecycle.Heal, lifecycle.Close}

// documented is the table of the architecture, row by row: who is where, what
// happens, and what becomes of them. What isn't here can't happen.
const documented = `
	watching  start healing     watching propose proposed   watching escalate escalated
	proposed  agree healing     proposed escalate escalated proposed withdraw watching
	healing   advance watching
	watching  wait waiting      healing wait waiting
	watching  escalate escalated healing escalate escalated
	waiting   look watching     waiting resume healing
	escalated take_over healing escalated close closed      escalated reconsider watching  escalated propose proposed
	watching  heal healed       proposed heal healed        healing heal healed  waiting heal healed  escalated heal healed
	watching  close closed      proposed close closed       healing close closed waiting close closed
`

// The table moves a case where the architecture says, and nowhere else.
func TestTableIsTheDocumentedOne(t *testing.T) {
	t.Parallel()
	want := map[[2]string]string{}
	words := strings.Fields(documented)
	for i := 0; i < len(words); i += 3 {
		want[[2]string{words[i], words[i+1]}] = words[i+2]
	}
	for _, from := range statuses {
		for _, event := range events {
			to, err := lifecycle.Fire(from, event)
			expected, allowed := want[[2]string{string(from), string(event)}]
			require.Equal(t, allowed, err == nil, "%s %s", from, event)
			if allowed {
				require.Equal(t, expected, string(to), "%s %s", from, event)
			}
		}
	}
}

// I14: whatever happens to a case, in whatever order, it is in one of the
// statuses, what can't happen changes nothing, what has ended stays ended, and
// from everywhere else amend alone can bring it to an end, and to a person.
func TestEverySequenceCanEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := lifecycle.Watching
		for _, event := range rapid.SliceOfN(rapid.SampledFrom(events), 0, 60).Draw(t, "events") {
			to, err := lifecycle.Fire(at, event)
			switch {
			case err != nil && (to != at || amend.CodeOf(err) != amend.Conflict):
				t.Fatalf("%s %s is refused with %v, and leads to %s", at, event, err, to)
			case err == nil && !at.Open():
				t.Fatalf("%s has ended, and %s leads to %s", at, event, to)
			case err == nil && to == at:
				t.Fatalf("%s %s changes nothing, and would be written for ever", at, event)
			case !slices.Contains(statuses, to):
				t.Fatalf("%s %s leads to %q", at, event, to)
			}
			at = to
		}
		for _, end := range []lifecycle.Event{lifecycle.Heal, lifecycle.Close} {
			if to, err := lifecycle.Fire(at, end); at.Open() && (err != nil || to.Open()) {
				t.Fatalf("%s has no end by %s: %v", at, end, err)
			}
		}
		if at.Open() && !reaches(at, lifecycle.Escalated) {
			t.Fatalf("nobody is ever told of a case that is %s", at)
		}
	})
}

// reaches looks for a way without a person: neither a start by hand, nor an
// agreement, nor an answer.
func reaches(from, to lifecycle.Status) bool {
	known := []lifecycle.Status{from}
	for i := 0; i < len(known); i++ {
		for _, event := range events {
			if slices.Contains([]lifecycle.Event{lifecycle.Agree, lifecycle.TakeOver}, event) {
				continue
			}
			if next, err := lifecycle.Fire(known[i], event); err == nil && !slices.Contains(known, next) {
				known = append(known, next)
			}
		}
	}
	return slices.Contains(known, to)
}

// FuzzFire: whatever stands in the store, an event leads along the table or is
// refused.
func FuzzFire(f *testing.F) {
	for _, row := range lifecycle.Table() {
		f.Add(string(row.From[0]), string(row.Event))
	}
	f.Add("gone", "explode")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, status, event string) {
		from := lifecycle.Status(status)
		to, err := lifecycle.Fire(from, lifecycle.Event(event))
		known := slices.Contains(statuses, from) && slices.Contains(events, lifecycle.Event(event))
		if err == nil && (!known || !from.Open() || to == from) || err != nil && to != from {
			t.Errorf("%q %q leads to %q: %v", status, event, to, err)
		}
	})
}
