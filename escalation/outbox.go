package escalation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"amend/store"
)

// Teller carries what stands in the store's outbox to people. A letter stays
// in the outbox until the messenger has said yes, so a crash loses none.
type Teller struct {
	Store     *store.Store
	Messenger Messenger
	Channel   string                       // where a state names none
	Link      func(customer string) string // a customer's page; nil for no link
	Now       func() time.Time
	Log       *slog.Logger
	Every     time.Duration // between two messages to one channel; default 1 s, Slack's limit

	last  map[string]time.Time // per channel
	said  string               // the last failure, so that its repeats aren't logged
	ready sync.Once
}

const (
	defaultEvery = time.Second
	// holdFor keeps others from telling what is being told. It is longer than a
	// messenger may take.
	holdFor = time.Minute
	batch   = 50
	// firstRetry doubles with each further attempt, up to lastRetry.
	firstRetry = 2 * time.Second
	lastRetry  = 5 * time.Minute
)

// Tell tells until nothing is due any more, or the context ends. It is a job of
// the queue, whose key says nothing.
func (t *Teller) Tell(ctx context.Context, _ string) {
	for ctx.Err() == nil {
		told, err := t.RunOnce(ctx)
		if err != nil && ctx.Err() == nil {
			t.Log.Error("the outbox can't be read", "error", err)
		}
		if told == 0 {
			return
		}
	}
}

// RunOnce tells what is due now and gives the number of letters that it tried.
func (t *Teller) RunOnce(ctx context.Context) (tried int, err error) {
	t.ready.Do(func() {
		t.last = map[string]time.Time{}
		if t.Every == 0 {
			t.Every = defaultEvery
		}
	})
	letters, err := t.Store.Letters(ctx, batch)
	if err != nil {
		return 0, err
	}
	for _, l := range letters {
		if err := t.tell(ctx, l); err != nil {
			return tried, err
		}
		tried++
	}
	return tried, nil
}

// tell carries one letter and writes down what became of it. The error is the
// store's alone.
func (t *Teller) tell(ctx context.Context, l store.Letter) error {
	incident, found, err := t.Store.Incident(ctx, l.Incident)
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("the incident %s of a letter is gone", l.Incident)
	}
	if l.Action == "update" && incident.Message == "" {
		// The message that this one would edit is still to come, and will say
		// how things stand then.
		return t.Store.Postponed(ctx, l, "", t.Now().Add(firstRetry))
	}
	held, err := t.Store.Hold(ctx, l, holdFor)
	if err != nil || !held {
		return err
	}
	receipt, err := t.carry(ctx, l, incident)
	if err != nil {
		return t.failed(ctx, l, err)
	}
	t.said = ""
	return t.Store.Posted(ctx, l, receipt.Channel, receipt.Message)
}

// carry edits the message, or posts it where there is none, or none any more.
func (t *Teller) carry(ctx context.Context, l store.Letter, incident store.Incident) (Receipt, error) {
	notice, key := t.notice(incident), incident.ID
	if incident.Message != "" {
		receipt := Receipt{Channel: incident.Channel, Message: incident.Message}
		if err := t.turn(ctx, receipt.Channel); err != nil {
			return receipt, err
		}
		err := t.Messenger.Update(ctx, receipt, notice)
		if !isGone(err) {
			return receipt, err
		}
		// The first key is used up by the message that is gone. The new one is
		// the letter's, so that it stays the same however often this is tried.
		key = incident.ID + "/" + l.ID
	}
	return t.post(ctx, l, incident, posting{key, notice})
}

// posting is a message with the key under which it is posted once.
type posting struct {
	key    string
	notice Notice
}

// post posts where the state wants it, or in the default channel where that
// one is gone.
func (t *Teller) post(ctx context.Context, l store.Letter, incident store.Incident, p posting) (receipt Receipt, err error) {
	channels := []string{t.Channel}
	if incident.Target != "" && incident.Target != t.Channel {
		channels = []string{incident.Target, t.Channel}
	}
	for _, channel := range channels {
		if receipt, err = t.postTo(ctx, channel, l, p); !isGone(err) {
			return receipt, err
		}
	}
	return receipt, err
}

// postTo posts to one channel. Where an earlier posting may have arrived
// without our knowing, the message is looked for first: attempts are counted
// before they are made, so that also a crash in the middle of one is known.
func (t *Teller) postTo(ctx context.Context, channel string, l store.Letter, p posting) (Receipt, error) {
	if finder, can := t.Messenger.(Finder); can && l.Attempts > 0 {
		receipt, err := finder.Find(ctx, channel, p.key, l.CreatedAt)
		var refused Refused
		// Who may not read back still has the key, which most services keep.
		if !errors.Is(err, ErrNotFound) && !errors.As(err, &refused) {
			return receipt, err
		}
	}
	if err := t.turn(ctx, channel); err != nil {
		return Receipt{}, err
	}
	return t.Messenger.Post(ctx, channel, p.key, p.notice)
}

// turn waits for the channel's next turn. A clock that was put back makes
// nobody wait longer than that.
func (t *Teller) turn(ctx context.Context, channel string) error {
	if wait := min(t.Every, t.Every-t.Now().Sub(t.last[channel])); wait > 0 && !pause(ctx, wait) {
		return ctx.Err()
	}
	t.last[channel] = t.Now()
	return ctx.Err()
}

func isGone(err error) bool {
	var gone Gone
	return errors.As(err, &gone)
}

func (t *Teller) notice(i store.Incident) Notice {
	n := Notice{Incident: i.ID, CaseID: i.CaseID, Status: StatusOpen, Severity: Severity(i.Severity), State: i.State, About: i.About, Since: i.Since, Due: i.DueAt,
		Tried: i.Tried, Next: i.Next, Why: i.Why, Tell: i.Tell, Rule: i.Rule, RuleVersion: i.RuleVersion, UpdatedAt: t.Now()}
	if i.Customer != "" {
		n.Customers, n.Count = []string{i.Customer}, 1
		if t.Link != nil {
			n.URL = t.Link(i.Customer)
		}
	}
	switch {
	case i.Outcome == "healed":
		n.Status = StatusHealed
	case !i.ClosedAt.IsZero(): // whatever ended it: nobody is waited for
		n.Status = StatusClosed
	}
	return n
}

// failed postpones a letter. A repeat of the same failure is logged once.
func (t *Teller) failed(ctx context.Context, l store.Letter, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	wait := min(lastRetry, firstRetry<<min(l.Attempts, 10))
	var later RetryAfter
	var refused Refused
	switch {
	case errors.As(err, &later):
		wait = max(later.After, t.Every)
	case errors.As(err, &refused):
		wait = lastRetry
	}
	if text := err.Error(); text != t.said {
		t.said = text
		t.Log.Error("people could not be told", "incident", l.Incident, "error", err, "again_in", wait)
	}
	return t.Store.Postponed(ctx, l, err.Error(), t.Now().Add(wait))
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
