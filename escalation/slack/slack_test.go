package slack_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/escalation"
	"amend/escalation/slack"
	"amend/escalation/slacktest"
)

// workspace is a fake Slack with a messenger that posts to it.
func workspace(t *testing.T, o slacktest.Options) (*slacktest.Server, *slack.Messenger) {
	t.Helper()
	o.Channels = []string{"repairs", "compliance"}
	s, err := slacktest.Start(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s, messenger(t, s.URL(), slacktest.DefaultToken)
}

func messenger(t *testing.T, apiURL, token string) *slack.Messenger {
	t.Helper()
	m, err := slack.New(slack.Options{
		Token:      func() string { return token },
		APIURL:     apiURL,
		HTTPClient: &http.Client{Timeout: 2 * time.Second},
	})
	require.NoError(t, err)
	return m
}

func TestPost(t *testing.T) {
	t.Parallel()

	t.Run("MessageStandsInTheChannel", func(t *testing.T) {
		t.Parallel()
		s, m := workspace(t, slacktest.Options{})
		r, err := m.Post(t.Context(), "#repairs", "inc_01", typical())
		require.NoError(t, err)
		require.Equal(t, "C0001", r.Channel)
		got, ok := s.Message(r.Message)
		require.True(t, ok)
		require.Equal(t, slack.Build(typical()).Text, got.Text)
		require.Contains(t, string(got.Blocks), "ledger_missing")
	})

	t.Run("SlackMakesNothingOfTheWords", func(t *testing.T) {
		t.Parallel()
		s, m := workspace(t, slacktest.Options{})
		r, err := m.Post(t.Context(), "#repairs", "inc_01", typical())
		require.NoError(t, err)
		require.NoError(t, m.Update(t.Context(), r, typical()))
		for _, c := range s.Calls() {
			require.Equal(t, "none", c.Form.Get("parse"), c.Method)
			require.Equal(t, "false", c.Form.Get("link_names"), c.Method)
		}
		post := s.Calls()[0].Form
		require.Equal(t, "false", post.Get("unfurl_links"))
		require.Equal(t, "false", post.Get("unfurl_media"))
		require.Equal(t, "false", post.Get("mrkdwn"))
	})

	t.Run("MetadataHoldsNoKey", func(t *testing.T) {
		t.Parallel()
		s, m := workspace(t, slacktest.Options{})
		_, err := m.Post(t.Context(), "#repairs", "inc_01", typical())
		require.NoError(t, err)
		got := s.Messages()[0]
		require.NotContains(t, string(got.Metadata), "inc_01")
		require.Contains(t, string(got.Metadata), got.ClientID)
	})

	t.Run("AnotherKeyOrChannelIsAnotherMessage", func(t *testing.T) {
		t.Parallel()
		s, m := workspace(t, slacktest.Options{})
		for _, to := range []struct{ channel, key string }{{"repairs", "a"}, {"repairs", "b"}, {"compliance", "a"}} {
			_, err := m.Post(t.Context(), to.channel, to.key, typical())
			require.NoError(t, err)
		}
		require.Len(t, s.Messages(), 3)
	})
}

// TestAckLost is the one case in which nobody knows whether a message stands.
func TestAckLost(t *testing.T) {
	t.Parallel()

	t.Run("SameKeyIsOneMessage", func(t *testing.T) {
		t.Parallel()
		s, m := workspace(t, slacktest.Options{})
		s.Next("chat.postMessage", 1, slacktest.LoseAck())
		_, err := m.Post(t.Context(), "#repairs", "inc_01", typical())
		temporary(t, err)

		r, err := m.Post(t.Context(), "#repairs", "inc_01", typical())
		require.NoError(t, err)
		require.Len(t, s.Messages(), 1)
		require.Equal(t, s.Messages()[0].TS, r.Message)
		require.NoError(t, m.Update(t.Context(), r, typical()))
	})

	t.Run("ReadBackWhereSlackDoesNotDedup", func(t *testing.T) {
		t.Parallel()
		s, m := workspace(t, slacktest.Options{NoDedup: true})
		started := time.Now()
		for i := range 205 { // more than a page
			_, err := m.Post(t.Context(), "C0001", fmt.Sprint("other", i), escalation.Notice{})
			require.NoError(t, err)
			if i == 1 {
				s.Next("chat.postMessage", 1, slacktest.LoseAck())
				_, err := m.Post(t.Context(), "#repairs", "inc_01", typical())
				temporary(t, err)
			}
		}
		r, err := m.Find(t.Context(), "#repairs", "inc_01", started)
		require.NoError(t, err)
		require.Equal(t, escalation.Receipt{Channel: "C0001", Message: s.Messages()[2].TS}, r)
	})

	t.Run("CutBeforeSlackReadItIsNoMessage", func(t *testing.T) {
		t.Parallel()
		s, m := workspace(t, slacktest.Options{})
		s.Next("chat.postMessage", 1, slacktest.Hang())
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := m.Post(ctx, "#repairs", "inc_01", typical())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = m.Find(t.Context(), "#repairs", "inc_01", time.Now())
		require.ErrorIs(t, err, escalation.ErrNotFound)
		_, err = m.Post(t.Context(), "#repairs", "inc_01", typical())
		require.NoError(t, err)
		require.Len(t, s.Messages(), 1)
	})

	t.Run("OneCallIsOneRequest", func(t *testing.T) {
		t.Parallel()
		s, m := workspace(t, slacktest.Options{})
		for i := range 20 { // each after one that left a connection to reuse
			_, err := m.Post(t.Context(), "#repairs", fmt.Sprint(i), typical())
			require.NoError(t, err)
			s.Next("chat.postMessage", 1, slacktest.LoseAck())
			_, err = m.Post(t.Context(), "#repairs", fmt.Sprint("cut", i), typical())
			temporary(t, err)
		}
		require.Len(t, s.Calls(), 40)
	})
}

func TestFind(t *testing.T) {
	t.Parallel()

	t.Run("UnknownChannelIsGone", func(t *testing.T) {
		t.Parallel()
		_, m := workspace(t, slacktest.Options{})
		_, err := m.Find(t.Context(), "#nope", "k", time.Now())
		require.ErrorAs(t, err, new(escalation.Gone))
	})

	t.Run("AnAnswerThatIsNotSlacksProvesNothing", func(t *testing.T) {
		t.Parallel()
		s, m := workspace(t, slacktest.Options{})
		s.Next("conversations.history", 1, slacktest.Answer("{}"))
		_, err := m.Find(t.Context(), "C0001", "k", time.Now())
		temporary(t, err)
		s.Next("conversations.list", 1, slacktest.Answer("{}"))
		_, err = m.Find(t.Context(), "#repairs", "k", time.Now())
		temporary(t, err)
	})

	t.Run("EarlierMessagesAreNotLookedAt", func(t *testing.T) {
		t.Parallel()
		_, m := workspace(t, slacktest.Options{})
		_, err := m.Post(t.Context(), "C0001", "k", typical())
		require.NoError(t, err)
		_, err = m.Find(t.Context(), "C0001", "k", time.Now().Add(time.Hour))
		require.ErrorIs(t, err, escalation.ErrNotFound)
	})
}

func TestUpdate(t *testing.T) {
	t.Parallel()

	t.Run("HealedIsSaidInPlace", func(t *testing.T) {
		t.Parallel()
		s, m := workspace(t, slacktest.Options{})
		r, err := m.Post(t.Context(), "#repairs", "inc_01", typical())
		require.NoError(t, err)
		n := typical()
		n.Status = escalation.StatusHealed
		require.NoError(t, m.Update(t.Context(), r, n))
		require.NoError(t, m.Update(t.Context(), r, n), "repeating does no harm")

		require.Len(t, s.Messages(), 1)
		got := s.Messages()[0]
		require.Contains(t, string(got.Blocks), "Healed · ledger_missing")
		require.NotContains(t, string(got.Blocks), "Tell the customer")
		require.Len(t, got.Earlier, 2)
		found, err := m.Find(t.Context(), "repairs", "inc_01", time.Now())
		require.NoError(t, err, "an edited message is still found")
		require.Equal(t, r, found)
	})

	t.Run("DeletedMessageIsGoneAndIsPostedAnew", func(t *testing.T) {
		t.Parallel()
		s, m := workspace(t, slacktest.Options{})
		r, err := m.Post(t.Context(), "#repairs", "inc_01", typical())
		require.NoError(t, err)
		require.True(t, s.Delete(r.Message))
		require.Equal(t, escalation.Gone{Reason: "message_not_found"}, as[escalation.Gone](t, m.Update(t.Context(), r, typical())))

		_, err = m.Post(t.Context(), "#repairs", "inc_01", typical())
		require.Equal(t, escalation.Gone{Reason: "duplicate_message_not_found"}, as[escalation.Gone](t, err), "the key is used up")
		_, err = m.Post(t.Context(), "#repairs", "inc_01/2", typical())
		require.NoError(t, err)
	})

	t.Run("ArchivedChannelIsGone", func(t *testing.T) {
		t.Parallel()
		s, m := workspace(t, slacktest.Options{})
		r, err := m.Post(t.Context(), "#repairs", "inc_01", typical())
		require.NoError(t, err)
		require.True(t, s.Archive("repairs"))
		want := escalation.Gone{Channel: true, Reason: "is_archived"}
		require.Equal(t, want, as[escalation.Gone](t, m.Update(t.Context(), r, typical())))
		_, err = m.Post(t.Context(), "#repairs", "inc_02", typical())
		require.Equal(t, want, as[escalation.Gone](t, err))
	})
}

// as returns the error of this type that err holds.
func as[E error](t *testing.T, err error) E {
	t.Helper()
	var e E
	require.ErrorAs(t, err, &e)
	return e
}

func temporary(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	require.NotErrorIs(t, err, escalation.ErrNotFound)
	for _, typed := range []any{new(escalation.RetryAfter), new(escalation.Gone), new(escalation.Refused)} {
		require.False(t, errors.As(err, typed), "%T: %v", typed, err)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault slacktest.Fault
		want  error // nil: temporary
	}{
		{"RateLimited", slacktest.RateLimit(7 * time.Second), escalation.RetryAfter{After: 7 * time.Second}},
		{"RateLimitedForNoTime", slacktest.RateLimit(0), escalation.RetryAfter{After: time.Second}},
		{"RateLimitedForEver", slacktest.RateLimit(1000 * time.Hour), escalation.RetryAfter{After: 15 * time.Minute}},
		{"RateLimitedInThePast", slacktest.RateLimit(-time.Hour), escalation.RetryAfter{After: time.Second}},
		{"RateLimitedByStatusAlone", slacktest.Status(http.StatusTooManyRequests), escalation.RetryAfter{After: 30 * time.Second}},
		{"RateLimitedByCode", slacktest.Refuse("ratelimited"), escalation.RetryAfter{After: 30 * time.Second}},
		{"ChannelUnknown", slacktest.Refuse("channel_not_found"), escalation.Gone{Channel: true, Reason: "channel_not_found"}},
		{"TokenRevoked", slacktest.Refuse("token_revoked"), escalation.Refused{Reason: "token_revoked"}},
		{"BlocksRefused", slacktest.Refuse("invalid_blocks"), escalation.Refused{Reason: "invalid_blocks"}},
		{"NotInvited", slacktest.Refuse("not_in_channel"), escalation.Refused{Reason: "not_in_channel"}},
		{"SlackIsDown", slacktest.Status(http.StatusServiceUnavailable), nil},
		{"SlackStumbles", slacktest.Refuse("internal_error"), nil},
		{"NewCode", slacktest.Refuse("something_new"), nil},
		{"NoCode", slacktest.Refuse(""), nil},
		{"ProxyPage", slacktest.Answer("<html>sign in</html>"), nil},
		{"EmptyObject", slacktest.Answer("{}"), nil},
		{"OkWithoutMessage", slacktest.Answer(`{"ok":true}`), nil},
		{"CutShort", slacktest.Answer(`{"ok":true,"ts":"1`), nil},
		{"AckLost", slacktest.LoseAck(), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, m := workspace(t, slacktest.Options{})
			r, err := m.Post(t.Context(), "#repairs", "first", typical())
			require.NoError(t, err)
			s.Next("chat.postMessage", 1, c.fault)
			s.Next("chat.update", 1, c.fault)
			_, posting := m.Post(t.Context(), "#repairs", "second", typical())
			editing := m.Update(t.Context(), r, typical())
			for _, err := range []error{posting, editing} {
				if c.want == nil {
					temporary(t, err)
				} else {
					require.ErrorIs(t, err, c.want)
				}
			}
			require.NoError(t, m.Update(t.Context(), r, typical()), "afterwards all is well")
		})
	}

	t.Run("WrongToken", func(t *testing.T) {
		t.Parallel()
		s, _ := workspace(t, slacktest.Options{})
		_, err := messenger(t, s.URL(), "xoxb-wrong").Post(t.Context(), "#repairs", "k", typical())
		require.ErrorIs(t, err, escalation.Refused{Reason: "invalid_auth"})
		_, err = messenger(t, s.URL(), "").Post(t.Context(), "#repairs", "k", typical())
		require.ErrorIs(t, err, escalation.Refused{Reason: "not_authed"})
	})

	t.Run("NobodyAnswers", func(t *testing.T) {
		t.Parallel()
		_, err := messenger(t, "http://127.0.0.1:1/", "xoxb-1").Post(t.Context(), "#repairs", "k", typical())
		temporary(t, err)
	})
}

// TestToken (S30): whatever goes wrong, no error text holds the token.
func TestToken(t *testing.T) {
	t.Parallel()
	const token = "xoxb-canary/+=1234567890"
	// echo answers as the path asks for, with the token that it was sent.
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := r.FormValue("token")
		switch kind, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); kind {
		case "code":
			fmt.Fprintf(w, `{"ok":false,"error":"bad token %s"}`, got)
		case "errors":
			fmt.Fprintf(w, `{"ok":false,"error":"invalid_blocks","errors":["%s"],"response_metadata":{"messages":["%[1]s"]}}`, got)
		case "body":
			fmt.Fprint(w, got)
		case "type":
			fmt.Fprintf(w, `{"ok":%q}`, got)
		case "structure":
			fmt.Fprintf(w, `{"ok":false,"errors":[{"x":%q}]}`, got)
		case "retry":
			w.Header().Set("Retry-After", got)
			w.WriteHeader(http.StatusTooManyRequests)
		case "redirect":
			http.Redirect(w, r, "http://127.0.0.1:1/?token="+url.QueryEscape(got), http.StatusTemporaryRedirect)
		}
	}))
	t.Cleanup(echo.Close)
	for _, kind := range []string{"code", "errors", "body", "type", "structure", "retry", "redirect"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			_, err := messenger(t, echo.URL+"/"+kind, token).Post(t.Context(), "#repairs", "k", typical())
			require.Error(t, err)
			for e := err; e != nil; e = errors.Unwrap(e) {
				text := fmt.Sprintf("%v %+v %#v %q", e, e, e, e.Error())
				require.NotContains(t, text, "canary")
			}
		})
	}

	t.Run("AMessengerPrintsWithoutIt", func(t *testing.T) {
		t.Parallel()
		m := messenger(t, echo.URL, token)
		require.NotContains(t, fmt.Sprintf("%v %+v %#v", m, m, *m), "canary")
	})

	t.Run("RedirectsDoNotCarryItAway", func(t *testing.T) {
		t.Parallel()
		var visits atomic.Int32
		thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
		defer thief.Close()
		gate := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
		defer gate.Close()
		_, err := messenger(t, gate.URL, token).Post(t.Context(), "#repairs", "k", typical())
		temporary(t, err)
		require.Zero(t, visits.Load())
	})
}

func TestNew(t *testing.T) {
	t.Parallel()
	token := func() string { return "xoxb-1" }
	for _, c := range []struct {
		name    string
		options slack.Options
		want    string // of the error
	}{
		{"Slack", slack.Options{Token: token}, ""},
		{"Loopback", slack.Options{Token: token, APIURL: "http://localhost:1/api"}, ""},
		{"NoToken", slack.Options{}, "no token"},
		{"PlainHTTPElsewhere", slack.Options{Token: token, APIURL: "http://slack.example/api/"}, "must be https"},
		{"NoHost", slack.Options{Token: token, APIURL: "slack.com/api"}, "scheme, host and path"},
		{"Password", slack.Options{Token: token, APIURL: "https://a:secret@slack.example/"}, "scheme, host and path"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := slack.New(c.options)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "secret")
		})
	}

	t.Run("TrailingSlashIsNotNeeded", func(t *testing.T) {
		t.Parallel()
		s, _ := workspace(t, slacktest.Options{})
		_, err := messenger(t, strings.TrimSuffix(s.URL(), "/"), slacktest.DefaultToken).Post(t.Context(), "#repairs", "k", typical())
		require.NoError(t, err)
	})
}
