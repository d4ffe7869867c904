package desk_test

import (
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/desk"
)

func front() *desk.Desk {
	return &desk.Desk{Schema: &amend.Schema{
		Entity:   amend.Entity{Name: "customer", ID: regexp.MustCompile(`\A(?:^cus_[0-9]{6,}$)\z`)},
		Services: []amend.Service{{Name: "ledger", Sentinels: amend.Sentinels{Present: "cus_000001", Absent: "cus_000000"}}},
	}}
}

func TestClean(t *testing.T) {
	t.Parallel()
	for pasted, want := range map[string]string{
		"cus_000042":         "cus_000042",
		"  \"cus_000042\"\n": "cus_000042",
		"'cus_000042'":       "cus_000042",
		"<cus_000042>":       "cus_000042",
		"https://crm.bank.example/customers/cus_000042?tab=1": "cus_000042",
		"https://crm.bank.example/cus_000042/edit":            "cus_000042",
		"https://crm.bank.example/nobody":                     "https://crm.bank.example/nobody",
		"../admin":                                            "../admin",
		"":                                                    "",
	} {
		require.Equal(t, want, front().Clean(pasted))
	}
}

// What can't be a customer reaches neither a service nor the store: both are
// missing here, and would be missed.
func TestOnlyCustomersAreLookedAt(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"../admin":                     "can't be the ID of a customer; an ID looks like ^cus_[0-9]{6,}$",
		"cus_000042/..":                "can't be the ID",
		"cus_000042\n":                 "can't be the ID",
		"":                             "can't be the ID",
		strings.Repeat("cus_", 10_000): "…",
		"cus_000001":                   "cus_000001 is a sentinel of ledger",
		"cus_000000":                   "cus_000000 is a sentinel of ledger",
	} {
		_, err := front().Customer(t.Context(), id)
		require.ErrorContains(t, err, want)
		require.Equal(t, amend.Invalid, amend.CodeOf(err))
		require.Less(t, len(err.Error()), 400)
		_, err = front().Check(t.Context(), id, "kim")
		require.Equal(t, amend.Invalid, amend.CodeOf(err))
	}
}

func TestShow(t *testing.T) {
	t.Parallel()
	money := &amend.Field{Type: amend.Int, Scale: 2}
	for _, test := range []struct {
		field *amend.Field
		value amend.Value
		want  string
	}{
		{money, amend.IntOf(1230), "12.30"},
		{money, amend.IntOf(5), "0.05"},
		{money, amend.IntOf(-5), "-0.05"},
		{money, amend.IntOf(0), "0.00"},
		{money, amend.IntOf(math.MaxInt64), "92233720368547758.07"},
		{money, amend.IntOf(math.MinInt64), "-92233720368547758.08"},
		{&amend.Field{Type: amend.Int}, amend.IntOf(7), "7"},
		{&amend.Field{Type: amend.String, Sensitive: true}, amend.StringOf("a@b.c"), desk.Hidden},
		{&amend.Field{Type: amend.String, Sensitive: true}, amend.Value{}, "–"},
	} {
		require.Equal(t, test.want, desk.Show(test.field, test.value))
	}
}
