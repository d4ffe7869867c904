package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// grows reports whether a row shows how costs grow: a scan of everybody in
// pages.
func (r row) grows() bool {
	return r.by == "amend" && (r.way == merged || r.way == masked) && !r.repairs
}

const (
	mostMemory = 64        // MiB
	mostGrowth = 1.25      // of memory, from the second size to the largest
	once       = 1_000_000 // customers from which on one sample is enough
)

// grow prints CPU and memory of scans of ever more customers.
func (b *bench) grow(ctx context.Context, w io.Writer, chosen []row) error {
	var sizes []int
	for text := range strings.SplitSeq(b.options.growth, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("-growth: %w", err)
		}
		sizes = append(sizes, n)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "| row | customers | samples | CPU µs/customer | CPU for one more customer, µs | seconds | peak MiB (≤ %d) | to the second size (≤ %.3g) |\n|%s\n", mostMemory, mostGrowth, strings.Repeat("---|", 8))
	for _, r := range chosen {
		if !r.grows() {
			continue
		}
		var all [][]measured
		for i, n := range sizes {
			some, err := b.several(ctx, r, n)
			if err != nil {
				return err
			}
			all = append(all, some)
			out.WriteString(grown(r, all, min(i, 1)))
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func (b *bench) several(ctx context.Context, r row, customers int) ([]measured, error) {
	load := r.load(b.options)
	load.Customers = customers
	samples := b.options.samples
	if customers >= once {
		samples = 1
	}
	var all []measured
	for range samples {
		m, err := b.take(ctx, job{row: r, load: load})
		if err != nil {
			return nil, fmt.Errorf("the run is void: %s, %d customers: %w", r.name, customers, err)
		}
		all = append(all, m)
		progress(os.Stderr, fmt.Sprintf("%s: %s customers: %s", r.name, number(customers), m))
	}
	return all, nil
}

// grown is the line of the last size; base is the one that memory is compared
// with.
func grown(r row, all [][]measured, base int) string {
	this := all[len(all)-1]
	n, total := this[0].customers, func(m measured) float64 { return m.cpu() * float64(m.customers) }
	more := ""
	if len(all) > 1 {
		before := all[len(all)-2]
		more = figure((median(this, total) - median(before, total)) / float64(n-before[0].customers))
	}
	peak := median(this, measured.memory)
	growth := peak / median(all[base], measured.memory)
	return fmt.Sprintf("| %s | %s | %d | %s | %s | %s | %.0f%s | %.2f%s |\n", r.name, number(n), len(this), figure(median(this, measured.cpu)), more,
		figure(median(this, func(m measured) float64 { return m.Used.Wall.Seconds() })), peak, missed(peak > mostMemory), growth, missed(growth > mostGrowth))
}
