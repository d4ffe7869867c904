package reconciler_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/connectors"
	"amend/store"
)

// collected is a service whose pages are put together as those of all kinds are.
type collected struct {
	*offering
	w *world
}

// List is part of connectors.Connector.
func (s collected) List(ctx context.Context, r connectors.PageRequest) (connectors.Page, error) {
	page, err := s.offering.List(ctx, connectors.PageRequest{Cursor: r.Cursor, Since: r.Since})
	listing := connectors.NewListing(&s.w.cfg.Schema.Entity, len(page.Records))
	for _, k := range page.Records {
		listing.Add([]byte(k.ID), k.Record.ReadAt, func(time.Time) amend.Record { return k.Record })
	}
	return listing.Page(page.Next, s.now.Now()), err
}

// tired is a service that asks once, at its third page, to be left alone.
type tired struct {
	*memory
	told atomic.Bool
}

// List is part of connectors.Connector.
func (s *tired) List(ctx context.Context, r connectors.PageRequest) (connectors.Page, error) {
	if r.Cursor == "1000" && !s.told.Swap(true) {
		return connectors.Page{}, &connectors.Unseen{Cause: amend.Throttled, Reason: "answered 429", RetryAfter: 2100 * time.Millisecond}
	}
	return s.memory.List(ctx, r)
}

// A list that asks to be left alone for longer than a read waits is gone on with
// where it was.
func TestAScanWaitsForItsList(t *testing.T) {
	t.Parallel()
	crm := &memory{count: 2000}
	w := twoServices(t, crm, &memory{count: 2000})
	i, _ := w.cfg.Schema.Service("crm")
	w.cfg.Connectors[i] = connectors.Guard(&tired{memory: crm}, connectors.GuardOptions{})
	w.engine = w.another()
	scan := w.scan()
	require.Equal(t, store.ScanDone, scan.Status, scan.Error)
	require.Equal(t, map[string]int{"fine": 2000}, scan.States)
	require.EqualValues(t, 4, crm.lists.Load(), "pages, each once")
}
