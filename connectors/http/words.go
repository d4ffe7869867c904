package http

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// The words of JSON. Each function looks at text from a place on and gives the
// place behind the word, or broken where it isn't one.

// broken stands for a place in a text that is not whole and valid JSON.
const broken = -1

// space gives the place of the first byte that is no white space.
func space(text []byte, at int) int {
	for at < len(text) && text[at] <= ' ' && (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t') {
		at++
	}
	return at
}

// after skips white space, one byte that must stand there, and white space.
func after(text []byte, at int, want byte) int {
	if at = space(text, at); at == len(text) || text[at] != want {
		return broken
	}
	return space(text, at+1)
}

// literal skips true, false or null.
func literal(text []byte, at int, want string) int {
	if len(text)-at < len(want) || string(text[at:at+len(want)]) != want {
		return broken
	}
	return at + len(want)
}

// number skips a number. What may follow it is for others to say.
func number(text []byte, at int) int {
	if at < len(text) && text[at] == '-' {
		at++
	}
	whole := at
	if at = digits(text, at); at < 0 || text[whole] == '0' && at > whole+1 {
		return broken
	}
	if at < len(text) && text[at] == '.' {
		if at = digits(text, at+1); at < 0 {
			return broken
		}
	}
	if at < len(text) && (text[at] == 'e' || text[at] == 'E') {
		at++
		if at < len(text) && (text[at] == '+' || text[at] == '-') {
			at++
		}
		return digits(text, at)
	}
	return at
}

// digits skips one digit or more.
func digits(text []byte, at int) int {
	from := at
	for at < len(text) && text[at]-'0' <= 9 {
		at++
	}
	if at == from {
		return broken
	}
	return at
}

// Eight bytes at a time: each byte's lowest and highest bit.
const (
	lowest  = 0x0101010101010101
	highest = 0x8080808080808080
)

// plain goes on in a string to the first byte that ends it or needs a closer
// look: a quote, a backslash, a control character or, as long as mark is set, a
// byte outside ASCII.
func plain(text []byte, at int, mark uint64) int {
	for ; at >= 0 && at <= len(text)-8; at += 8 { // in a form that needs no checks of bounds
		eight := binary.LittleEndian.Uint64(text[at:])
		quote, backslash := eight^'"'*lowest, eight^'\\'*lowest
		// The highest bit of each byte that was 0 before 1 was taken away, and of
		// each below a space; above the first of them a borrow may set others.
		found := ((quote-lowest)|(backslash-lowest)|(eight-' '*lowest))&^eight&highest | eight&mark
		if found != 0 {
			return at + bits.TrailingZeros64(found)/8
		}
	}
	for ; at < len(text); at++ {
		if c := text[at]; c == '"' || c == '\\' || c < ' ' || c >= utf8.RuneSelf && mark != 0 {
			break
		}
	}
	return at
}

// quoted skips the rest of a string, from behind its opening quote on.
func (s *scanner) quoted(at int) int {
	s.escaped = false
	at = plain(s.text, at, s.unchecked)
	if s.stands(at, '"') {
		return at + 1
	}
	return s.uncommon(at)
}

// uncommon is quoted for strings that hold more than plain bytes.
func (s *scanner) uncommon(at int) int {
	for at >= 0 && at < len(s.text) {
		switch c := s.text[at]; {
		case c == '"':
			return at + 1
		case c == '\\':
			at, s.escaped = escape(s.text, at+1), true
		case c < utf8.RuneSelf || !utf8.Valid(s.text[at:]):
			return broken
		default: // the first byte outside ASCII: all that follows was checked at once
			s.unchecked = 0
		}
		if at >= 0 {
			at = plain(s.text, at, s.unchecked)
		}
	}
	return broken
}

// escape skips what follows a backslash. Half a surrogate pair is no text.
func escape(text []byte, at int) int {
	if at >= len(text) {
		return broken
	}
	switch text[at] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return at + 1
	case 'u':
	default:
		return broken
	}
	const firstHigh, firstLow, afterLow = 0xd800, 0xdc00, 0xe000
	unit, end := hex4(text, at+1), at+5
	switch {
	case unit < 0, firstLow <= unit && unit < afterLow:
		return broken
	case unit < firstHigh || unit >= afterLow:
		return end
	case literal(text, end, `\u`) < 0:
		return broken
	}
	if low := hex4(text, end+2); low < firstLow || low >= afterLow {
		return broken
	}
	return end + 6
}

// hex4 reads four hexadecimal digits, or gives -1.
func hex4(text []byte, at int) int {
	if len(text)-at < 4 {
		return -1
	}
	n := 0
	for _, c := range text[at : at+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		n = n<<4 | int(c)
	}
	return n
}
