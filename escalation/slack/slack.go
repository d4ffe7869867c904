// Package slack tells people of incidents in Slack: it lays a notice out as a
// message, posts it once and edits it in place.
//
// Of the app's scopes it needs chat:write. Finding a message whose
// acknowledgement was lost also takes channels:history and channels:read
// (groups:history and groups:read for private channels).
package slack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"
	slackapi "github.com/slack-go/slack"

	"amend/escalation"
)

// Options is what New needs.
type Options struct {
	// Token returns the bot token. It is asked before each call, so that a
	// token can be replaced while the process runs, and a function can't be
	// printed by accident.
	Token func() string
	// APIURL is where the methods are; empty means Slack itself. Plain http is
	// taken on loopback only.
	APIURL string
	// HTTPClient sends the calls. Its redirects are switched off and a timeout
	// of 10 s is set where it has none. Nil means a client of our own.
	HTTPClient *http.Client
}

// Messenger posts to one Slack workspace. It is safe for concurrent use and
// never repeats a call by itself.
type Messenger struct {
	token  func() string
	apiURL string
	wire   wire
}

var (
	_ escalation.Messenger = (*Messenger)(nil)
	_ escalation.Finder    = (*Messenger)(nil)
)

// New checks the options. It doesn't call Slack.
func New(o Options) (*Messenger, error) {
	if o.Token == nil {
		return nil, errors.New("slack: no token given")
	}
	apiURL, err := endpoint(o.APIURL)
	if err != nil {
		return nil, err
	}
	return &Messenger{token: o.Token, apiURL: apiURL, wire: newWire(o.HTTPClient)}, nil
}

// endpoint returns the API's URL with the trailing slash without which
// slack-go would glue the method's name to the last word of the path.
func endpoint(raw string) (string, error) {
	if raw == "" {
		return slackapi.APIURL, nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("slack: the API's URL must be scheme, host and path")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return "", errors.New("slack: the API's URL must be https, or http on loopback")
	}
	return strings.TrimSuffix(raw, "/") + "/", nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// Post implements escalation.Messenger. The channel is an ID or a name; the
// receipt always holds the ID.
func (m *Messenger) Post(ctx context.Context, channel, key string, n escalation.Notice) (escalation.Receipt, error) {
	id := messageID(channel, key)
	room, ts, err := m.client().PostMessageContext(ctx, channel,
		say(Build(n)),
		slackapi.MsgOptionDisableMarkdown(), // of the summary; the blocks have their own
		slackapi.MsgOptionDisableLinkUnfurl(),
		slackapi.MsgOptionDisableMediaUnfurl(),
		slackapi.MsgOptionMetadata(mark(id)),
		m.once(id),
	)
	if err = m.settle(ts, err); err != nil {
		return escalation.Receipt{}, fmt.Errorf("post to slack: %w", err)
	}
	return escalation.Receipt{Channel: room, Message: ts}, nil
}

// Update implements escalation.Messenger. Slack keeps the metadata by which
// Find knows the message.
func (m *Messenger) Update(ctx context.Context, r escalation.Receipt, n escalation.Notice) error {
	_, ts, _, err := m.client().UpdateMessageContext(ctx, r.Channel, r.Message, say(Build(n)))
	if err = m.settle(ts, err); err != nil {
		return fmt.Errorf("edit in slack: %w", err)
	}
	return nil
}

func (m *Messenger) client() *slackapi.Client {
	return slackapi.New(m.token(), slackapi.OptionAPIURL(m.apiURL), slackapi.OptionHTTPClient(m.wire))
}

// say sends a message's words. Slack would otherwise look for links and
// mentions in them, on an edit even by default.
func say(msg Message) slackapi.MsgOption {
	return slackapi.MsgOptionCompose(
		slackapi.MsgOptionText(msg.Text, false), // escaped already
		slackapi.MsgOptionBlocks(msg.Blocks...),
		slackapi.MsgOptionParse(false),
		slackapi.MsgOptionLinkNames(false),
	)
}

// once asks Slack to post a message only if none has this ID yet. slack-go has
// no option for client_msg_id; this one, named unsafe because it may set any
// parameter, is its only door.
func (m *Messenger) once(id string) slackapi.MsgOption {
	return slackapi.UnsafeMsgOptionEndpoint(m.apiURL+"chat.postMessage", func(v url.Values) {
		v.Set("client_msg_id", id)
	})
}

// namespace separates our message IDs from all other version 5 UUIDs. It is
// stored data: another one would post every waiting message twice.
var namespace = uuid.MustParse("8f0f5c1e-4d55-5b0a-9d0c-2f6f0f5f7a31")

// messageID is the UUID that Slack takes for a message's key. The channel is
// part of it, as it was given, since Slack looks for the ID in the whole
// workspace.
func messageID(channel, key string) string {
	return uuid.NewSHA1(namespace, []byte(strings.TrimPrefix(channel, "#")+"\x00"+key)).String()
}
