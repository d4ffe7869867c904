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
	Outage    Reason = "outage"    // too many customers could not be read of a service that the rule needs
	TooOld    Reason = "stale"     // a record is older than its service's max_age
	Settling  Reason = "settling"  // it hasn't been so for long enough
	FirstPass Reason = "full_pass" // no full scan has ended with this version of the rule, so nobody knows what is normal
	Share     Reason = "share"     // so many customers at once that something else must be wrong
	Flapping  Reason = "flapping"  // the rule has repaired this customer again and again
	Canary    Reason = "canary"    // a changed rule goes on when its first repairs are proved
	Failing   Reason = "failing"   // one of a changed rule's first repairs has failed
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
	Rests     []int  // services that the decision rests on
	Blind     string // of which of them too little could be read; empty where of none
	Since     time.Time
	Settle    time.Duration
	Looks     int
	Customers int // in the last full scan that ended and began with this version of the rule; -1 where none has
	InState   int // open cases in the rule's states
	Usual     int // the median of that over the full scans of a week
	Released  int // how many there were when a person released the brake, within a day
	Open      int // repairs of the rule that are open
	LastHour  int // repairs of the rule that were started within an hour
	OnHim     int // repairs of the customer by the rule within a day

	// Of this version of the rule: repairs that were seen to work, those that
	// are open, too, and whether one has failed.
	Proved, Begun int
	Failed        bool
}

// ShareFloor is the number of customers in a state that no share goes below:
// in a small installation 2 % is soon reached by chance.
const ShareFloor = 20

// busy is when to look again where other repairs of the rule are under way:
// they take about that long.
const busy = 250 * time.Millisecond

// pausedFor is when to look again where a pause has no end.
const pausedFor = 10 * time.Minute

// Passing is when to look again where a full scan has to end first, should the
// customer be in order meanwhile.
const Passing = 5 * time.Minute

// again is when to look again where no time is known.
const again = 15 * time.Second

// Guard asks all guards in order and gives the first that holds the repair
// back.
func Guard(f Facts) Decision {
	for _, ask := range []func(Facts) Decision{mode, pause, windows, whole, outage, settled, brakes, Rates, canary} {
		if d := ask(f); !d.Go() {
			return d
		}
	}
	return allowed()
}

func allowed() Decision { return Decision{Reason: Allowed} }

func mode(f Facts) Decision {
	if f.Rule.Mode == Observe && !f.ByPerson {
		return Decision{Reason: Observing, Say: fmt.Sprintf("%s only observes", f.Rule.Name)}
	}
	return allowed()
}

// pause is a person's word, or a brake that no person has released; nobody's start
// overrules either.
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

// blindShare is the share of customers who could not be read of a service, from
// which on what it says of the others isn't acted upon (invariant I3).
const blindShare = 0.05

// Blind reports whether so few customers could be read of a service. A few are
// no outage.
func Blind(read, unseen int) bool {
	return unseen > ShareFloor && float64(unseen) > blindShare*float64(read)
}

// outage holds a rule back that needs a service of which much can't be read: it
// may be wrong about the rest, too. A person who starts a rule judges that.
func outage(f Facts) Decision {
	if f.Blind == "" || f.ByPerson {
		return allowed()
	}
	return Decision{Reason: Outage, Say: f.Blind, Until: f.Now.Add(again)}
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

// Trips reports whether the decision stops the rule until a person releases it.
func (d Decision) Trips() bool { return d.Reason == Share || d.Reason == Failing }

// brakes stop a rule where so much is wrong at once, or so soon, that the rule,
// or what it reads, is the likelier fault. A person who starts a rule judges that.
func brakes(f Facts) Decision {
	if f.ByPerson {
		return allowed()
	}
	for _, ask := range []func(Facts) Decision{firstPass, share, flapping} {
		if d := ask(f); !d.Go() {
			return d
		}
	}
	return allowed()
}

// firstPass asks that everybody was looked at with the rule as it is. Whoever
// waits for that is looked at as soon as the scan ends.
func firstPass(f Facts) Decision {
	if f.Customers >= 0 || f.Rule.Mode != Auto {
		return allowed()
	}
	return Decision{Reason: FirstPass, Say: fmt.Sprintf("No full scan has ended since this version of %s is in use", f.Rule.Name), Until: f.Now.Add(Passing)}
}

// usually is how many times as many customers as on an ordinary day may be in a
// rule's states at once.
const usually = 5

// more is how many times as many customers as a person has let pass may follow
// before the brake trips once more: the scan that found them may still go on.
const more = 2

func share(f Facts) Decision {
	most := max(ShareFloor, int(f.Rule.Limits.Share*float64(f.Customers)), usually*f.Usual, more*f.Released)
	if f.InState <= most {
		return allowed()
	}
	return Decision{Reason: Share, Until: f.Now.Add(pausedFor),
		Say: fmt.Sprintf("%d customers are in the states of %s at once, more than %d: something else may be wrong", f.InState, f.Rule.Name, most)}
}

// flappingLimit is how many repairs by one rule a customer gets in a day: where
// that didn't last, the next one won't either.
const flappingLimit = 3

func flapping(f Facts) Decision {
	if f.OnHim < flappingLimit {
		return allowed()
	}
	return Decision{Reason: Flapping, Until: f.Now.Add(again), Say: fmt.Sprintf("%s has repaired this customer %d times within a day, and it doesn't last", f.Rule.Name, f.OnHim)}
}

// canary lets a version of a rule begin one repair, then 9 more, then 90, then
// all: each when those before it are proved.
func canary(f Facts) Decision {
	if f.ByPerson || f.Rule.Mode != Auto {
		return allowed() // people judge each
	}
	stage := 1
	for stage <= f.Proved {
		stage *= 10
	}
	switch {
	case f.Proved >= CanarySize:
		return allowed()
	case f.Failed:
		return Decision{Reason: Failing, Until: f.Now.Add(pausedFor), Say: fmt.Sprintf("One of the first repairs by this version of %s has failed; %d were proved", f.Rule.Name, f.Proved)}
	case f.Begun >= stage:
		return Decision{Reason: Canary, Until: f.Now.Add(again), Say: fmt.Sprintf("This version of %s is new: more follow when its first %d %s proved", f.Rule.Name, stage, areOrIs(stage))}
	}
	return allowed()
}

// CanarySize is how many repairs of a version have to be proved until it isn't
// new any more.
const CanarySize = 100

// NextStage reports whether so many proved repairs let more of a version begin
// than one fewer did.
func NextStage(proved int) bool { return proved == 1 || proved == 10 || proved == CanarySize }

func areOrIs(n int) string {
	if n == 1 {
		return "repair is"
	}
	return "repairs are"
}

// StillBusy asks alone what other repairs of the rule decide, and no reading.
func StillBusy(f Facts) Decision {
	if d := Rates(f); !d.Go() {
		return d
	}
	if d := canary(f); d.Reason == Canary {
		return d
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
