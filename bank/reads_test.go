package bank

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// listed walks a list to its end and returns its records.
func (b *tester) listed(t *testing.T, service, path, items, cursor, next string) []map[string]any {
	t.Helper()
	var all []map[string]any
	at := ""
	for range 1000 {
		page := b.get(t, service, path+"&"+cursor+"="+url.QueryEscape(at))
		require.Equal(t, 200, page.status, page.raw)
		for _, item := range page.body[items].([]any) {
			all = append(all, item.(map[string]any))
		}
		if at, _ = page.body[next].(string); at == "" {
			return all
		}
	}
	require.Fail(t, "the list has no end")
	return nil
}

func column(records []map[string]any, name string) []string {
	var values []string
	for _, r := range records {
		values = append(values, r[name].(string))
	}
	return values
}

func TestOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tests := []struct {
		name, service, path, key, missing string
		fields                            []string
	}{
		{"Identity", identityName, "/customers/", "id", "no_customer", []string{"status", "country", "updated_at", "contact"}},
		{"Ledger", ledgerName, "/accounts/", "owner", "no_account", []string{"status", "currency", "balance", "etag"}},
		{"Cards", cardsName, "/cards/", "customer", "no_card", []string{"status"}},
		{"Billing", billingName, "/subscriptions/", "customer", "no_subscription", []string{"status", "email"}},
	}
	for _, test := range tests {
		t.Run(test.name+"/PresentSentinel", func(t *testing.T) {
			t.Parallel()
			got := b.get(t, test.service, test.path+sentinelPresent)
			require.Equal(t, 200, got.status)
			require.Equal(t, sentinelPresent, got.body[test.key])
			for _, field := range test.fields {
				require.Contains(t, got.body, field)
			}
		})
		t.Run(test.name+"/AbsentSentinel", func(t *testing.T) {
			t.Parallel()
			got := b.get(t, test.service, test.path+sentinelAbsent)
			require.Equal(t, 404, got.status)
			require.Equal(t, test.missing, got.body["code"])
		})
		t.Run(test.name+"/NoID", func(t *testing.T) {
			t.Parallel()
			require.Equal(t, 404, b.get(t, test.service, test.path+"..%2Fadmin").status)
		})
		t.Run(test.name+"/RecordsAreOfRealisticSize", func(t *testing.T) {
			t.Parallel()
			for _, id := range b.planted("active")[:50] {
				size := len(b.get(t, test.service, test.path+id).raw)
				require.True(t, size >= 400 && size <= 620, "%d bytes", size)
			}
		})
	}
}

func TestOneFields(t *testing.T) {
	t.Parallel()
	b := setup(t)
	t.Run("BalanceIsADecimalString", func(t *testing.T) {
		t.Parallel()
		id := b.someone(t, "rejected_with_money")
		balance := b.get(t, ledgerName, "/accounts/"+id).body["balance"].(map[string]any)
		require.Regexp(t, `^[0-9]+\.[0-9]{2}$`, balance["amount"])
		require.NotEqual(t, "0.00", balance["amount"])
	})
	t.Run("ETagOfHeaderAndRecordAgree", func(t *testing.T) {
		t.Parallel()
		got := b.get(t, ledgerName, "/accounts/"+sentinelPresent)
		require.Regexp(t, `^"a[0-9]+"$`, got.header.Get("ETag"))
		require.Equal(t, got.header.Get("ETag"), got.body["etag"])
	})
	t.Run("TimesAreRFC3339", func(t *testing.T) {
		t.Parallel()
		got := b.get(t, identityName, "/customers/"+b.someone(t, "signing_up"))
		changed, err := time.Parse(time.RFC3339, got.body["updated_at"].(string))
		require.NoError(t, err)
		require.WithinRange(t, changed, noon.Add(-2*time.Hour), noon)
	})
}

func TestAmounts(t *testing.T) {
	t.Parallel()
	for cents, want := range map[int64]string{0: "0.00", 5: "0.05", 1230: "12.30", -5: "-0.05", -1230: "-12.30", 100_000_001: "1000000.01"} {
		require.Equal(t, `"`+want+`"`, string(appendCents(nil, cents)))
	}
}

func TestStrings(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "plain", `a"b\c`, "line\nbreak", "Zoë", "\x7f", "<script>", "bad \xff byte", "\x00"} {
		var back string
		require.NoError(t, json.Unmarshal(appendString(nil, s), &back), "%q", s)
		require.Equal(t, strings.ToValidUTF8(s, "\ufffd"), back)
	}
}

func TestBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	send := map[string]func(t *testing.T, ids []string) reply{
		identityName: func(t *testing.T, ids []string) reply {
			return b.batch(t, identityName, "/customers:batchGet", "ids", ids)
		},
		billingName: func(t *testing.T, ids []string) reply {
			return b.batch(t, billingName, "/subscriptions:batchGet", "customers", ids)
		},
		ledgerName: func(t *testing.T, ids []string) reply {
			return b.get(t, ledgerName, "/accounts?owner="+strings.Join(ids, ","))
		},
	}
	shapes := map[string][2]string{
		identityName: {"customers", "id"}, billingName: {"subscriptions", "customer"}, ledgerName: {"accounts", "owner"},
	}
	for service, ask := range send {
		items, key := shapes[service][0], shapes[service][1]
		t.Run(service+"/WhoIsNotKnownIsLeftOut", func(t *testing.T) {
			t.Parallel()
			active := b.planted("active")
			got := ask(t, []string{active[1], sentinelAbsent, active[0], "nonsense"})
			require.Equal(t, 200, got.status)
			var found []map[string]any
			for _, item := range got.body[items].([]any) {
				found = append(found, item.(map[string]any))
			}
			require.Equal(t, []string{active[1], active[0]}, column(found, key))
		})
		t.Run(service+"/AHundredAtMost", func(t *testing.T) {
			t.Parallel()
			require.Len(t, ask(t, b.planted("active")[:100]).body[items], 100)
			require.Equal(t, 400, ask(t, b.planted("active")[:101]).status)
		})
	}
	t.Run("NobodyIsNeverEverybody", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, 400, b.get(t, ledgerName, "/accounts?owner=").status)
		require.Empty(t, b.batch(t, identityName, "/customers:batchGet", "ids", []string{}).body["customers"])
	})
	t.Run("ItemsCarryTheVersion", func(t *testing.T) {
		t.Parallel()
		one := b.get(t, ledgerName, "/accounts/"+sentinelPresent)
		item := b.get(t, ledgerName, "/accounts?owner="+sentinelPresent).body["accounts"].([]any)[0].(map[string]any)
		require.Equal(t, one.header.Get("ETag"), item["etag"])
	})
	t.Run("BadBody", func(t *testing.T) {
		t.Parallel()
		for _, body := range []string{"", "[]", "{}", `{"ids":"cus_000001"}`, `{"customers":["cus_000001"]}`, `{"ids":null}`, `{"ids":[],"more":[]}`} {
			got := b.call(t, request{service: identityName, method: "POST", path: "/customers:batchGet", body: body})
			require.Equal(t, 400, got.status, body)
		}
	})
}

func (b *tester) batch(t *testing.T, service, path, name string, ids []string) reply {
	t.Helper()
	body, err := json.Marshal(map[string][]string{name: ids})
	require.NoError(t, err)
	return b.call(t, request{service: service, method: "POST", path: path, body: string(body)})
}

// lists are the services that can list, and how they spell it.
var lists = []struct {
	service, path, items, key, cursor, next string
	most                                    int
	has                                     func(c *customer) bool
}{
	{identityName, "/customers", "customers", "id", "cursor", "next_cursor", 1000, func(c *customer) bool { return c.identity != nil }},
	{ledgerName, "/accounts", "accounts", "owner", "after", "next", 1000, func(c *customer) bool { return c.account != nil }},
	{cardsName, "/cards", "cards", "customer", "page", "next_page", 500, func(c *customer) bool { return c.card != nil }},
}

func TestList(t *testing.T) {
	t.Parallel()
	b := setup(t)
	large := setup(t, func(o *Options) { o.Customers = 1200 })
	for _, l := range lists {
		t.Run(l.service+"/EverybodyOnceInOrder", func(t *testing.T) {
			t.Parallel()
			var want []string
			for _, c := range b.world.order {
				if l.has(c) {
					want = append(want, c.id)
				}
			}
			require.True(t, slices.IsSorted(want))
			for _, limit := range []int{7, 100, len(want), 1000} {
				got := b.listed(t, l.service, fmt.Sprintf("%s?limit=%d", l.path, limit), l.items, l.cursor, l.next)
				require.Equal(t, want, column(got, l.key), "limit %d", limit)
			}
		})
		t.Run(l.service+"/LimitIsClamped", func(t *testing.T) {
			t.Parallel()
			got := large.get(t, l.service, l.path+"?limit=100000")
			require.Len(t, got.body[l.items], l.most)
			require.NotEmpty(t, got.body[l.next])
			require.Len(t, large.get(t, l.service, l.path).body[l.items], defaultLimit)
		})
		t.Run(l.service+"/BadParameters", func(t *testing.T) {
			t.Parallel()
			for _, query := range []string{"limit=0", "limit=-1", "limit=x", l.cursor + "=cus_000002", l.cursor + "=!"} {
				require.Equal(t, 400, b.get(t, l.service, l.path+"?"+query).status, query)
			}
		})
		t.Run(l.service+"/RecordsAreThoseOfOne", func(t *testing.T) {
			t.Parallel()
			for _, item := range b.listed(t, l.service, l.path+"?limit=1000", l.items, l.cursor, l.next)[:20] {
				require.Equal(t, b.get(t, l.service, l.path+"/"+item[l.key].(string)).body, item)
			}
		})
	}
}

func TestListWhileCustomersAreAdded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.get(t, identityName, "/customers?limit=150")
	d := newDrifter(b.Bank, 0)
	b.world.mu.Lock()
	for range 5 {
		d.beginSignUp()
	}
	b.world.mu.Unlock()
	rest := b.listed(t, identityName, "/customers?limit=1000", "customers", "cursor", "next_cursor")
	second := b.get(t, identityName, "/customers?limit=1000&cursor="+first.body["next_cursor"].(string))
	require.Len(t, second.body["customers"], len(rest)-150)
	require.Equal(t, "cus_001005", rest[len(rest)-1]["id"])
}

func TestNewcomersAreListedInTheirPlace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, id := range []string{"cus_999999", "cus_1000000", "cus_0000015"} { // byte order is not the order of numbers
		require.Equal(t, 201, b.call(t, open(id, "EUR", id)).status)
	}
	all := column(b.listed(t, ledgerName, "/accounts?limit=100", "accounts", "after", "next"), "owner")
	require.True(t, slices.IsSorted(all))
	require.Subset(t, all, []string{"cus_999999", "cus_1000000", "cus_0000015"})
}

func TestListFields(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tests := []struct {
		name, service, path, items string
		want                       []string
	}{
		{"Identity", identityName, "/customers?fields=status,contact.email,country,updated_at", "customers", []string{"contact", "country", "id", "status", "updated_at"}},
		{"Ledger", ledgerName, "/accounts?fields=status,currency,balance.amount", "accounts", []string{"balance", "currency", "etag", "owner", "status"}},
		{"OneField", ledgerName, "/accounts?fields=status", "accounts", []string{"etag", "owner", "status"}},
		{"CardsHaveNone", cardsName, "/cards?fields=nonsense&limit=1", "cards", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := b.get(t, test.service, test.path)
			require.Equal(t, 200, got.status, got.raw)
			item := got.body[test.items].([]any)[0].(map[string]any)
			if test.want == nil {
				require.Greater(t, len(item), 10)
				return
			}
			var names []string
			for name := range item {
				names = append(names, name)
			}
			require.ElementsMatch(t, test.want, names)
		})
	}
	t.Run("NestedObjectsAreMaskedToo", func(t *testing.T) {
		t.Parallel()
		item := b.get(t, identityName, "/customers?limit=1&fields=contact.email").body["customers"].([]any)[0].(map[string]any)
		require.Len(t, item["contact"], 1)
		whole := b.get(t, identityName, "/customers?limit=1&fields=contact").body["customers"].([]any)[0].(map[string]any)
		require.Len(t, whole["contact"], 3)
	})
	t.Run("UnknownFieldIsRefused", func(t *testing.T) {
		t.Parallel()
		for _, fields := range []string{"stauts", "status,", ",", "contact.nothing"} {
			require.Equal(t, 400, b.get(t, identityName, "/customers?fields="+fields).status, fields)
		}
	})
}

func TestListUpdatedAfter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	after := func(at string) []string {
		return column(b.listed(t, identityName, "/customers?limit=30&updated_after="+url.QueryEscape(at), "customers", "cursor", "next_cursor"), "id")
	}
	everybody := len(b.listed(t, identityName, "/customers?limit=1000", "customers", "cursor", "next_cursor"))
	require.Len(t, after("1970-01-01T00:00:00Z"), everybody)

	var want []string
	for _, c := range b.world.order {
		if c.identity != nil && c.identity.changed.After(noon.Add(-24*time.Hour)) {
			want = append(want, c.id)
		}
	}
	require.NotEmpty(t, want)
	require.Less(t, len(want), everybody)
	require.Equal(t, want, after("2026-03-01T13:00:00+01:00"))
	require.Empty(t, after("2026-03-02T12:00:00Z"))
	require.Equal(t, 400, b.get(t, identityName, "/customers?updated_after=yesterday").status)
}

func TestBearer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, token := range map[string]string{"Missing": " ", "Wrong": "Bearer nonsense", "OtherScheme": "Basic " + b.token} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{"/customers/" + sentinelPresent, "/customers?limit=1"} {
				got := b.call(t, request{service: identityName, method: "GET", path: path, token: token})
				require.Equal(t, 401, got.status)
				require.NotContains(t, got.raw, sentinelPresent)
			}
		})
	}
	t.Run("OnlyIdentityWantsIt", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, 200, b.call(t, request{service: ledgerName, method: "GET", path: "/accounts/" + sentinelPresent, token: " "}).status)
	})
}

func TestReadsAreCounted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.get(t, ledgerName, "/accounts/"+sentinelPresent)
	b.get(t, ledgerName, "/accounts/"+sentinelAbsent)
	b.get(t, ledgerName, "/accounts?owner="+sentinelPresent)
	b.get(t, ledgerName, "/accounts?limit=10")
	b.batch(t, billingName, "/subscriptions:batchGet", "customers", []string{sentinelPresent})
	require.Equal(t, map[string]Reads{ledgerName: {Single: 2, Batch: 1, List: 1}, billingName: {Batch: 1}}, b.Count().Reads)
	require.Empty(t, b.Journal().Entries())
}

func TestUnroutedRequests(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Equal(t, 404, b.get(t, ledgerName, "/account/"+sentinelPresent).status)
	require.Empty(t, b.Journal().Entries())
	require.Equal(t, 404, b.call(t, request{service: identityName, method: "PUT", path: "/customers/" + sentinelPresent, body: "{}"}).status)
	require.Equal(t, "no such operation", b.last(t).Wrong)
	require.Equal(t, 1, b.Count().WrongSends)
}
