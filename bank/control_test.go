package bank

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestControl(t *testing.T) {
	t.Parallel()
	b := setup(t)
	put := func(t *testing.T, service, body string) reply {
		t.Helper()
		return b.call(t, request{service: controlName, method: "PUT", path: "/faults/" + service, body: body})
	}
	t.Run("HelpSaysWhatIsOn", func(t *testing.T) {
		require.Equal(t, 200, put(t, ledgerName, `{"latency":"1ms","jitter":"2ms","ack_delay":"3ms","error_rate":0.5,"lost_rate":0.25,"hang_rate":0.125,"lie_rate":0.0625,"read_delay":"4ms","character":"replays_errors","outage":"cut","only":"reads"}`).status)
		require.Equal(t, Fault{
			Latency: time.Millisecond, Jitter: 2 * time.Millisecond, AckDelay: 3 * time.Millisecond, ErrorRate: 0.5, LostRate: 0.25, HangRate: 0.125,
			LieRate: 0.0625, ReadDelay: 4 * time.Millisecond, Character: ReplaysErrors, Outage: OutageCut, Only: OnlyReads,
		}, b.Faults()[ledgerName])
		help := b.get(t, controlName, "/")
		require.Equal(t, 200, help.status)
		require.Contains(t, help.header.Get("Content-Type"), "text/plain")
		require.Contains(t, help.raw, b.ControlURL()+"/faults/ledger")
		require.Contains(t, help.raw, `"latency": "1ms"`)
		for _, on := range []string{`"ack_delay": "3ms"`, `"lie_rate": 0.0625`, `"read_delay": "4ms"`, `"character": "replays_errors"`} {
			require.Contains(t, help.raw, on)
		}

		off := b.call(t, request{service: controlName, method: "DELETE", path: "/faults/ledger"})
		require.Equal(t, 200, off.status)
		require.Empty(t, b.Faults())
		require.NotContains(t, b.get(t, controlName, "/").raw, `"latency": "1ms"`)
	})
	t.Run("BadFaultsAreExplained", func(t *testing.T) {
		for body, want := range map[string]string{
			`{"error_rate":2}`:    "error_rate is a share from 0 to 1, not 2",
			`{"latency":"fast"}`:  `latency is a duration such as 200ms, not "fast"`,
			`{"latencey":"10ms"}`: "latencey",
			`nonsense`:            "read the fault",
			`{"outage":"fire"}`:   `not "fire"`,
		} {
			got := put(t, cardsName, body)
			require.Equal(t, 400, got.status)
			require.Contains(t, got.raw, want)
		}
		require.Equal(t, 400, put(t, "mail", `{}`).status)
		require.Empty(t, b.Faults())
	})
	t.Run("TruthOfACustomer", func(t *testing.T) {
		id := b.bothMissing(t)
		got := b.get(t, controlName, "/customers/"+id)
		require.Equal(t, 200, got.status)
		require.Equal(t, "ledger_missing", got.body["state"])
		require.Equal(t, false, got.body["coherent"])
		require.Equal(t, []any{"ledger.open", "cards.order"}, got.body["needs"])
		require.Nil(t, got.body["ledger"])
		require.Equal(t, b.get(t, identityName, "/customers/"+id).body, got.body["identity"])
		require.Equal(t, 404, b.get(t, controlName, "/customers/"+sentinelAbsent).status)
		held := b.get(t, controlName, "/customers/"+b.someone(t, "held")).body
		require.Equal(t, true, held["compliance"].(map[string]any)["hold"])
		require.Empty(t, held["needs"])
	})
	t.Run("Journal", func(t *testing.T) {
		id := b.someone(t, "rejected_with_card")
		b.call(t, block(id))
		var counts Counts
		require.NoError(t, json.Unmarshal([]byte(b.get(t, controlName, "/journal").raw), &counts))
		require.Equal(t, b.Count(), counts)
		require.Equal(t, 1, counts.RepairsSent)
		var entries []Entry
		require.NoError(t, json.Unmarshal([]byte(b.get(t, controlName, "/journal/"+id).raw), &entries))
		require.Len(t, entries, 1)
		require.Equal(t, CardsBlock, entries[0].Operation)
		require.Equal(t, "[]", strings.TrimSpace(b.get(t, controlName, "/journal/cus_999999").raw))
	})
	t.Run("UnknownPath", func(t *testing.T) {
		require.Equal(t, 404, b.get(t, controlName, "/nothing").status)
	})
}
