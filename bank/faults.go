package bank

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// What an outage looks like from outside, and whom a fault is for.
const (
	OutageUnavailable = "503"
	OutageCut         = "cut"

	OnlyReads      = "reads"
	OnlyOperations = "operations"
)

// Fault is what goes wrong with a service. Several kinds can be on at once; the
// zero value is a service in order. Rates are shares of requests from 0 to 1.
type Fault struct {
	Latency time.Duration // added to every request, before any effect
	Jitter  time.Duration // up to so much more, at random
	// AckDelay: between an operation's effect and its answer, up to so much, at
	// random. A caller that goes away meanwhile leaves the effect behind.
	AckDelay time.Duration
	// ErrorRate: answered 500, 502 or 503 before any effect.
	ErrorRate float64
	// LostRate: the effect is done and the connection cut without an answer.
	LostRate float64
	// LieRate: an operation is answered with 200, and nothing is done.
	LieRate float64
	// HangRate: accepted, and nothing ever happens until the caller gives up.
	HangRate float64
	// ReadDelay: reads show the effect of an operation only so much later.
	ReadDelay time.Duration
	// Character is what the service makes of keys and versions.
	Character Character
	// Outage: every request fails before any effect, by a 503 (OutageUnavailable)
	// or a cut connection (OutageCut). It is the only fault that compliance
	// takes; its table is then gone.
	Outage string
	// Only restricts the fault to OnlyReads or OnlyOperations; "" is both.
	Only string
}

// Fault switches what goes wrong with a service; the zero Fault puts it in
// order. It refuses unknown services and values out of bounds.
func (b *Bank) Fault(service string, f Fault) error {
	if err := f.validate(); err != nil {
		return err
	}
	if service == complianceName {
		return b.complianceFault(f)
	}
	for _, s := range b.services {
		if s.name == service {
			s.faults.set(f)
			return nil
		}
	}
	return fmt.Errorf("%q is not one of the services identity, ledger, cards, billing, compliance", service)
}

// Faults returns the faults that are on, by service.
func (b *Bank) Faults() map[string]Fault {
	on := make(map[string]Fault)
	for _, s := range b.services {
		if f := s.faults.get(); f != (Fault{}) {
			on[s.name] = f
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.holds != nil && b.holds.gone {
		on[complianceName] = Fault{Outage: OutageUnavailable}
	}
	return on
}

// complianceFault hides or shows the table: the only thing that can go wrong
// between a reader and a database that the bank doesn't stand between.
func (b *Bank) complianceFault(f Fault) error {
	if (f != Fault{Outage: f.Outage}) {
		return errors.New("compliance is a table: only an outage is possible")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.holds == nil || b.closed {
		return errors.New("the compliance table is there only while the bank runs")
	}
	return b.holds.setGone(b.ctx, f.Outage != "")
}

// validate names every value out of bounds.
func (f Fault) validate() error {
	var errs []error
	rates := []struct {
		name string
		rate float64
	}{{"error_rate", f.ErrorRate}, {"lost_rate", f.LostRate}, {"lie_rate", f.LieRate}, {"hang_rate", f.HangRate}}
	for _, r := range rates {
		if !(r.rate >= 0 && r.rate <= 1) {
			errs = append(errs, fmt.Errorf("%s is a share from 0 to 1, not %v", r.name, r.rate))
		}
	}
	if f.Latency < 0 || f.Jitter < 0 || f.AckDelay < 0 || f.ReadDelay < 0 {
		errs = append(errs, errors.New("latency, jitter, ack_delay and read_delay are never negative"))
	}
	if !f.Character.known() {
		errs = append(errs, fmt.Errorf("character is one of %q, not %q", characters, f.Character))
	}
	if f.Outage != "" && f.Outage != OutageUnavailable && f.Outage != OutageCut {
		errs = append(errs, fmt.Errorf("outage is %q, %q or nothing, not %q", OutageUnavailable, OutageCut, f.Outage))
	}
	if f.Only != "" && f.Only != OnlyReads && f.Only != OnlyOperations {
		errs = append(errs, fmt.Errorf("only is %q, %q or nothing, not %q", OnlyReads, OnlyOperations, f.Only))
	}
	return errors.Join(errs...)
}

// faultJSON is a Fault as a person writes it, durations as in "200ms".
type faultJSON struct {
	Latency   string  `json:"latency,omitempty"`
	Jitter    string  `json:"jitter,omitempty"`
	AckDelay  string  `json:"ack_delay,omitempty"`
	ErrorRate float64 `json:"error_rate,omitempty"`
	LostRate  float64 `json:"lost_rate,omitempty"`
	LieRate   float64 `json:"lie_rate,omitempty"`
	HangRate  float64 `json:"hang_rate,omitempty"`
	ReadDelay string  `json:"read_delay,omitempty"`
	Character string  `json:"character,omitempty"`
	Outage    string  `json:"outage,omitempty"`
	Only      string  `json:"only,omitempty"`
}

// MarshalJSON writes what is on.
func (f Fault) MarshalJSON() ([]byte, error) {
	wire := faultJSON{
		ErrorRate: f.ErrorRate, LostRate: f.LostRate, LieRate: f.LieRate, HangRate: f.HangRate,
		Character: string(f.Character), Outage: f.Outage, Only: f.Only,
	}
	if f.Latency != 0 {
		wire.Latency = f.Latency.String()
	}
	if f.Jitter != 0 {
		wire.Jitter = f.Jitter.String()
	}
	if f.AckDelay != 0 {
		wire.AckDelay = f.AckDelay.String()
	}
	if f.ReadDelay != 0 {
		wire.ReadDelay = f.ReadDelay.String()
	}
	return json.Marshal(wire)
}
