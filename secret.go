package amend

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a string that can't be printed: every way that fmt, encoding and
// log/slog know gives "[secret]". Redacting by key in a logger leaks; a type
// does not.
//
// The string stands behind a pointer because fmt asks no method for %p, nor for
// a Secret in an unexported field, and then prints what the struct holds.
type Secret struct{ value *string }

// NewSecret hides a string.
func NewSecret(value string) Secret { return Secret{value: &value} }

const hidden = "[secret]"

// Reveal gives the string, for the one place that sends it.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Empty reports whether there is nothing to hide.
func (s Secret) Empty() bool { return s.Reveal() == "" }

// String hides the value.
func (Secret) String() string { return hidden }

// GoString hides the value from %#v.
func (Secret) GoString() string { return hidden }

// Format hides the value from every verb.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, hidden) } //nolint:errcheck // fmt gives no way to report it

// MarshalText hides the value from JSON and YAML.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue hides the value from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }
