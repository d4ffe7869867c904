package reconciler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/connectors"
)

// The ways of reading that services offer.
var (
	lists   = connectors.Abilities{One: true, List: true}
	all     = connectors.Abilities{One: true, Many: 100, List: true}
	batches = connectors.Abilities{One: true, Many: 100}
	singles = connectors.Abilities{One: true, AtOnce: 16}
	only    = connectors.Abilities{List: true}
)

const disorder = "its list is not in key order"

func TestReadPlan(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		offer   offer
		way     Way
		why     string
		instead Way
		given   Way
	}{
		{"AList", offer{can: all}, ByList, "a page of its list gives most for a call", ByBatch, ByBatch},
		{"AListOfASource", offer{can: all, source: true}, ByList, "a page of its list gives most for a call, and says which customers there are", ByWholeList, ByBatch},
		{"AListWithoutBatches", offer{can: lists}, ByList, "a page of its list gives most for a call", BySingle, BySingle},
		{"AListAlone", offer{can: only}, ByList, "a page of its list gives most for a call", ByWholeList, BySingle},
		{"Batches", offer{can: batches}, ByBatch, "it has no list; a batch gives 100 for a call", "", ByBatch},
		{"Singles", offer{can: singles}, BySingle, "it has no list; it gives one customer for a call", "", BySingle},
		{"DoubtedWithBatches", offer{can: all, doubt: disorder}, ByBatch, disorder + "; a batch gives 100 for a call", "", ByBatch},
		{"DoubtedWithSingles", offer{can: lists, doubt: disorder}, BySingle, disorder + "; it gives one customer for a call", "", BySingle},
		{"DoubtedAlone", offer{can: only, doubt: disorder}, ByWholeList, disorder + "; it offers nothing else", "", BySingle},
		{"DoubtedSource", offer{can: all, source: true, doubt: disorder}, ByWholeList,
			disorder + "; it has to be read all the same, since it says which customers there are", "", ByBatch},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			plan := readPlan([]offer{test.offer}, 0)
			r := plan.Readings[0]
			require.Equal(t, []any{test.way, test.why, test.instead}, []any{r.Way, r.Why, r.Instead})
			require.Equal(t, test.offer.can.One && r.Way != BySingle, r.Asks)
			require.Zero(t, r.Calls, "nobody knows how many customers there are")
			require.Equal(t, test.given, readPlanOfGiven([]offer{test.offer}, 0).Readings[0].Way)
		})
	}
}

// TestReadPlanSizes: what is read together takes the fewest calls, and the part
// of a scan is the smaller the dearer it is.
func TestReadPlanSizes(t *testing.T) {
	t.Parallel()
	proven := connectors.Abilities{One: true, Many: 98} // two places are the sentinels'
	small := connectors.Abilities{One: true, Many: 20}
	for _, test := range []struct {
		name           string
		offers         []offer
		together, part int
	}{
		{"Lists", []offer{{can: all}, {can: lists}}, mergedTogether, partOfLists},
		{"BatchesAreFull", []offer{{can: lists}, {can: proven}}, 98, partOfBatches},
		{"BatchesOfTwoSizes", []offer{{can: proven}, {can: batches}}, 98, partOfBatches},
		{"SmallBatches", []offer{{can: small}}, 100, partOfBatches},
		{"SmallBatchesBesideLargeOnes", []offer{{can: small}, {can: batches}}, 100, partOfBatches},
		{"HugeBatches", []offer{{can: connectors.Abilities{Many: 5000}}}, mostTogether, partOfBatches},
		{"Singles", []offer{{can: lists}, {can: singles}}, askedTogether, partOfSingles},
		{"SinglesBesideBatches", []offer{{can: singles}, {can: proven}}, 98, partOfSingles},
		{"AWholeList", []offer{{can: only, doubt: disorder}, {can: singles}}, askedTogether, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			plan := readPlan(test.offers, 0)
			require.Equal(t, []int{test.together, test.part}, []int{plan.Together, plan.Part})
		})
	}
}

// TestReadPlanCosts says how many calls are expected, and who bounds the scan.
func TestReadPlanCosts(t *testing.T) {
	t.Parallel()
	limited := connectors.Abilities{One: true, List: true, PerSecond: 10}
	odd := batches
	odd.AtOnce = 3
	plan := readPlan([]offer{
		{can: lists, page: 1000},
		{can: batches},
		{can: limited, page: 500},
		{can: singles},
		{can: lists, page: 7, whole: true},
		{can: lists},
		{can: odd},
	}, 10_050)
	var calls, atOnce []int
	for _, r := range plan.Readings {
		calls, atOnce = append(calls, r.Calls), append(atOnce, r.AtOnce)
	}
	require.Equal(t, []int{11, 101, 21, 10_050, 1, 0, 101}, calls, "of the last but one nobody knows how long its pages are")
	require.Equal(t, []int{1, surveyLanes, 1, 16, 1, 1, 3}, atOnce)
	require.Equal(t, 2*time.Second, plan.Readings[2].AtLeast)
	require.Zero(t, plan.Readings[0].AtLeast, "it has no limit")
	require.Equal(t, 3, plan.Slowest)

	t.Run("OddRestOfBatches", func(t *testing.T) {
		t.Parallel()
		plan := readPlan([]offer{{can: connectors.Abilities{Many: 20}}, {can: batches}}, 250)
		require.Equal(t, 100, plan.Together)
		require.Equal(t, 13, plan.Readings[0].Calls, "2 × 5, and 3 for the last 50")
		require.Equal(t, 3, plan.Readings[1].Calls)
	})
	t.Run("ALimitBounds", func(t *testing.T) {
		t.Parallel()
		slow := singles
		slow.PerSecond = 1
		require.Equal(t, 1, readPlan([]offer{{can: singles}, {can: slow}, {can: lists}}, 100).Slowest)
	})
	t.Run("CallsOfAnHourBound", func(t *testing.T) {
		t.Parallel()
		few := singles
		few.PerHour = 1000
		plan := readPlan([]offer{{can: singles}, {can: few}, {can: lists}}, 1260)
		require.Equal(t, 1, plan.Slowest)
		require.InDelta(t, 1.4, plan.Readings[1].Hours, 0.001, "scans may use 900")
		require.Zero(t, plan.Readings[0].Hours)
		require.Equal(t, 450, plan.Part, "one that is begun again must come to its end")
		batched := batches
		batched.PerHour = 100
		require.Equal(t, 4500, readPlan([]offer{{can: batched}}, 100_000).Part)
		listed := lists
		listed.PerHour = 100
		require.Equal(t, partOfLists, readPlan([]offer{{can: listed}}, 100_000).Part)
		require.Equal(t, 1, readPlan([]offer{{can: singles}, {can: listed, page: 10}}, 100_000).Slowest, "111 hours")
	})
	t.Run("WithoutNumbers", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, 2, readPlan([]offer{{can: lists}, {can: batches}, {can: singles}}, 0).Slowest)
	})
}

// TestTrust: a list is left aside for what happens often, and not for what a
// customer does who signs up while it is read.
func TestTrust(t *testing.T) {
	t.Parallel()
	plan := readPlan([]offer{{can: all}, {can: all, source: true}, {can: only}}, 0)
	seen := func(tr *trust, customers int, service, n int) (told []errList, err error) {
		b := newBatch(&plan, 1)
		for range n {
			b.doubts = append(b.doubts, errList{service, skipping})
		}
		tr.customers += customers
		err = tr.weigh(b, func(found errList) { told = append(told, found) })
		return told, err
	}
	for _, test := range []struct {
		name                  string
		customers, service, n int
		fails, tells          bool
	}{
		{"Seldom", 100, 0, doubtsBefore - 1, false, false},
		{"Often", 100, 0, doubtsBefore, true, false},
		{"SeldomAmongMany", doubtsBefore * doubtsOf * 2, 0, doubtsBefore, false, false},
		{"OftenAmongMany", doubtsBefore * doubtsOf * 2, 0, doubtsBefore * 2, true, false},
		{"OfASource", 100, 1, doubtsBefore, false, true},
		{"OfOneThatOffersNothingElse", 100, 2, doubtsBefore, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			told, err := seen(&trust{against: map[errList]int{}}, test.customers, test.service, test.n)
			require.Equal(t, test.fails, err != nil, err)
			require.Equal(t, test.tells, len(told) > 0)
		})
	}
	t.Run("AddsUp", func(t *testing.T) {
		t.Parallel()
		tr := &trust{against: map[errList]int{}}
		for range doubtsBefore - 1 {
			_, err := seen(tr, 1, 0, 1)
			require.NoError(t, err)
		}
		_, err := seen(tr, 1, 0, 1)
		require.Equal(t, errList{0, skipping}, err)
	})
}
