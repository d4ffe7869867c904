package cmd

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"amend/reconciler"
)

// progress shows how far a scan has come: one line that rewrites itself on a
// terminal, one plain line every few seconds otherwise.
type progress struct {
	out   io.Writer
	live  bool
	every time.Duration

	mu    sync.Mutex
	last  time.Time
	width int
}

const (
	liveEvery  = 100 * time.Millisecond
	plainEvery = 3 * time.Second
	barWidth   = 24
)

// newProgress follows --progress; nil shows nothing.
func (a *app) newProgress() (*progress, error) {
	if err := oneOf("progress", a.progress, "auto", "plain", "none"); err != nil {
		return nil, err
	}
	switch {
	case a.progress == "none":
		return nil, nil
	case a.progress == "auto" && terminal(a.stderr):
		return &progress{out: a.stderr, live: true, every: liveEvery}, nil
	}
	return &progress{out: a.stderr, every: plainEvery, last: time.Now()}, nil
}

// scan shows a scan's progress.
func (p *progress) scan(s reconciler.Progress) {
	if p == nil {
		return
	}
	rate := float64(s.Customers) / max(s.Took.Seconds(), 0.001)
	text := fmt.Sprintf("%s customers, %s/s", number(s.Customers), number(int(rate)))
	if s.Expected > 0 && !s.Done {
		share := min(1, float64(s.Customers)/float64(s.Expected))
		left := time.Duration(float64(max(0, s.Expected-s.Customers)) / max(rate, 1) * float64(time.Second))
		text = fmt.Sprintf("%s %3.0f %%  %s of %s, %s/s, about %s left", bar(share), share*100, number(s.Customers), number(s.Expected), number(int(rate)), left.Round(time.Second))
	}
	p.show(fmt.Sprintf("%s scan: %s", s.Scan, text), s.Done)
}

func bar(share float64) string {
	full := int(share * barWidth)
	return strings.Repeat("█", full) + strings.Repeat("░", barWidth-full)
}

// show writes a line; where final, always.
func (p *progress) show(text string, final bool) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !final && time.Since(p.last) < p.every {
		return
	}
	p.last = time.Now()
	if !p.live {
		fmt.Fprintln(p.out, text)
		return
	}
	width := len([]rune(text))
	fmt.Fprintf(p.out, "\r%s%s", text, strings.Repeat(" ", max(0, p.width-width)))
	p.width = width
	if final {
		fmt.Fprintln(p.out)
		p.width = 0
	}
}
