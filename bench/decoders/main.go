// Command decoders measures ways of reading a page of JSON records against each
// other: what amend does, what libraries do, and what a program could do that
// knew the records when it was written. All of them check who a record belongs
// to and make the same typed records of the same pages.
//
//	go run .
package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"runtime"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"
)

// record is what is declared of a customer.
type record struct {
	ID        string
	Status    string
	Email     string
	Country   string
	ChangedAt time.Time
}

// decoder is one way of reading a page. The records are valid until it is
// called again.
type decoder struct {
	name   string
	strict string // what of a page it checks
	decode func(page []byte) ([]record, error)
}

const (
	records = 1000 // of a page
	rounds  = 9
	least   = 100 * time.Millisecond // of CPU time for each sample
)

func main() {
	decoders := []decoder{
		{"hand-written", "nothing", byHand()},
		{"amend", "all of it", amends()},
		{"gjson", "nothing", byGJSON},
		{"jsontext, token by token", "all of it", byTokens},
		{"json v2 into structs", "all of it", byJSONv2},
		{"encoding/json into structs", "syntax", byStructs},
		{"encoding/json into maps", "syntax", byMaps},
	}
	for _, p := range []struct {
		name string
		page func(int) ([]byte, []record)
	}{{"whole records", wholeRecords}, {"only the fields asked for", maskedRecords}} {
		if err := compare(p.name, decoders, p.page); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// compare measures all decoders in turns and prints their medians.
func compare(name string, decoders []decoder, pages func(int) ([]byte, []record)) error {
	page, want := pages(records)
	for _, d := range decoders { // which warms them up, too
		got, err := d.decode(page)
		if err != nil || !reflect.DeepEqual(got, want) {
			return fmt.Errorf("%s, %s: the records are not those of the page (%w)", name, d.name, err)
		}
	}
	samples := make([][]sample, len(decoders))
	for range rounds {
		for _, i := range rand.Perm(len(decoders)) {
			samples[i] = append(samples[i], measure(decoders[i], page))
		}
	}
	fmt.Printf("%s, %d bytes each\n", name, len(page)/records)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tns/record\tlowest\thighest\tallocations/record\tbytes/record\ttimes hand-written\tchecks\t")
	limit := median(samples[0]).nanos
	for i, d := range decoders {
		m := median(samples[i])
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t%.2f\t%.0f\t%.2f\t%s\t\n", d.name, m.nanos, samples[i][0].nanos,
			samples[i][rounds-1].nanos, m.allocations, m.bytes, m.nanos/limit, d.strict)
	}
	return w.Flush()
}

// sample is what one record costs.
type sample struct{ nanos, allocations, bytes float64 }

// median sorts the samples by their time.
func median(all []sample) sample {
	slices.SortFunc(all, func(a, b sample) int { return int(a.nanos - b.nanos) })
	return all[len(all)/2]
}

// measure decodes the page again and again. The CPU time is that of the whole
// process, so that the garbage collector's work is part of it.
func measure(d decoder, page []byte) sample {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	begin, pages := cpu(), 0
	for ; pages%20 != 0 || cpu()-begin < least; pages++ {
		if _, err := d.decode(page); err != nil {
			panic(err) // it could be decoded before
		}
	}
	spent := cpu() - begin
	runtime.ReadMemStats(&after)
	n := float64(pages * records)
	return sample{float64(spent.Nanoseconds()) / n, float64(after.Mallocs-before.Mallocs) / n, float64(after.TotalAlloc-before.TotalAlloc) / n}
}

// cpu is the process's CPU time.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // there is no CPU time to measure with
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
