package rehearsal

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"amend/bank"
	"amend/store"
)

// NewPlan draws a plan from a seed.
func NewPlan(seed uint64) Plan {
	r := stream(seed, "plan")
	p := Plan{
		Seed: seed, Customers: 12 + r.IntN(19), Workers: 1 + r.IntN(4), Second: r.IntN(4) == 0,
		Settle: upTo(r, 15*time.Second), CardDelay: upTo(r, 8*time.Second), Lasts: 40*time.Second + upTo(r, 2*time.Minute),
		ClockStays: seed%2 == 0,
	}
	p.CardWithin = p.CardDelay + time.Second + upTo(r, 30*time.Second)
	// Life goes on all the time: without it there is little to repair.
	p.Events = append(p.Events, Event{Kind: Drift, Rate: 0.2 + r.Float64(), For: p.Lasts})
	for range 3 + r.IntN(12) {
		e := drawEvent(r)
		e.At = upTo(r, p.Lasts)
		if e.Kind == Jump && p.Second {
			continue // leases of two need a clock that doesn't jump, as PostgreSQL's; on a file there is one worker
		}
		p.Events = append(p.Events, e)
	}
	p.Events = append(p.Events, drawStalls(p)...)
	p.Events = append(p.Events, drawVisits(p)...)
	p.Events = append(p.Events, drawSilences(p)...)
	slices.SortStableFunc(p.Events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	return p
}

// drawStalls has one of two engines stand still for a while, mostly for longer
// than its leases last.
func drawStalls(p Plan) (stalls []Event) {
	if !p.Second {
		return nil
	}
	r := stream(p.Seed, "stalls")
	for range r.IntN(4) {
		stalls = append(stalls, Event{At: upTo(r, p.Lasts), Kind: Stall, For: upTo(r, 60*time.Second), Target: one(r, First, Second)})
	}
	return stalls
}

// drawVisits has people open pages.
func drawVisits(p Plan) (visits []Event) {
	r := stream(p.Seed, "visits")
	for range r.IntN(9) {
		visits = append(visits, Event{At: upTo(r, p.Lasts), Kind: Visit, N: r.IntN(100), For: upTo(r, thinkingOver)})
	}
	return visits
}

// drawSilences has people not be told, and workers die while they are.
func drawSilences(p Plan) (silences []Event) {
	r := stream(p.Seed, "silences")
	for range r.IntN(4) {
		e := Event{At: upTo(r, p.Lasts), Kind: Silence, Mute: one(r, Deaf, Limited, Revoked, Unheard, Unheard, Wiped), For: upTo(r, 30*time.Second)}
		if r.IntN(3) == 0 {
			e = Event{At: e.At, Kind: Crash, On: one(r, AtPost, AtTold, AtTold), N: 1, For: upTo(r, 25*time.Second)}
		}
		silences = append(silences, e)
	}
	return silences
}

func drawEvent(r *rand.Rand) Event {
	switch n := r.IntN(100); {
	case n < 28:
		return Event{Kind: Crash, On: one(r, AtJob, AtRead, AtSend, AtSend, AtWire, AtWire, AtAnswer, AtAnswer, AtWrite, AtWrite, AtWrite), N: 1 + r.IntN(6), For: upTo(r, 25*time.Second)}
	case n < 33:
		return Event{Kind: Restart, For: upTo(r, 5*time.Second)}
	case n < 60:
		return Event{Kind: Break, Service: one(r, "identity", "ledger", "cards", "billing", "ledger", "cards", "billing"), For: upTo(r, 60*time.Second), Fault: drawFault(r)}
	case n < 72:
		return Event{Kind: Oddity, Service: one(r, "identity", "ledger", "cards", "billing"), For: upTo(r, 40*time.Second),
			Odd: one(r, HTML404, HTML200, Empty, Null, Truncated, Throttled, Lies, Lies, Redirects)}
	case n < 77:
		return Event{Kind: Jump, By: one(r, time.Hour, -time.Hour, 24*time.Hour, -24*time.Hour, 5*time.Minute, -5*time.Minute)}
	case n < 84:
		return drawPause(r)
	case n < 95:
		return Event{Kind: Human, N: r.IntN(100)}
	}
	return Event{Kind: Ask, N: r.IntN(100)}
}

func drawFault(r *rand.Rand) bank.Fault {
	f := bank.Fault{Only: one(r, "", bank.OnlyOperations, bank.OnlyReads, bank.OnlyOperations)}
	switch r.IntN(8) {
	case 0:
		f.Outage = one(r, bank.OutageUnavailable, bank.OutageCut)
	case 1:
		f.LostRate = share(r)
	case 2:
		f.HangRate = share(r)
	case 3:
		f.ErrorRate = share(r)
	case 4:
		f.Latency, f.Jitter = upTo(r, 4*time.Second), upTo(r, 2*time.Second)
	case 5:
		f.AckDelay = upTo(r, 8*time.Second)
	default:
		f.LostRate, f.ErrorRate, f.AckDelay, f.Jitter = share(r)/2, share(r)/2, upTo(r, 2*time.Second), upTo(r, time.Second)
	}
	return f
}

func drawPause(r *rand.Rand) Event {
	e := Event{Kind: Pause, For: upTo(r, 60*time.Second), Scope: one(r, store.PauseAll, store.PauseService, store.PauseRule)}
	switch e.Scope {
	case store.PauseService:
		e.Target = one(r, "ledger", "cards", "billing")
	case store.PauseRule:
		e.Target = one(r, "open-ledger", "order-card", "start-billing", "copy-email", "block-card", "cancel-plan")
	}
	return e
}

func upTo(r *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(1+r.Int64N(int64(most/time.Millisecond))) * time.Millisecond
}

func share(r *rand.Rand) float64 { return one(r, 0.2, 0.5, 0.9, 1.0) }

func one[T any](r *rand.Rand, all ...T) T { return all[r.IntN(len(all))] }
