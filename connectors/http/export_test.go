package http

// Dialer is what connections are made with.
var Dialer = dialer

// ParseSize reads a number of bytes.
func ParseSize(text string) (int64, error) {
	var s size
	err := s.UnmarshalText([]byte(text))
	return int64(s), err
}
