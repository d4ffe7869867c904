package hand

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/bank"
	"amend/bench/services"
	"amend/config"
	"amend/connectors"
	kindhttp "amend/connectors/http"
	kindsql "amend/connectors/sql"
	machine "amend/states"
)

func start(t *testing.T, l services.Load) Bank {
	t.Helper()
	at := make(chan services.Addresses, 1)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- services.Run(ctx, func(a services.Addresses) error { at <- a; return nil }) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-ended) })
	c := &services.Control{At: <-at}
	require.NoError(t, c.Load(t.Context(), l))
	return Bank{Services: c.At.Services}
}

// Every loop sees everybody in the state that they are in.
func TestLoopsSeeEverybody(t *testing.T) {
	t.Parallel()
	load := services.Load{Customers: 2345, PerMille: 30, Seed: 1}
	whole := start(t, load)
	fields := Bank{Services: whole.Services, Masked: true}
	for name, look := range map[string]func() (map[string]int, error){
		"merged":          func() (map[string]int, error) { return Merge(t.Context(), whole) },
		"merged, masked":  func() (map[string]int, error) { return Merge(t.Context(), fields) },
		"batches":         func() (map[string]int, error) { return Batches(t.Context(), whole, 4) },
		"batches, masked": func() (map[string]int, error) { return Batches(t.Context(), fields, 4) },
		"singly":          func() (map[string]int, error) { return Singly(t.Context(), whole, 32) },
		"singly, masked":  func() (map[string]int, error) { return Singly(t.Context(), fields, 32) },
	} {
		t.Run(name, func(t *testing.T) {
			states, err := look()
			require.NoError(t, err)
			require.Equal(t, load.States(), states)
		})
	}
}

// A service that doesn't answer ends every loop with its error.
func TestLoopsFail(t *testing.T) {
	t.Parallel()
	b := start(t, services.Load{Customers: 2345})
	b.Services[billing] = "http://127.0.0.1:1"
	_, err := Merge(t.Context(), b)
	require.Error(t, err)
	_, err = Batches(t.Context(), b, 4)
	require.Error(t, err)
	_, err = Singly(t.Context(), b, 32)
	require.Error(t, err)
}

// Whoever is missing from a list isn't there.
func TestWalk(t *testing.T) {
	t.Parallel()
	lists := [services.Count]string{
		identity:   `{"items":[{"customer":"a","status":"approved","contact":{"email":"x"}},{"customer":"b","status":"approved"},{"customer":"c","status":"rejected"}],"next":""}`,
		ledger:     `{"items":[{"customer":"a","status":"open","balance":{"amount":"1.00"}},{"customer":"c","status":"closed"}]}`,
		cards:      `{"items":[{"customer":"a","status":"active"},{"customer":"c","status":"active"},{"customer":"d","status":"active"}]}`,
		billing:    `{"items":[{"customer":"a","status":"active","email":"x"}]}`,
		compliance: `{"items":[]}`,
	}
	var streams [services.Count]*stream
	for i, text := range lists {
		records, _, err := page([]byte(text), nil)
		require.NoError(t, err)
		streams[i] = newStream(1)
		<-streams[i].free
		streams[i].full <- &paper{records: records}
		streams[i].full <- nil
	}
	require.Equal(t, map[string]int{"active": 1, "ledger_missing": 1, "rejected_with_card": 1, "orphaned": 1}, walk(&streams).byName())
}

// What a text holds beside the fields makes no difference, however it is
// written.
func TestPage(t *testing.T) {
	t.Parallel()
	const text = ` { "more" : [ [ "]" , "\\" ] , { "}" : "\"" } , -1.5e3 , null , true ] ,
		"items" : [ { "remark" : "a long one with \"quotes\" and \\ in it, as many \u0022 as there may be" , "status" : "open" , "customer" : "cus_1" , "hold" : true,
			"nested" : { "status" : "closed" , "customer":"cus_2" } , "balance" : { "of" : [] , "amount" : "-12.30" } , "email":"c@x" } ,
			{ } , { "customer" : "cus_3","contact":{"email":"d@x"},"status":null } ] , "next" : "7" } `
	require.True(t, json.Valid([]byte(text)))
	records, next, err := page([]byte(text), nil)
	require.NoError(t, err)
	require.Equal(t, "7", string(next))
	require.Equal(t, []record{
		{id: []byte("cus_1"), email: []byte("c@x"), balance: -1230, status: open, hold: true, present: true},
		{present: true},
		{id: []byte("cus_3"), email: []byte("d@x"), present: true},
	}, records)
	for end := range text[:len(text)-2] {
		_, _, err := page([]byte(text[:end]), nil)
		require.ErrorIs(t, err, errJSON, text[:end])
	}
}

// The states are those of bank.yaml: whatever the services say, both put a
// customer into the same.
func TestClassifyIsBankYAML(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bank.yaml")
	require.NoError(t, os.WriteFile(path, bank.Configuration, 0o600))
	environment := map[string]string{"COMPLIANCE_DSN": "sqlite:" + filepath.Join(t.TempDir(), "holds.db")}
	cfg, err := config.Load(config.Options{Path: path, Kinds: []connectors.Kind{kindhttp.Kind(), kindsql.Kind()},
		Getenv: func(name string) (string, bool) {
			if v, set := environment[name]; set {
				return v, true
			}
			return "https://bank.example", name != "SETTLE" && name != "CARD_WITHIN"
		}})
	require.NoError(t, err)
	random := rand.New(rand.NewPCG(1, 1))
	seen := map[string]int{}
	for range 20_000 {
		ours, theirs := randomCustomer(random, cfg.Schema)
		want := cfg.Machine.Classify(cfg.Environment.Scope(theirs, time.Now())).Name
		if want == machine.Nobody {
			continue // nobody lists them
		}
		require.Equal(t, want, names[classify(ours)], "%+v", theirs.Records)
		seen[want]++
	}
	require.Len(t, seen, states, "every state was met")
}

// randomCustomer is the same person for both.
func randomCustomer(random *rand.Rand, schema *amend.Schema) (*view, *amend.View) {
	ours, theirs := &view{}, &amend.View{ID: "cus_000001", Records: make([]amend.Record, services.Count)}
	for i := range ours {
		ours[i] = &record{}
		theirs.Records[i] = amend.Record{Presence: amend.Absent, ReadAt: time.Now()}
		if i != compliance && random.IntN(5) == 0 || i == compliance && random.IntN(5) > 0 {
			continue
		}
		*ours[i] = record{present: true, email: []byte{byte('a' + random.IntN(2))}, balance: random.Int64N(2), hold: random.IntN(2) == 0}
		fields := schema.Services[i].Fields
		values := make([]amend.Value, len(fields))
		for k, f := range fields {
			switch f.Name {
			case "status":
				text := f.Values[random.IntN(len(f.Values))]
				ours[i].status = statusOf([]byte(text))
				values[k] = amend.StringOf(text)
			case "email":
				values[k] = amend.StringOf(string(ours[i].email))
			case "balance":
				values[k] = amend.IntOf(ours[i].balance)
			case "hold":
				values[k] = amend.BoolOf(ours[i].hold)
			}
		}
		theirs.Records[i] = amend.Record{Presence: amend.Present, ReadAt: time.Now(), Values: values}
	}
	return ours, theirs
}
