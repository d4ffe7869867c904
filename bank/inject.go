package bank

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// faults holds a service's current fault and draws what happens to a request.
type faults struct {
	mu   sync.Mutex
	now  Fault
	rand *rand.Rand
}

// newFaults is a service in order.
func newFaults(r *rand.Rand) *faults { return &faults{rand: r} }

func (f *faults) set(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = fault
}

func (f *faults) get() Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// drawnFault is what happens to one request.
type drawnFault struct {
	outage string
	status int // an error of the server; 0 is none
	hang   bool
	delay  time.Duration
	lose   bool
	lie    bool
	ack    time.Duration // between the effect and its answer
	hide   time.Duration // from the effect until reads show it
}

// draw decides about one request. Nothing is drawn while no fault is on, so
// that the numbers of a stream belong to faults alone.
func (f *faults) draw(operation bool) drawnFault {
	f.mu.Lock()
	defer f.mu.Unlock()
	fault := f.now
	if fault == (Fault{}) || (fault.Only == OnlyReads && operation) || (fault.Only == OnlyOperations && !operation) {
		return drawnFault{}
	}
	drawn := drawnFault{outage: fault.Outage, delay: fault.Latency, hide: fault.ReadDelay}
	if fault.Jitter > 0 {
		drawn.delay += time.Duration(f.rand.Int64N(int64(fault.Jitter)))
	}
	if f.rand.Float64() < fault.ErrorRate {
		drawn.status = []int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable}[f.rand.IntN(3)]
	}
	drawn.hang = f.rand.Float64() < fault.HangRate
	drawn.lose = f.rand.Float64() < fault.LostRate
	drawn.lie = f.rand.Float64() < fault.LieRate
	if fault.AckDelay > 0 {
		drawn.ack = time.Duration(f.rand.Int64N(int64(fault.AckDelay)))
	}
	return drawn
}

// stop lets faults before any effect end the request. It returns the status
// answered, 0 where the connection was cut, and whether the request has ended.
func (d drawnFault) stop(w http.ResponseWriter, r *http.Request) (int, bool) {
	switch {
	case d.outage == OutageCut:
		cut(w)
		return 0, true
	case d.outage != "":
		http.Error(w, "service unavailable", http.StatusServiceUnavailable)
		return http.StatusServiceUnavailable, true
	case d.hang:
		<-r.Context().Done()
		cut(w)
		return 0, true
	case d.status != 0:
		if !d.wait(r.Context()) {
			cut(w)
			return 0, true
		}
		http.Error(w, http.StatusText(d.status), d.status)
		return d.status, true
	}
	return 0, false
}

// wait adds the latency and reports whether the caller is still there.
func (d drawnFault) wait(ctx context.Context) bool { return pause(ctx, d.delay) }

// waitAck holds the answer back and reports whether the caller is still there.
func (d drawnFault) waitAck(ctx context.Context) bool { return pause(ctx, d.ack) }

// pause waits and reports whether the context still goes on.
func pause(ctx context.Context, delay time.Duration) bool {
	if delay == 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
