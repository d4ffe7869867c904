package dashboard

import (
	"context"
	"errors"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/store"
)

var (
	tags   = regexp.MustCompile(`<[^>]*>`)
	spaces = regexp.MustCompile(`\s+`)
)

// text is what is left of a page without its marks.
func text(body string) string {
	plain := html.UnescapeString(spaces.ReplaceAllString(tags.ReplaceAllString(body, " "), " "))
	return strings.NewReplacer(" .", ".", " ,", ",", " :", ":").Replace(plain)
}

// part is the text of a page from one heading to the next.
func part(t *testing.T, body, from, to string) string {
	t.Helper()
	_, rest, found := strings.Cut(body, `id="`+from+`"`)
	require.True(t, found, "there is no part "+from)
	inner, _, found := strings.Cut(rest, `id="`+to+`"`)
	require.True(t, found, "there is no part "+to)
	return text("<" + inner)
}

func TestCustomer(t *testing.T) {
	t.Parallel()

	t.Run("InOrder", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.inOrder("cus_000123")
		page := w.member().get(ada).body
		verdict := part(t, page, "verdict", "acts")
		require.Contains(t, verdict, "Active active Tell the customer Your account is in order.")
		require.Contains(t, verdict, "What happens next Nothing.")
		require.NotContains(t, verdict, "By when", "nothing is promised")
		require.NotContains(t, verdict, " since ", "nobody knows since when")
		acts := part(t, page, "acts", "side")
		require.Contains(t, acts, "cards.block status: active → becomes blocked")
		require.NotContains(t, page, "button primary", "nothing is recommended for whoever is in order")
		require.Contains(t, page, "just now (14:32:05 UTC)")
	})

	t.Run("WaitingSaysUntilWhenAndWhy", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.said.say("cus_000123", values("approved", "a@example.com", "DE", nil), nil, nil, nil)
		w.sight("cus_000123", "ledger_missing", time.Hour)
		w.clock.forward(3 * time.Minute)
		w.waits("cus_000123", "It must have been so for 5m.", 2*time.Minute)
		page := w.member().get(ada).body
		verdict := part(t, page, "verdict", "acts")
		require.Contains(t, verdict, "Ledger missing ledger_missing since 3 min ago (14:32 UTC) Approved, but the ledger account was never opened.")
		require.Contains(t, verdict, "By when today 15:32 UTC, in 56 min")
		require.Contains(t, verdict, "Waiting. It must have been so for 5m.")
		require.Contains(t, verdict, "amend looks again in 2 min (14:37 UTC).")
		require.Contains(t, page, `class="button primary" href="/customers/cus_000123/rules/open-ledger"`)
		require.Contains(t, part(t, page, "acts", "side"), "ledger.open status: absent → becomes open")
	})

	t.Run("OverdueIsSaidInWords", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.email()
		verdict := part(t, w.member().get(ada).body, "verdict", "acts")
		require.Contains(t, verdict, "overdue by 20 min, was due today 14:52 UTC")
		require.Contains(t, verdict, "Escalated. billing.set_email was refused (422 address not accepted).")
	})

	t.Run("UnseenServiceIsNamedWithItsReason", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.said.say("cus_000123", values("approved", "a@example.com", "DE", nil), values("open", 0), errors.New("no answer within 3s"), values("active", "a@example.com"))
		page := w.member().get(ada).body
		require.Contains(t, part(t, page, "verdict", "acts"), "Cannot be judged now unseen A service that would decide could not be read: cards. No rule acts until it answers.")
		require.Contains(t, part(t, page, "acts", "side"), "No rule can be taken out of this state.")
		table := part(t, page, "side", "why")
		require.Contains(t, table, "could not be read (timed out) decides No answer within 3s.")
		require.Contains(t, table, "status approved open not read active")
		require.Contains(t, part(t, page, "why", "repairs"), `cards.status: could not be read No answer within 3s.`)
	})

	t.Run("DifferingRowsStandFirst", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.email()
		table := part(t, w.member().get(ada).body, "side", "why")
		require.Less(t, strings.Index(table, "email differs"), strings.Index(table, "status approved open active active"))
		require.NotContains(t, table, "status differs", "words of other sets are not compared")
		require.Contains(t, table, "balance no such field 1234.56 EUR")
		require.Contains(t, table, "changed_at none")
	})

	t.Run("ThenRowsThatDecide", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.said.say("cus_000123", values("rejected", "a@example.com", "DE", nil), values("open", 50), nil, nil)
		table := part(t, w.member().get(ada).body, "side", "why")
		require.Contains(t, table, "0.50 EUR decides")
		require.Less(t, strings.Index(table, "balance"), strings.Index(table, "email"))
	})

	t.Run("WhatNeedsAgreementIsProposed", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.said.say("cus_000123", values("rejected", "a@example.com", "DE", nil), values("open", 0), nil, nil)
		page := w.member().get(ada).body
		require.Contains(t, part(t, page, "acts", "side"), "You only propose it: 2 people must agree before it is taken, and you don't count. Propose close-account…")
		require.Contains(t, part(t, page, "verdict", "acts"), "The next scan opens a case.")
	})

	t.Run("RepairAndTimelineTellWhatWasDone", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.inOrder("cus_000123")
		q := w.ask("cus_000123", "reissue-card")
		w.starts("cus_000123", q)
		w.answers("cus_000123", amend.Done, http.StatusOK)
		w.proves("cus_000123")
		page := w.member().get(ada).body
		repairs := part(t, page, "repairs", "timeline")
		require.Contains(t, repairs, "reissue-card Verified Started by kim")
		require.Contains(t, repairs, "Reason: Card lost, ticket 4711")
		require.Regexp(t, `cards\.block 1 time done \(HTTP 200\) .* amend-[0-9a-f]{12}…`, repairs)
		require.Regexp(t, `Healed\. Reading every.*Repair\. reissue-card sends cards\.block.*Opened\. Seen as active`, text(page[strings.Index(page, `id="timeline"`):]))
		anchors := regexp.MustCompile(`<li id="(at-[0-9-]+)"><a href="#(at-[0-9-]+)">`).FindAllStringSubmatch(page, -1)
		require.Len(t, anchors, 3)
		for _, a := range anchors {
			require.Equal(t, a[1], a[2])
		}
		require.NotEqual(t, anchors[0][1], anchors[1][1])
	})

	t.Run("MovedCaseIsSaid", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.inOrder("cus_000123")
		w.sight("cus_000123", "ledger_missing", time.Hour)
		verdict := part(t, w.member().get(ada).body, "verdict", "acts")
		require.Contains(t, verdict, `The case still says "Ledger missing"; its next look brings it up to date.`)
		require.NotContains(t, verdict, "By when", "the promise was about another state")
	})

	t.Run("GoneCustomerKeepsItsHistory", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.sight("cus_000123", "ledger_missing", time.Hour)
		got := w.member().get(ada)
		require.Equal(t, http.StatusOK, got.status)
		require.Contains(t, text(got.body), "Every service says that it has no such customer.")
		require.Contains(t, text(got.body), "Seen as ledger_missing.")
	})

	t.Run("LinksLeadToTheServices", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.inOrder("cus_000123")
		page := w.member().get(ada).body
		require.Contains(t, page, `href="https://identity.bank.example/customers/cus_000123"`)
		require.NotContains(t, page, "identity: bad")
	})
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.inOrder("cus_000123")
	page := text(w.member().get(reissue).body)
	for _, want := range []string{"Take reissue-card?", "For customer cus_000123, who is Active", "Consider: The customer cannot pay until the new card arrives.",
		"cards.block status: active → becomes blocked", "PUT http://127.0.0.1:4003/cards/cus_000123", "At most 8 repairs under way at once, and 500 in an hour", "Go back"} {
		require.Contains(t, page, want)
	}
	require.Empty(t, w.wishes("cus_000123"), "looking asks for nothing")

	t.Run("SensitiveValuesAreNotShown", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.email()
		page := text(w.member().get(ada + "/rules/copy-email").body)
		require.Contains(t, page, "email: hidden → becomes another value (hidden)")
		require.Contains(t, page, "[hidden]")
	})
}

func TestLookup(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kim := w.member()
	for typed, want := range map[string]string{
		"cus_000123": ada, "%20%22cus_000123%22%0A": ada, "https%3A%2F%2Fcrm.example%2Fc%2Fcus_000123%3Ftab%3D1": ada,
	} {
		got := kim.get("/lookup?id=" + typed)
		require.Equal(t, http.StatusSeeOther, got.status, typed)
		require.Equal(t, want, got.header.Get("Location"), typed)
	}
	for typed, want := range map[string]string{"": "Enter the ID of a customer.", "4711": "This can't be the ID of a customer.", "cus_000123x": "This can't be"} {
		got := kim.get("/lookup?id=" + typed)
		require.Equal(t, http.StatusBadRequest, got.status, typed)
		require.Contains(t, text(got.body), want)
		require.Contains(t, got.body, `value="`+typed+`"`)
	}
	require.Contains(t, text(kim.get("/").body), "An ID fits cus_[0-9]{6,}. ")
	require.Contains(t, text(kim.get("/customers/4711").body), "An ID fits cus_[0-9]{6,} and")
}

func TestLists(t *testing.T) {
	t.Parallel()

	t.Run("EmptyInThreeWays", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		kim := w.member()
		require.Contains(t, text(kim.get("/").body), "Start with a full scan: amend scan")
		w.scanned(12*time.Minute, 41208)
		require.Contains(t, text(kim.get("/").body), "All is well. No case waits for a person. The last full scan 12 min ago (14:20 UTC) looked at 41,208 customers.")
		require.Contains(t, text(kim.get("/cases").body), "All is well. No open cases.")
		w.sight("cus_000123", "ledger_missing", time.Hour)
		require.Contains(t, text(kim.get("/cases?status=escalated").body), "No open case is escalated. Show all open cases")
	})

	t.Run("DueFirst", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.busy()
		kim := w.member()
		home := text(kim.get("/").body)
		require.Regexp(t, `cus_001042 .*overdue.* cus_001044 .* cus_001045 .* cus_001046 .* cus_001047 .*More wait`, home)
		require.NotContains(t, home, "cus_002001", "it waits for no person")
		require.Regexp(t, `7 Escalated .* 0 Proposed .* 1 Waiting .* 1 Watching`, home)
		require.Regexp(t, `cus_001042 .*cus_001044 .*cus_002001 .*cus_002002 nothing promised`, text(kim.get("/cases").body))
	})

	t.Run("LongListSaysThatItIsCut", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		var many []store.Sighting
		for i := range listLimit + 5 {
			many = append(many, store.Sighting{Customer: "cus_1" + number(100000 + i)[:3] + number(100000 + i)[4:], State: "ledger_missing", Wake: start})
		}
		_, err := w.store.Sight(t.Context(), many)
		require.NoError(t, err)
		page := w.member().get("/cases?status=watching").body
		require.Contains(t, page, "The first 200 of 205, those that are due first.")
		require.Equal(t, listLimit, strings.Count(page, `<th scope="row">`))
	})
}

func TestSystemLine(t *testing.T) {
	t.Parallel()
	waits := ""
	w := newWorld(t, func(o *Options) {
		o.Waits = func(context.Context) (string, time.Time, error) { return waits, start.Add(28 * time.Minute), nil }
	})
	kim := w.member()
	line := func() string { return text(strings.SplitAfter(kim.get("/cases").body, "<main")[0]) }
	require.Contains(t, line(), "Automatic repair is on. No full scan has ended yet; nothing is repaired before one has.")
	w.scanned(12*time.Minute, 41208)
	require.Contains(t, line(), "Automatic repair is on. Last full scan 12 min ago (14:20 UTC): 41,208 customers.")
	w.saveScan(store.Scan{Status: store.ScanRunning, StartedAt: w.clock.Now()})
	require.Contains(t, line(), "A full scan is running since just now (14:32:05 UTC).")
	require.NotContains(t, line(), "waits")
	waits = "cards"
	require.Contains(t, line(), "(14:32:05 UTC). It waits until 15:00 UTC: scans have used their part of the calls that cards allows in an hour.")
	w.clock.forward(5 * time.Minute)
	w.busy()
	require.Contains(t, line(), "The newest full scan did not end well. cards could not be listed to its end: it timed out.")
	require.Contains(t, line(), "Slack is behind. 7 messages wait, the oldest since 4 min ago (14:37 UTC).")
}

func TestPaused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.scanned(12*time.Minute, 41208)
	kim := w.member()
	line := func() string { return text(strings.SplitAfter(kim.get("/cases").body, "<main")[0]) }
	require.NotContains(t, line(), "paused")
	for _, p := range []store.Pause{
		{Scope: store.PauseAll, Why: "the <b>provider</b> is being migrated", By: "ada"},
		{Scope: store.PauseService, Target: "cards", Why: "they asked for it", By: "bo", Until: w.clock.Now().Add(26 * time.Hour)},
	} {
		_, err := w.store.Pause(t.Context(), p)
		require.NoError(t, err)
	}
	require.Contains(t, line(), "All repairs are paused. ada says since just now (14:32:05 UTC): The <b>provider</b> is being migrated. It ends when somebody resumes. amend resume")
	require.NotContains(t, kim.get("/cases").body, "<b>provider")
	require.NotContains(t, line(), "Automatic repair is on")
	require.Contains(t, line(), "Repairs through cards are paused. bo says since just now (14:32:05 UTC): They asked for it. It ends at 22 Nov 2025 16:32 UTC. amend resume --service cards")

	scan, first, err := w.store.StartScan(t.Context(), store.FullScan, "ada")
	require.NoError(t, err)
	page, _, err := w.store.ClaimPage(t.Context(), first, time.Minute)
	require.NoError(t, err)
	require.NoError(t, w.store.SteerScan(t.Context(), scan.ID, "pause", "kim"))
	require.Contains(t, line(), "kim has paused the full scan; 1 part is still looked at: amend scan resume")
	require.NoError(t, w.store.ReleasePage(t.Context(), page))
	require.Contains(t, line(), "kim has paused the full scan: amend scan resume")
	require.NoError(t, w.store.SteerScan(t.Context(), scan.ID, "cancel", "kim"))
	require.NotContains(t, line(), "did not end well", "that was wanted")
}

func TestClock(t *testing.T) {
	t.Parallel()
	now := clock(start)
	for _, row := range []struct {
		at   time.Duration
		want string
	}{
		{0, "just now (14:32:05 UTC)"}, {-4 * time.Second, "just now (14:32:01 UTC)"}, {-5 * time.Second, "5 s ago (14:32:00 UTC)"},
		{-2 * time.Minute, "2 min ago (14:30 UTC)"}, {-118 * time.Minute, "1 h 58 min ago (12:34 UTC)"}, {-2 * time.Hour, "2 h ago (12:32 UTC)"},
		{-26 * time.Hour, "1 d 2 h ago (20 Nov, 12:32 UTC)"}, {-9 * 24 * time.Hour, "9 days ago (12 Nov, 14:32 UTC)"}, {-400 * 24 * time.Hour, "400 days ago (17 Oct 2024, 14:32 UTC)"},
		{time.Millisecond, "in a moment (14:32:05 UTC)"}, {10 * time.Second, "in 10 s (14:32:15 UTC)"}, {13 * time.Minute, "in 13 min (14:45 UTC)"},
	} {
		m := now.at(start.Add(row.at))
		require.Equal(t, row.want, m.Ago+" ("+m.Clock+")")
	}
	require.Nil(t, now.at(time.Time{}))
	require.Nil(t, now.due(time.Time{}))
	for _, row := range []struct {
		at   time.Duration
		want string
	}{
		{118 * time.Minute, "today 16:30 UTC, in 1 h 58 min"}, {12 * time.Hour, "tomorrow 02:32 UTC, in 12 h"}, {80 * time.Hour, "24 Nov 22:32 UTC, in 3 days"},
		{-20 * time.Minute, "today 14:12 UTC, overdue by 20 min"}, {-15 * time.Hour, "yesterday 23:32 UTC, overdue by 15 h"}, {0, "today 14:32 UTC, overdue by less than 1 s"},
	} {
		d := now.due(start.Add(row.at))
		require.Equal(t, row.want, d.Text+", "+d.Left)
		require.Equal(t, row.at <= 0, d.Overdue)
	}
}

func TestSentence(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]string{
		"": "", "no service knows it": "No service knows it.", "cards.block was refused.": "cards.block was refused.", "order-card can't be started": "order-card can't be started.",
		"really?": "Really?", `"x" can't be`: `"x" can't be.`, "more…": "More…",
	} {
		require.Equal(t, want, sentence(from))
	}
}
