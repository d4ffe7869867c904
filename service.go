package amend

import (
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Schema is what is known about the customers of one installation: how they
// are named, and which services hold a record of them.
type Schema struct {
	Entity   Entity
	Services []Service
}

// Service finds a service by name; the index is also that of View.Records.
func (s *Schema) Service(name string) (int, *Service) {
	for i := range s.Services {
		if s.Services[i].Name == name {
			return i, &s.Services[i]
		}
	}
	return -1, nil
}

// Entity names what is kept coherent; "customer" in this code stands for it.
type Entity struct {
	Name   string
	Plural string
	ID     *regexp.Regexp // matches a whole ID; any other is refused before it reaches a URL or a query
}

// LongestID is how long an ID can be, in bytes, whatever the pattern says: IDs are
// keys of tables, and PostgreSQL's indexes hold some 2,700 bytes.
const LongestID = 256

// Valid reports whether the text can be an ID. No ID has control characters or
// broken UTF-8, which a database may not take.
func (e *Entity) Valid(id string) bool {
	return len(id) <= LongestID && utf8.ValidString(id) && !strings.ContainsFunc(id, unicode.IsControl) && (e.ID == nil || e.ID.MatchString(id))
}

// Service is one downstream system as declared, without how it is reached.
type Service struct {
	Name       string
	Kind       string // http, sql or a registered kind
	About      string
	Owner      Owner
	SLO        SLO
	Links      []Link
	MaxAge     time.Duration // how old a record may be that a repair rests on
	Sentinels  Sentinels
	Fields     []Field
	Operations []Operation
	Version    string // a hash of how it is read, and of what is read; empty where nobody has declared it
}

// Field finds a declared field by name; the index is also that of
// Record.Values.
func (s *Service) Field(name string) (int, *Field) {
	i := slices.IndexFunc(s.Fields, func(f Field) bool { return f.Name == name })
	if i < 0 {
		return -1, nil
	}
	return i, &s.Fields[i]
}

// Operation finds a declared operation by name.
func (s *Service) Operation(name string) *Operation {
	i := slices.IndexFunc(s.Operations, func(o Operation) bool { return o.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Operations[i]
}

// Owner is the team behind a service.
type Owner struct {
	Team    string `json:"team,omitempty"`
	Slack   string `json:"slack,omitempty"`
	Runbook string `json:"runbook,omitempty"`
}

// SLO is what a service promises.
type SLO struct {
	Availability float64 // share of good answers, 0 to 1
	Latency      time.Duration
	Window       time.Duration
}

// Link leads from a customer into a service's own pages.
type Link struct {
	Title string
	URL   string
}

// Sentinels prove that "not found" means not found: an ID that is always there
// and one that never is. Sentinels are no customers.
type Sentinels struct {
	Present string
	Absent  string
}

// Declared reports whether there is a pair to prove absence with.
func (s Sentinels) Declared() bool { return s.Present != "" && s.Absent != "" }

// Field is one declared value of a record. What isn't declared is never read,
// kept or shown.
type Field struct {
	Name      string
	Type      Type
	Path      string   // a CEL expression over item; empty means item.<name>
	Values    []string // where not empty, any other value makes the record unseen
	Scale     int      // decimal places that are read exactly into an int: "12.30" is 1230 at scale 2
	Unit      string
	Sensitive bool
	Optional  bool // may be missing: then it is null
}

// Operation is one thing that a service can be asked to do, without how the
// request looks.
type Operation struct {
	Name        string
	With        []Parameter
	Repeat      Repeat
	IfUnchanged bool           // sends the version that the decision was based on
	Sets        map[string]any // field → value or {expression} over the arguments; Any where it can't be known
	Shown       string         // a condition that proves the effect where equality is too strict
	Done        string         // what in the answer proves it where no record shows it
	Within      time.Duration  // how long the effect may take to be seen
}

// Any stands in Sets for a value that can't be known beforehand.
const Any = "any"

// Verifiable reports whether reading can prove the effect.
func (o *Operation) Verifiable() bool { return len(o.Sets) > 0 || o.Shown != "" || o.Done != "" }

// Parameter is one typed argument of an operation.
type Parameter struct {
	Name string
	Type Type
}

// Repeat is an operation's idempotency contract. The zero Repeat is never.
type Repeat struct {
	How           RepeatHow
	Header        string        // the header that carries the key
	InBody        bool          // the key stands in the body as {key}
	Window        time.Duration // how long the service remembers the key
	ReplaysErrors bool          // it replays a stored failure as well
}

// RepeatHow says what makes repeating an operation harmless.
type RepeatHow uint8

// The three contracts that a service can offer.
const (
	RepeatNever RepeatHow = iota
	RepeatSafe            // the operation itself is idempotent
	RepeatByKey           // the service remembers the key
)

// String is the word in the configuration language.
func (r RepeatHow) String() string { return [...]string{"never", "safe", "key"}[r] }

// Outcome is what is known of one operation that was sent.
type Outcome uint8

// The four outcomes. The zero Outcome is Unsettled: what nobody knows is
// settled by reading.
const (
	Unsettled Outcome = iota // timeout, cut connection, 5xx, crash: it may have happened
	Done                     // the service says it happened
	Refused                  // the service says no; not retried
	Failed                   // it certainly did not happen; again later with the same key
)

var outcomeNames = [...]string{"unsettled", "done", "refused", "failed"}

// String is the word that is stored and shown. Stored data: don't rename.
func (o Outcome) String() string { return outcomeNames[o] }

// ParseOutcome reads what String wrote; an unknown word is Unsettled.
func ParseOutcome(text string) Outcome {
	return Outcome(max(0, slices.Index(outcomeNames[:], text)))
}
