package slacktest

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// channel is one channel of the workspace.
type channel struct {
	id, name string
	archived bool
	posted   time.Time // the newest message
}

func bare(name string) string { return strings.TrimPrefix(name, "#") }

// find takes an ID or a name, byID only an ID. The lock is held.
func (s *Server) find(idOrName string) *channel {
	for _, c := range s.channels {
		if c.id == idOrName || c.name == bare(idOrName) {
			return c
		}
	}
	return nil
}

func (s *Server) byID(id string) *channel {
	if c := s.find(id); c != nil && c.id == id {
		return c
	}
	return nil
}

// shown returns a message that a channel's members see. The lock is held.
func (s *Server) shown(room, ts string) *Message {
	for _, m := range s.messages {
		if m.Channel == room && m.TS == ts && !m.Deleted && m.OnlyFor == "" {
			return m
		}
	}
	return nil
}

func (s *Server) isShown(room, ts string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown(room, ts) != nil
}

// thread returns the thread that a message joins. Slack posts a reply to a
// message that is gone as a message of its own.
func (s *Server) thread(room, ts string) string {
	if s.shown(room, ts) == nil {
		return ""
	}
	return ts
}

func (s *Server) authTest(*Call) (response, *problem) {
	return response{"url": s.PageURL(), "team": "slacktest", "user": "amend",
		"team_id": "T0001", "user_id": "U0001", "bot_id": "B0001"}, nil
}

// list names the channels.
func (s *Server) list(c *Call) (response, *problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rooms := []response{}
	for _, room := range s.channels {
		if !room.archived || c.Form.Get("exclude_archived") != "true" {
			rooms = append(rooms, response{"id": room.id, "name": room.name, "is_channel": true, "is_archived": room.archived})
		}
	}
	page, next := paged(c, rooms)
	return response{"channels": page, "response_metadata": response{"next_cursor": next}}, nil
}

// history returns a channel's messages without replies, newest first.
func (s *Server) history(c *Call) (response, *problem) {
	return s.read(c, func(m *Message) bool { return m.Thread == "" }, true)
}

// replies returns a message and what was answered to it, oldest first.
func (s *Server) replies(c *Call) (response, *problem) {
	root := c.Form.Get("ts")
	answer, err := s.read(c, func(m *Message) bool { return m.TS == root || m.Thread == root }, false)
	if err == nil && !s.isShown(c.Form.Get("channel"), root) {
		return nil, &problem{code: "thread_not_found"}
	}
	return answer, err
}

func (s *Server) read(c *Call, wanted func(*Message) bool, newestFirst bool) (response, *problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	room := s.byID(c.Form.Get("channel"))
	if room == nil {
		return nil, &problem{code: "channel_not_found"}
	}
	found := []response{}
	for _, m := range s.messages {
		visible := m.Channel == room.id && !m.Deleted && m.OnlyFor == "" && later(m.TS, c.Form.Get("oldest"))
		if visible && wanted(m) {
			found = append(found, m.asSlack(c.Form.Get("include_all_metadata") == "1"))
		}
	}
	if newestFirst {
		slices.Reverse(found)
	}
	page, next := paged(c, found)
	return response{"messages": page, "has_more": next != "", "response_metadata": response{"next_cursor": next}}, nil
}

// later compares two ts. They differ in length only where the clock is at its
// beginning.
func later(ts, oldest string) bool {
	if len(ts) != len(oldest) {
		return len(ts) > len(oldest)
	}
	return ts > oldest
}

// paged cuts out the page that limit and cursor ask for. The cursor is the
// number of entries already seen.
func paged(c *Call, all []response) (page []response, next string) {
	from, err := strconv.Atoi(c.Form.Get("cursor"))
	if err != nil {
		from = 0 // the first page has no cursor
	}
	limit, err := strconv.Atoi(c.Form.Get("limit"))
	if err != nil || limit < 1 {
		limit = 100
	}
	from = min(max(from, 0), len(all))
	to := min(from+limit, len(all))
	if to < len(all) {
		next = strconv.Itoa(to)
	}
	return all[from:to], next
}

// openView takes a modal and forgets it; the call stays in the ledger.
func (s *Server) openView(c *Call) (response, *problem) {
	view := map[string]any{}
	switch err := json.Unmarshal([]byte(c.Form.Get("view")), &view); {
	case c.Form.Get("trigger_id") == "":
		return nil, &problem{code: "invalid_arguments", details: []string{"missing required field: trigger_id"}}
	case err != nil:
		return nil, &problem{code: "invalid_arguments", details: []string{"view is not a JSON object"}}
	}
	view["id"] = "V0001"
	return response{"view": view}, nil
}

// asSlack is the message as the API shows it.
func (m *Message) asSlack(metadata bool) response {
	out := response{"type": "message", "user": "U0001", "bot_id": "B0001", "ts": m.TS, "text": m.Text}
	if m.Blocks != nil {
		out["blocks"] = m.Blocks
	}
	if m.Thread != "" {
		out["thread_ts"] = m.Thread
	}
	if m.ClientID != "" {
		out["client_msg_id"] = m.ClientID
	}
	if metadata && m.Metadata != nil {
		out["metadata"] = m.Metadata
	}
	if n := len(m.Earlier); n > 0 {
		out["edited"] = response{"user": "U0001", "ts": m.TS}
	}
	return out
}
