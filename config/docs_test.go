package config

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The language reference names every key that a document may hold.
func TestDocsNameEveryKey(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/language.md")
	require.NoError(t, err)
	keys := map[string]bool{}
	collect(reflect.TypeFor[document](), keys)
	require.Greater(t, len(keys), 50)
	code := strings.Join(regexp.MustCompile("`[^`]+`|(?s)```yaml.*?```").FindAllString(string(text), -1), " ")
	for key := range keys {
		require.Regexp(t, "(^|[^a-z_])"+key+"([^a-z_]|$)", code, "docs/language.md doesn't name the key %s", key)
	}
}

// collect walks the specification by its yaml tags.
func collect(t reflect.Type, keys map[string]bool) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		collect(t.Elem(), keys)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if tag := f.Tag.Get("yaml"); tag != "" {
				keys[tag] = true
			}
			if f.Tag.Get("yaml") != "" || f.Name == "value" {
				collect(f.Type, keys)
			}
		}
	default:
	}
}
