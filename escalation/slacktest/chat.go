package slacktest

import (
	"encoding/json"
	"fmt"
	"time"
)

// postMessage posts to a channel, by ID or name. A client_msg_id that was used
// before is answered with the message it stands for.
func (s *Server) postMessage(c *Call) (response, *problem) {
	m, err := s.post(c)
	if err != nil {
		return nil, err
	}
	if !c.Replayed {
		s.tell(m)
	}
	return response{"channel": m.Channel, "ts": m.TS, "message": m.asSlack(true)}, nil
}

func (s *Server) post(c *Call) (Message, *problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.byClient[c.Form.Get("client_msg_id")]; m != nil {
		if m.Deleted {
			return Message{}, &problem{code: "duplicate_message_not_found"}
		}
		c.Replayed = true
		return m.copy(), nil
	}
	m, err := s.draft(c)
	if err != nil {
		return Message{}, err
	}
	m.ClientID = c.Form.Get("client_msg_id")
	m.Metadata = raw(c.Form.Get("metadata"))
	m.Thread = s.thread(m.Channel, c.Form.Get("thread_ts"))
	s.messages = append(s.messages, m)
	if m.ClientID != "" && !s.noDedup {
		s.byClient[m.ClientID] = m
	}
	return m.copy(), nil
}

// postEphemeral posts to one user only. Such a message can't be edited.
func (s *Server) postEphemeral(c *Call) (response, *problem) {
	m, err := s.postFor(c, c.Form.Get("user"))
	if err != nil {
		return nil, err
	}
	s.tell(m)
	return response{"message_ts": m.TS}, nil
}

func (s *Server) postFor(c *Call, user string) (Message, *problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if user == "" {
		return Message{}, &problem{code: "user_not_in_channel"}
	}
	m, err := s.draft(c)
	if err != nil {
		return Message{}, err
	}
	m.OnlyFor = user
	s.messages = append(s.messages, m)
	return m.copy(), nil
}

// update edits a message. What isn't sent stays as it was.
func (s *Server) update(c *Call) (response, *problem) {
	m, err := s.edit(c)
	if err != nil {
		return nil, err
	}
	s.tell(m)
	return response{"channel": m.Channel, "ts": m.TS, "text": m.Text, "message": m.asSlack(true)}, nil
}

func (s *Server) edit(c *Call) (Message, *problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	room := s.byID(c.Form.Get("channel"))
	if room == nil {
		return Message{}, &problem{code: "channel_not_found"}
	}
	if room.archived {
		return Message{}, &problem{code: "is_archived"}
	}
	m := s.shown(room.id, c.Form.Get("ts"))
	if m == nil {
		return Message{}, &problem{code: "message_not_found"}
	}
	v, err := s.version(c)
	if err != nil {
		return Message{}, err
	}
	if v.Text == "" {
		v.Text = m.Text
	}
	if v.Blocks == nil {
		v.Blocks = m.Blocks
	}
	if meta := raw(c.Form.Get("metadata")); meta != nil {
		m.Metadata = meta
	}
	m.Earlier = append(m.Earlier, m.Version)
	m.Version = v
	return m.copy(), nil
}

// draft checks a new message and gives it its place and time. The lock is held.
func (s *Server) draft(c *Call) (*Message, *problem) {
	room := s.find(c.Form.Get("channel"))
	if room == nil {
		return nil, &problem{code: "channel_not_found"}
	}
	if room.archived {
		return nil, &problem{code: "is_archived"}
	}
	v, err := s.version(c)
	if err != nil {
		return nil, err
	}
	if s.strict && !room.posted.IsZero() && v.At.Sub(room.posted) < time.Second {
		return nil, &problem{code: "ratelimited", after: time.Second}
	}
	room.posted = v.At
	return &Message{Channel: room.id, ChannelName: room.name, TS: s.stamp(v.At), Version: v}, nil
}

// version checks what a message is to say.
func (s *Server) version(c *Call) (Version, *problem) {
	v := Version{At: s.now(), Text: c.Form.Get("text"), Blocks: raw(c.Form.Get("blocks"))}
	if err := checkText(v.Text, v.Blocks != nil); err != nil {
		return v, err
	}
	if meta := c.Form.Get("metadata"); meta != "" && !json.Valid([]byte(meta)) {
		return v, &problem{code: "invalid_metadata_format"}
	}
	return v, checkBlocks(v.Blocks)
}

// stamp returns a ts later than every one before. The lock is held.
func (s *Server) stamp(at time.Time) string {
	if next := s.lastTS.Add(time.Microsecond); at.Before(next) {
		at = next
	}
	s.lastTS = at
	return fmt.Sprintf("%d.%06d", at.Unix(), at.Nanosecond()/1000)
}

func (s *Server) tell(m Message) {
	if s.onMessage != nil {
		s.onMessage(m)
	}
}

func raw(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	return json.RawMessage(text)
}
