package slack_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	slackapi "github.com/slack-go/slack"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"amend/escalation"
	"amend/escalation/slack"
)

var update = flag.Bool("update", false, "write testdata anew")

var noon = time.Date(2026, 3, 12, 14, 32, 0, 0, time.UTC)

// typical is the notice of one customer whom a rule could not heal.
func typical() escalation.Notice {
	return escalation.Notice{
		Incident: "inc_01", CaseID: "case_0042", Status: escalation.StatusOpen, Severity: escalation.SeverityHigh,
		State: "ledger_missing", About: "Approved, but the ledger account was never opened.",
		Customers: []string{"cus_001042"}, Count: 1,
		Since: noon.Add(-122 * time.Minute), Due: noon.Add(118 * time.Minute),
		Tried: "open-ledger, 5 of 5 attempts", Next: "waits for you",
		Why:  "The ledger refused each time: 422 currency_not_supported.",
		Tell: "Your account is being opened. You do not need to do anything.",
		URL:  "https://amend.bank.example/customers/cus_001042",
		Rule: "open-ledger", RuleVersion: "v3", UpdatedAt: noon,
	}
}

// shown is what a message's blocks are on the wire.
type shown struct {
	Type     string
	Text     *text
	Fields   []text
	Elements []struct {
		Type, URL string
		Text      json.RawMessage
	}
}

type text struct {
	Type, Text string
	Verbatim   bool
	Emoji      *bool
}

func wire(t require.TestingT, m slack.Message) []shown {
	data, err := json.Marshal(m.Blocks)
	require.NoError(t, err)
	var out []shown
	require.NoError(t, json.Unmarshal(data, &out))
	return out
}

// texts returns all that a message says, the summary first.
func texts(t require.TestingT, m slack.Message) []string {
	out := []string{m.Text}
	for _, b := range wire(t, m) {
		if b.Text != nil {
			out = append(out, b.Text.Text)
		}
		for _, f := range b.Fields {
			out = append(out, f.Text)
		}
		for _, e := range b.Elements {
			var label text
			if json.Unmarshal(e.Text, &label) != nil {
				require.NoError(t, json.Unmarshal(e.Text, &label.Text))
			}
			out = append(out, label.Text)
		}
	}
	return out
}

func TestBuild(t *testing.T) {
	t.Parallel()

	t.Run("TypicalMessage", func(t *testing.T) {
		t.Parallel()
		golden(t, "open.json", slack.Build(typical()))
	})

	t.Run("HealedMessageCallsForNothing", func(t *testing.T) {
		t.Parallel()
		n := typical()
		n.Status, n.Owner = escalation.StatusHealed, "Bo"
		golden(t, "healed.json", slack.Build(n))
	})

	t.Run("EmptyNoticeIsAMessageToo", func(t *testing.T) {
		t.Parallel()
		m := slack.Build(escalation.Notice{})
		require.Equal(t, "Normal\nOwner: nobody yet", m.Text)
		require.Equal(t, "Normal", wire(t, m)[0].Text.Text)
	})
}

func golden(t *testing.T, name string, m slack.Message) {
	t.Helper()
	var got bytes.Buffer
	enc := json.NewEncoder(&got)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	require.NoError(t, enc.Encode(map[string]any{"text": m.Text, "blocks": m.Blocks}))
	path := "testdata/" + name
	if *update {
		require.NoError(t, os.WriteFile(path, got.Bytes(), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got.String())
}

func TestHeader(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*escalation.Notice)
		want   string
	}{
		{"OneCustomer", func(*escalation.Notice) {}, "High · ledger_missing · cus_001042"},
		{"ManyCustomers", func(n *escalation.Notice) { n.Count = 12345 }, "High · ledger_missing · 12,345 customers"},
		{"OneWithoutName", func(n *escalation.Notice) { n.Customers = nil }, "High · ledger_missing · 1 customer"},
		{"None", func(n *escalation.Notice) { n.Customers, n.Count = nil, 0 }, "High · ledger_missing"},
		{"CountNotFilledIn", func(n *escalation.Notice) { n.Customers, n.Count = []string{"a", "b"}, 0 }, "High · ledger_missing · 2 customers"},
		{"Low", func(n *escalation.Notice) { n.Severity = escalation.SeverityLow }, "Low · ledger_missing · cus_001042"},
		{"Healed", func(n *escalation.Notice) { n.Status = escalation.StatusHealed }, "Healed · ledger_missing · cus_001042"},
		{"Closed", func(n *escalation.Notice) { n.Status = escalation.StatusClosed }, "Closed · ledger_missing · cus_001042"},
		{"LongStateKeepsTheCustomer", func(n *escalation.Notice) { n.State = strings.Repeat("s", 200) },
			"High · " + strings.Repeat("s", 79) + "… · cus_001042"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := typical()
			c.change(&n)
			require.Equal(t, c.want, wire(t, slack.Build(n))[0].Text.Text)
		})
	}
}

// fact returns the field with this label, or "".
func fact(t *testing.T, n escalation.Notice, label string) string {
	t.Helper()
	for _, b := range wire(t, slack.Build(n)) {
		for _, f := range b.Fields {
			if rest, ok := strings.CutPrefix(f.Text, "*"+label+"*\n"); ok {
				return rest
			}
		}
	}
	return ""
}

func TestTimes(t *testing.T) {
	t.Parallel()
	berlin := time.FixedZone("CET", 3600)
	for _, c := range []struct {
		name string
		at   time.Time
		want string // as due
	}{
		{"Ahead", noon.Add(118 * time.Minute), "16:30 UTC, in 1 h 58 min"},
		{"FullHours", noon.Add(2 * time.Hour), "16:32 UTC, in 2 h"},
		{"Minutes", noon.Add(5*time.Minute + 59*time.Second), "14:37 UTC, in 5 min"},
		{"AnotherZone", noon.Add(118 * time.Minute).In(berlin), "16:30 UTC, in 1 h 58 min"},
		{"Now", noon.Add(59 * time.Second), "14:32 UTC, now"},
		{"JustNow", noon.Add(-59 * time.Second), "14:31 UTC, now"},
		{"Overdue", noon.Add(-20 * time.Minute), "14:12 UTC, overdue 20 min"},
		{"AnotherDay", noon.Add(52 * time.Hour), "14 Mar 18:32 UTC, in 2 d 4 h"},
		{"FullDays", noon.Add(48 * time.Hour), "14 Mar 14:32 UTC, in 2 d"},
		{"AnotherYear", noon.AddDate(1, 0, 0), "12 Mar 2027 14:32 UTC, in 365 d"},
		{"None", time.Time{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := typical()
			n.Due = c.at
			require.Equal(t, c.want, fact(t, n, "Due"))
		})
	}

	t.Run("Since", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, "12:30 UTC, 2 h 2 min ago", fact(t, typical(), "Since"))
	})

	t.Run("WithoutUpdatedAtThereIsNoSpan", func(t *testing.T) {
		t.Parallel()
		n := typical()
		n.UpdatedAt = time.Time{}
		require.Equal(t, "12 Mar 2026 16:30 UTC", fact(t, n, "Due"))
		require.Equal(t, "12 Mar 2026 12:30 UTC", fact(t, n, "Since"))
	})
}

func TestCustomers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		ids   []string
		count int
		want  string
	}{
		{"One", []string{"cus_1"}, 1, "`cus_1`"},
		{"Three", []string{"a", "b", "c"}, 3, "3: `a` `b` `c`"},
		{"Four", []string{"a", "b", "c", "d"}, 4, "4: `a` `b` `c` and 1 more"},
		{"Outage", []string{"a"}, 10_000, "10,000: `a` and 9,999 more"},
		{"Unnamed", nil, 7, "7"},
		{"Backtick", []string{"a`b"}, 1, "`a'b`"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := typical()
			n.Customers, n.Count = c.ids, c.count
			require.Equal(t, c.want, fact(t, n, "Customers"))
		})
	}
}

// S25: nothing in the data pings, links or breaks out.
func TestEscaping(t *testing.T) {
	t.Parallel()

	t.Run("MentionsAndLinksAreLiteral", func(t *testing.T) {
		t.Parallel()
		n := typical()
		n.State, n.Customers, n.Count = "<!channel>", []string{"<@U1>&"}, 1
		n.Why = "see <http://evil.example|your bank>"
		all := strings.Join(texts(t, slack.Build(n)), "\n")
		require.Contains(t, all, "High · &lt;!channel&gt; · &lt;@U1&gt;&amp;")
		require.Contains(t, all, "see &lt;http://evil.example|your bank&gt;")
		require.NotContains(t, all, "<")
	})

	t.Run("MarkupIsVerbatimAndPlainTextHasNoEmoji", func(t *testing.T) {
		t.Parallel()
		data, err := json.Marshal(slack.Build(typical()).Blocks)
		require.NoError(t, err)
		require.Equal(t, strings.Count(string(data), `"type":"mrkdwn"`), strings.Count(string(data), `"verbatim":true`))
		require.Equal(t, strings.Count(string(data), `"type":"plain_text"`), strings.Count(string(data), `"emoji":false`))
	})

	t.Run("InvisibleTextIsLeftOut", func(t *testing.T) {
		t.Parallel()
		n := typical()
		n.About, n.Tried = "\u200b \x00\n", "\t"
		n.Why = "paid\u202eton\x1b[31m"
		m := slack.Build(n)
		require.Empty(t, fact(t, n, "Tried"))
		require.Contains(t, texts(t, m), "*Why*\npaidton[31m")
		require.NotEmpty(t, wire(t, m)[1].Fields, "no section without words")
	})

	t.Run("FactsKeepToOneLine", func(t *testing.T) {
		t.Parallel()
		n := typical()
		n.Tried = "a\n*Due*\nnever"
		require.Equal(t, "a *Due* never", fact(t, n, "Tried"))
	})
}

func TestOpenButton(t *testing.T) {
	t.Parallel()
	buttons := func(url string) []string {
		n := typical()
		n.URL = url
		var out []string
		for _, b := range wire(t, slack.Build(n)) {
			if b.Type == "actions" {
				for _, e := range b.Elements {
					out = append(out, e.URL)
				}
			}
		}
		return out
	}
	require.Equal(t, []string{"https://amend.example/c/1"}, buttons("https://amend.example/c/1"))
	require.Equal(t, []string{"http://127.0.0.1:8080/"}, buttons("http://127.0.0.1:8080/"))
	for _, no := range []string{"", "javascript:alert(1)", "/customers/1", "https:", "https://a/" + strings.Repeat("x", 3000), "http://[::1"} {
		require.Empty(t, buttons(no), no)
	}
}

func TestShortening(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, why, want string }{
		{"Fits", strings.Repeat("x", 300), strings.Repeat("x", 300)},
		{"OneTooMany", strings.Repeat("x", 301), strings.Repeat("x", 299) + "…"},
		{"NeverInsideAnEscape", strings.Repeat("x", 297) + "<y", strings.Repeat("x", 297) + "…"},
		{"EscapesCount", strings.Repeat("x", 296) + "<", strings.Repeat("x", 296) + "&lt;"},
		{"NeverInsideACharacter", strings.Repeat("x", 298) + "🏦y", strings.Repeat("x", 298) + "…"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := typical()
			n.Why = c.why
			require.Contains(t, texts(t, slack.Build(n)), "*Why*\n"+c.want)
		})
	}
}

var entity = regexp.MustCompile(`&(amp|lt|gt);`)

// TestLimits holds every notice, however hostile, against the design's limits.
func TestLimits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := slack.Build(notice().Draw(t, "notice"))
		blocks := wire(t, m)
		require.Equal(t, slackapi.MBTHeader, m.Blocks[0].BlockType())
		require.LessOrEqual(t, size(blocks[0].Text.Text), 150)
		require.LessOrEqual(t, len(blocks), 10)
		require.NotEmpty(t, m.Text)
		whole := 0
		for _, s := range texts(t, m) {
			require.True(t, utf8.ValidString(s))
			require.NotContains(t, s, "<")
			require.NotContains(t, s, ">")
			require.NotContains(t, entity.ReplaceAllString(s, ""), "&", "every & is whole: %q", s)
			require.NotEmpty(t, strings.TrimSpace(s))
			whole += size(s)
		}
		require.LessOrEqual(t, whole, 8_000)
		for _, b := range blocks {
			section(t, b)
		}
	})
}

func section(t require.TestingT, b shown) {
	if b.Type != "section" {
		return
	}
	require.LessOrEqual(t, len(b.Fields), 6)
	total := 0
	for _, f := range b.Fields {
		require.LessOrEqual(t, size(f.Text), 2_000)
		total += size(f.Text)
	}
	if b.Text != nil {
		total += size(b.Text.Text)
		if why, ok := strings.CutPrefix(b.Text.Text, "*Why*\n"); ok {
			require.LessOrEqual(t, size(why), 300)
		}
	}
	require.LessOrEqual(t, total, 2_800)
	require.Positive(t, total)
}

func size(s string) int { return len(utf16.Encode([]rune(s))) }

// notice draws notices of any kind; half of their texts are long ones.
func notice() *rapid.Generator[escalation.Notice] {
	nasty := rapid.SampledFrom([]string{"<!channel>", "<http://x|y>", "&", "&amp;", "`", "*", "é", "🏦", "\u202e", "\u200b", "\x00", "\xff", "\n", " "})
	words := rapid.OneOf(
		rapid.String(),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 50), func(b []byte) string { return string(b) }),
		rapid.Custom(func(t *rapid.T) string {
			return strings.Repeat(nasty.Draw(t, "piece")+rapid.String().Draw(t, "rest"), rapid.IntRange(1, 3_000).Draw(t, "times"))
		}),
	)
	when := rapid.Map(rapid.Int64(), func(s int64) time.Time { return time.Unix(s, 0) })
	return rapid.Custom(func(t *rapid.T) escalation.Notice {
		say := func(label string) string { return words.Draw(t, label) }
		return escalation.Notice{
			Incident: say("incident"), CaseID: say("case"),
			Status:   escalation.Status(rapid.SampledFrom([]string{"open", "healed", "closed", "other"}).Draw(t, "status")),
			Severity: escalation.Severity(say("severity")),
			State:    say("state"), About: say("about"),
			Customers: rapid.SliceOfN(words, 0, 5).Draw(t, "customers"), Count: rapid.Int().Draw(t, "count"),
			Since: when.Draw(t, "since"), Due: when.Draw(t, "due"), UpdatedAt: when.Draw(t, "updated"),
			Owner: say("owner"), Tried: say("tried"), Next: say("next"), Why: say("why"), Tell: say("tell"),
			URL: say("url"), Rule: say("rule"), RuleVersion: say("version"),
		}
	})
}
