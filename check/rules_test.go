package check_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/bank"
)

// with is the reference example with texts replaced.
func with(t *testing.T, pairs ...string) []byte {
	t.Helper()
	text := string(bank.Configuration)
	for i := 0; i < len(pairs); i += 2 {
		require.Contains(t, text, pairs[i])
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return []byte(text)
}

func TestRules(t *testing.T) {
	t.Parallel()
	// The reference example has no mistake, and leaves nobody without words.
	require.Empty(t, findings(load(t, bank.Configuration)))

	const orders = `sentinels: {present: cus_000001, absent: cus_000000}
    fields:
      status: {type: string, values: [ordered`
	for _, test := range []struct {
		name       string
		edit       []string
		path, says string
		warning    bool
	}{
		{"TwoRulesOfOneState", []string{"from: billing_missing", "from: [billing_missing, card_missing]"}, "rules.start-billing.from", "order-card already leads out of card_missing", false},
		{"ObserveCountsToo", []string{"from: billing_missing\n", "from: card_missing\n", "mode: auto\n\n  copy-email", "mode: observe\n\n  copy-email"}, "rules.start-billing.from", "already leads", false},
		{"CanNotBeVerified", []string{", sets: {status: ordered}", ""}, "rules.order-card.do[0]", "can't be verified", false},
		{"MayNotBeRepeated", []string{"body: {status: blocked}, repeat: safe", "body: {status: blocked}, repeat: never"}, "rules.block-card.do[0]", "must never be repeated", false},
		{"SeveralSteps", []string{"do: [{cards.order: {}}]", "do: [{cards.order: {}}, {cards.block: {}}]"}, "rules.order-card.do", "is one operation, this one has 2", false},
		{"AbsenceIsUnproven", []string{orders, strings.SplitN(orders, "\n    ", 2)[1]}, "rules.order-card.from", "cards can't prove absence", false},
		{"NoWords", []string{"    tell: Your card is being ordered.\n", ""}, "states.card_missing", "neither what it means", true},
		{"NoPromise", []string{"    tell: Your card is being ordered.\n    promise: 1d\n", "    tell: x\n"}, "states.card_missing", "no promise", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var matching amend.Findings
			for _, f := range findings(load(t, with(t, test.edit...))) {
				if f.Path == test.path {
					matching = append(matching, f)
				}
			}
			require.Len(t, matching, 1)
			require.Contains(t, matching[0].Text, test.says)
			require.Equal(t, test.warning, matching[0].Warning)
		})
	}
	manual := findings(load(t, with(t, "body: {status: blocked}, repeat: safe", "body: {status: blocked}, repeat: never", "  block-card:\n    from: rejected_with_card\n    do: [{cards.block: {}}]\n    mode: auto", "  block-card:\n    from: rejected_with_card\n    do: [{cards.block: {}}]\n    mode: manual")))
	require.Empty(t, manual.Errors(), "a person may do what must not be repeated")
}
