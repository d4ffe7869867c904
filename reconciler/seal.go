package reconciler

import (
	"context"
	"time"
)

const (
	// sealEvery is how often what is new in the audit is linked: until then an
	// entry can be taken out and nothing shows it.
	sealEvery = 2 * time.Second
	// sealLimit is how long the end of a run waits for the last of them.
	sealLimit = 10 * time.Second
)

// seal links what is new in the audit, and has it signed from time to time.
// Where that fails the work goes on: every entry stands where it was written,
// and is linked by a later tick.
func (e *Engine) seal(ctx context.Context) {
	if passed := e.Now().Sub(e.sealed); passed >= 0 && passed < sealEvery {
		return
	}
	e.sealed = e.Now()
	if err := e.Store.Seal(ctx); err == nil || ctx.Err() == nil {
		e.saySeal(err)
	}
}

// cutEvery is how often entries of the audit that are old enough are looked for.
// Each cut leaves a signed line that stays for good.
const cutEvery = 24 * time.Hour

// cutAudit cuts off the audit's beginning what was kept long enough: some of it
// at a tick, so that nobody waits. Where that fails it is tried again when the
// next would be due.
func (e *Engine) cutAudit(ctx context.Context) error {
	if passed := e.Now().Sub(e.cut); e.KeepAudit == 0 || passed >= 0 && passed < cutEvery {
		return nil
	}
	gone, more, err := e.Store.CutAudit(ctx, e.KeepAudit)
	if !more {
		e.cut = e.Now()
	}
	if gone > 0 {
		e.Log.Info("cut off entries of the audit that were kept long enough", "entries", gone)
	}
	return err
}

// sealLast links and signs the rest at the end of a run, if this is the process
// that did it before.
func (e *Engine) sealLast(ctx context.Context) {
	if e.sealed.IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sealLimit)
	defer cancel()
	e.saySeal(e.Store.SealAll(ctx))
}

// saySeal logs a failure, and its repeats only after a success between.
func (e *Engine) saySeal(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if err != nil && text != e.unsealed {
		e.Log.Error("the audit could not be sealed", "error", err)
	}
	e.unsealed = text
}
