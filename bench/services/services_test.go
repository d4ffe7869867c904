package services_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"amend/bench/services"
)

// start plays the services for the test.
func start(t *testing.T, l services.Load) *services.Control {
	t.Helper()
	at := make(chan services.Addresses, 1)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- services.Run(ctx, func(a services.Addresses) error { at <- a; return nil }) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-ended) })
	c := &services.Control{At: <-at}
	require.NoError(t, c.Load(t.Context(), l))
	return c
}

func call(t *testing.T, method, url, body string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}

type page struct {
	Items []json.RawMessage `json:"items"`
	Next  string            `json:"next"`
}

func get(t *testing.T, url string) (p page) {
	t.Helper()
	status, text := call(t, http.MethodGet, url, "")
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, json.Unmarshal([]byte(text), &p))
	return p
}

// A list gives everybody once and in the order of IDs; the same customer is the
// same record in a list, in a batch and alone.
func TestWaysAgree(t *testing.T) {
	t.Parallel()
	const customers = 2345
	c := start(t, services.Load{Customers: customers, PerMille: 30, Seed: 1})
	for i, address := range c.At.Services {
		for _, fields := range []string{"", "&fields=x"} {
			var all []json.RawMessage
			for cursor := "none"; cursor != ""; {
				p := get(t, address+"/customers?limit=1000&cursor="+strings.TrimPrefix(cursor, "none")+fields)
				all, cursor = append(all, p.Items...), p.Next
			}
			require.Len(t, all, customers, services.Names[i])
			for k, text := range all {
				var record struct{ Customer string }
				require.NoError(t, json.Unmarshal(text, &record))
				require.Equal(t, fmt.Sprintf("cus_%09d", k+1), record.Customer)
				if fields == "" {
					require.Len(t, text, 600)
				}
			}
			batch := get(t, address+"/customers?ids=cus_000000007,cus_000009999,cus_000002345"+fields)
			require.Equal(t, []json.RawMessage{all[6], all[customers-1]}, batch.Items)
			_, one := call(t, http.MethodGet, address+"/customers/cus_000000007?x"+fields, "")
			require.Equal(t, string(all[6]), one)
		}
	}
	counts, err := c.Counts(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2*(customers+3), counts.Records[0])
	require.EqualValues(t, 5*2*(3+2), counts.AllCalls())
}

// A list that is asked for what changed gives one in a hundred, and everybody
// since 1970.
func TestChanged(t *testing.T) {
	t.Parallel()
	load := services.Load{Customers: 30_000, Seed: 1}
	c := start(t, load)
	require.InDelta(t, 300, load.Changed(), 60)
	count := func(since string) (n int) {
		for cursor := "0"; cursor != ""; {
			p := get(t, c.At.Services[1]+"/customers?limit=100&fields=x&cursor="+cursor+"&since="+since)
			n, cursor = n+len(p.Items), p.Next
		}
		return n
	}
	require.Equal(t, load.Changed(), count("2026-01-01T00:00:00Z"))
	require.Equal(t, load.Customers, count("1970-01-01T00:00:00Z"))
}

// A repair is counted by what it was worth, and is seen afterwards.
func TestMend(t *testing.T) {
	t.Parallel()
	c := start(t, services.Load{Customers: 1000, PerMille: 1000, Seed: 1})
	cards := c.At.Services[2]
	put := func(id string) {
		status, _ := call(t, http.MethodPut, cards+"/customers/"+id+"/status", `{"status":"blocked"}`)
		require.Equal(t, http.StatusOK, status)
	}
	put("cus_000000001")
	put("cus_000000001")
	put("cus_000000002")
	counts, err := c.Counts(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int{2, 1, 0}, []int{counts.Mended, counts.Twice, counts.Wrong})
	for id, status := range map[string]string{"cus_000000001": "blocked", "cus_000000003": "active"} {
		_, text := call(t, http.MethodGet, cards+"/customers/"+id, "")
		require.Contains(t, text, `"status":"`+status+`"`)
	}

	require.NoError(t, c.Load(t.Context(), services.Load{Customers: 1000}))
	put("cus_000000001")
	counts, err = c.Counts(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int{0, 0, 1}, []int{counts.Mended, counts.Twice, counts.Wrong}, "a new load begins anew")
}

// Nobody answers for whom there is not, nor does what no service offers.
func TestRefusals(t *testing.T) {
	t.Parallel()
	c := start(t, services.Load{Customers: 10})
	identity := c.At.Services[0]
	status, text := call(t, http.MethodGet, identity+"/customers/cus_000000011", "")
	require.Equal(t, http.StatusNotFound, status)
	require.JSONEq(t, `{"code":"no_such_customer"}`, text)
	for _, request := range [][2]string{{http.MethodGet, "/elsewhere"}, {http.MethodPut, "/customers/cus_000000001/status"}, {http.MethodPost, "/customers"}} {
		status, _ := call(t, request[0], identity+request[1], `{"some": "body"}`)
		require.Equal(t, http.StatusBadRequest, status, request)
	}
}

// The states follow from the seed, and the share of the inconsistent is what was
// asked for.
func TestStates(t *testing.T) {
	t.Parallel()
	load := services.Load{Customers: 100_000, PerMille: 30, Seed: 1}
	states := load.States()
	require.Equal(t, states, load.States())
	require.InDelta(t, 3000, states[services.Broken], 200)
	all := 0
	for _, n := range states {
		all += n
	}
	require.Equal(t, load.Customers, all)
	load.Seed = 2
	require.NotEqual(t, states, load.States())
	require.Zero(t, services.Load{Customers: 1000}.States()[services.Broken])
	require.Equal(t, map[string]int{services.Broken: 1000}, services.Load{Customers: 1000, PerMille: 1000}.States())
}
