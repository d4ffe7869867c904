package http

import (
	"regexp"
	"sync"
	"unsafe"

	"amend"
	"amend/connectors"
)

// Dialer is what connections are made with.
var Dialer = dialer

// ParseSize reads a number of bytes.
func ParseSize(text string) (int64, error) {
	var s size
	err := s.UnmarshalText([]byte(text))
	return int64(s), err
}

// IDs is what a pattern lets through, and whether a table says so.
func IDs(pattern *regexp.Regexp) (valid func(string) bool, table bool) {
	made := newIDs(&amend.Entity{ID: pattern})
	return made.Valid, made.states != nil
}

// Forget makes a connector forget how the pages that it has listed looked.
func Forget(c connectors.Connector) { c.(*connector).list.shape.scanners = sync.Pool{} }

// Learned is how many names a connector has learned from the pages that it has
// listed, and how many bytes it keeps for that. It knows nothing where the pool
// has dropped its scanner.
func Learned(c connectors.Connector) (names, bytes int) {
	pool := &c.(*connector).list.shape.scanners
	s, _ := pool.Get().(*scanner)
	if s == nil {
		return 0, 0
	}
	defer pool.Put(s)
	return s.root.size() + s.item.size(), s.root.bytes() + s.item.bytes()
}

func (l *layout) size() int {
	n := len(l.members)
	for _, m := range l.members {
		if m.below != nil {
			n += m.below.size()
		}
	}
	return n
}

func (l *layout) bytes() int {
	n := 0
	for _, m := range l.members {
		n += int(unsafe.Sizeof(*m)) + len(m.name) + len(m.opening.text) + len(m.lead.text)
		if m.below != nil {
			n += m.below.bytes()
		}
	}
	return n
}
