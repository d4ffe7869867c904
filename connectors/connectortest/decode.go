package connectortest

import (
	"testing"

	"github.com/goccy/go-yaml"

	"amend"
)

// Decode gives a connectors.Declaration its Decode, from the text of one
// service.
func Decode(t testing.TB, text string) func(into any) {
	return func(into any) {
		secret := yaml.CustomUnmarshaler(func(s *amend.Secret, raw []byte) error {
			var value string
			err := yaml.Unmarshal(raw, &value)
			*s = amend.NewSecret(value)
			return err
		})
		if err := yaml.UnmarshalWithOptions([]byte(text), into, secret); err != nil {
			t.Fatal(err)
		}
	}
}
