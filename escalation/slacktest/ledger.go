package slacktest

import (
	"encoding/json"
	"net/url"
	"slices"
	"time"
)

// Version is what a message said from At on.
type Version struct {
	At     time.Time
	Text   string
	Blocks json.RawMessage // a JSON array; nil where there are none
}

// Message is one message of the workspace. The embedded Version is what it
// says now.
type Message struct {
	Channel     string // its ID
	ChannelName string
	TS          string
	Thread      string // ts of the message it answers
	OnlyFor     string // the user who alone sees it
	ClientID    string // client_msg_id
	Metadata    json.RawMessage
	Deleted     bool
	Version
	Earlier []Version // what it said before each edit, oldest first
}

// Call is one request that arrived.
type Call struct {
	At     time.Time
	Method string
	Form   url.Values // the arguments without the token; of JSON bodies as well
	// Answer is "ok", Slack's error code, the HTTP status, "cut" where the
	// connection was cut after the work was done, or "" while it is under way
	// or hangs.
	Answer string
	// Replayed marks a post that was answered with an earlier message.
	Replayed bool
}

// Messages returns all messages in the order of their posting, deleted ones
// too.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Message, len(s.messages))
	for i, m := range s.messages {
		out[i] = m.copy()
	}
	return out
}

// Message returns the message with this ts, which is unique in the workspace.
func (s *Server) Message(ts string) (Message, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		if m.TS == ts {
			return m.copy(), true
		}
	}
	return Message{}, false
}

// Calls returns all calls in the order of their arrival.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Call, len(s.calls))
	for i, c := range s.calls {
		out[i] = *c
	}
	return out
}

// Delete removes a message, as a person may, and reports whether it was there.
func (s *Server) Delete(ts string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		if m.TS == ts && !m.Deleted {
			m.Deleted = true
			return true
		}
	}
	return false
}

// Archive archives a channel, by ID or name, and reports whether it exists.
func (s *Server) Archive(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.find(name)
	if c != nil {
		c.archived = true
	}
	return c != nil
}

func (m *Message) copy() Message {
	out := *m
	out.Earlier = slices.Clone(m.Earlier)
	return out
}
