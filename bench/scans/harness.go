package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"

	"amend/bench/services"
)

// options are the harness's flags.
type options struct {
	customers int
	singles   int
	samples   int
	seed      uint64
	only      string
	profile   string

	instructions bool
	growth       string
}

func harness(ctx context.Context, args []string, out io.Writer) (err error) {
	var o options
	flags := flag.NewFlagSet("scans", flag.ContinueOnError)
	flags.IntVar(&o.customers, "customers", 100_000, "customers of the rows that look in pages or batches")
	flags.IntVar(&o.singles, "singles", 10_000, "customers of the rows that look at one at a time")
	flags.IntVar(&o.samples, "samples", 5, "how often each row is measured")
	flags.Uint64Var(&o.seed, "seed", 1, "decides who is inconsistent, and the order of the samples")
	flags.StringVar(&o.only, "rows", "", "measure only the rows whose names match this expression, and those that they are measured against")
	flags.StringVar(&o.profile, "profile", "", "a folder for the CPU profiles of the rows of hand and amend")
	flags.BoolVar(&o.instructions, "instructions", false, "count instructions a customer, with valgrind, instead of measuring time")
	flags.StringVar(&o.growth, "growth", "", "measure how cost and memory grow instead: numbers of customers, with commas")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(o)
	if err != nil {
		return err
	}
	h := &bench{options: o, taken: map[string][]measured{}}
	if err := h.open(ctx, chosen); err != nil {
		return errors.Join(err, h.close())
	}
	defer func() { err = errors.Join(err, h.close()) }()
	switch {
	case o.instructions:
		return h.count(ctx, out, chosen)
	case o.growth != "":
		return h.grow(ctx, out, chosen)
	}
	if err := h.measure(ctx, chosen); err != nil {
		return err
	}
	return h.print(out, chosen)
}

// choose gives the rows that match, with those that they are measured against.
func choose(o options) ([]row, error) {
	match, err := regexp.Compile(o.only)
	if err != nil {
		return nil, fmt.Errorf("-rows: %w", err)
	}
	needed := map[string]bool{}
	for _, r := range slices.Backward(rows) { // a row stands after those that it is measured against
		if !needed[r.name] && (!match.MatchString(r.name) || o.instructions && !r.counts() || o.growth != "" && !r.grows()) {
			continue
		}
		needed[r.name] = true
		for _, g := range r.goals {
			needed[g.against] = true
		}
	}
	chosen := slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return !needed[r.name] })
	if len(chosen) == 0 {
		return nil, fmt.Errorf("-rows %s: no row matches", o.only)
	}
	return chosen, nil
}

// bench is a run of the harness.
type bench struct {
	options  options
	services *services.Control
	programs map[string]string // beside this one: of the peers, by folder, and one for valgrind
	postgres *database         // nil where no row needs it
	closers  []func() error
	taken    map[string][]measured
}

// measure takes all samples: each round has one of each row, in an order of its
// own, so that what else the machine does falls on all of them. A row and those
// that it is measured against follow each other.
func (b *bench) measure(ctx context.Context, chosen []row) error {
	random := rand.New(rand.NewPCG(b.options.seed, 0))
	for round := range b.options.samples {
		for _, r := range shuffled(random, chosen) {
			m, err := b.take(ctx, job{row: r, load: r.load(b.options)})
			if err != nil {
				return fmt.Errorf("the run is void: %s: %w", r.name, err)
			}
			b.taken[r.name] = append(b.taken[r.name], m)
			progress(os.Stderr, fmt.Sprintf("round %d of %d: %s: %s", round+1, b.options.samples, r.name, m))
		}
	}
	return nil
}

// shuffled puts the rows into another order: the families, and the rows in each
// of them.
func shuffled(random *rand.Rand, chosen []row) []row {
	family, begun := map[string]string{}, map[string]float64{}
	for _, r := range chosen {
		family[r.name] = r.name
		if len(r.goals) > 0 {
			family[r.name] = family[r.goals[0].against]
		} else {
			begun[r.name] = random.Float64()
		}
	}
	order := slices.Clone(chosen)
	random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	slices.SortStableFunc(order, func(a, b row) int { return cmp.Compare(begun[family[a.name]], begun[family[b.name]]) })
	return order
}

func progress(w io.Writer, line string) { fmt.Fprintln(w, line) } //nolint:errcheck // a terminal that is gone can't be told

func (b *bench) close() error {
	var err error
	for _, do := range slices.Backward(b.closers) {
		err = errors.Join(err, do())
	}
	return err
}
