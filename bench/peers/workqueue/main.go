// Command workqueue repairs customers with a controller of controller-runtime:
// every customer is a key of its queue, and a customer who was repaired is put
// back to be looked at again.
package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"peers.example/customer"
)

func main() { customer.Main(prepare) }

// reconciler looks at one customer at a time.
type reconciler struct {
	work     *customer.Work
	repaired sync.Map // customers who are looked at once more
	finished atomic.Int64
	all      atomic.Int64 // customers; 0 until they are listed
	stop     context.CancelCauseFunc
}

var errDone = errors.New("all customers were looked at")

func prepare(_ context.Context, w *customer.Work) (func(context.Context) error, error) {
	r := &reconciler{work: w}
	c, err := controller.NewTypedUnmanaged("customers", controller.TypedOptions[string]{Reconciler: r, MaxConcurrentReconciles: customer.Lanes})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		ctx, r.stop = context.WithCancelCause(ctx)
		if err := c.Watch(source.TypedFunc[string](r.list)); err != nil {
			return err
		}
		if err := c.Start(ctx); err != nil {
			return err
		}
		if err := context.Cause(ctx); !errors.Is(err, errDone) {
			return err
		}
		return nil
	}, nil
}

// list fills the queue with all customers.
func (r *reconciler) list(ctx context.Context, queue workqueue.TypedRateLimitingInterface[string]) error {
	go func() {
		n := int64(0)
		err := r.work.Bank.Each(ctx, func(ids []string) error {
			for _, id := range ids {
				queue.Add(id)
			}
			n += int64(len(ids))
			return nil
		})
		if err != nil {
			r.stop(err)
			return
		}
		r.all.Store(n)
		r.end(r.finished.Load())
	}()
	return nil
}

// Reconcile is part of reconcile.TypedReconciler.
func (r *reconciler) Reconcile(ctx context.Context, id string) (reconcile.Result, error) {
	c, err := r.work.Bank.Look(ctx, id)
	if err != nil {
		return reconcile.Result{}, err
	}
	if c.State() == customer.Broken {
		if err := r.work.Bank.Repair(ctx, id); err != nil {
			return reconcile.Result{}, err
		}
		if _, again := r.repaired.LoadOrStore(id, true); !again {
			r.work.Found(customer.Broken)
		}
		return reconcile.Result{RequeueAfter: time.Millisecond}, nil
	}
	if _, again := r.repaired.Load(id); !again {
		r.work.Found(c.State())
	}
	r.end(r.finished.Add(1))
	return reconcile.Result{}, nil
}

// end stops the controller once everybody was looked at.
func (r *reconciler) end(finished int64) {
	if all := r.all.Load(); all > 0 && finished == all {
		r.stop(errDone)
	}
}
