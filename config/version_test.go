package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRuleVersion: the version of a rule changes with all that its decision
// rests on, and with nothing else.
func TestRuleVersion(t *testing.T) {
	t.Parallel()
	const rule = "start-billing"
	version := func(pairs ...string) string { return mustBank(t, pairs...).Rules.Rule(rule).Version }
	first := version()
	require.Len(t, first, 12)
	for name, pairs := range map[string][]string{
		"its argument":             {`{billing.start: {email: "{identity.email}"}}`, `{billing.start: {email: "x{identity.email}"}}`},
		"its mode":                 {"billing.start: {email: \"{identity.email}\"}}]\n    mode: auto", "billing.start: {email: \"{identity.email}\"}}]\n    mode: approve"},
		"its state's condition":    {"when: billing.absent", "when: billing.absent && true"},
		"a condition before":       {"when: cards.absent", "when: cards.absent && true"},
		"the order of states":      {"\n  ledger_missing:\n    about", "\n  ledger_lost:\n    when: ledger.absent && false\n  ledger_missing:\n    about"},
		"its operation":            {"repeat: {key: header Idempotency-Key, window: 24h}, sets: {status: active", "repeat: {key: header Idempotency-Key, window: 12h}, sets: {status: active"},
		"a field of a condition":   {"item.updated_at}", "item.updated_at}", "values: [active, past_due, cancelled]", "values: [active, past_due, cancelled, paused]"},
		"a field that it sends":    {"path: item.contact.email", "path: item.contact.mail"},
		"a field of a state above": {"values: [open, frozen, closed]", "values: [open, frozen, closed, lost]"},
	} {
		require.NotEqual(t, first, version(pairs...), name)
	}
	for name, pairs := range map[string][]string{
		"layout":                         {"    from: billing_missing\n", "    from:   billing_missing   # a comment\n\n"},
		"quotes":                         {"    from: billing_missing\n", "    from: \"billing_missing\"\n"},
		"the order of keys":              {"    from: billing_missing\n    do: [{billing.start: {email: \"{identity.email}\"}}]\n", "    do: [{billing.start: {email: \"{identity.email}\"}}]\n    from: billing_missing\n"},
		"a state below":                  {"when: billing.email != identity.email", "when: billing.email != identity.email && true"},
		"another rule":                   {"attempts: 5", "attempts: 6"},
		"another operation":              {`cancel:    {delete: "/subscriptions/{id}", repeat: safe,`, `cancel:    {delete: "/subscriptions/{id}", repeat: never,`},
		"a field that nobody reads":      {"placed_at: {type: timestamp}", "placed_at: {type: timestamp, optional: true}"},
		"how long a state above settles": {"settle: ${SETTLE:-5m}", "settle: 6m"},
		"where a service is":             {"timeout: 3s", "timeout: 4s"},
	} {
		require.Equal(t, first, version(pairs...), name)
	}
}

// TestServiceVersion: the version of a service changes with how it is read and
// what is read of it, and with nothing else.
func TestServiceVersion(t *testing.T) {
	t.Parallel()
	version := func(pairs ...string) string { return mustBank(t, pairs...).Schema.Services[0].Version }
	first := version()
	require.Len(t, first, 12)
	for name, pairs := range map[string][]string{
		"what its list is asked for": {"updated_after:", "changed_after:"},
		"a field's path":             {"path: item.contact.email", "path: item.contact.mail"},
		"where it is":                {"url: ${IDENTITY_URL}", "url: ${IDENTITY_URL}/v2"},
		"its sentinels":              {"sentinels: {present: cus_000001, absent: cus_000000}   # proves", "sentinels: {present: cus_000002, absent: cus_000000}   # proves"},
	} {
		require.NotEqual(t, first, version(pairs...), name)
	}
	for name, pairs := range map[string][]string{
		"a comment":       {"url: ${IDENTITY_URL} ", "url: ${IDENTITY_URL} # here\n     "},
		"its token":       {"${IDENTITY_TOKEN}", "another"},
		"its limits":      {"per_second: 400", "per_second: 300"},
		"who owns it":     {"team: Onboarding", "team: Identity"},
		"another service": {"path: item.balance.amount", "path: item.balance"},
	} {
		require.Equal(t, first, version(pairs...), name)
	}
}
