package bank

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// judged is the part of Counts that the judge decides.
type judged struct{ sent, effects, double, wrong, keys, replays, reissues, order int }

func (b *tester) judged() judged {
	c := b.Count()
	return judged{c.RepairsSent, c.Effects, c.DoubleEffects, c.WrongSends, c.SecondKeys, c.Replays, c.Reissues, c.OutOfOrder}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	// Each test sends something to a bank of its own and states the judgement.
	// The bank's cards show after a second.
	tests := []struct {
		name string
		send func(t *testing.T, b *tester)
		want judged
	}{
		{"EveryRightRepair", func(t *testing.T, b *tester) {
			id := b.someone(t, "billing_missing")
			b.call(t, start(id, b.email(t, id), "k1"))
			b.call(t, order(b.someone(t, "card_missing"), "k2"))
			b.call(t, order(b.someone(t, "card_blocked"), "k3"))
			id = b.someone(t, "email_differs")
			b.call(t, setEmail(id, b.email(t, id)))
			b.call(t, block(b.someone(t, "rejected_with_card")))
			b.call(t, cancelPlan(b.someone(t, "rejected_with_plan")))
			b.call(t, closing(b.someone(t, "rejected_but_open"), "*"))
			id = b.someone(t, "ledger_missing")
			b.call(t, open(id, b.currency(t, id), "k4"))
		}, judged{sent: 8, effects: 8}},
		{"AResendIsReplayed", func(t *testing.T, b *tester) {
			id := b.someone(t, "card_missing")
			b.call(t, order(id, "k1"))
			b.call(t, order(id, "k1"))
			b.clock.advance(time.Minute)
			b.call(t, order(id, "k1"))
		}, judged{sent: 3, effects: 1, replays: 2}},
		{"ASecondKeyBeforeTheCardShowsMakesTwoCards", func(t *testing.T, b *tester) {
			id := b.someone(t, "card_missing")
			b.call(t, order(id, "k1"))
			require.Equal(t, 201, b.call(t, order(id, "k2")).status)
		}, judged{sent: 2, effects: 2, double: 1, wrong: 1, keys: 1}},
		{"ResendsOfBothKeysCountNoMore", func(t *testing.T, b *tester) {
			id := b.someone(t, "card_missing")
			for _, key := range []string{"k1", "k2", "k1", "k2"} {
				b.call(t, order(id, key))
			}
		}, judged{sent: 4, effects: 2, double: 1, wrong: 1, keys: 1, replays: 2}},
		{"ASecondKeyAfterTheCardShowsIsRefused", func(t *testing.T, b *tester) {
			id := b.someone(t, "card_missing")
			b.call(t, order(id, "k1"))
			b.clock.advance(time.Minute)
			require.Equal(t, 409, b.call(t, order(id, "k2")).status)
		}, judged{sent: 2, effects: 1, wrong: 1, keys: 1}},
		{"ANewNeedHasANewKey", func(t *testing.T, b *tester) {
			id := b.someone(t, "card_missing")
			b.call(t, order(id, "k1"))
			b.clock.advance(time.Minute)
			b.call(t, block(id)) // a person reports it lost
			b.call(t, order(id, "k2"))
		}, judged{sent: 3, effects: 3, reissues: 1}},
		{"AnOldKeyIsNotUsedForANewNeed", func(t *testing.T, b *tester) {
			id := b.someone(t, "card_missing")
			b.call(t, order(id, "k1"))
			b.clock.advance(time.Minute)
			b.call(t, block(id))
			b.call(t, order(id, "k1"))
			require.Equal(t, "card_blocked", b.Truth(id), "it was replayed")
		}, judged{sent: 3, effects: 2, replays: 1, reissues: 1}},
		{"BlockingTwiceIsOneReissue", func(t *testing.T, b *tester) {
			id := b.someone(t, "active")
			b.call(t, block(id))
			b.call(t, block(id))
		}, judged{sent: 2, effects: 1, wrong: 1, reissues: 1}},
		{"ASwallowedSendWithAnotherKeyAfterwards", func(t *testing.T, b *tester) {
			id := b.someone(t, "card_missing")
			require.NoError(t, b.Fault(cardsName, Fault{Outage: OutageUnavailable}))
			b.call(t, order(id, "k1"))
			require.NoError(t, b.Fault(cardsName, Fault{}))
			b.call(t, order(id, "k2"))
		}, judged{sent: 2, effects: 1, keys: 1}},
		{"ASwallowedSendWithTheSameKeyAfterwards", func(t *testing.T, b *tester) {
			id := b.someone(t, "card_missing")
			require.NoError(t, b.Fault(cardsName, Fault{Outage: OutageUnavailable}))
			b.call(t, order(id, "k1"))
			require.NoError(t, b.Fault(cardsName, Fault{}))
			b.call(t, order(id, "k1"))
		}, judged{sent: 2, effects: 1}},
		{"AWrongSendCountsAlsoWhereAFaultSwallowsIt", func(t *testing.T, b *tester) {
			require.NoError(t, b.Fault(cardsName, Fault{Outage: OutageUnavailable}))
			b.call(t, order(b.someone(t, "active"), "k1"))
		}, judged{sent: 1, wrong: 1}},
		{"AWrongAddressAndThenTheRightOne", func(t *testing.T, b *tester) {
			id := b.someone(t, "email_differs")
			b.call(t, setEmail(id, "someone.else@mail.example"))
			b.call(t, setEmail(id, b.email(t, id)))
		}, judged{sent: 2, effects: 2, double: 1, wrong: 1}},
		{"ASafeRepeatAfterTheEffect", func(t *testing.T, b *tester) {
			id := b.someone(t, "email_differs")
			b.call(t, setEmail(id, b.email(t, id)))
			b.call(t, setEmail(id, b.email(t, id)))
		}, judged{sent: 2, effects: 1, wrong: 1}},
		{"AnEffectThatNobodyNeeded", func(t *testing.T, b *tester) {
			b.call(t, cancelPlan(b.someone(t, "active")))
		}, judged{sent: 1, effects: 1, double: 1, wrong: 1}},
		{"APreconditionThatFailsIsNoWrongSend", func(t *testing.T, b *tester) {
			require.Equal(t, 412, b.call(t, closing(b.someone(t, "rejected_but_open"), `"a0"`)).status)
		}, judged{sent: 1}},
		{"NeededButNotYet", func(t *testing.T, b *tester) {
			id := b.bothMissing(t)
			b.call(t, order(id, "k1"))
			b.call(t, open(id, b.currency(t, id), "k2"))
		}, judged{sent: 2, effects: 2, order: 1}},
		{"BothInOrder", func(t *testing.T, b *tester) {
			id := b.bothMissing(t)
			b.call(t, open(id, b.currency(t, id), "k1"))
			require.Equal(t, "card_missing", b.Truth(id))
			b.call(t, order(id, "k2"))
			require.Equal(t, "active", b.Truth(id))
		}, judged{sent: 2, effects: 2}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, withCardDelay(time.Second))
			test.send(t, b)
			require.Equal(t, test.want, b.judged())
		})
	}
}

// bothMissing returns a customer without account and card.
func (b *tester) bothMissing(t *testing.T) string {
	t.Helper()
	for _, id := range b.planted("ledger_missing") {
		if b.world.byID[id].card == nil && b.world.byID[id].plan != nil {
			return id
		}
	}
	require.Fail(t, "nobody lacks both")
	return ""
}

func TestWrong(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := map[string]string{"EUR": "GBP", "GBP": "EUR"}
	missing, noPlan, moved := b.someone(t, "ledger_missing"), b.someone(t, "billing_missing"), b.someone(t, "email_differs")
	active, pending, closed := b.someone(t, "active"), b.someone(t, "signing_up"), b.someone(t, "closed")
	tests := []struct {
		name string
		send request
		want string
	}{
		{"OpenWithAnAccount", open(active, b.currency(t, active), "k"), "the customer has an account"},
		{"OpenWithAClosedAccount", open(b.stuck(t, statusClosed), "EUR", "k"), "the customer has an account"},
		{"OpenForAPendingSignUp", open(pending, b.currency(t, pending), "k"), "the customer is not approved"},
		{"OpenForARejectedCustomer", open(closed, "EUR", "k"), "the customer is not approved"},
		{"OpenForNobody", open("cus_888888", "EUR", "k"), "the customer is not approved"},
		{"OpenInTheWrongCurrency", open(missing, other[b.currency(t, missing)], "k"), "not the currency of the customer's country"},
		{"OpenUnderAHold", open(b.heldWithout(t), "EUR", "k"), "compliance holds the customer"},
		{"OpenForTheSentinel", open(sentinelAbsent, "EUR", "k"), "a sentinel is no customer"},
		{"BlockOfTheSentinel", block(sentinelPresent), "a sentinel is no customer"},
		{"CloseOfAnActiveCustomer", closing(active, ""), "the customer is not rejected"},
		{"CloseWithMoney", closing(b.someone(t, "rejected_with_money"), ""), "the account holds money"},
		{"CloseOfAClosedAccount", closing(b.someone(t, "rejected_with_card"), ""), "the customer has no open account"},
		{"OrderWithALiveCard", order(active, "k"), "the customer has a live card"},
		{"OrderForAnOrphan", order(b.someone(t, "orphaned"), "k"), "the customer is not approved"},
		{"BlockOfNoCard", block(b.someone(t, "rejected_with_plan")), "the customer has no live card"},
		{"BlockForAPendingSignUp", block(pending), "the customer is not rejected"},
		{"BlockUnderAHold", block(b.planted("held")[0]), "compliance holds the customer"},
		{"SetEmailWithoutPlan", setEmail(noPlan, b.email(t, noPlan)), "the customer has no plan"},
		{"StartWithAPlan", start(active, b.email(t, active), "k"), "the customer has a plan"},
		{"StartWithAnotherAddress", start(noPlan, "someone.else@mail.example", "k"), "not the customer's address"},
		{"CancelOfAnActiveCustomer", cancelPlan(b.planted("active")[1]), "the customer is not rejected"},
		{"CancelOfACancelledPlan", cancelPlan(b.someone(t, "rejected_with_card")), "the customer has no running plan"},
		{"SetEmailToTheSame", setEmail(b.planted("active")[2], b.email(t, b.planted("active")[2])), "the plan has the customer's address"},
		{"SetEmailToAnother", setEmail(moved, "someone.else@mail.example"), "not the customer's address"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := b.Count().WrongSends
			test.send.key += test.name
			b.call(t, test.send)
			require.Equal(t, test.want, b.last(t).Wrong)
			require.Equal(t, before+1, b.Count().WrongSends)
		})
	}
}

func (b *tester) stuck(t *testing.T, status string) string {
	t.Helper()
	large := b.planted("ledger_unusable")
	id := large[0]
	b.world.byID[id].account.status = status
	require.Equal(t, "ledger_unusable", b.Truth(id))
	return id
}

func (b *tester) heldWithout(t *testing.T) string {
	t.Helper()
	for _, id := range b.planted("held") {
		if b.world.byID[id].account == nil {
			return id
		}
	}
	require.Fail(t, "nobody is held without an account")
	return ""
}

func TestJournal(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.someone(t, "ledger_missing")
	b.clock.advance(time.Second)
	q := open(id, b.currency(t, id), "k1")
	b.call(t, q)
	b.call(t, block(b.someone(t, "rejected_with_card")))

	entries := b.Journal().Of(id)
	require.Len(t, entries, 1)
	e := entries[0]
	require.Equal(t, b.Journal().Entries()[0], e)
	require.Equal(t, 1, e.Seq)
	require.Equal(t, noon.Add(time.Second), e.Time)
	require.Equal(t, []string{"ledger", "POST", "/accounts", "k1"}, []string{e.Service, e.Method, e.Path, e.Key})
	require.Equal(t, LedgerOpen, e.Operation)
	require.Regexp(t, `^[0-9a-f]{64}$`, e.BodySHA256)
	require.Equal(t, 201, e.Status)
	require.True(t, e.Effect)
	require.Nil(t, e.Before)
	require.JSONEq(t, b.get(t, ledgerName, "/accounts/"+id).raw, string(e.After))

	second := b.last(t)
	require.Equal(t, 2, second.Seq)
	require.Equal(t, 2, b.Journal().Len())
	require.Contains(t, string(second.Before), `"status":"active"`)
	require.Contains(t, string(second.After), `"status":"blocked"`)
	require.Empty(t, b.Journal().Of("cus_999999"))
}
