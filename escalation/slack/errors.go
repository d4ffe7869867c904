package slack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	slackapi "github.com/slack-go/slack"

	"amend/escalation"
)

// Bounds of a wait that Slack asks for. Without a figure it is the usual one.
const (
	minWait   = time.Second
	usualWait = 30 * time.Second
	maxWait   = 15 * time.Minute
)

// errUnproven is for an answer that could be anybody's, such as a proxy's "{}".
var errUnproven = errors.New("the answer is not Slack's")

// settle turns what slack-go returned into one of the errors that Messenger
// promises. slack-go takes an answer without ok and error for success; only
// the ts of a message proves one.
func (m *Messenger) settle(ts string, err error) error {
	var tooMany *slackapi.RateLimitedError
	var status slackapi.StatusCodeError
	var answer slackapi.SlackErrorResponse
	switch {
	case err == nil && ts == "":
		return errUnproven
	case err == nil:
		return nil
	case errors.As(err, &tooMany):
		return escalation.RetryAfter{After: min(max(tooMany.RetryAfter, minWait), maxWait)}
	case errors.As(err, &status) && status.Code == http.StatusTooManyRequests:
		return escalation.RetryAfter{After: usualWait}
	case errors.As(err, &answer):
		return byCode(answer.Err)
	default:
		return m.redacted(err)
	}
}

// byCode sorts Slack's error codes by who can do something about them. A code
// that isn't listed is temporary.
func byCode(code string) error {
	if !isCode.MatchString(code) {
		code = "unknown_error"
	}
	switch code {
	case "ratelimited", "rate_limited":
		return escalation.RetryAfter{After: usualWait}
	case "channel_not_found", "is_archived", "duplicate_channel_not_found":
		return escalation.Gone{Channel: true, Reason: code}
	case "message_not_found", "cant_update_message", "edit_window_closed", "duplicate_message_not_found":
		return escalation.Gone{Reason: code}
	}
	if needsPerson[code] {
		return escalation.Refused{Reason: code}
	}
	return fmt.Errorf("slack answered %s", code)
}

// isCode keeps an answer that isn't Slack's, and might echo what we sent, out
// of our texts.
var isCode = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

var needsPerson = set(`
	not_authed invalid_auth account_inactive token_revoked token_expired no_permission
	missing_scope not_allowed_token_type access_denied ekm_access_denied org_login_required
	team_access_not_granted two_factor_setup_required user_is_restricted enterprise_is_restricted
	not_in_channel restricted_action restricted_action_non_threadable_channel
	restricted_action_read_only_channel restricted_action_thread_locked
	restricted_action_thread_only_channel messages_tab_disabled as_user_not_supported
	invalid_blocks invalid_blocks_format msg_blocks_too_long msg_too_long no_text
	invalid_metadata_format invalid_metadata_schema metadata_too_large
	metadata_must_be_sent_from_app
	invalid_arguments invalid_arg_name invalid_array_arg invalid_charset invalid_form_data
	invalid_post_type missing_post_type
	method_deprecated deprecated_endpoint unknown_method`)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// redacted keeps the cause for errors.Is, unless its text holds the token: a
// proxy or a service in between may echo what it was sent.
func (m *Messenger) redacted(err error) error {
	token := m.token()
	if token == "" {
		return err
	}
	safe := strings.NewReplacer(token, "[token]", url.QueryEscape(token), "[token]").Replace(err.Error())
	switch {
	case safe == err.Error():
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return context.Canceled
	default:
		return errors.New(safe)
	}
}
