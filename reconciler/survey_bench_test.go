package reconciler_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/bank"
	"amend/connectors"
	"amend/queue"
	"amend/reconciler"
	"amend/store"
)

// listed is a service whose pages were made beforehand, so that a benchmark
// measures what the engine makes of them alone.
type listed struct {
	connectors.Connector
	pages []connectors.Page
}

// Can is part of connectors.Connector.
func (l *listed) Can() connectors.Abilities { return connectors.Abilities{One: true, List: true} }

// List is part of connectors.Connector.
func (l *listed) List(_ context.Context, r connectors.PageRequest) (connectors.Page, error) {
	at := 0
	if r.Cursor != "" {
		var err error
		if at, err = strconv.Atoi(r.Cursor); err != nil {
			return connectors.Page{}, err
		}
	}
	return l.pages[at], nil
}

// benchPage is how many customers a page of the benchmark's lists has.
const benchPage = 1000

// newListed makes the pages of a service; each record is a copy of one.
func newListed(customers int, record amend.Record) *listed {
	l := &listed{}
	for first := 0; first < customers; first += benchPage {
		page := connectors.Page{Records: make([]connectors.Keyed, benchPage)}
		for i := range page.Records {
			page.Records[i] = connectors.Keyed{ID: fmt.Sprintf("cus_%09d", first+i), Record: record}
		}
		if first+benchPage < customers {
			page.Next = strconv.Itoa(len(l.pages) + 1)
		}
		l.pages = append(l.pages, page)
	}
	return l
}

// benchRecords are those of a customer of bank.yaml who is in order.
func benchRecords(schema *amend.Schema) map[string]amend.Record {
	at := time.Now()
	values := map[string]amend.Value{
		"identity.status": amend.StringOf("approved"), "ledger.status": amend.StringOf("open"), "cards.status": amend.StringOf("active"), "billing.status": amend.StringOf("active"),
		"identity.country": amend.StringOf("DE"), "identity.changed_at": amend.TimeOf(at.Add(-time.Hour)), "ledger.currency": amend.StringOf("EUR"), "ledger.balance": amend.IntOf(1230),
		"identity.email": amend.StringOf("ada@bank.example"), "billing.email": amend.StringOf("ada@bank.example"),
		"compliance.hold": amend.BoolOf(false), "compliance.reason": amend.StringOf(""), "compliance.placed_at": amend.TimeOf(at),
	}
	records := map[string]amend.Record{}
	for i := range schema.Services {
		service := &schema.Services[i]
		record := amend.Record{Presence: amend.Present, ReadAt: at}
		for _, field := range service.Fields {
			record.Values = append(record.Values, values[service.Name+"."+field.Name])
		}
		records[service.Name] = record
	}
	return records
}

// listedBank is an engine with the states of bank.yaml, whose services all have
// lists.
func listedBank(b testing.TB, customers int) *reconciler.Engine {
	b.Helper()
	made, err := bank.New(bank.Options{Customers: 60, Seed: 11})
	require.NoError(b, err)
	c := &clock{now: time.Now()}
	require.NoError(b, made.Start())
	b.Cleanup(func() { require.NoError(b, made.Close()) })
	cfg := load(b, string(bank.Configuration), made.Env(), c, options{})
	for name, record := range benchRecords(cfg.Schema) {
		i, _ := cfg.Schema.Service(name)
		cfg.Connectors[i] = newListed(customers, record)
	}
	log := slog.New(slog.DiscardHandler)
	s, err := store.Open(b.Context(), "sqlite:"+b.TempDir()+"/amend.db", store.Options{Log: log})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	return &reconciler.Engine{Schema: cfg.Schema, Environment: cfg.Environment, Machine: cfg.Machine, Rules: cfg.Rules, Connectors: cfg.Connectors,
		Source: cfg.Scans.Source, Store: s, Queue: queue.NewLocal(time.Now, log), Now: time.Now, Log: log}
}

// TestCustomersInOrderCostNoMemory: what is allocated for them is used again.
func TestCustomersInOrderCostNoMemory(t *testing.T) {
	// Not parallel: it counts what the whole process allocates.
	const customers = 40_000
	e := listedBank(t, customers)
	look := func() {
		require.NoError(t, e.Survey(t.Context(), func() func([]reconciler.Found) error { return func([]reconciler.Found) error { return nil } }))
	}
	look() // what is made once isn't counted
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	look()
	runtime.ReadMemStats(&after)
	require.Less(t, after.Mallocs-before.Mallocs, uint64(customers/10))
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(customers*100))
}

// BenchmarkMerge walks five lists of customers who are in order, through the
// states of bank.yaml: Survey only looks, Scan writes down what it finds.
func BenchmarkMerge(b *testing.B) {
	const customers = 40_000
	e := listedBank(b, customers)
	b.Run("Survey", func(b *testing.B) {
		perCustomer(b, customers, func() {
			seen := 0
			require.NoError(b, e.Survey(b.Context(), func() func([]reconciler.Found) error {
				return func(found []reconciler.Found) error { seen += len(found); return nil }
			}))
			require.Equal(b, customers, seen)
		})
	})
	b.Run("Scan", func(b *testing.B) {
		perCustomer(b, customers, func() {
			scan, err := e.Scan(b.Context(), store.FullScan, "bench")
			require.NoError(b, err)
			require.Equal(b, customers, scan.Coherent)
		})
	})
}

// perCustomer reports what work costs for each customer, by the processor's
// time: others use the same machine.
func perCustomer(b *testing.B, customers int, work func()) {
	b.Helper()
	work() // what is made once isn't counted
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := processor(b)
	for b.Loop() {
		work()
	}
	used := processor(b) - began
	runtime.ReadMemStats(&after)
	n := float64(b.N * customers)
	b.ReportMetric(float64(used)/n, "cpu-ns/customer")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/n, "B/customer")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/n, "allocs/customer")
	b.ReportMetric(0, "ns/op")
}

func processor(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
