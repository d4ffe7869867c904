package slacktest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	slackapi "github.com/slack-go/slack"
	"github.com/stretchr/testify/require"

	"amend/escalation/slacktest"
)

func start(t *testing.T, o slacktest.Options) *slacktest.Server {
	t.Helper()
	if o.Channels == nil {
		o.Channels = []string{"#repairs", "compliance"}
	}
	s, err := slacktest.Start(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func client(s *slacktest.Server) *slackapi.Client {
	return slackapi.New(slacktest.DefaultToken, slackapi.OptionAPIURL(s.URL()))
}

// send makes one form-encoded call with the right token.
func send(t *testing.T, s *slacktest.Server, method string, args ...string) map[string]any {
	t.Helper()
	form := url.Values{"token": {slacktest.DefaultToken}}
	for i := 0; i < len(args); i += 2 {
		form.Set(args[i], args[i+1])
	}
	resp, err := http.PostForm(s.URL()+method, form)
	require.NoError(t, err)
	return decoded(t, resp)
}

func decoded(t *testing.T, resp *http.Response) map[string]any {
	t.Helper()
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	var out map[string]any
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&out))
	return out
}

func TestPost(t *testing.T) {
	t.Parallel()

	t.Run("AppearsInTheLedgerAndToTheListener", func(t *testing.T) {
		t.Parallel()
		var told []slacktest.Message
		s := start(t, slacktest.Options{OnMessage: func(m slacktest.Message) { told = append(told, m) }})
		room, ts, err := client(s).PostMessage("#repairs", slackapi.MsgOptionText("hello", false))
		require.NoError(t, err)
		require.Equal(t, "C0001", room, "a name is answered with the ID")

		m, ok := s.Message(ts)
		require.True(t, ok)
		require.Equal(t, "hello", m.Text)
		require.Equal(t, "repairs", m.ChannelName)
		require.Equal(t, []slacktest.Message{m}, s.Messages())
		require.Equal(t, []slacktest.Message{m}, told)
	})

	t.Run("SameClientIDIsTheSameMessage", func(t *testing.T) {
		t.Parallel()
		s := start(t, slacktest.Options{})
		first := send(t, s, "chat.postMessage", "channel", "C0001", "text", "a", "client_msg_id", "one")
		second := send(t, s, "chat.postMessage", "channel", "C0001", "text", "b", "client_msg_id", "one")
		require.Equal(t, first["ts"], second["ts"])
		require.Len(t, s.Messages(), 1)
		require.Equal(t, "a", s.Messages()[0].Text)
		require.True(t, s.Calls()[1].Replayed)

		require.True(t, s.Delete(first["ts"].(string)))
		third := send(t, s, "chat.postMessage", "channel", "C0001", "text", "c", "client_msg_id", "one")
		require.Equal(t, "duplicate_message_not_found", third["error"])
	})

	t.Run("WithoutDedupItIsAnother", func(t *testing.T) {
		t.Parallel()
		s := start(t, slacktest.Options{NoDedup: true})
		send(t, s, "chat.postMessage", "channel", "C0001", "text", "a", "client_msg_id", "one")
		send(t, s, "chat.postMessage", "channel", "C0001", "text", "a", "client_msg_id", "one")
		require.Len(t, s.Messages(), 2)
	})

	t.Run("ConcurrentPostsHaveDistinctTimestamps", func(t *testing.T) {
		t.Parallel()
		clock := func() time.Time { return time.Unix(1_700_000_000, 0) }
		s := start(t, slacktest.Options{Now: clock})
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				_, _, err := client(s).PostMessage("C0001", slackapi.MsgOptionText("x", false))
				if err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		seen := map[string]bool{}
		for _, m := range s.Messages() {
			seen[m.TS] = true
		}
		require.Len(t, seen, 20)
	})
}

func TestEphemeral(t *testing.T) {
	t.Parallel()
	s := start(t, slacktest.Options{})
	ts, err := client(s).PostEphemeral("C0001", "U7", slackapi.MsgOptionText("only you", false))
	require.NoError(t, err)
	m, ok := s.Message(ts)
	require.True(t, ok)
	require.Equal(t, "U7", m.OnlyFor)

	_, _, _, err = client(s).UpdateMessage("C0001", ts, slackapi.MsgOptionText("again", false))
	require.EqualError(t, err, "message_not_found")
	page, err := client(s).GetConversationHistory(&slackapi.GetConversationHistoryParameters{ChannelID: "C0001"})
	require.NoError(t, err)
	require.Empty(t, page.Messages)
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	s := start(t, slacktest.Options{})
	posted := send(t, s, "chat.postMessage", "channel", "C0001", "text", "before", "blocks", `[{"type":"divider"}]`,
		"metadata", `{"event_type":"e","event_payload":{}}`)
	ts := posted["ts"].(string)
	send(t, s, "chat.update", "channel", "C0001", "ts", ts, "text", "after")

	m, _ := s.Message(ts)
	require.Equal(t, "after", m.Text)
	require.JSONEq(t, `[{"type":"divider"}]`, string(m.Blocks), "what isn't sent stays")
	require.JSONEq(t, `{"event_type":"e","event_payload":{}}`, string(m.Metadata))
	require.Len(t, m.Earlier, 1)
	require.Equal(t, "before", m.Earlier[0].Text)
}

func TestErrors(t *testing.T) {
	t.Parallel()
	s := start(t, slacktest.Options{Channels: []string{"repairs", "old"}})
	posted := send(t, s, "chat.postMessage", "channel", "repairs", "text", "x")
	ts := posted["ts"].(string)
	inOld := send(t, s, "chat.postMessage", "channel", "old", "text", "x")["ts"].(string)
	require.True(t, s.Archive("#old"))
	require.False(t, s.Archive("#unknown"))

	for _, c := range []struct {
		name, method string
		args         []string
		want         string
	}{
		{"UnknownMethod", "chat.burn", nil, "unknown_method"},
		{"UnknownChannel", "chat.postMessage", []string{"channel", "#nope", "text", "x"}, "channel_not_found"},
		{"ArchivedChannel", "chat.postMessage", []string{"channel", "#old", "text", "x"}, "is_archived"},
		{"NothingToSay", "chat.postMessage", []string{"channel", "repairs"}, "no_text"},
		{"TooLong", "chat.postMessage", []string{"channel", "repairs", "text", strings.Repeat("x", 40_001)}, "msg_too_long"},
		{"BadMetadata", "chat.postMessage", []string{"channel", "repairs", "text", "x", "metadata", "{"}, "invalid_metadata_format"},
		{"EphemeralWithoutUser", "chat.postEphemeral", []string{"channel", "repairs", "text", "x"}, "user_not_in_channel"},
		{"EditByName", "chat.update", []string{"channel", "repairs", "ts", ts, "text", "x"}, "channel_not_found"},
		{"EditOfNothing", "chat.update", []string{"channel", "C0001", "ts", "1.000001", "text", "x"}, "message_not_found"},
		{"EditElsewhere", "chat.update", []string{"channel", "C0001", "ts", inOld, "text", "x"}, "message_not_found"},
		{"EditInArchived", "chat.update", []string{"channel", "C0002", "ts", inOld, "text", "x"}, "is_archived"},
		{"HistoryByName", "conversations.history", []string{"channel", "repairs"}, "channel_not_found"},
		{"RepliesToNothing", "conversations.replies", []string{"channel", "C0001", "ts", "1.000001"}, "thread_not_found"},
		{"ViewWithoutTrigger", "views.open", []string{"view", "{}"}, "invalid_arguments"},
		{"ViewNotJSON", "views.open", []string{"view", "[", "trigger_id", "1"}, "invalid_arguments"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			answer := send(t, s, c.method, c.args...)
			require.Equal(t, false, answer["ok"])
			require.Equal(t, c.want, answer["error"])
		})
	}
}

func TestBlocks(t *testing.T) {
	t.Parallel()
	s := start(t, slacktest.Options{})
	text := func(kind string, n int) string {
		return fmt.Sprintf(`{"type":%q,"text":%q}`, kind, strings.Repeat("é", n))
	}
	for _, c := range []struct{ name, blocks, want string }{
		{"NotJSON", `[`, "invalid_blocks_format"},
		{"NotAList", `{}`, "invalid_blocks_format"},
		{"Fifty", `[` + strings.TrimSuffix(strings.Repeat(`{"type":"divider"},`, 50), ",") + `]`, ""},
		{"FiftyOne", `[` + strings.TrimSuffix(strings.Repeat(`{"type":"divider"},`, 51), ",") + `]`, "invalid_blocks"},
		{"Header150", `[{"type":"header","text":` + text("plain_text", 150) + `}]`, ""},
		{"Header151", `[{"type":"header","text":` + text("plain_text", 151) + `}]`, "invalid_blocks"},
		{"HeaderMarkup", `[{"type":"header","text":` + text("mrkdwn", 1) + `}]`, "invalid_blocks"},
		{"Section3000", `[{"type":"section","text":` + text("mrkdwn", 3000) + `}]`, ""},
		{"Section3001", `[{"type":"section","text":` + text("mrkdwn", 3001) + `}]`, "invalid_blocks"},
		{"SectionEmpty", `[{"type":"section"}]`, "invalid_blocks"},
		{"TextEmpty", `[{"type":"section","text":` + text("mrkdwn", 0) + `}]`, "invalid_blocks"},
		{"Field2001", `[{"type":"section","fields":[` + text("mrkdwn", 2001) + `]}]`, "invalid_blocks"},
		{"ContextEmpty", `[{"type":"context","elements":[]}]`, "invalid_blocks"},
		{"Button", `[{"type":"actions","elements":[{"type":"button","text":` + text("plain_text", 75) + `}]}]`, ""},
		{"ButtonLong", `[{"type":"actions","elements":[{"type":"button","text":` + text("plain_text", 76) + `}]}]`, "invalid_blocks"},
		{"Unknown", `[{"type":"blink"}]`, "invalid_blocks"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			answer := send(t, s, "chat.postMessage", "channel", "C0001", "text", "x", "blocks", c.blocks)
			if c.want == "" {
				require.Equal(t, true, answer["ok"], answer)
				return
			}
			require.Equal(t, c.want, answer["error"])
		})
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	s := start(t, slacktest.Options{})
	post := func(t *testing.T, kind, token, body string) map[string]any {
		t.Helper()
		req, err := http.NewRequest(http.MethodPost, s.URL()+"chat.postMessage", strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", kind)
		req.Header.Set("Authorization", token)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		return decoded(t, resp)
	}
	const right, asJSON = "Bearer " + slacktest.DefaultToken, "application/json; charset=utf-8"
	for _, c := range []struct{ name, kind, token, body, want string }{
		{"JSON", asJSON, right, `{"channel":"C0001","text":"x","blocks":[{"type":"divider"}]}`, ""},
		{"FormWithHeader", "application/x-www-form-urlencoded", right, "channel=C0001&text=x", ""},
		{"NoToken", asJSON, "", `{"channel":"C0001","text":"x"}`, "not_authed"},
		{"WrongToken", asJSON, "Bearer xoxb-other", `{"channel":"C0001","text":"x"}`, "invalid_auth"},
		{"TokenInJSON", asJSON, "", `{"token":"` + slacktest.DefaultToken + `","channel":"C0001","text":"x"}`, "not_authed"},
		{"BrokenJSON", asJSON, right, `{`, "invalid_json"},
		{"NoType", "", right, "x", "missing_post_type"},
		{"OtherType", "text/plain", right, "x", "invalid_post_type"},
		{"TooLarge", asJSON, right, `{"text":"` + strings.Repeat("x", 1<<20) + `"}`, "request_too_large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			answer := post(t, c.kind, c.token, c.body)
			require.Equal(t, c.want == "", answer["ok"])
			if c.want != "" {
				require.Equal(t, c.want, answer["error"])
			}
		})
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()

	t.Run("AnswerInTheirOrderThenAllIsWell", func(t *testing.T) {
		t.Parallel()
		s := start(t, slacktest.Options{})
		s.Next("chat.postMessage", 2, slacktest.Status(http.StatusInternalServerError))
		s.Next("chat.postMessage", 1, slacktest.Refuse("fatal_error"))
		s.Next("chat.postMessage", 1, slacktest.RateLimit(1500*time.Millisecond))
		var got []string
		for range 5 {
			_, _, err := client(s).PostMessage("C0001", slackapi.MsgOptionText("x", false))
			got = append(got, fmt.Sprint(err))
		}
		require.Equal(t, []string{
			"slack server error: 500 Internal Server Error", "slack server error: 500 Internal Server Error",
			"fatal_error", "slack rate limit exceeded, retry after 2s", "<nil>",
		}, got)
		require.Len(t, s.Messages(), 1)
		require.Equal(t, []string{"500", "500", "fatal_error", "429", "ok"}, answers(s))
	})

	t.Run("OtherMethodsAreNotHit", func(t *testing.T) {
		t.Parallel()
		s := start(t, slacktest.Options{})
		s.Next("chat.update", 1, slacktest.Refuse("fatal_error"))
		_, err := client(s).AuthTest()
		require.NoError(t, err)
	})

	t.Run("LostAckKeepsTheMessage", func(t *testing.T) {
		t.Parallel()
		s := start(t, slacktest.Options{})
		s.Next("chat.postMessage", 1, slacktest.LoseAck())
		_, _, err := client(s).PostMessage("C0001", slackapi.MsgOptionText("x", false))
		require.ErrorIs(t, err, io.EOF)
		require.Len(t, s.Messages(), 1)
		require.Equal(t, []string{"cut"}, answers(s))
	})

	t.Run("HangEndsWithTheCaller", func(t *testing.T) {
		t.Parallel()
		s := start(t, slacktest.Options{})
		s.Next("chat.postMessage", 1, slacktest.Hang())
		impatient := slackapi.New(slacktest.DefaultToken, slackapi.OptionAPIURL(s.URL()),
			slackapi.OptionHTTPClient(&http.Client{Timeout: 50 * time.Millisecond}))
		_, _, err := impatient.PostMessage("C0001", slackapi.MsgOptionText("x", false))
		require.ErrorContains(t, err, "Timeout exceeded")
		require.Empty(t, s.Messages())
	})

	t.Run("StrictTakesOneASecondInEachChannel", func(t *testing.T) {
		t.Parallel()
		now := time.Unix(1_700_000_000, 0)
		s := start(t, slacktest.Options{Strict: true, Now: func() time.Time { return now }})
		post := func(room string) error {
			_, _, err := client(s).PostMessage(room, slackapi.MsgOptionText("x", false))
			return err
		}
		require.NoError(t, post("C0001"))
		require.NoError(t, post("C0002"))
		require.EqualError(t, post("C0001"), "slack rate limit exceeded, retry after 1s")
		now = now.Add(time.Second)
		require.NoError(t, post("C0001"))
	})
}

func answers(s *slacktest.Server) []string {
	var out []string
	for _, c := range s.Calls() {
		out = append(out, c.Answer)
	}
	return out
}

func TestConversations(t *testing.T) {
	t.Parallel()
	s := start(t, slacktest.Options{})
	api := client(s)
	var roots []string
	for i := range 5 {
		_, ts, err := api.PostMessage("C0001", slackapi.MsgOptionText(fmt.Sprint(i), false))
		require.NoError(t, err)
		roots = append(roots, ts)
	}
	_, reply, err := api.PostMessage("C0001", slackapi.MsgOptionText("re", false), slackapi.MsgOptionTS(roots[1]))
	require.NoError(t, err)

	t.Run("HistoryIsNewestFirstInPagesWithoutReplies", func(t *testing.T) {
		ask := slackapi.GetConversationHistoryParameters{ChannelID: "C0001", Limit: 2}
		var got []string
		for more := true; more; {
			page, err := api.GetConversationHistory(&ask)
			require.NoError(t, err)
			for _, m := range page.Messages {
				got = append(got, m.Text)
			}
			more, ask.Cursor = page.HasMore, page.ResponseMetaData.NextCursor
		}
		require.Equal(t, []string{"4", "3", "2", "1", "0"}, got)
	})

	t.Run("HistoryBeginsAfterOldest", func(t *testing.T) {
		page, err := api.GetConversationHistory(&slackapi.GetConversationHistoryParameters{ChannelID: "C0001", Oldest: roots[3]})
		require.NoError(t, err)
		require.Len(t, page.Messages, 1)
	})

	t.Run("RepliesBeginWithTheRoot", func(t *testing.T) {
		got, _, _, err := api.GetConversationReplies(&slackapi.GetConversationRepliesParameters{ChannelID: "C0001", Timestamp: roots[1]})
		require.NoError(t, err)
		require.Len(t, got, 2)
		require.Equal(t, roots[1], got[0].Timestamp)
		require.Equal(t, reply, got[1].Timestamp)
	})

	t.Run("ListNamesTheChannels", func(t *testing.T) {
		got, _, err := api.GetConversations(&slackapi.GetConversationsParameters{})
		require.NoError(t, err)
		require.Len(t, got, 2)
		require.Equal(t, "repairs", got[0].Name)
	})

	t.Run("ViewsOpen", func(t *testing.T) {
		view, err := api.OpenView("trigger", slackapi.ModalViewRequest{Type: slackapi.VTModal})
		require.NoError(t, err)
		require.Equal(t, "V0001", view.ID)
	})
}

func TestPage(t *testing.T) {
	t.Parallel()
	s := start(t, slacktest.Options{})
	get := func(path string) (*http.Response, string) {
		resp, err := http.Get(strings.TrimSuffix(s.PageURL(), "/") + path)
		require.NoError(t, err)
		defer resp.Body.Close()
		var body bytes.Buffer
		_, err = body.ReadFrom(resp.Body)
		require.NoError(t, err)
		return resp, body.String()
	}
	_, empty := get("/")
	require.Contains(t, empty, "Nothing has been posted yet.")

	ts := send(t, s, "chat.postMessage", "channel", "C0001", "text", "old <script>alert(1)</script>")["ts"].(string)
	send(t, s, "chat.update", "channel", "C0001", "ts", ts, "text", "new", "blocks", `[
		{"type":"header","text":{"type":"plain_text","text":"High &amp; &lt;b&gt;low"}},
		{"type":"section","text":{"type":"mrkdwn","text":"*Why*\n<img src=x onerror=alert(1)> `+"`cus_1`"+`"}},
		{"type":"section","fields":[{"type":"mrkdwn","text":"*Owner*\nBo"}]},
		{"type":"actions","elements":[
			{"type":"button","text":{"type":"plain_text","text":"Open"},"url":"https://amend.example/x"},
			{"type":"button","text":{"type":"plain_text","text":"Bad"},"url":"javascript:alert(1)"}]},
		{"type":"context","elements":[{"type":"mrkdwn","text":"incident `+"`inc_1`"+`"}]}]`)

	resp, page := get("/")
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Contains(t, resp.Header.Get("Content-Security-Policy"), "default-src 'none'")
	require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
	for _, want := range []string{
		"<h2>High &amp; &lt;b&gt;low</h2>", "<strong>Why</strong>", "<code>cus_1</code>", "<strong>Owner</strong>", "edited 1 time",
		`href="https://amend.example/x"`, "[Bad]", "old &lt;script&gt;",
		"&lt;img src=x onerror=alert(1)&gt;", `name="color-scheme" content="light dark"`,
	} {
		require.Contains(t, page, want)
	}
	for _, never := range []string{"<script", "<img", "javascript:", "style="} {
		require.NotContains(t, page, never)
	}

	css, style := get("/style.css")
	require.Equal(t, "text/css; charset=utf-8", css.Header.Get("Content-Type"))
	require.Contains(t, style, "color-scheme: light dark")
	missing, _ := get("/other")
	require.Equal(t, http.StatusNotFound, missing.StatusCode)
}
