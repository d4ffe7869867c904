package bank

import (
	"io"
	"net/http"
	"testing"
)

// BenchmarkNew plants 10,000 customers.
func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		if _, err := New(Options{Customers: 10_000, Seed: 7}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFill encodes a page of 1,000 customers without the network.
func BenchmarkFill(b *testing.B) {
	bank, err := New(Options{Customers: 10_000, Seed: 7})
	if err != nil {
		b.Fatal(err)
	}
	masks := map[string]string{"Full": "", "Masked": "status,contact.email,country,updated_at"}
	for name, fields := range masks {
		b.Run(name, func(b *testing.B) {
			s := bank.services[0]
			mask, err := s.shape.mask(fields)
			if err != nil {
				b.Fatal(err)
			}
			var buffer []byte
			for b.Loop() {
				buffer, _ = s.fill(append(buffer[:0], '['), page{limit: 1000, after: "cus_005000", mask: mask})
			}
			b.ReportMetric(float64(1000*b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkList reads pages of 1,000 accounts over HTTP; both ends share the
// processors.
func BenchmarkList(b *testing.B) {
	bank, err := New(Options{Customers: 10_000, Seed: 7})
	if err != nil {
		b.Fatal(err)
	}
	if err := bank.Start(); err != nil {
		b.Fatal(err)
	}
	defer bank.Close()
	url := bank.Env()["LEDGER_URL"] + "/accounts?limit=1000"
	for b.Loop() {
		answer, err := http.Get(url)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			b.Fatal(err)
		}
		answer.Body.Close()
	}
	b.ReportMetric(float64(1000*b.N)/b.Elapsed().Seconds(), "records/s")
}
