package http

import "encoding/binary"

// layout is how the objects at one place of an answer have looked so far: the
// names that they had and which came after which. Services write the same names
// in the same order again and again, so that one comparison with what stood
// there last time mostly reads a name, says that it is legal there and finds
// what is declared of it. What is not as expected is read byte by byte, and
// learned.
type layout struct {
	members []*member
	first   *member // the one that came first in the last object
}

// member is one name of an object.
type member struct {
	name    string
	node    *node // what is declared of it; nil where nothing is
	opening lead  // what stood between the opening brace and its value
	lead    lead  // what stood between the value before it and its own
	next    *member
	below   *layout
	in      uint64 // the number of the last object that had it
}

// What is learned is bounded, so that names that are data can't fill the
// memory: 4 MiB for a scanner. What is beyond is checked without learning it.
const (
	mostLearned  = 4096 // names of one scanner; then it begins anew with the next answer
	mostOfObject = 128  // names of one object
	longestName  = 128  // bytes
	longestLead  = 256  // bytes: of a name and the white space around it
)

func newLayout(n *node) *layout {
	l := &layout{}
	if n != nil {
		for _, kid := range n.kids {
			l.members = append(l.members, &member{name: kid.name, node: kid})
		}
	}
	return l
}

// find is the member of a name, or nil.
func (l *layout) find(name []byte) *member {
	for _, m := range l.members {
		if m.name == string(name) {
			return m
		}
	}
	return nil
}

// inside is the layout of the objects below a member.
func (m *member) inside() *layout {
	if m.below == nil {
		m.below = newLayout(m.node)
	}
	return m.below
}

// lead is a piece of JSON that is compared eight bytes at a time. The zero lead
// stands nowhere.
type lead struct {
	text       string
	head, tail uint64 // its first and its last eight bytes
	mask       uint64 // of those bytes that are its own, where it has fewer than eight
	before     int    // how many bytes come before the last eight
}

func newLead(text []byte) lead {
	l := lead{text: string(text), mask: ^uint64(0), before: max(0, len(text)-8)}
	var eight [8]byte
	if n := copy(eight[:], text[l.before:]); n < len(eight) {
		l.mask >>= 8 * (len(eight) - n)
	}
	l.tail = binary.LittleEndian.Uint64(eight[:])
	copy(eight[:], text)
	l.head = binary.LittleEndian.Uint64(eight[:])
	return l
}

// end is the place behind the lead if it stands at a place of a text, and else
// broken. At the very end of a text it finds none.
func (l *lead) end(text []byte, at int) int {
	last := at + l.before
	if l.text == "" || last > len(text)-8 ||
		binary.LittleEndian.Uint64(text[at:])&l.mask != l.head || binary.LittleEndian.Uint64(text[last:])&l.mask != l.tail {
		return broken
	}
	end := at + len(l.text)
	if l.before > 8 && string(text[at:end]) != l.text {
		return broken
	}
	return end
}

// object is one object while it is read.
type object struct {
	layout *layout
	last   *member // the one before the next; nil at the beginning
	number uint64
	others map[string]bool // names that were not learned
}

// member finds the next member of an object, byte by byte, and the place of its
// value. There is none at the object's end, and where the text is broken.
func (s *scanner) member(o *object, at int) (*member, int) {
	from := at
	if at = space(s.text, at); s.stands(at, '}') {
		return nil, at + 1
	}
	if o.last != nil {
		at = after(s.text, at, ',')
	}
	if at < 0 || !s.stands(at, '"') {
		return nil, broken
	}
	end := s.quoted(at + 1)
	if end < 0 {
		return nil, broken
	}
	value := after(s.text, end, ':')
	if value < 0 {
		return nil, broken
	}
	m := s.named(o, s.unquote(s.text[at:end]))
	if m == nil {
		return nil, broken
	}
	s.follow(o, m, s.text[from:value])
	return m, value
}

// named is the member of a name, which is learned if it can be; nil where the
// object has the name already.
func (s *scanner) named(o *object, name []byte) *member {
	m := o.layout.find(name)
	switch {
	case m != nil && m.in == o.number:
		return nil
	case m != nil:
		return m
	case len(name) > longestName || len(o.layout.members) >= mostOfObject || s.learned >= mostLearned:
		if o.others[string(name)] {
			return nil
		}
		if o.others == nil {
			o.others = map[string]bool{}
		}
		o.others[string(name)] = true
		return &s.stranger
	}
	s.learned++
	m = &member{name: string(name)}
	o.layout.members = append(o.layout.members, m)
	return m
}

// follow remembers that a member came after the last one.
func (s *scanner) follow(o *object, m *member, text []byte) {
	last := o.last
	m.in, o.last = o.number, m
	switch {
	case m == &s.stranger || last == &s.stranger || len(text) > longestLead: // nothing is expected of what isn't learned
	case last == nil:
		o.layout.first = m
		if m.opening.text == "" {
			m.opening = newLead(text)
		}
	default:
		last.next = m
		if m.lead.text == "" {
			m.lead = newLead(text)
		}
	}
}
