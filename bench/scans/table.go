package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// print writes the table: a row's medians with half the distance between the
// least and the greatest, and its ratios beside the goals.
func (b *bench) print(w io.Writer, chosen []row) error {
	var out strings.Builder
	out.WriteString("| row | customers | CPU µs/customer | customers/s | calls/customer | bytes/customer | peak MiB (≤ 64) | begin, CPU ms | writes/1,000 customers | wait ms, p50 · p99 | CPU to | goal | throughput | goal |\n")
	out.WriteString("|" + strings.Repeat("---|", 14) + "\n")
	for _, r := range chosen {
		all := b.taken[r.name]
		fmt.Fprintf(&out, "| %s | %s | %s%s | %s | %s | %.0f | %s | %.0f | %s | %s |", r.name, number(all[0].customers),
			figure(median(all, measured.cpu)), spread(all, measured.cpu), number(int(median(all, measured.throughput))), b.calls(r), median(all, measured.bytes),
			b.memory(r), median(all, func(m measured) float64 { return m.begin.Seconds() * 1000 }),
			figure(median(all, func(m measured) float64 { return 1000 * float64(m.Writes) / float64(m.customers) })), b.waits(r))
		for i, g := range r.goals {
			if i > 0 {
				out.WriteString("\n| | | | | | | | | | |")
			}
			out.WriteString(b.compare(r, g))
		}
		if len(r.goals) == 0 {
			out.WriteString(" | | | |")
		}
		out.WriteString("\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// calls are a customer's, beside their goal.
func (b *bench) calls(r row) string {
	calls := median(b.taken[r.name], measured.calls)
	text := fmt.Sprintf("%.4g", calls)
	if r.calls > 0 {
		text += " (≤ " + fmt.Sprint(r.calls) + missed(calls > r.calls) + ")"
	}
	return text
}

// memory is a row's peak, which has a goal where it is amend's.
func (b *bench) memory(r row) string {
	peak := median(b.taken[r.name], measured.memory)
	return fmt.Sprintf("%.0f", peak) + missed(r.by == "amend" && peak > mostMemory)
}

// waits are quantiles of all samples' waits, beside their goals.
func (b *bench) waits(r row) string {
	var all []time.Duration
	for _, m := range b.taken[r.name] {
		all = append(all, m.Waits...)
	}
	if len(all) == 0 {
		return ""
	}
	slices.Sort(all)
	show := func(share, most float64) string {
		ms := float64(all[int(share*float64(len(all)-1))]) / float64(time.Millisecond)
		text := figure(ms)
		if most > 0 {
			text += fmt.Sprintf(" (≤ %.3g%s)", most, missed(ms > most))
		}
		return text
	}
	return show(0.5, r.waits.p50) + " · " + show(0.99, r.waits.p99)
}

func (b *bench) compare(r row, g goal) string {
	own, other := b.taken[r.name], b.taken[g.against]
	cpu, throughput := ratio(own, other, measured.cpu), ratio(own, other, measured.throughput)
	text := fmt.Sprintf(" %s: %.3g |", g.against, cpu)
	if g.cpu > 0 {
		text += fmt.Sprintf(" ≤ %.3g%s |", g.cpu, missed(cpu > g.cpu))
	} else {
		text += " |"
	}
	text += fmt.Sprintf(" %.3g |", throughput)
	if g.throughput > 0 {
		return text + fmt.Sprintf(" ≥ %.3g%s |", g.throughput, missed(throughput < g.throughput))
	}
	return text + " |"
}

func missed(is bool) string {
	if is {
		return " **missed**"
	}
	return ""
}

// ratio is the median of the rounds' ratios: the two samples of a round were
// taken soon after each other.
func ratio(own, other []measured, of func(measured) float64) float64 {
	ratios := make([]float64, len(own))
	for round := range own {
		ratios[round] = of(own[round]) / of(other[round])
	}
	return middle(ratios)
}

func median(all []measured, of func(measured) float64) float64 {
	values := make([]float64, len(all))
	for i, m := range all {
		values[i] = of(m)
	}
	return middle(values)
}

func middle(values []float64) float64 {
	slices.Sort(values)
	half := len(values) / 2
	if len(values)%2 == 0 {
		return (values[half-1] + values[half]) / 2
	}
	return values[half]
}

// spread is half the distance between the least and the greatest, in percent of
// the median; nothing of one sample.
func spread(all []measured, of func(measured) float64) string {
	if len(all) == 1 {
		return ""
	}
	least, greatest := of(all[0]), of(all[0])
	for _, m := range all {
		least, greatest = min(least, of(m)), max(greatest, of(m))
	}
	return fmt.Sprintf(" ± %.2g %%", 50*(greatest-least)/median(all, of))
}

// figure writes a number with three digits, and without an exponent.
func figure(f float64) string {
	if f >= 1000 {
		return number(int(f))
	}
	return fmt.Sprintf("%.3g", f)
}

// number writes 41208 as 41,208.
func number(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
