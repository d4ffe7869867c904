package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// counts reports whether a row's instructions can be counted: it is a scan
// without repairs, which are made when it suits them.
func (r row) counts() bool {
	return (r.by == "hand" || r.by == "amend") && !r.repairs && r.way != fresh && r.way != visited
}

// count prints how many instructions each row takes for a customer: the
// difference of two numbers of customers, so that what a process needs to begin
// doesn't count. Under valgrind one thread runs at a time and what else the
// machine does makes no difference; when the garbage collector comes still does.
func (b *bench) count(ctx context.Context, w io.Writer, chosen []row) error {
	taken := map[string][]measured{}
	for round := range b.options.samples {
		for _, r := range chosen {
			few, many := b.sizes(r)
			var m [2]measured
			for i, customers := range []int{few, many} {
				load := r.load(b.options)
				load.Customers = customers
				var err error
				if m[i], err = b.take(ctx, job{r, load, true}); err != nil {
					return fmt.Errorf("the run is void: %s: %w", r.name, err)
				}
			}
			taken[r.name] = append(taken[r.name], measured{refs: m[1].refs - m[0].refs, customers: many - few})
			progress(os.Stderr, fmt.Sprintf("round %d of %d: %s: %.0f instructions a customer", round+1, b.options.samples, r.name, refs(taken[r.name][round])))
		}
	}
	var out strings.Builder
	out.WriteString("| row | instructions/customer | to | goal |\n|---|---|---|---|\n")
	for _, r := range chosen {
		fmt.Fprintf(&out, "| %s | %s%s |", r.name, number(int(median(taken[r.name], refs))), spread(taken[r.name], refs))
		goals := slices.Clone(r.goals)
		if len(goals) == 0 {
			out.WriteString(" | |\n")
			continue
		}
		ratio := median(taken[r.name], refs) / median(taken[goals[0].against], refs)
		fmt.Fprintf(&out, " %s: %.3g |", goals[0].against, ratio)
		if most := goals[0].cpu; most > 0 {
			fmt.Fprintf(&out, " ≤ %.3g%s |\n", most, missed(ratio > most))
		} else {
			out.WriteString(" |\n")
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func refs(m measured) float64 { return float64(m.refs) / float64(m.customers) }

// sizes are the two numbers of customers; valgrind makes everything 50 times
// slower.
func (b *bench) sizes(r row) (few, many int) {
	if r.singly {
		return b.options.singles / 20, b.options.singles * 3 / 20
	}
	return b.options.customers / 10, b.options.customers * 3 / 10
}
