package connectors

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"amend"
)

// DefaultWindow is how long a proof of absence holds.
const DefaultWindow = 30 * time.Second

// probeTimeout bounds one probe, whoever waits for it.
const probeTimeout = 10 * time.Second

// Prover is a Connector that can prove that "not found" means not found.
type Prover interface {
	// Proof returns nil if both sentinels answered rightly to a probe that
	// began at since or later; a zero since stands for the window. It probes
	// where no such probe is known. The error is an *Unseen.
	Proof(ctx context.Context, since time.Time) error
}

// Prove makes a connector's absences believable: without a proof an absent
// record is unseen. Many asks for the sentinels in the same call, so it takes
// two customers fewer. One rests on a proof of at most the window; Read asks
// for one that is younger than the record. Pages of List don't show the
// sentinels, which are no customers; who is missing in a list is the caller's
// to ask.
//
// Without declared sentinels the connector is returned as it is. Where
// Abilities.Marker holds, an absence in One proves itself.
func Prove(c Connector, sentinels amend.Sentinels, window time.Duration, now func() time.Time) Connector {
	if !sentinels.Declared() {
		return c
	}
	return &prover{inner: c, can: c.Can(), sentinels: sentinels, window: window, now: now}
}

type prover struct {
	inner     Connector
	can       Abilities
	sentinels amend.Sentinels
	window    time.Duration
	now       func() time.Time

	mu      sync.Mutex
	last    *probe             // the last that succeeded
	running [priorities]*probe // by who pays for its calls
}

// probe is one look at both sentinels.
type probe struct {
	payer Priority
	began time.Time
	at    time.Time // the same, by this machine's clock
	done  chan struct{}
	err   *Unseen // after done
}

// holds reports whether one that is over is young enough by now, whatever was done
// to a clock meanwhile.
func (p *probe) holds(since, now time.Time) bool {
	return !p.began.Before(since) && !p.began.After(now) && elapsed(p.at) <= now.Sub(since)
}

// Can leaves room for the sentinels in each call of Many.
func (p *prover) Can() Abilities {
	can := p.can
	can.Many = max(0, can.Many-2)
	return can
}

// Prepare passes through.
func (p *prover) Prepare(call Call) (Request, error) { return p.inner.Prepare(call) }

// Send passes through.
func (p *prover) Send(ctx context.Context, request Request) Answer {
	return p.inner.Send(ctx, request)
}

// Close passes through.
func (p *prover) Close() error { return Close(p.inner) }

// One is part of Connector.
func (p *prover) One(ctx context.Context, id string) (amend.Record, error) {
	record, err := p.inner.One(ctx, id)
	if err != nil || record.Presence != amend.Absent {
		return record, err
	}
	if err := p.Proof(ctx, time.Time{}); err != nil {
		return AsUnseen(err).Record(record.ReadAt), nil
	}
	return record, nil
}

// Many is part of Connector.
func (p *prover) Many(ctx context.Context, ids []string) ([]amend.Record, error) {
	records, err := p.inner.Many(ctx, append(slices.Clip(ids), p.sentinels.Present, p.sentinels.Absent))
	if err != nil {
		return nil, err
	}
	n := len(ids)
	unproven := judge(&records[n], &records[n+1])
	records = records[:n:n]
	for i := range records {
		if unproven != nil && records[i].Presence == amend.Absent {
			records[i] = unproven.Record(records[i].ReadAt)
		}
	}
	return records, nil
}

// List is part of Connector.
func (p *prover) List(ctx context.Context, request PageRequest) (Page, error) {
	page, err := p.inner.List(ctx, request)
	page.Records = slices.DeleteFunc(page.Records, func(k Keyed) bool {
		return k.ID == p.sentinels.Present || k.ID == p.sentinels.Absent
	})
	return page, err
}

// Proof is part of Prover. Many callers share one probe: whoever comes while
// one runs that began too early for them waits for the next. Scans pay for their
// own, so that they leave to others what is others' of an hour's calls, and wait
// for the next hour.
func (p *prover) Proof(ctx context.Context, since time.Time) error {
	if p.can.Marker {
		return nil
	}
	if since.IsZero() {
		since = p.now().Add(-p.window)
	}
	for {
		if now := p.now(); since.After(now) { // by another clock, or before this one was put back: no probe could ever be young enough
			since = now
		}
		run := p.probe(ctx, since)
		select {
		case <-run.done:
		case <-ctx.Done():
			return &Unseen{Cause: amend.Unproven, Reason: "the sentinels did not answer in time"}
		}
		if run.began.Before(since) || run.began.After(p.now()) {
			continue
		}
		if run.err == nil {
			return nil
		}
		if run.err.Cause != amend.Spent || run.payer != Scanning || !sleep(ctx, hourLook) {
			return run.err
		}
	}
}

// probe finds one that is good enough, or joins the one that runs, or begins
// another.
func (p *prover) probe(ctx context.Context, since time.Time) *probe {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last != nil && p.last.holds(since, p.now()) {
		return p.last
	}
	payer := Repairing
	if payerOf(ctx) == Scanning {
		payer = Scanning
	}
	if p.running[payer] == nil {
		p.running[payer] = &probe{payer: payer, began: p.now(), at: time.Now(), done: make(chan struct{})}
		go p.run(context.WithoutCancel(ctx), p.running[payer])
	}
	return p.running[payer]
}

// run is not cancelled with the caller who happened to begin it, since others
// wait for it too.
func (p *prover) run(ctx context.Context, run *probe) {
	// Whoever else waits for it may be one who repairs.
	ctx, cancel := context.WithTimeout(paidBy(WithPriority(ctx, Repairing), run.payer), probeTimeout)
	defer cancel()
	var present, absent amend.Record
	var group sync.WaitGroup
	group.Go(func() { present = readOne(ctx, p.inner, p.sentinels.Present, p.now) })
	group.Go(func() { absent = readOne(ctx, p.inner, p.sentinels.Absent, p.now) })
	group.Wait()
	run.err = judge(&present, &absent)

	p.mu.Lock()
	p.running[run.payer] = nil
	if run.err == nil {
		p.last = run
	}
	p.mu.Unlock()
	close(run.done)
}

// judge says what is wrong with the sentinels' records, if anything.
func judge(present, absent *amend.Record) *Unseen {
	if present.Presence == amend.Present && absent.Presence == amend.Absent {
		return nil
	}
	for _, r := range []*amend.Record{present, absent} {
		if r.Presence == amend.Unseen && r.Cause == amend.Spent {
			return &Unseen{Cause: r.Cause, Reason: r.Reason}
		}
	}
	return &Unseen{Cause: amend.Unproven, Reason: fmt.Sprintf(
		"the sentinel that is always there is %s, the one that never is is %s", describe(present), describe(absent))}
}

func describe(r *amend.Record) string {
	if r.Presence == amend.Unseen {
		return fmt.Sprintf("unseen (%s)", r.Cause)
	}
	return r.Presence.String()
}
