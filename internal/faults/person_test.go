package faults

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/stretchr/testify/require"
)

// errandLimit is how long a command may take that a person types.
const errandLimit = 60 * time.Second

// errand prepares a command that a person types beside the workers.
func (w *world) errand(ctx context.Context, arguments ...string) *exec.Cmd {
	w.Helper()
	self, err := os.Executable()
	require.NoError(w, err)
	c := exec.CommandContext(ctx, self, append(arguments, "--config", w.config, "--allow-loopback")...)
	c.Dir = w.home
	c.Env = append(append(os.Environ(), workerVariable+"=1", "AMEND_STORE="+w.store), w.env...)
	return c
}

// say has a person type a command, and waits for its end.
func (w *world) say(arguments ...string) {
	w.Helper()
	said, err := w.try(arguments...)
	require.NoError(w, err, "amend %v: %s", arguments, said)
}

// try is say for a command that may fail.
func (w *world) try(arguments ...string) (said []byte, err error) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), errandLimit)
	defer cancel()
	c := w.errand(ctx, arguments...)
	alive, err := c.StdinPipe() // see TestMain
	require.NoError(w, err)
	defer alive.Close()
	return c.CombinedOutput()
}

// awaitAttended waits for a condition while a person does what amend leaves to
// people.
func (w *world) awaitAttended(limit time.Duration, what string, condition func() bool) {
	w.Helper()
	done := w.poll(100*time.Millisecond, limit, func() bool {
		w.mend()
		w.release()
		return condition()
	})
	require.True(w, done, "%v until %s", limit, what)
}

// release has a person release every brake that has tripped. Where the store is
// busy for too long it is left to the next time.
func (w *world) release() {
	w.Helper()
	for _, rule := range w.texts(`select target from pauses where ended_at = 0 and scope = 'rule' and brake <> ''`) {
		if said, err := w.try("resume", "--rule", rule); err != nil {
			w.Logf("%s is not released yet: %s", rule, said)
		}
	}
}

// byHand are the rules of bank.yaml that create something, by the states that
// they lead out of.
var byHand = map[string]string{
	"ledger_missing": "open-ledger", "card_missing": "order-card", "card_blocked": "order-card", "billing_missing": "start-billing",
}

// mend has a person start the rules that may not act by themselves, for two of
// those who wait for that, and waits until the store knows of it. Each is started
// once: what became of it is for the worker to say.
func (w *world) mend() {
	w.Helper()
	const most = 2
	before, asked := w.count(`select count(*) from requests`), 0
	for _, customer := range w.texts(`select customer from cases where ended_at = 0 and status = 'escalated' and reason = 'no_rule'
		and not exists (select 1 from requests q where q.customer = cases.customer) order by customer`) {
		rule, can := byHand[w.bank.Truth(customer)]
		if !can || asked == most {
			continue
		}
		c := w.errand(w.Context(), "heal", customer, "--rule", rule, "--reason", "nobody else may")
		_, err := c.StdinPipe() // see TestMain
		require.NoError(w, err)
		require.NoError(w, c.Start())
		go c.Wait() // it follows the case, however that goes
		asked++
	}
	w.await(errandLimit, fmt.Sprintf("%d rules are started", asked), func() bool { return w.count(`select count(*) from requests`) >= before+asked })
}
