// Package connectortest is what every kind of connector must do, whatever it
// speaks: the difference between absent and unseen, order, paging, deadlines.
package connectortest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
)

// Fixture is a connector before a service of which everything is known. It
// reads in all three ways.
type Fixture struct {
	Connector connectors.Connector
	Present   []string // who is there, in the order of the list; enough for more than one page
	Absent    []string // who is not; at least two
	Broken    string   // who has a record that isn't as declared, and comes last in the list
	Fail      func()   // from now on the service fails
	Stall     func()   // from now on the service never answers
}

// Run tests a kind. Each part begins with a fixture of its own.
func Run(t *testing.T, setup func(*testing.T) Fixture) {
	t.Helper()
	for name, part := range map[string]func(*testing.T, Fixture){
		"One": one, "Many": many, "List": list, "Refused": refused, "Failing": failing,
		"Deadline": deadline, "Cancelled": cancelled, "Concurrent": concurrent, "SameEverywhere": same,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			part(t, setup(t))
		})
	}
}

func one(t *testing.T, f Fixture) {
	require.True(t, f.Connector.Can().One)
	for id, want := range map[string]amend.Presence{f.Present[0]: amend.Present, f.Absent[0]: amend.Absent, f.Broken: amend.Unseen} {
		record, err := f.Connector.One(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, want.String(), record.Presence.String(), "%s: %s", id, record.Reason)
		require.False(t, record.ReadAt.IsZero())
		if want == amend.Unseen {
			require.Equal(t, amend.Malformed, record.Cause)
			require.NotEmpty(t, record.Reason)
		}
	}
}

// many asks in an order of its own, for somebody twice, and for some who are
// not there.
func many(t *testing.T, f Fixture) {
	can := f.Connector.Can()
	require.GreaterOrEqual(t, can.Many, 6)
	ids := []string{f.Absent[1], f.Present[2], f.Broken, f.Present[0], f.Absent[0], f.Present[2]}
	want := []string{"absent", "present", "unseen", "present", "absent", "present"}
	records, err := f.Connector.Many(t.Context(), ids)
	require.NoError(t, err)
	require.Equal(t, want, presences(records))
	require.Equal(t, records[1].Values, records[5].Values)
	require.NotEqual(t, records[1].Values, records[3].Values)

	records, err = f.Connector.Many(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, records)
	_, err = f.Connector.Many(t.Context(), slices.Repeat(f.Present[:1], can.Many+1))
	requireUnseen(t, err, amend.Malformed)
}

func presences(records []amend.Record) []string {
	var all []string
	for _, r := range records {
		all = append(all, r.Presence.String())
	}
	return all
}

func list(t *testing.T, f Fixture) {
	require.True(t, f.Connector.Can().List)
	records, pages := everybody(t, f)
	require.Greater(t, pages, 1)
	var ids []string
	for _, k := range records {
		ids = append(ids, k.ID)
	}
	require.Equal(t, append(slices.Clone(f.Present), f.Broken), ids)
	last := records[len(records)-1]
	require.Equal(t, amend.Unseen, last.Record.Presence)
	for _, k := range records[:len(records)-1] {
		require.Equal(t, amend.Present, k.Record.Presence, k.Record.Reason)
	}
}

func everybody(t *testing.T, f Fixture) (records []connectors.Keyed, pages int) {
	t.Helper()
	for request := (connectors.PageRequest{}); ; pages++ {
		require.LessOrEqual(t, pages, len(f.Present)+1, "the list does not end")
		page, err := f.Connector.List(t.Context(), request)
		require.NoError(t, err)
		records = append(records, page.Records...)
		if request.Cursor = page.Next; request.Cursor == "" {
			return records, pages + 1
		}
	}
}

// refused is for what is no ID: nobody is asked, so nobody is absent.
func refused(t *testing.T, f Fixture) {
	f.Fail() // it would be noticed
	for _, id := range []string{"", "..", "../admin", "%2e%2e%2f", "a?x=1#", "\r\nX: 1", "' or 1=1 --"} {
		_, err := f.Connector.One(t.Context(), id)
		requireUnseen(t, err, amend.Malformed)
		_, err = f.Connector.Many(t.Context(), []string{f.Present[0], id})
		requireUnseen(t, err, amend.Malformed)
	}
}

func failing(t *testing.T, f Fixture) {
	f.Fail()
	for name, read := range reads(f) {
		u := unseen(t, read(t.Context()))
		require.True(t, u.Cause.Temporary(), "%s: %s", name, u)
		require.NotEmpty(t, u.Reason)
	}
}

func deadline(t *testing.T, f Fixture) {
	f.Stall()
	for _, read := range reads(f) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		begun := time.Now()
		requireUnseen(t, read(ctx), amend.TimedOut)
		require.Less(t, time.Since(begun), 3*time.Second)
		cancel()
	}
}

func cancelled(t *testing.T, f Fixture) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, read := range reads(f) {
		requireUnseen(t, read(ctx), amend.NotRead)
	}
}

func reads(f Fixture) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"one":  func(ctx context.Context) error { _, err := f.Connector.One(ctx, f.Absent[0]); return err },
		"many": func(ctx context.Context) error { _, err := f.Connector.Many(ctx, f.Absent); return err },
		"list": func(ctx context.Context) error {
			_, err := f.Connector.List(ctx, connectors.PageRequest{})
			return err
		},
	}
}

func concurrent(t *testing.T, f Fixture) {
	want, err := f.Connector.Many(t.Context(), f.Present[:3])
	require.NoError(t, err)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i, id := range f.Present[:3] {
				record, err := f.Connector.One(t.Context(), id)
				if err != nil || !slices.Equal(want[i].Values, record.Values) {
					t.Errorf("%s is %v, not %v: %v", id, record.Values, want[i].Values, err)
				}
				if _, err := f.Connector.List(t.Context(), connectors.PageRequest{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

// same holds the three ways of reading against each other.
func same(t *testing.T, f Fixture) {
	listed, _ := everybody(t, f)
	batch, err := f.Connector.Many(t.Context(), f.Present[:3])
	require.NoError(t, err)
	for i, id := range f.Present[:3] {
		single, err := f.Connector.One(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, single.Values, batch[i].Values)
		require.Equal(t, single.Values, listed[i].Record.Values)
	}
}

func requireUnseen(t *testing.T, err error, cause amend.Cause) {
	t.Helper()
	u := unseen(t, err)
	require.Equal(t, cause.String(), u.Cause.String(), u.Reason)
}

func unseen(t *testing.T, err error) *connectors.Unseen {
	t.Helper()
	u, ok := errors.AsType[*connectors.Unseen](err)
	require.True(t, ok, "%v is not an Unseen", err)
	return u
}
