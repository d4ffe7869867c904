package conditions_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/conditions"
)

// TestNameAlone: a name that stands alone gives what it gives as a part of any
// expression, whatever it is.
func TestNameAlone(t *testing.T) {
	t.Parallel()
	env, err := conditions.NewDynamic(conditions.Variable{Name: "x"})
	require.NoError(t, err)
	same := func(s string) (string, error) { return "<" + s + ">", nil }
	for name, value := range map[string]any{
		"text": "a b", "empty": "", "number": int64(-7), "yes": true, "fraction": 2.5, "nothing": nil,
		"time": time.Date(2026, 3, 1, 9, 0, 0, 5, time.UTC), "list": []string{"a"}, "object": map[string]any{"a": "b"},
		"amend's text": amend.StringOf("a b"), "amend's number": amend.IntOf(9), "amend's nothing": amend.Value{},
	} {
		vars := conditions.Vars{"x": value}
		alone, found := env.Text("/{x}/")
		require.Empty(t, found)
		inside, found := env.Text("/{[x][0]}/")
		require.Empty(t, found)
		got, gotErr := alone.Render(vars, same)
		want, wantErr := inside.Render(vars, same)
		require.Equal(t, want, got, name)
		require.Equal(t, wantErr == nil, gotErr == nil, name)

		alone, _ = env.Text("{x}")
		inside, _ = env.Text("{[x][0]}")
		gotValue, gotErr := alone.Value(vars)
		wantValue, wantErr := inside.Value(vars)
		require.Equal(t, wantValue, gotValue, name)
		require.Equal(t, wantErr == nil, gotErr == nil, name)
	}
	text, _ := env.Text("/{x}")
	_, err = text.Render(conditions.Vars{}, same)
	require.Error(t, err, "a name without a value")
}

// BenchmarkText renders the path of a single read.
func BenchmarkText(b *testing.B) {
	env, err := conditions.NewDynamic(conditions.Variable{Name: "id", Type: amend.String})
	require.NoError(b, err)
	for _, text := range []string{"/customers/{id}", "/customers/{id + ''}"} {
		compiled, _ := env.Text(text)
		b.Run(strings.Trim(text, "/"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := compiled.Render(conditions.Vars{"id": "cus_000001"}, func(s string) (string, error) { return s, nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
