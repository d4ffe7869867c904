package sql

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"amend"
	"amend/connectors"
)

// value reads one cell. Databases write some types in several ways: SQLite has
// neither bools nor times, and drivers give decimals as text.
func value(reader *connectors.FieldReader, typ amend.Type, cell any) (amend.Value, error) {
	if raw, isBytes := cell.([]byte); isBytes {
		cell = string(raw)
	}
	text, isText := cell.(string)
	number, isInt := cell.(int64)
	switch {
	case isText && !utf8.ValidString(text):
		return reader.Any([]any(nil)) // binary data, which no field is
	case typ == amend.Bool && isInt && (number == 0 || number == 1):
		return reader.Bool(number == 1)
	case typ == amend.Bool && isText:
		if b, err := strconv.ParseBool(text); err == nil {
			return reader.Bool(b)
		}
	case isText && (typ == amend.Int || typ == amend.Double):
		return reader.Number([]byte(text))
	case isText && typ == amend.Timestamp:
		return reader.Any(parseTime(text))
	}
	return reader.Any(cell)
}

// parseTime reads what SQLite's own functions write, which is in UTC; anything
// else stays text.
func parseTime(text string) any {
	if len(text) > 10 && text[10] == ' ' {
		for _, layout := range []string{"2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00"} {
			if at, err := time.Parse(layout, text); err == nil {
				return at
			}
		}
	}
	return text
}

// appendKey reads the column id: a text or a whole number. Anything else names
// nobody.
func appendKey(key []byte, cell any) []byte {
	switch x := cell.(type) {
	case string:
		return append(key, strings.ToValidUTF8(x, "")...)
	case []byte:
		return append(key, strings.ToValidUTF8(string(x), "")...)
	case int64:
		return strconv.AppendInt(key, x, 10)
	}
	return key
}
