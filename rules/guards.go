package rules

import (
	"fmt"
	"time"

	"github.com/robfig/cron/v3"

	"amend"
)

// Reason names why a guard holds a repair back. Stored data: don't rename.
type Reason string

// The reasons, in the order in which they are asked.
const (
	Allowed   Reason = "allowed"
	Observing Reason = "observing" // the rule's mode only shows
	Paused    Reason = "paused"    // a person has stopped it
	InWindow  Reason = "window"    // a standing pause
	Partial   Reason = "unseen"    // a record that the decision rests on could not be read
	TooOld    Reason = "stale"     // a record is older than its service's max_age
	Settling  Reason = "settling"  // it hasn't been so for long enough
	FirstPass Reason = "full_pass" // no full scan has ended yet, so nobody knows what is normal
	Share     Reason = "share"     // so many customers at once that something else must be wrong
	AtOnce    Reason = "at_once"   // the rule's open repairs
	PerHour   Reason = "per_hour"  // the rule's repairs in the last hour
)

// Decision is what the guards say: go on, or wait until a time for a reason.
type Decision struct {
	Reason Reason
	Say    string    // the reason in a sentence, for the customer's page and the log
	Until  time.Time // when to look again
}

// Go reports whether nothing holds the repair back.
func (d Decision) Go() bool { return d.Reason == Allowed }

// Window is a standing pause: it starts by a schedule and lasts a while.
type Window struct {
	Start cron.Schedule
	For   time.Duration
	Why   string
}

// Active says until when the window pauses repairs, if it does.
func (w Window) Active(now time.Time) (time.Time, bool) {
	start := w.Start.Next(now.Add(-w.For))
	return start.Add(w.For), !start.IsZero() && !start.After(now)
}

// Facts are what the guards judge: all that is known, read before, so that the
// judgement is a pure function.
type Facts struct {
	Now       time.Time
	Rule      *Rule
	ByPerson  bool      // a person started it: settle and brakes are theirs to judge
	Paused    string    // by whom and why; empty where nothing is paused
	Resumes   time.Time // when that ends by itself; zero where it doesn't
	Windows   []Window
	View      *amend.View
	Schema    *amend.Schema
	Rests     []int // services that the decision rests on
	Since     time.Time
	Settle    time.Duration
	Looks     int
	Customers int // in the last full scan that ended; -1 where none has
	InState   int // open cases in the rule's states
	Open      int // repairs of the rule that are open
	LastHour  int // repairs of the rule that were started within an hour
}

// ShareFloor is the number of customers in a state that no share goes below:
// in a small installation 2 % is soon reached by chance.
const ShareFloor = 20

// busy is when to look again where other repairs of the rule are under way:
// they take about that long.
const busy = 250 * time.Millisecond

// braked is when to look again where a rule holds everything back: scans wake
// whoever has moved on, and reading thousands of customers over and over would
// not help a service that is in trouble.
const braked = 2 * time.Minute

// pausedFor is when to look again where a pause has no end.
const pausedFor = 10 * time.Minute

// again is when to look again where no time is known.
const again = 15 * time.Second

// Guard asks all guards in order and gives the first that holds the repair
// back.
func Guard(f Facts) Decision {
	for _, ask := range []func(Facts) Decision{mode, pause, windows, whole, settled, brakes, Rates} {
		if d := ask(f); !d.Go() {
			return d
		}
	}
	return Decision{Reason: Allowed}
}

func allowed() Decision { return Decision{Reason: Allowed} }

func mode(f Facts) Decision {
	if f.Rule.Mode == Observe && !f.ByPerson {
		return Decision{Reason: Observing, Say: fmt.Sprintf("%s only observes", f.Rule.Name)}
	}
	return allowed()
}

// pause is a person's word, which no other person's start overrules.
func pause(f Facts) Decision {
	if f.Paused == "" {
		return allowed()
	}
	until := f.Resumes
	if until.IsZero() {
		until = f.Now.Add(pausedFor) // whoever resumes has everybody looked at who waits
	}
	return Decision{Reason: Paused, Say: f.Paused, Until: until}
}

func windows(f Facts) Decision {
	for _, w := range f.Windows {
		if until, active := w.Active(f.Now); active {
			return Decision{Reason: InWindow, Say: "Repairs pause for " + w.Why, Until: until}
		}
	}
	return allowed()
}

// whole asks that every record which the decision rests on was read, and
// recently.
func whole(f Facts) Decision {
	for _, i := range f.Rests {
		record, service := &f.View.Records[i], &f.Schema.Services[i]
		if record.Presence == amend.Unseen {
			return Decision{Reason: Partial, Say: fmt.Sprintf("%s could not be read: %s", service.Name, record.Reason), Until: f.Now.Add(again)}
		}
		if age := f.Now.Sub(record.ReadAt); age > service.MaxAge {
			return Decision{Reason: TooOld, Say: fmt.Sprintf("What %s said is %s old", service.Name, age.Round(time.Second)), Until: f.Now}
		}
	}
	return allowed()
}

func settled(f Facts) Decision {
	if f.ByPerson || f.Settle == 0 {
		return allowed()
	}
	if until := f.Since.Add(f.Settle); f.Now.Before(until) {
		return Decision{Reason: Settling, Say: fmt.Sprintf("It must have been so for %s", f.Settle), Until: until}
	}
	if f.Looks < 2 {
		return Decision{Reason: Settling, Say: "It must have been seen twice", Until: f.Now.Add(time.Second)}
	}
	return allowed()
}

// brakes stop a rule where so much is wrong at once that the rule, or what it
// reads, is the likelier fault.
func brakes(f Facts) Decision {
	if f.ByPerson {
		return allowed()
	}
	if f.Customers < 0 {
		return Decision{Reason: FirstPass, Say: "No full scan has ended yet", Until: f.Now.Add(time.Second)}
	}
	if most := max(ShareFloor, int(f.Rule.Limits.Share*float64(f.Customers))); f.InState > most {
		return Decision{Reason: Share, Until: f.Now.Add(braked),
			Say: fmt.Sprintf("%d customers are in the states of %s at once, more than %d: something else may be wrong", f.InState, f.Rule.Name, most)}
	}
	return allowed()
}

// Rates asks the rule's own limits alone.
func Rates(f Facts) Decision {
	if f.Open >= f.Rule.Limits.AtOnce {
		return Decision{Reason: AtOnce, Say: fmt.Sprintf("%d repairs of %s are under way, its limit", f.Open, f.Rule.Name), Until: f.Now.Add(busy)}
	}
	if f.LastHour >= f.Rule.Limits.PerHour {
		return Decision{Reason: PerHour, Say: fmt.Sprintf("%s has reached its %d repairs an hour", f.Rule.Name, f.Rule.Limits.PerHour), Until: f.Now.Add(time.Minute)}
	}
	return allowed()
}

// GuardAgain asks what must hold whenever anything is sent, also a step that
// was sent before: no pause, and a whole and fresh view.
func GuardAgain(f Facts) Decision {
	for _, ask := range []func(Facts) Decision{pause, windows, whole} {
		if d := ask(f); !d.Go() {
			return d
		}
	}
	return allowed()
}
