package bank

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const controlHelp = `The demo bank. Everything here is for people; nothing needs a token.

  curl -X PUT    %[1]s/faults/ledger -d '{"latency":"300ms","jitter":"200ms"}'
  curl -X PUT    %[1]s/faults/cards -d '{"error_rate":0.3,"lost_rate":0.1,"hang_rate":0.05,"only":"operations"}'
  curl -X PUT    %[1]s/faults/billing -d '{"outage":"503"}'      (or "cut": connections are cut)
  curl -X PUT    %[1]s/faults/billing -d '{"character":"replays_errors","read_delay":"5s","lie_rate":0.05}'
  curl -X DELETE %[1]s/faults/billing
  curl %[1]s/customers/cus_000002     the truth about a customer
  curl %[1]s/journal                  what the services were asked to do, counted and judged
  curl %[1]s/journal/cus_000002       every mutation of one customer

Services: identity, ledger, cards, billing, compliance (outage only).
latency, jitter, ack_delay (between an effect and its answer) and read_delay (until reads show an effect) are durations;
error_rate, lost_rate, lie_rate (yes, and nothing is done) and hang_rate are shares from 0 to 1; only is "reads" or "operations".
character is what a service makes of requests that come again: "ignores_keys", "wants_version" (If-Match), "replays_errors",
"replays_any_body" or "finishes" (a POST, also where the caller has gone); without it keys are honoured.

`

// controlHandler lets a person switch faults and see the truth by curl. Pages
// of other origins are kept out.
func (b *Bank) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", b.showHelp)
	mux.HandleFunc("PUT /faults/{service}", b.putFault)
	mux.HandleFunc("DELETE /faults/{service}", b.deleteFault)
	mux.HandleFunc("GET /journal", func(w http.ResponseWriter, _ *http.Request) { b.showJSON(w, b.Count()) })
	mux.HandleFunc("GET /journal/{id}", func(w http.ResponseWriter, r *http.Request) {
		b.showJSON(w, b.journal.Of(r.PathValue("id")))
	})
	mux.HandleFunc("GET /customers/{id}", b.showCustomer)
	return http.NewCrossOriginProtection().Handler(mux)
}

// showHelp shows lines that can be copied as they stand, and what is on.
func (b *Bank) showHelp(w http.ResponseWriter, r *http.Request) {
	on, err := json.MarshalIndent(b.Faults(), "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, controlHelp, "http://"+r.Host)
	fmt.Fprintf(w, "Faults that are on now: %s\n", on)
}

func (b *Bank) putFault(w http.ResponseWriter, r *http.Request) {
	f, err := decodeFault(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.switchFault(w, r, f)
}

func (b *Bank) deleteFault(w http.ResponseWriter, r *http.Request) { b.switchFault(w, r, Fault{}) }

// switchFault answers with what is on now, so that a person sees at once
// whether it was understood.
func (b *Bank) switchFault(w http.ResponseWriter, r *http.Request, f Fault) {
	if err := b.Fault(r.PathValue("service"), f); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.showJSON(w, b.Faults())
}

// decodeFault reads a fault as a person writes it; a misspelt name is an error
// and not a fault that isn't there.
func decodeFault(body io.Reader) (Fault, error) {
	var wire faultJSON
	decoder := json.NewDecoder(body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&wire); err != nil {
		return Fault{}, fmt.Errorf("read the fault: %w", err)
	}
	latency, err := parseDuration("latency", wire.Latency)
	jitter, err2 := parseDuration("jitter", wire.Jitter)
	ackDelay, err3 := parseDuration("ack_delay", wire.AckDelay)
	readDelay, err4 := parseDuration("read_delay", wire.ReadDelay)
	return Fault{
		Latency: latency, Jitter: jitter, AckDelay: ackDelay, ErrorRate: wire.ErrorRate, LostRate: wire.LostRate,
		LieRate: wire.LieRate, HangRate: wire.HangRate, ReadDelay: readDelay, Character: Character(wire.Character), Outage: wire.Outage, Only: wire.Only,
	}, errors.Join(err, err2, err3, err4)
}

func parseDuration(name, value string) (time.Duration, error) {
	if value == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(value)
	if err != nil {
		return 0, fmt.Errorf("%s is a duration such as 200ms, not %q", name, value)
	}
	return d, nil
}

// truthJSON is all that is true of a customer, also what reads don't show yet,
// and which operations they need.
type truthJSON struct {
	ID         string          `json:"id"`
	State      string          `json:"state"`
	Coherent   bool            `json:"coherent"`
	Planted    string          `json:"planted,omitempty"`
	Needs      []Operation     `json:"needs"`
	Identity   json.RawMessage `json:"identity"`
	Ledger     json.RawMessage `json:"ledger"`
	Cards      json.RawMessage `json:"cards"`
	Billing    json.RawMessage `json:"billing"`
	Compliance *holdJSON       `json:"compliance"`
}

type holdJSON struct {
	Hold     bool      `json:"hold"`
	Reason   string    `json:"reason"`
	PlacedAt time.Time `json:"placed_at"`
}

func (b *Bank) showCustomer(w http.ResponseWriter, r *http.Request) {
	truth, known := b.truthOf(r.PathValue("id"))
	if !known {
		http.Error(w, "no service knows this customer", http.StatusNotFound)
		return
	}
	b.showJSON(w, truth)
}

func (b *Bank) truthOf(id string) (truthJSON, bool) {
	b.world.mu.RLock()
	defer b.world.mu.RUnlock()
	c, ok := b.world.byID[id]
	if !ok || c.nobody() {
		return truthJSON{}, false
	}
	state := c.state(b.world.now())
	truth := truthJSON{ID: id, State: state, Coherent: isCoherent(state), Planted: c.planted, Needs: []Operation{}}
	for _, op := range operations {
		if c.unneeded(op) == "" {
			truth.Needs = append(truth.Needs, op)
		}
	}
	records := []*json.RawMessage{&truth.Identity, &truth.Ledger, &truth.Cards, &truth.Billing}
	for i, s := range b.services {
		*records[i] = s.truth(c)
	}
	if c.hold != nil {
		truth.Compliance = &holdJSON{Hold: c.hold.hold, Reason: c.hold.reason, PlacedAt: c.hold.placed}
	}
	return truth, true
}

// showJSON indents, since people read it.
func (b *Bank) showJSON(w http.ResponseWriter, value any) {
	body, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(append(body, '\n'))
}
