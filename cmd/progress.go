package cmd

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"amend/reconciler"
	"amend/store"
)

// progress shows how far a scan has come: one line that rewrites itself on a
// terminal, one plain line every few seconds otherwise.
type progress struct {
	out   io.Writer
	live  bool
	every time.Duration

	mu    sync.Mutex
	last  time.Time
	text  string
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

// scan shows a scan's progress. That it stands still is shown at once.
func (p *progress) scan(s reconciler.Progress) {
	if s.Status == store.ScanPaused {
		p.hurry()
	}
	p.show(fmt.Sprintf("%s scan: %s", s.Scan, howFar(s)), s.Done)
}

// howFar says how far a scan has come.
func howFar(s reconciler.Progress) string {
	if s.Status == store.ScanPaused {
		return pausing(s.By, s.Held)
	}
	rate, pace := 0.0, ""
	if s.Took >= paceAfter {
		rate = float64(s.Counted) / s.Took.Seconds()
		pace = fmt.Sprintf(", %s/s", number(int(rate)))
	}
	text := number(s.Customers) + " customers" + pace
	switch {
	case s.Status == store.ScanCancelled:
		return "cancelled by " + s.By
	case s.Done:
		return text
	case s.Waits != "":
		return text + ", waits" + hourOver(s.Waits, s.Until)
	case s.Expected == 0:
		return text
	case s.Customers >= s.Expected: // how many more there are nobody knows
		return fmt.Sprintf("%s (%s at the last scan)", text, number(s.Expected))
	}
	share := float64(s.Customers) / float64(s.Expected)
	text = fmt.Sprintf("%s %3.0f %%  %s of %s%s", bar(share), math.Floor(share*100), number(s.Customers), number(s.Expected), pace)
	if rate < 1 {
		return text
	}
	return text + fmt.Sprintf(", about %s left", span(time.Duration(float64(s.Expected-s.Customers)/rate*float64(time.Second))))
}

// hourOver says until when scans wait for a service, and why.
func hourOver(service string, until time.Time) string {
	return fmt.Sprintf(" until %s: scans have used their part of the calls that %s allows in an hour", until.UTC().Format("15:04 MST"), service)
}

// paceAfter is how long it takes until a pace means something.
const paceAfter = 100 * time.Millisecond

// pausing says how a paused scan stands: whoever looks at a part of it learns it
// within seconds.
func pausing(by string, held int) string {
	if held > 0 {
		return fmt.Sprintf("pausing: %s still looked at", plural(held, "part is", "parts are"))
	}
	return "paused by " + by
}

// span writes a duration as people say it: 9s, 4m30s, 3h5m.
func span(d time.Duration) string {
	unit := time.Second
	if d >= time.Hour {
		unit = time.Minute
	}
	text := d.Round(unit).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

func bar(share float64) string {
	full := int(share * barWidth)
	return strings.Repeat("█", full) + strings.Repeat("░", barWidth-full)
}

// hurry has the next line shown without waiting for its turn.
func (p *progress) hurry() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = time.Time{}
}

// show writes a line; where final, always. One that stands in a log already
// isn't written again.
func (p *progress) show(text string, final bool) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !final && (time.Since(p.last) < p.every || text == p.text) {
		return
	}
	p.last, p.text = time.Now(), text
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
