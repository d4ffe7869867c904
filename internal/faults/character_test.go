package faults

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/bank"
)

// byKey is what bank.yaml says of all operations that create something.
const byKey = "repeat: {key: header Idempotency-Key, window: 24h}"

// repeats has bank.yaml say something else of them.
func repeats(contract string) func(string) string {
	return func(text string) string { return strings.ReplaceAll(text, byKey, contract) }
}

// versioned has bank.yaml say what billing offers that wants versions: it takes
// no keys, and an If-Match with every change.
func versioned(text string) string {
	return strings.NewReplacer(
		`answer.code == "no_subscription"'}`, `answer.code == "no_subscription"', version: header.etag}`,
		"items: answer.subscriptions, key: item.customer}", "items: answer.subscriptions, key: item.customer, version: item.etag}",
		`cancel:    {delete: "/subscriptions/{id}", repeat: safe,`, `cancel:    {delete: "/subscriptions/{id}", repeat: safe, if_unchanged: true,`,
		`with: {email: string}, repeat: safe,`, `with: {email: string}, repeat: safe, if_unchanged: true,`,
	).Replace(byPeople(text))
}

// declares has bank.yaml say one thing more of every operation.
func declares(what string) func(string) string {
	return func(text string) string {
		text = strings.ReplaceAll(text, "        repeat: ", "        "+what+"\n        repeat: ")
		return strings.ReplaceAll(text, ", repeat: ", ", "+what+", repeat: ")
	}
}

// slowly has bank.yaml say how long the effects of all operations may take to be
// seen.
func slowly(within time.Duration) func(string) string {
	return func(text string) string {
		return declares("within: " + within.String())(strings.ReplaceAll(text, `, within: "${CARD_WITHIN:-5m}"`, ""))
	}
}

// byPeople has bank.yaml say that what creates something is not to be repeated,
// and so never begun but by a person.
func byPeople(text string) string {
	text = strings.ReplaceAll(text, byKey, "repeat: never")
	for _, create := range []string{`{ledger.open: {currency: '{identity.country == "GB" ? "GBP" : "EUR"}'}}`, "{cards.order: {}}", `{billing.start: {email: "{identity.email}"}}`} {
		text = strings.ReplaceAll(text, "    do: ["+create+"]\n    mode: auto\n", "    do: ["+create+"]\n    mode: manual\n")
	}
	return text
}

// character is what services make of requests that come again, and what
// bank.yaml truthfully says of that.
type character struct {
	fault    bank.Fault
	contract func(string) string
	unable   []string // why people may have what could not be mended
}

// landing is how long a request takes to its effect where it comes whoever waits
// for it: longer than until the next worker has read what is there.
const landing = 1500 * time.Millisecond

// characters are the modes in which services are tested. Where an answer is
// lost, and an operation must never be repeated, nobody but a person can say
// what happened, unless reading shows it.
func characters() map[string]character {
	delay := time.Duration(times(1, 5)) * time.Second
	people := []string{"unsettled", "no_rule", "attempts"}
	return map[string]character{
		"HonoursKeys":    {fault: bank.Fault{LostRate: 0.3}},
		"IgnoresKeys":    {fault: bank.Fault{LostRate: 0.3, Latency: landing, Character: bank.IgnoresKeys}, contract: byPeople, unable: people},
		"WantsVersion":   {fault: bank.Fault{LostRate: 0.3, Character: bank.WantsVersion}, contract: versioned, unable: people},
		"ReplaysErrors":  {fault: bank.Fault{LostRate: 0.2, ErrorRate: 0.2, Character: bank.ReplaysErrors}, contract: repeats(strings.TrimSuffix(byKey, "}") + ", replays_errors: true}"), unable: []string{"attempts"}},
		"ReplaysAnyBody": {fault: bank.Fault{LostRate: 0.3, Character: bank.ReplaysAnyBody}},
		"Finishes":       {fault: bank.Fault{LostRate: 0.3, Latency: landing, Character: bank.Finishes}, contract: declares(`on: [{when: 'status == 409 && answer.code == "key_in_flight"', is: unsettled}]`)},
		// Nothing shows a lie whose answer is lost: it is sent again, and can be lost each time.
		"Lies":      {fault: bank.Fault{LostRate: 0.2, LieRate: 0.2}, unable: []string{"not_shown", "attempts"}},
		"ShowsLate": {fault: bank.Fault{LostRate: 0.3, ReadDelay: delay}, contract: slowly(delay + time.Second)},
	}
}

// TestCharacters kills workers in the middle of their work on services of each
// character, some of whose answers are lost (T04, T07, T09, T10). People release
// the brakes that trip on the way.
func TestCharacters(t *testing.T) {
	t.Parallel()
	for name, store := range stores {
		for kind, c := range characters() {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				playCharacter(t, store(t), c)
			})
		}
	}
}

func playCharacter(t *testing.T, store string, c character) {
	t.Helper()
	c.fault.AckDelay, c.fault.Only = 60*time.Millisecond, bank.OnlyOperations
	c.fault.Latency = max(c.fault.Latency, 20*time.Millisecond)
	w := setup(t, options{store: store, customers: times(300, 4000), faults: c.fault, contract: c.contract, unable: c.unable})
	stop := w.drift(100)
	kills := times(4, 100)
	for range kills {
		p := w.start().ready()
		enough := w.bank.Journal().Len() + 1 + rand.N(times(10, 50))
		w.awaitAttended(workLimit, "the bank is asked to do something", func() bool { return w.bank.Journal().Len() >= enough })
		<-within(75 * time.Millisecond)
		p.kill()
		w.passTime()
	}
	w.start().ready()
	w.awaitAttended(workLimit*time.Duration(times(1, 10)), "enough has gone wrong", func() bool { return w.wentWrong().enough(c.fault) })
	stop()
	w.awaitCalm()
	w.Logf("%d kills", kills)
	w.requireNothingWrong()
	w.requireCharacter(c.fault)
}

// troubles are what the bank's ledger shows of a character.
type troubles struct {
	made   int      // effects that can't be repeated without harm
	lost   int      // effects whose answers were
	lies   []string // keys that were answered with yes for nothing
	failed []string // keys that have a failure for life
}

// enough is as often as a fault has to be met.
func (n troubles) enough(f bank.Fault) bool {
	return n.made >= times(3, 200) && n.lost >= times(5, 1000) && (f.LieRate == 0 || len(n.lies) >= times(1, 200)) && (f.Character != bank.ReplaysErrors || len(n.failed) >= times(1, 200))
}

func (w *world) wentWrong() troubles {
	var n troubles
	for _, e := range w.bank.Journal().Entries() {
		if e.Effect && slices.Contains([]bank.Operation{bank.LedgerOpen, bank.CardsOrder, bank.BillingStart}, e.Operation) {
			n.made++
		}
		if e.Effect && e.Lost {
			n.lost++
		}
		if e.Key == "" || e.Replayed {
			continue
		}
		if e.Lied {
			n.lies = append(n.lies, e.Key)
		}
		if e.Status >= 500 {
			n.failed = append(n.failed, e.Key)
		}
	}
	return n
}

// requireCharacter holds what is special about a character against the ledger.
func (w *world) requireCharacter(f bank.Fault) {
	w.Helper()
	n := w.wentWrong()
	w.Logf("%d records made, %d effects whose answers were lost, %d keys with a lie, %d with a stored failure", n.made, n.lost, len(n.lies), len(n.failed))
	if f.ReadDelay > 0 {
		require.Zero(w, w.bank.Count().Replays, "sent again, although it may take a while to be seen (T10)")
	}
	if f.Character == bank.ReplaysErrors {
		require.Empty(w, w.notFailed(n.failed), "a stored failure never turns into something else (T07)")
	}
	require.Empty(w, w.notFailed(n.lies), "what was never done is given up (T09)")
}

// notFailed lists which of the keys belong to repairs that weren't given up.
func (w *world) notFailed(keys []string) []string {
	w.Helper()
	return w.texts(`select s.key from steps s join repairs r on r.id = s.repair where r.status <> 'failed' and s.key in ('` + strings.Join(keys, "', '") + `')`)
}

// keyWindow is how long keys are kept where that is short.
const keyWindow = 2 * time.Second

// TestKeyWindow has every operation cut off before its effect, and workers die
// and come back when keys are forgotten: nothing is sent again with a key that
// the service may no longer know (T08, I7).
func TestKeyWindow(t *testing.T) {
	t.Parallel()
	for name, store := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, options{store: store(t), customers: times(300, 1000), keyWindow: keyWindow, unable: []string{"key_window", "attempts"},
				contract: repeats(strings.Replace(byKey, "24h", keyWindow.String(), 1))})
			stop := w.drift(100)
			for round := range times(2, 40) {
				w.fault(bank.Fault{Outage: bank.OutageCut, Only: bank.OnlyOperations})
				p := w.start().ready()
				w.awaitAttended(workLimit, "a key is used", func() bool { return w.keyed() > round })
				p.kill()
				<-time.After(keyWindow + time.Second)
				w.passTime()
				p = w.start().ready()
				w.awaitAttended(workLimit, "what may not be sent again is given up", func() bool {
					return w.count(`select count(*) from cases where reason = 'key_window'`) > round
				})
				w.fault(bank.Fault{})
				p.kill()
				w.passTime()
			}
			stop()
			w.start()
			w.awaitCalm()
			w.Logf("%d keys were used", w.keyed())
			w.requireNothingWrong()
		})
	}
}

// keyed counts the keys that the bank has seen. One that comes back after its
// window fails the test.
func (w *world) keyed() int {
	w.Helper()
	first := map[string]time.Time{}
	for _, e := range w.bank.Journal().Entries() {
		if e.Key == "" {
			continue
		}
		if at, known := first[e.Key]; !known {
			first[e.Key] = e.Time
		} else {
			require.LessOrEqual(w, e.Time.Sub(at), keyWindow, "%s was sent again when its key was forgotten", e.Operation)
		}
	}
	return len(first)
}
