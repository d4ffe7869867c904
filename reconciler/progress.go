package reconciler

import (
	"context"
	"sync"
	"time"

	"amend/store"
)

// Progress is how far a scan has come, as far as this process knows.
type Progress struct {
	Scan      string // full or fresh
	Customers int    // looked at until now, whoever did
	Expected  int    // how many there may be; 0 where unknown, and never exact
	Opened    int    // cases

	// Counted of the Customers came in the time Took: since this process takes
	// part, without pauses. What was done before says nothing of the pace.
	Counted int
	Took    time.Duration

	Status string    // of the scan: running, paused, done …
	By     string    // who paused or cancelled it
	Held   int       // parts of a paused scan that are still looked at
	Waits  string    // the service whose calls of this hour scans have used up; empty where there is none
	Until  time.Time // when there are new ones
	Done   bool
}

// meters follow the scans in which this process takes part, by ID.
type meters struct {
	mu  sync.Mutex
	all map[string]*meter
}

// of finds the meter of a scan, or begins one.
func (m *meters) of(scan store.Scan) (found *meter, begun bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil {
		m.all = map[string]*meter{}
	}
	for id, other := range m.all {
		if id != scan.ID && other.kind == scan.Kind {
			delete(m.all, id) // somebody else ended it
		}
	}
	if found = m.all[scan.ID]; found == nil {
		begun = true
		found = &meter{kind: scan.Kind, parts: map[string]store.Counted{}, told: map[errList]bool{}, scan: scan, base: scan.Customers}
		m.all[scan.ID] = found
	}
	return found, begun
}

// end gives the meter of a scan that has ended, once; nil afterwards.
func (m *meters) end(scan store.Scan) *meter {
	m.mu.Lock()
	defer m.mu.Unlock()
	ended := m.all[scan.ID]
	delete(m.all, scan.ID)
	return ended
}

// meter is one scan's. Several of its parts may be in work here at once, and
// others in other processes.
type meter struct {
	kind string

	mu       sync.Mutex
	scan     store.Scan               // as the store had it last
	told     map[errList]bool         // what was said of its lists
	parts    map[string]store.Counted // found in parts that are in work here, by page
	base     int                      // customers who were counted when it began
	most     int                      // customers that were shown
	expected int
	held     int
	waits    exhausted
	since    time.Time     // since when its clock runs; zero while it stands
	before   time.Duration // that it ran until then
}

// begin notes that a part is in work here.
func (m *meter) begin(page store.Page, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(page.Scan.Staged) > len(m.scan.Staged) { // all is looked at anew
		m.scan, m.base, m.most, m.since, m.before = page.Scan, page.Scan.Customers, 0, time.Time{}, 0
	}
	m.parts[page.ID] = store.Counted{}
	m.see(page.Scan, now)
}

func (m *meter) count(page store.Page, found store.Counted) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parts[page.ID] = found
}

// leave notes that a part is no longer in work here.
func (m *meter) leave(page store.Page) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.parts, page.ID)
}

// finish notes that a part was added to the scan.
func (m *meter) finish(page store.Page, scan store.Scan) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.parts, page.ID)
	if scan.Customers >= m.scan.Customers {
		m.scan = scan
	}
}

// first reports whether something is found of a list for the first time.
func (m *meter) first(found errList) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.told[found] {
		return false
	}
	m.told[found] = true
	return true
}

func (m *meter) expect(customers int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expected = customers
}

// see takes over what the store says. The clock stands while the scan does.
func (m *meter) see(scan store.Scan, now time.Time) {
	if scan.Customers >= m.scan.Customers {
		m.scan = scan
	}
	m.scan.Status, m.scan.ChangedBy = scan.Status, scan.ChangedBy
	running := scan.Status == store.ScanRunning
	switch {
	case running && m.since.IsZero():
		m.since = now
	case !running && !m.since.IsZero():
		m.before, m.since = m.before+now.Sub(m.since), time.Time{}
	}
}

func (m *meter) progress(now time.Time) Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := Progress{Scan: m.kind, Customers: m.scan.Customers, Expected: m.expected, Opened: m.scan.Opened,
		Took: m.before, Status: m.scan.Status, By: m.scan.ChangedBy, Held: m.held}
	for _, found := range m.parts {
		p.Customers += found.Customers
		p.Opened += found.Opened
	}
	if m.scan.Open() && m.waits.until.After(now) {
		p.Waits, p.Until = m.waits.service, m.waits.until
	}
	if m.scan.Open() {
		p.Customers = max(p.Customers, m.most) // a part that was lost is looked at again
		m.most = p.Customers
	}
	p.Counted = max(0, p.Customers-m.base)
	if !m.since.IsZero() {
		p.Took += max(0, now.Sub(m.since))
	}
	return p
}

// watch tells whoever waits for a scan how it stands.
func (e *Engine) watch(ctx context.Context, scan store.Scan) error {
	if !scan.Open() {
		e.over(scan)
		return nil
	}
	held := 0
	if scan.Status == store.ScanPaused {
		var err error
		if held, err = e.Store.HeldPages(ctx, scan.ID); err != nil {
			return err
		}
	}
	m, begun := e.meters.of(scan)
	if begun && scan.Kind == store.FullScan {
		last, _, err := e.Store.LastScan(ctx, store.FullScan, true)
		if err != nil {
			return err
		}
		m.expect(last.Customers)
	}
	waits, err := e.exhausted(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.see(scan, e.Now())
	m.held, m.waits = held, waits
	m.mu.Unlock()
	e.Progress(m.progress(e.Now()))
	return nil
}

// over tells once that a scan has ended.
func (e *Engine) over(scan store.Scan) {
	m := e.meters.end(scan)
	if m == nil {
		return
	}
	m.mu.Lock()
	m.see(scan, e.Now())
	m.scan, m.parts, m.held = scan, map[string]store.Counted{}, 0
	m.mu.Unlock()
	p := m.progress(e.Now())
	p.Done = true
	e.Progress(p)
}
