package conditions_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/conditions"
)

// BenchmarkCondition evaluates single conditions by their closures and by
// cel-go.
func BenchmarkCondition(b *testing.B) {
	env, err := conditions.New(schema())
	require.NoError(b, err)
	view := &amend.View{Records: []amend.Record{approved(), present(amend.StringOf("open"), amend.IntOf(1230), amend.BoolOf(true))}}
	scope := env.Scope(view, noon)
	for name, when := range map[string]string{
		"Equality": `identity.status == "approved" && ledger.status != "closed"`,
		"List":     `identity.country in ["AT", "CH", "DE"]`,
		"Time":     `now - identity.changed_at < duration("3d")`,
	} {
		c, findings := env.Condition(when)
		require.Empty(b, findings)
		b.Run(name+"/Compiled", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Eval(scope)
			}
		})
		b.Run(name+"/Interpreted", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Interpret(scope)
			}
		})
	}
}
