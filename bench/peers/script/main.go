// Command script goes through all customers and repairs whom it can: one after
// another, or 32 at once.
package main

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"peers.example/customer"
)

func main() {
	customer.Main(func(_ context.Context, w *customer.Work) (func(context.Context) error, error) {
		lanes := map[string]int{"sequential": 1, "goroutines": customer.Lanes}[w.Way]
		if lanes == 0 {
			return nil, fmt.Errorf("-way %q: sequential or goroutines", w.Way)
		}
		return func(ctx context.Context) error { return heal(ctx, w, lanes) }, nil
	})
}

func heal(ctx context.Context, w *customer.Work, lanes int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(lanes)
	listed := w.Bank.Each(ctx, func(ids []string) error {
		for _, id := range ids {
			group.Go(func() error {
				state, err := w.Bank.Heal(ctx, id)
				if err == nil {
					w.Found(state)
				}
				return err
			})
		}
		return ctx.Err()
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return listed
}
