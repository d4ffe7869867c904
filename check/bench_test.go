package check_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/bank"
)

// BenchmarkClassify puts a customer who is in order through all 15 conditions
// of bank.yaml: what a scan does for nearly everybody.
func BenchmarkClassify(b *testing.B) {
	cfg := load(b, bank.Configuration)
	now := time.Now()
	text, at := amend.StringOf, amend.TimeOf(now.Add(-time.Hour))
	values := [][]amend.Value{
		{text("approved"), text("a@b.c"), text("DE"), at},
		{text("open"), text("EUR"), amend.IntOf(1230)},
		{text("active")},
		{text("active"), text("a@b.c")},
		nil,
	}
	view := &amend.View{ID: "cus_000042"}
	for _, v := range values {
		record := amend.Record{Presence: amend.Present, Values: v, ReadAt: now}
		if v == nil {
			record = amend.Record{Presence: amend.Absent, ReadAt: now}
		}
		view.Records = append(view.Records, record)
	}
	scope := cfg.Environment.Scope(view, now)
	require.Equal(b, "active", cfg.Machine.Classify(scope).Name)
	b.ReportAllocs()
	for b.Loop() {
		cfg.Machine.Classify(scope)
	}
}
