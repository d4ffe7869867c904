package reconciler

import "context"

// Tick is what the queue does every moment, for tests.
func (e *Engine) Tick(ctx context.Context) {
	e.setDefaults()
	e.tick(ctx, "")
}

// Page works on one part of a scan, for tests.
func (e *Engine) Page(ctx context.Context, id string) {
	e.setDefaults()
	e.page(ctx, id)
}
