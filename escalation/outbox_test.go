package escalation_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/escalation"
	"amend/escalation/slack"
	"amend/escalation/slacktest"
	"amend/lifecycle"
	"amend/store"
)

// clock is put forward by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Microsecond)
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// desk is a store with cases, a played Slack, and who tells it.
type desk struct {
	*testing.T
	clock  *clock
	store  *store.Store
	slack  *slacktest.Server
	teller *escalation.Teller
	log    *bytes.Buffer
}

func setup(t *testing.T, o slacktest.Options) *desk {
	t.Helper()
	d := &desk{T: t, clock: &clock{now: time.Now()}, log: &bytes.Buffer{}}
	o.Channels = []string{"account-repairs", "compliance"}
	var err error
	d.slack, err = slacktest.Start(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.slack.Close()) })
	d.store, err = store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "amend.db"), store.Options{Now: d.clock.Now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.store.Close()) })
	d.restart()
	return d
}

// restart begins another process: nothing is remembered but the store.
func (d *desk) restart() {
	d.Helper()
	messenger, err := slack.New(slack.Options{Token: func() string { return slacktest.DefaultToken }, APIURL: d.slack.URL()})
	require.NoError(d, err)
	d.teller = &escalation.Teller{Store: d.store, Messenger: messenger, Channel: "#account-repairs", Now: d.clock.Now,
		Log: slog.New(slog.NewTextHandler(d.log, nil)), Every: time.Microsecond}
}

// escalate opens a case and has it escalated.
func (d *desk) escalate(customer, target string) store.Lease {
	d.Helper()
	_, err := d.store.Sight(d.Context(), []store.Sighting{{Customer: customer, State: "orphaned", Wake: d.clock.Now()}})
	require.NoError(d, err)
	lease, claimed, err := d.store.Claim(d.Context(), customer, time.Hour)
	require.NoError(d, err)
	require.True(d, claimed)
	require.NoError(d, d.store.Update(d.Context(), lease, func(u *store.Update) error {
		if err := u.Fire(lifecycle.Escalate); err != nil {
			return err
		}
		i, err := u.Escalate(store.Incident{CaseID: u.ID, Customer: customer, Cause: "case/" + u.ID, Severity: "high", State: u.State, Target: target, Why: "nobody knows why"})
		u.Incident = i.ID
		return err
	}))
	return lease
}

func (d *desk) heal(lease store.Lease) {
	d.Helper()
	require.NoError(d, d.store.Update(d.Context(), lease, func(u *store.Update) error {
		if err := u.Fire(lifecycle.Heal); err != nil {
			return err
		}
		return u.Resolve(u.Incident, "healed")
	}))
}

// tell tells until nothing is left, however long that takes.
func (d *desk) tell() {
	d.Helper()
	for range 50 {
		_, err := d.teller.RunOnce(d.Context())
		require.NoError(d, err)
		b, err := d.store.Backlog(d.Context())
		require.NoError(d, err)
		if b.Waiting == 0 {
			return
		}
		d.clock.pass(6 * time.Minute)
	}
	require.Fail(d, "the outbox never gets empty")
}

// standing are the messages that people see.
func (d *desk) standing() []slacktest.Message {
	var all []slacktest.Message
	for _, m := range d.slack.Messages() {
		if !m.Deleted {
			all = append(all, m)
		}
	}
	return all
}

func (d *desk) calls(method string) int {
	n := 0
	for _, c := range d.slack.Calls() {
		if c.Method == method {
			n++
		}
	}
	return n
}

// TestI19OneMessagePerIncident: told once, and put right in place.
func TestI19OneMessagePerIncident(t *testing.T) {
	t.Parallel()
	d := setup(t, slacktest.Options{})
	lease := d.escalate("cus_000002", "")
	d.escalate("cus_000003", "#compliance")
	d.tell()
	d.tell()
	all := d.standing()
	require.Len(t, all, 2)
	require.Equal(t, []string{"account-repairs", "compliance"}, []string{all[0].ChannelName, all[1].ChannelName})
	require.Contains(t, string(all[0].Blocks), "cus_000002")

	d.heal(lease)
	d.tell()
	after := d.standing()
	require.Len(t, after, 2)
	require.Equal(t, all[0].TS, after[0].TS)
	require.Len(t, after[0].Earlier, 1)
	require.NotEqual(t, all[0].Text, after[0].Text)
	require.Contains(t, strings.ToLower(after[0].Text), "healed")
}

// TestI26LetterAfterTheClockWasPutBack: what was written by the right clock, and
// put off while it was wrong, is told when it is right again.
func TestI26LetterAfterTheClockWasPutBack(t *testing.T) {
	t.Parallel()
	d := setup(t, slacktest.Options{})
	d.escalate("cus_000002", "")
	d.clock.pass(24 * time.Hour)
	letters, err := d.store.Letters(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, letters, 1)
	require.NoError(t, d.store.Postponed(t.Context(), letters[0], "slack is down", d.clock.Now().Add(time.Minute)))

	d.clock.pass(-24 * time.Hour)
	require.NoError(t, d.store.PutBack(t.Context()))
	tried, err := d.teller.RunOnce(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, tried)
	require.Len(t, d.standing(), 1)
}

// TestReleasedBrake: whoever reads the message of a brake that a person has
// released sees that nobody is waited for any more.
func TestReleasedBrake(t *testing.T) {
	t.Parallel()
	d := setup(t, slacktest.Options{})
	lease := d.escalate("cus_000002", "")
	require.NoError(t, d.store.Update(t.Context(), lease, func(u *store.Update) error {
		return u.Brake(store.Pause{Target: "open-ledger", Why: "too many", Brake: store.BrakeShare}, store.Incident{Severity: "high", Why: "too many"})
	}))
	d.tell()
	require.Len(t, d.standing(), 2)
	brake := d.standing()[1]
	require.Contains(t, brake.Text, "High")

	require.NoError(t, d.store.Resume(t.Context(), store.PauseRule, "open-ledger", "kim"))
	d.tell()
	after := d.standing()
	require.Len(t, after, 2)
	require.Equal(t, brake.TS, after[1].TS)
	require.Contains(t, after[1].Text, "Closed")
	require.Contains(t, after[0].Text, "High", "the other one is still open")
}

// TestT36WhatSlackDoesWrong: in the end one message stands for each incident.
func TestT36WhatSlackDoesWrong(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]slacktest.Fault{
		"Status500": slacktest.Status(500), "ProxyPage": slacktest.Answer("<html>"), "Refused": slacktest.Refuse("missing_scope"),
		"AckLost": slacktest.LoseAck(), "RateLimit": slacktest.RateLimit(3 * time.Second),
	} {
		for _, dedup := range []bool{true, false} {
			t.Run(fmt.Sprint(name, "/dedup=", dedup), func(t *testing.T) {
				t.Parallel()
				d := setup(t, slacktest.Options{NoDedup: !dedup})
				d.slack.Next("chat.postMessage", 2, fault)
				d.escalate("cus_000002", "")
				d.escalate("cus_000003", "")
				d.tell()
				require.Len(t, d.standing(), 2)
				require.Equal(t, 1, strings.Count(d.log.String(), "people could not be told"), "the same failure is logged once")
				d.escalate("cus_000004", "")
				d.tell()
				require.Len(t, d.standing(), 3)
			})
		}
	}
}

// TestRateLimit: nothing is posted before Slack allows it.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	d := setup(t, slacktest.Options{})
	d.slack.Next("chat.postMessage", 1, slacktest.RateLimit(7*time.Second))
	d.escalate("cus_000002", "")
	_, err := d.teller.RunOnce(t.Context())
	require.NoError(t, err)
	d.clock.pass(6900 * time.Millisecond)
	_, err = d.teller.RunOnce(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, d.calls("chat.postMessage"))
	d.clock.pass(200 * time.Millisecond)
	_, err = d.teller.RunOnce(t.Context())
	require.NoError(t, err)
	require.Len(t, d.standing(), 1)
}

// TestEvery: a channel gets one message in each turn.
func TestEvery(t *testing.T) {
	t.Parallel()
	d := setup(t, slacktest.Options{})
	d.teller.Every, d.teller.Now = 60*time.Millisecond, time.Now
	for i := range 5 {
		d.escalate(fmt.Sprintf("cus_00000%d", i+2), "")
	}
	begun := time.Now()
	d.tell()
	require.GreaterOrEqual(t, time.Since(begun), 4*d.teller.Every, "four waits lie between five messages")
	require.Len(t, d.standing(), 5)
}

// TestRestart: the process dies between posting and writing that down. Another
// one finds the message, and posts what wasn't.
func TestRestart(t *testing.T) {
	t.Parallel()
	d := setup(t, slacktest.Options{NoDedup: true})
	first := d.escalate("cus_000002", "")
	ctx, cancel := context.WithCancel(t.Context())
	d.teller.Messenger = dying{d.teller.Messenger.(messenger), cancel}
	d.escalate("cus_000003", "")
	_, err := d.teller.RunOnce(ctx)
	require.Error(t, err)
	require.Len(t, d.standing(), 1)
	b, err := d.store.Backlog(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, b.Waiting, "nobody wrote down that it was posted")

	d.restart()
	d.heal(first)
	d.tell()
	require.Len(t, d.standing(), 2)
	require.Contains(t, strings.ToLower(d.standing()[0].Text), "healed")
}

type messenger interface {
	escalation.Messenger
	escalation.Finder
}

// dying ends the process as soon as something is posted.
type dying struct {
	messenger
	die func()
}

func (d dying) Post(ctx context.Context, channel, key string, n escalation.Notice) (escalation.Receipt, error) {
	defer d.die()
	return d.messenger.Post(ctx, channel, key, n)
}

// TestGone: what can't be edited is posted anew, once, where it can be.
func TestGone(t *testing.T) {
	t.Parallel()
	t.Run("ChannelOfTheState", func(t *testing.T) {
		t.Parallel()
		d := setup(t, slacktest.Options{NoDedup: true})
		require.True(t, d.slack.Archive("compliance"))
		d.slack.Next("chat.postMessage", 1, slacktest.Refuse("is_archived"))
		d.slack.Next("chat.postMessage", 1, slacktest.LoseAck())
		d.escalate("cus_000002", "#compliance")
		d.tell()
		all := d.standing()
		require.Len(t, all, 1, "the default channel has it, once")
		require.Equal(t, "account-repairs", all[0].ChannelName)
	})
	t.Run("Message", func(t *testing.T) {
		t.Parallel()
		d := setup(t, slacktest.Options{NoDedup: true})
		lease := d.escalate("cus_000002", "")
		d.tell()
		require.True(t, d.slack.Delete(d.standing()[0].TS))
		d.slack.Next("chat.postMessage", 1, slacktest.LoseAck())
		d.heal(lease)
		d.tell()
		require.Len(t, d.standing(), 1, "posted anew, and found again after the lost answer")
	})
	t.Run("ChannelOfTheMessage", func(t *testing.T) {
		t.Parallel()
		d := setup(t, slacktest.Options{})
		lease := d.escalate("cus_000002", "#compliance")
		d.tell()
		require.True(t, d.slack.Archive("compliance"))
		d.heal(lease)
		d.tell()
		all := d.standing()
		require.Equal(t, "account-repairs", all[len(all)-1].ChannelName)
	})
}

// TestUpdateBeforeItsMessage waits without counting attempts: the message says
// by itself how things stand when it is posted.
func TestUpdateBeforeItsMessage(t *testing.T) {
	t.Parallel()
	d := setup(t, slacktest.Options{})
	d.slack.Next("chat.postMessage", 1, slacktest.RateLimit(20*time.Second))
	d.heal(d.escalate("cus_000002", ""))
	for range 5 {
		_, err := d.teller.RunOnce(t.Context())
		require.NoError(t, err)
		d.clock.pass(3 * time.Second)
	}
	d.clock.pass(time.Minute)
	letters, err := d.store.Letters(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, letters, 2)
	for _, l := range letters {
		require.Equal(t, map[string]int{"post": 1, "update": 0}[l.Action], l.Attempts, l.Action)
	}
	d.tell()
	require.Len(t, d.standing(), 1)
	require.Contains(t, strings.ToLower(d.standing()[0].Text), "healed")
}

// TestTell tells all that is due, and ends with its context.
func TestTell(t *testing.T) {
	t.Parallel()
	d := setup(t, slacktest.Options{})
	d.teller.Now = time.Now
	d.escalate("cus_000002", "")
	d.escalate("cus_000003", "")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	d.teller.Tell(ended, "")
	require.Empty(t, d.standing())
	d.teller.Tell(t.Context(), "")
	require.Len(t, d.standing(), 2)
}

// refusing refuses all messages to one channel, each after a while, and counts
// those to others.
type refusing struct {
	escalation.Messenger
	channel string
	clock   *clock
	posted  int
}

func (r *refusing) Post(_ context.Context, channel, key string, _ escalation.Notice) (escalation.Receipt, error) {
	r.clock.pass(10 * time.Second)
	if channel == r.channel {
		return escalation.Receipt{}, escalation.Refused{Reason: "not_in_channel"}
	}
	r.posted++
	return escalation.Receipt{Channel: channel, Message: key}, nil
}

// I19: letters that are refused, and so many that some are always due again, do not
// keep back the others.
func TestRefusedLettersKeepNobodyBack(t *testing.T) {
	t.Parallel()
	d := setup(t, slacktest.Options{})
	messenger := &refusing{channel: "#private", clock: d.clock}
	d.teller.Messenger = messenger
	for i := range 100 {
		d.escalate(fmt.Sprintf("cus_1%05d", i), "#private")
	}
	d.escalate("cus_200000", "#compliance")
	begun := d.clock.Now()
	for d.clock.Now().Sub(begun) < time.Hour && messenger.posted == 0 {
		_, err := d.teller.RunOnce(t.Context())
		require.NoError(t, err)
		d.clock.pass(time.Second)
	}
	require.Equal(t, 1, messenger.posted, "told in an hour")
}
