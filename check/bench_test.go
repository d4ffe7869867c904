package check_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/bank"
	"amend/states"
)

// BenchmarkClassify puts customers through the conditions of bank.yaml: one who
// is in order passes all 15, as nearly everybody in a scan does; one who was
// rejected and closed asks most of each condition on the way; and one whose
// card service can't be read stays undecided in the middle.
func BenchmarkClassify(b *testing.B) {
	cfg := load(b, bank.Configuration)
	now := time.Now()
	text, at := amend.StringOf, amend.TimeOf(now.Add(-time.Hour))
	present := func(values ...amend.Value) amend.Record {
		return amend.Record{Presence: amend.Present, Values: values, ReadAt: now}
	}
	absent := amend.Record{Presence: amend.Absent, ReadAt: now}
	unseen := amend.UnseenRecord(amend.TimedOut, "no answer in 2 s", now)
	identity := func(status string) amend.Record { return present(text(status), text("a@b.c"), text("DE"), at) }
	open, billed := present(text("open"), text("EUR"), amend.IntOf(1230)), present(text("active"), text("a@b.c"))
	for _, c := range []struct {
		name, want string
		records    []amend.Record
	}{
		{"Coherent", "active", []amend.Record{identity("approved"), open, present(text("active")), billed, absent}},
		{"Worst", "closed", []amend.Record{identity("rejected"), present(text("closed"), text("EUR"), amend.IntOf(0)), present(text("blocked")), present(text("cancelled"), text("a@b.c")), absent}},
		{"OneUnseen", states.Unseen, []amend.Record{identity("approved"), open, unseen, billed, absent}},
	} {
		b.Run(c.name, func(b *testing.B) {
			scope := cfg.Environment.Scope(&amend.View{ID: "cus_000042", Records: c.records}, now)
			require.Equal(b, c.want, cfg.Machine.Classify(scope).Name)
			b.ReportAllocs()
			for b.Loop() {
				cfg.Machine.Classify(scope)
			}
		})
	}
}
