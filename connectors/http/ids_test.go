package http_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"amend"
	httpkind "amend/connectors/http"
)

// Whatever the pattern, an ID is what the entity says.
func TestIDs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern string
		table   bool // small and plain enough for one
	}{
		{`^cus_[0-9]{6,}$`, true},
		{`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`, true},
		{`^(a|ab)(c|bcd)*$`, true},
		{`\A[a-d]+\z`, true},
		{`(?i)^abc?$`, true},
		{`ab`, true},
		{`^ab|cd$`, true},
		{`^$`, true},
		{``, true},
		{`^a.c$`, true},
		{`(?s)^a.c$`, true},
		{`^[^/]+$`, true},
		{`^ä+b*$`, true},
		{`(?m)^a$`, false},
		{`\bab\b`, false},
		{`^[a-d]{70}$`, false},
		{`[ab]*a[ab]{8}$`, false},
	} {
		pattern := regexp.MustCompile(test.pattern)
		entity := &amend.Entity{ID: pattern}
		valid, table := httpkind.IDs(pattern)
		require.Equal(t, test.table, table, test.pattern)
		texts := rapid.OneOf(rapid.StringOf(rapid.RuneFrom([]rune("abcdABC01_-/\näK\u212a"))), rapid.StringMatching(`cus_[0-9]{4,8}\n?`), rapid.StringMatching(`[a-d0-9]{8}(-[a-f0-9]{4}){3}-[a-f0-9]{12}`), rapid.Just("a\xffc"),
			rapid.Just("a\u0085c"), rapid.Map(rapid.IntRange(250, 260), func(n int) string { return strings.Repeat("a", n) }))
		rapid.Check(t, func(t *rapid.T) {
			text := texts.Draw(t, "text")
			require.Equal(t, entity.Valid(text), valid(text), "%s: %q", test.pattern, text)
		})
	}
	valid, table := httpkind.IDs(nil)
	require.False(t, table)
	require.True(t, valid("anything"))
	posix := regexp.MustCompilePOSIX(`^a{2}$`)
	valid, _ = httpkind.IDs(posix)
	require.True(t, valid("aa"))
	require.False(t, valid("aaa"))
}
