package connectors_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
)

// Without a lie everybody is seen as they are, so whatever is unseen below is
// so because of the lie.
func TestHonestAnswers(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *five) {
		for i, c := range f.connectors {
			name := f.services[i].Name
			require.Equal(t, "present", f.decide(t, i, here).Presence.String(), name)
			require.Equal(t, "absent", f.decide(t, i, gone).Presence.String(), name)
			require.Equal(t, "present absent present", f.batch(t, i, here, gone, neighbour), name)
			if c.Can().List {
				page, err := c.List(t.Context(), connectors.PageRequest{})
				require.NoError(t, err, name)
				require.Len(t, page.Records, 2, "sentinels are no customers")
				require.Equal(t, amend.Present, page.Records[0].Record.Presence, name)
			}
		}
	})
}

// batch reads customers at once, where the service offers it, else one by one.
func (f *five) batch(t *testing.T, service int, ids ...string) string {
	t.Helper()
	records := make([]amend.Record, len(ids))
	if f.connectors[service].Can().Many > 0 {
		var err error
		if records, err = f.connectors[service].Many(t.Context(), ids); err != nil {
			return connectors.AsUnseen(err).Error()
		}
	} else {
		for i, id := range ids {
			records[i] = f.decide(t, service, id)
		}
	}
	var all []string
	for _, r := range records {
		all = append(all, r.Presence.String())
	}
	return strings.Join(all, " ")
}

// I1, T12: whatever stands between us and a service, or goes wrong inside it,
// is neither a record nor its absence, in none of the five services and in no
// way of reading them. Compliance is a file, so there the lie stands in it.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	require.Greater(t, len(lies()), 100)
	for _, l := range lies() {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFive(t, "")
				defer f.close(t)
				require.NoError(t, os.WriteFile(f.file(), []byte(l.tells(`{"status":""}`)), 0o600))
				for _, everybody := range []bool{false, true} {
					if l.silent && !everybody {
						continue // with the sentinels in order, a 404 is the proven answer
					}
					f.says(func(q question) speech {
						if !everybody && q.sentinel() {
							return truly(q)
						}
						return speech{l.tells(q.honest), l.then}
					})
					for i := range f.connectors {
						f.requireUnseen(t, i, l, everybody)
					}
					time.Sleep(time.Minute) // the breaker lets go
				}
				require.Zero(t, f.requests("elsewhere"), "no redirect is followed") // T16
			})
		})
	}
}

// requireUnseen reads customers in every way that the service offers.
func (f *five) requireUnseen(t *testing.T, service int, l lie, everybody bool) {
	t.Helper()
	c, name := f.connectors[service], f.services[service].Name
	for _, id := range []string{here, gone} {
		record := f.decide(t, service, id)
		require.Equal(t, "unseen", record.Presence.String(), "%s: %s", name, id)
		require.NotEmpty(t, record.Reason)
		require.NotContains(t, record.Reason, "bank.example", "answers are not quoted")
		if !everybody && name != "compliance" && id == here {
			require.Equal(t, l.cause.String(), record.Cause.String(), "%s: %s", name, record.Reason)
		}
	}
	if c.Can().Many > 0 {
		records, err := c.Many(t.Context(), []string{here, neighbour, gone})
		require.True(t, err != nil || records[0].Presence+records[1].Presence+records[2].Presence == 0, "%s in a batch: %v", name, records)
	}
	if c.Can().List {
		page, err := c.List(t.Context(), connectors.PageRequest{})
		require.Error(t, err, "%s in a list: %v", name, page)
		require.Empty(t, page.Records)
	}
}

// slips are values that a field can't have, in JSON and in SQL.
var slips = []struct{ name, json, sql string }{
	{"missing", "", "null"}, {"null", "null", "null"}, {"a list", `["active"]`, "x'ff00'"}, {"an object", `{"status":"active"}`, "x'fe'"},
	{"true", "true", "7"}, {"a number", "7.5", "7.5"}, {"a number too large", "99999999999999999999", "9e99"}, {"infinity", "1e999", "9e999"},
	{"a word", `"weird"`, "'weird'"}, {"nothing in quotes", `""`, "''"}, {"a blank before it", `" active"`, "' 1'"}, {"digits", `"12,30"`, "'12,30'"},
}

// T12: a record that lacks a declared field, or has one of the wrong type, is
// unseen by itself, and leaves its neighbours alone.
func TestHostileFields(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *five) {
		checked := 0
		for i := range f.services {
			for _, field := range f.services[i].Fields {
				for _, slip := range slips {
					anyText := field.Type == amend.String && len(field.Values) == 0
					exact := field.Type == amend.Int && slip.json == "7.5" // 7.50 at scale 2
					if anyText && strings.HasPrefix(slip.json, `"`) || exact {
						continue
					}
					f.slip(t, i, &field, slip.json, slip.sql)
					f.requireAlone(t, i, field.Name+" is "+slip.name)
					checked++
				}
			}
		}
		require.Greater(t, checked, 130)
	})
}

// slip puts a value in the place of a field of here.
func (f *five) slip(t *testing.T, service int, field *amend.Field, inJSON, inSQL string) {
	t.Helper()
	name := f.services[service].Name
	if name == "compliance" {
		f.database(t, "delete from holds where customer_id = '"+here+"'")
		f.hold(t, here)
		f.database(t, "update holds set "+field.Name+" = "+inSQL+" where customer_id = '"+here+"'")
		return
	}
	f.record = func(of, id string) string {
		if of != name || id != here {
			return ""
		}
		path := strings.Split(strings.TrimPrefix(field.Path, "item."), ".")
		if field.Path == "" {
			path = []string{field.Name}
		}
		return with(t, fmt.Sprintf(records[name], here), path, inJSON)
	}
}

// with replaces what stands at a path of an object; nothing takes it away.
func with(t *testing.T, text string, path []string, value string) string {
	t.Helper()
	var object map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(text), &object))
	require.Contains(t, object, path[0])
	switch {
	case len(path) > 1:
		object[path[0]] = json.RawMessage(with(t, string(object[path[0]]), path[1:], value))
	case value == "":
		delete(object, path[0])
	default:
		object[path[0]] = json.RawMessage(value)
	}
	changed, err := json.Marshal(object)
	require.NoError(t, err)
	return string(changed)
}

// requireAlone requires that here is unseen and neighbour is not.
func (f *five) requireAlone(t *testing.T, service int, why string) {
	t.Helper()
	name := f.services[service].Name + ": " + why
	record := f.decide(t, service, here)
	require.Equal(t, amend.Malformed, record.Cause, name)
	require.Equal(t, amend.Unseen, record.Presence, name)
	require.NotContains(t, record.Reason, "weird", name)
	require.Equal(t, "present", f.decide(t, service, neighbour).Presence.String(), name)
	require.Equal(t, "unseen present", f.batch(t, service, here, neighbour), name)
	if f.connectors[service].Can().List {
		page, err := f.connectors[service].List(t.Context(), connectors.PageRequest{})
		require.NoError(t, err, name)
		for _, k := range page.Records {
			require.Equal(t, k.ID == here, k.Record.Presence == amend.Unseen, "%s: %s in the list", name, k.ID)
		}
	}
}

// I1: a record of another customer says nothing about the one who was asked
// for: neither in one, where bank.yaml names no key, nor in a batch.
func TestRecordsOfOthers(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *five) {
		for i, s := range f.services {
			if s.Name == "compliance" { // its queries ask by ID
				continue
			}
			for name, other := range map[string]string{"somebody else": "cus_000009", "no ID": "7", "nobody": ""} {
				f.record = func(service, id string) string {
					if id != here || service != s.Name {
						return ""
					}
					return fmt.Sprintf(records[service], other)
				}
				require.Equal(t, "unseen", f.decide(t, i, here).Presence.String(), "%s: %s", s.Name, name)
				require.Equal(t, "unseen present", f.batch(t, i, here, neighbour), "%s: %s", s.Name, name)
			}
		}
	})
}

// I1: a batch that answers less than was asked for, or something else, makes
// nobody absent. Billing has no sentinels, since its marker proves absence in
// one; what its batch leaves out is for the caller to ask again.
func TestHostileBatches(t *testing.T) {
	t.Parallel()
	for name, answered := range map[string]func(asked []string) []string{
		"nobody":                   func([]string) []string { return nil },
		"the first alone":          func(asked []string) []string { return asked[:1] },
		"all but the last":         func(asked []string) []string { return asked[:len(asked)-2] },
		"a page of everybody":      func([]string) []string { return []string{always, "cus_000002", "cus_000003"} },
		"everybody, asked or not":  func(asked []string) []string { return append(asked[:1:1], always, "cus_000002") },
		"even who never is there":  func(asked []string) []string { return append(asked[:1:1], always, never) },
		"all, and somebody no one": func(asked []string) []string { return append(asked[:1:1], always, "nobody") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, f *five) {
				for i, s := range f.services {
					if f.connectors[i].Can().Many == 0 || s.Name == "compliance" {
						continue
					}
					f.says(func(q question) speech {
						var all []string
						for _, id := range answered(q.customers) {
							all = append(all, fmt.Sprintf(records[q.service], id))
						}
						q.honest = fmt.Sprintf(`{%q:[%s]}`, items[q.service], strings.Join(all, ","))
						return truly(q)
					})
					got := f.batch(t, i, neighbour, here)
					if !s.Sentinels.Declared() && !strings.Contains(name, " no") && !strings.Contains(name, "everybody") && !strings.Contains(name, "never") {
						require.NotContains(t, got, "present present", s.Name)
						continue
					}
					require.NotContains(t, got, "absent", s.Name)
				}
			})
		})
	}
}

// A list that doesn't go on, or says so in no way that can be followed, ends
// with an error and never as if it were whole.
func TestHostileCursors(t *testing.T) {
	t.Parallel()
	for name, cursor := range map[string]string{"the same again": `"c1"`, "an object": "{}", "a list": `["c2"]`, "true": "true", "a fraction": "1.5", "an exponent": "1e3"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, f *five) {
				f.says(func(q question) speech {
					q.honest = strings.Replace(q.honest, `:""}`, ":"+cursor+"}", 1)
					return truly(q)
				})
				for i, c := range f.connectors {
					if name := f.services[i].Name; c.Can().List && name != "compliance" { // its cursor is the last row's key
						_, err := c.List(t.Context(), connectors.PageRequest{Cursor: "c1"})
						require.ErrorContains(t, err, "malformed", name)
					}
				}
			})
		})
	}
}
