package slack

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	slackapi "github.com/slack-go/slack"

	"amend/escalation"
)

// markType names our metadata in Slack, and markKey its one field. Both are
// stored data: another name would no longer find what was posted before.
const (
	markType = "amend_incident"
	markKey  = "message_id"
)

// clockSkew is how far Slack's clock may be behind ours.
const clockSkew = 5 * time.Minute

// mark is the metadata by which Find knows a message. Everybody in the
// workspace can read metadata, so it holds the hashed key alone.
//
// It is there beside client_msg_id because that one is documented by its
// errors only, and Slack advises apps not to rest on it.
func mark(id string) slackapi.SlackMetadata {
	return slackapi.SlackMetadata{EventType: markType, EventPayload: map[string]any{markKey: id}}
}

// Find implements escalation.Finder by reading the channel's history.
func (m *Messenger) Find(ctx context.Context, channel, key string, since time.Time) (escalation.Receipt, error) {
	room, err := m.room(ctx, channel)
	if err != nil {
		return escalation.Receipt{}, fmt.Errorf("look up slack channel: %w", err)
	}
	ts, err := m.search(ctx, room, messageID(channel, key), since.Add(-clockSkew))
	if err != nil {
		return escalation.Receipt{}, fmt.Errorf("read slack history: %w", err)
	}
	return escalation.Receipt{Channel: room, Message: ts}, nil
}

// search pages through the history back to since.
func (m *Messenger) search(ctx context.Context, room, id string, since time.Time) (string, error) {
	ask := slackapi.GetConversationHistoryParameters{ChannelID: room, Limit: 200, IncludeAllMetadata: true,
		Oldest: strconv.FormatInt(max(since.Unix(), 0), 10) + ".000000"}
	for {
		page, err := m.client().GetConversationHistoryContext(ctx, &ask)
		if err := m.settle(room, err); err != nil {
			return "", err
		}
		if !page.Ok { // slack-go takes "{}" for an empty history
			return "", errUnproven
		}
		for _, msg := range page.Messages {
			if msg.Metadata.EventType == markType && msg.Metadata.EventPayload[markKey] == id {
				return msg.Timestamp, nil
			}
		}
		ask.Cursor = page.ResponseMetaData.NextCursor
		if !page.HasMore || ask.Cursor == "" {
			return "", escalation.ErrNotFound
		}
	}
}

// room returns the channel's ID, which reading needs where posting also takes
// a name.
func (m *Messenger) room(ctx context.Context, channel string) (string, error) {
	if isRoomID(channel) {
		return channel, nil
	}
	name := strings.TrimPrefix(channel, "#")
	ask := slackapi.GetConversationsParameters{Limit: 1000,
		ExcludeArchived: true, Types: []string{"public_channel", "private_channel"}}
	for {
		page, next, err := m.client().GetConversationsContext(ctx, &ask)
		if err := m.settle(channel, err); err != nil {
			return "", err
		}
		if len(page) == 0 && next == "" { // every workspace has a channel
			return "", errUnproven
		}
		for _, c := range page {
			if c.Name == name {
				return c.ID, nil
			}
		}
		if ask.Cursor = next; next == "" {
			return "", escalation.Gone{Channel: true, Reason: "channel_not_found"}
		}
	}
}

// isRoomID tells an ID from a name: names have no capitals.
func isRoomID(channel string) bool {
	return channel != "" && strings.ContainsRune("CGD", rune(channel[0]))
}
