package hand

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// errJSON is text that these loops don't understand.
var errJSON = errors.New("this is no JSON that was expected")

// scanner walks over JSON that is taken to be well-formed. What it gives points
// into the text, with escapes as they stand.
type scanner struct {
	text []byte
	at   int
	bad  bool
}

// open goes into an object or an array; false where it is empty or none.
func (s *scanner) open(bracket byte) bool {
	if s.byte() != bracket {
		s.skip()
		return false
	}
	s.at++
	if s.byte() == bracket+2 { // } comes two after {, as ] after [
		s.at++
		return false
	}
	return true
}

// more goes on to the next member or element; false at the end.
func (s *scanner) more() bool {
	switch s.byte() {
	case ',':
		s.at++
		return true
	case '}', ']':
		s.at++
		return false
	}
	s.bad = true
	return false
}

// key is the name of a member, whose value comes next.
func (s *scanner) key() []byte {
	name := s.string()
	if s.byte() != ':' {
		s.bad = true
		return nil
	}
	s.at++
	return name
}

// byte is the next that is no space; 0 at the end.
func (s *scanner) byte() byte {
	for s.at < len(s.text) {
		if c := s.text[s.at]; c > ' ' {
			return c
		}
		s.at++
	}
	s.bad = true
	return 0
}

// string is the next value, which must be one.
func (s *scanner) string() []byte {
	if s.byte() != '"' {
		s.skip()
		return nil
	}
	begin := s.at + 1
	s.at = s.pastString(s.at)
	if s.bad {
		return nil
	}
	return s.text[begin : s.at-1]
}

// pastString is where the string ends that begins at i. It looks at eight bytes
// at a time: most strings are too short for bytes.IndexByte to pay.
func (s *scanner) pastString(i int) int {
	for i++; i+8 <= len(s.text); {
		word := binary.LittleEndian.Uint64(s.text[i:])
		found := equal(word, '"') | equal(word, '\\')
		if found == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(found) / 8
		if s.text[i] == '"' {
			return i + 1
		}
		i += 2 // what is escaped
	}
	for ; i < len(s.text); i++ {
		switch s.text[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	s.bad = true
	return len(s.text)
}

// equal marks the first byte of a word that is c with its highest bit; bytes
// after that one may be marked wrongly.
func equal(word uint64, c byte) uint64 {
	const each = 0x0101010101010101
	x := word ^ each*uint64(c)
	return (x - each) &^ x & (each << 7)
}

// skip passes over a value.
func (s *scanner) skip() {
	switch s.byte() {
	case '"':
		s.at = s.pastString(s.at)
	case '{', '[':
		s.at = s.pastNested(s.at)
	default:
		s.literal()
	}
}

// pastNested is where the object or array ends that begins at i.
func (s *scanner) pastNested(i int) int {
	for depth := 0; i < len(s.text); {
		switch s.text[i] {
		case '"':
			i = s.pastString(i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	s.bad = true
	return len(s.text)
}

// literal is a number, true, false or null.
func (s *scanner) literal() []byte {
	s.byte()
	begin := s.at
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ',', '}', ']', ' ', '\n', '\r', '\t':
			return s.text[begin:s.at]
		}
		s.at++
	}
	return s.text[begin:]
}
