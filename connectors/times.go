package connectors

import "time"

// commonTime reads times as services mostly write them: in UTC, with or without
// a fraction of a second, such as 2026-03-01T12:00:00.123Z. That takes a quarter
// of what the time package takes, to which the rest is left: other zones, the
// last days of a month, and all that is no time.
func commonTime(text []byte) (time.Time, bool) {
	const form = "2006-01-02T15:04:05Z"
	if len(text) < len(form) || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':' || text[len(text)-1] != 'Z' {
		return time.Time{}, false
	}
	var odd byte // its highest bit, once a byte was no digit
	two := func(at int) int {
		tens, ones := text[at]-'0', text[at+1]-'0'
		odd |= tens | (9 - tens) | ones | (9 - ones)
		return int(tens)*10 + int(ones)
	}
	year, month, day := two(0)*100+two(2), two(5), two(8)
	hour, minute, second := two(11), two(14), two(17)
	nanos, ok := fraction(text[len(form)-1 : len(text)-1])
	if !ok || odd >= 0x80 || month < 1 || month > 12 || day < 1 || day > 28 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	seconds := (daysSince1970(year, month, day)*24+hour)*3600 + minute*60 + second
	return time.Unix(int64(seconds), nanos), true
}

// daysSince1970 counts years from March on, so that a leap day is the last day
// of its year, and months by the 153 days that five of them have in turns of 31
// and 30.
func daysSince1970(year, month, day int) int {
	const before1970 = 719_468 // days since 1 March of the year 0
	if month -= 3; month < 0 {
		year, month = year-1, month+12
	}
	return 365*year + floor(year, 4) - floor(year, 100) + floor(year, 400) + (153*month+2)/5 + day - 1 - before1970
}

// floor divides and rounds down, as for the January before the year 0.
func floor(n, by int) int { return (n+by)/by - 1 }

// fraction reads the fraction of a second, with its point, as nanoseconds.
func fraction(text []byte) (int64, bool) {
	if len(text) == 0 {
		return 0, true
	}
	const places = 9
	if text[0] != '.' || len(text) == 1 || len(text) > 1+places {
		return 0, false
	}
	n := int64(0)
	for _, c := range text[1:] {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	for range places - len(text[1:]) {
		n *= 10
	}
	return n, true
}
