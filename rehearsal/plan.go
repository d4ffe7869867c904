package rehearsal

import (
	"fmt"
	"strings"
	"time"

	"amend/bank"
)

// Plan is what happens in one run. The same plan gives the same trace.
type Plan struct {
	Seed       uint64        `json:"seed"`
	Customers  int           `json:"customers"`
	Workers    int           `json:"workers"` // heals at once
	Second     bool          `json:"second"`  // somebody else heals on the same store
	Settle     time.Duration `json:"settle"`
	CardDelay  time.Duration `json:"card_delay"`  // until an order shows
	CardWithin time.Duration `json:"card_within"` // what is promised of that
	ClockStays bool          `json:"clock_stays"` // as it is in the end, also if it is wrong
	Lasts      time.Duration `json:"lasts"`       // then everything is put right, and what is open has to end
	Events     []Event       `json:"events"`
}

// Event is one thing that happens.
type Event struct {
	At   time.Duration `json:"at"` // since the start
	Kind Kind          `json:"kind"`

	For     time.Duration `json:"for,omitempty"` // how long it lasts; of a death: until the next worker starts
	Service string        `json:"service,omitempty"`
	Fault   bank.Fault    `json:"fault,omitzero"`
	Odd     Odd           `json:"odd,omitempty"`
	Mute    Mute          `json:"mute,omitempty"`
	On      Moment        `json:"on,omitempty"` // of a death: at which moment …
	N       int           `json:"n,omitempty"`  // … passed for the n-th time; of what people do: to whom
	By      time.Duration `json:"by,omitempty"` // of a jump
	Scope   string        `json:"scope,omitempty"`
	Target  string        `json:"target,omitempty"`
	Rate    float64       `json:"rate,omitempty"` // of drift, per second
}

// Kind says what an event is.
type Kind string

// The kinds of events.
const (
	Crash   Kind = "crash"   // the worker dies with all that it remembers
	Restart Kind = "restart" // the worker is asked to end
	Stall   Kind = "stall"   // one of two engines stands still, and goes on where it was
	Break   Kind = "break"   // a service has a fault of the bank's
	Oddity  Kind = "oddity"  // a service answers strangely
	Jump    Kind = "jump"    // the worker's clock jumps
	Pause   Kind = "pause"   // a person stops repairs
	Human   Kind = "human"   // a person changes a customer, past amend
	Drift   Kind = "drift"   // the bank drifts
	Ask     Kind = "ask"     // a person asks for a look
	Silence Kind = "silence" // people can't be told
	Visit   Kind = "visit"   // a person opens a customer's page and clicks on what it offers
)

// The engines that can stand still, where there are two.
const (
	First  = "first"
	Second = "second"
)

// Moment is a kind of turn.
type Moment string

// The moments at which workers die.
const (
	AtJob    Moment = "job"    // something is about to be done
	AtRead   Moment = "read"   // a service is about to be read
	AtSend   Moment = "send"   // an intent is committed, and nothing is sent
	AtWire   Moment = "wire"   // the request has arrived, and nothing is done
	AtAnswer Moment = "answer" // it is done, and the answer hasn't left
	AtWrite  Moment = "write"  // a transaction is about to begin
	AtPost   Moment = "post"   // people are about to be told
	AtTold   Moment = "told"   // people were told, and the worker doesn't know
)

// Odd is a way of answering strangely.
type Odd string

// The ways. Lies and Redirects are for operations, the others for reads.
const (
	HTML404   Odd = "html404"   // a gateway's page says that there is no such thing
	HTML200   Odd = "html200"   // a login page
	Empty     Odd = "empty"     // an empty object
	Null      Odd = "null"      // a body of null
	Truncated Odd = "truncated" // the connection is cut in the middle of the answer
	Throttled Odd = "throttled" // 429 with a time
	Lies      Odd = "lies"      // answered with yes and not done
	Redirects Odd = "redirects" // 307 to the same place, which has the request sent again by whoever follows
)

// String is the plan as people read it.
func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d customers, %d heals at once, second %t, settle %s, cards show after %s (promised %s), for %s\n",
		p.Seed, p.Customers, p.Workers, p.Second, p.Settle, p.CardDelay, p.CardWithin, p.Lasts)
	for _, e := range p.Events {
		fmt.Fprintf(&b, "  %s\n", e)
	}
	return b.String()
}

// String is the event as people read it.
func (e Event) String() string {
	text := fmt.Sprintf("%8s  %s", e.At, e.Kind)
	switch e.Kind {
	case Crash:
		text += fmt.Sprintf(" at %s number %d, next worker after %s", e.On, e.N, e.For)
	case Restart:
		text += fmt.Sprintf(", next worker after %s", e.For)
	case Break:
		fault, err := e.Fault.MarshalJSON()
		if err != nil {
			return err.Error()
		}
		text += fmt.Sprintf(" %s for %s: %s", e.Service, e.For, fault)
	case Oddity:
		text += fmt.Sprintf(" %s for %s: %s", e.Service, e.For, e.Odd)
	case Stall:
		text += fmt.Sprintf(" of the %s engine for %s", e.Target, e.For)
	case Jump:
		text += fmt.Sprintf(" by %s", e.By)
	case Pause:
		text += fmt.Sprintf(" %s %s for %s", e.Scope, e.Target, e.For)
	case Silence:
		text += fmt.Sprintf(" %s for %s", e.Mute, e.For)
	case Visit:
		text += fmt.Sprintf(" number %d, who clicks after %s", e.N, e.For)
	case Human, Ask:
		text += fmt.Sprintf(" number %d", e.N)
	case Drift:
		text += fmt.Sprintf(" at %.2f a second for %s", e.Rate, e.For)
	}
	return text
}
