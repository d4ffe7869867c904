package rehearsal

import (
	"context"
	"time"

	"amend"
	"amend/connectors"
	"amend/queue"
)

// around puts what every service gets around a connector, as connectors.Around
// does, and turns between the proof of absence and the guard: what runs side by
// side there would race for limits and the breaker's permits.
func (w *worker) around(engine string, c connectors.Connector, service *amend.Service) connectors.Connector {
	if w.surroundings.Wrap != nil {
		c = w.surroundings.Wrap(service.Name, c)
	}
	guarded := connectors.Guard(c, connectors.GuardOptions{Name: service.Name, Now: w.clock.now, Random: w.clock.jitter, Log: w.log(w)})
	return connectors.Prove(&turning{Connector: guarded, w: w, engine: engine, name: "read " + service.Name, sentinels: service.Sentinels}, service.Sentinels, connectors.DefaultWindow, w.clock.now)
}

// turning has every call of a connector wait for its turn.
type turning struct {
	connectors.Connector
	w         *worker
	engine    string
	name      string
	sentinels amend.Sentinels
}

// One is part of connectors.Connector.
func (t *turning) One(ctx context.Context, id string) (amend.Record, error) {
	if id == t.sentinels.Present || id == t.sentinels.Absent {
		ctx = acting(ctx, t.engine) // who began the proof that several wait for is chance
	}
	if err := t.w.turn(ctx, t.name+" one "+id); err != nil {
		return amend.Record{}, err
	}
	return t.Connector.One(ctx, id)
}

// Many is part of connectors.Connector.
func (t *turning) Many(ctx context.Context, ids []string) ([]amend.Record, error) {
	if err := t.w.turn(ctx, t.name+" many"); err != nil {
		return nil, err
	}
	return t.Connector.Many(ctx, ids)
}

// List is part of connectors.Connector.
func (t *turning) List(ctx context.Context, page connectors.PageRequest) (connectors.Page, error) {
	if err := t.w.turn(ctx, t.name+" list "+page.Cursor); err != nil {
		return connectors.Page{}, err
	}
	return t.Connector.List(ctx, page)
}

// Send is part of connectors.Connector.
func (t *turning) Send(ctx context.Context, request connectors.Request) connectors.Answer {
	if err := t.w.turn(ctx, "send "+request.Method+" "+request.URL); err != nil {
		return connectors.Answer{Outcome: amend.Failed, Detail: "not sent: " + err.Error()}
	}
	return t.Connector.Send(ctx, request)
}

// turningQueue has every job wait for its turn. Wake-ups are handed to the real
// queue when nothing moves, one after another: else it would be chance whether a
// worker takes the first of several before the others are there.
type turningQueue struct {
	*queue.Local
	w    *worker
	name string
}

// wakeUp is one call of Wake.
type wakeUp struct {
	queue *queue.Local
	at    time.Time
	jobs  []queue.Job
}

// Wake is part of queue.Queue.
func (q *turningQueue) Wake(at time.Time, jobs ...queue.Job) {
	q.w.bus.later(wakeUp{q.Local, at, jobs})
}

// Run is part of queue.Queue.
func (q *turningQueue) Run(ctx context.Context, handlers map[queue.Kind]queue.Handler) error {
	turning := map[queue.Kind]queue.Handler{}
	for kind, handler := range handlers {
		do := handler.Do
		handler.Do = func(ctx context.Context, key string) {
			ctx = acting(ctx, q.name+string(kind)+" "+key)
			if q.w.turn(ctx, "job") == nil {
				do(ctx, key)
			}
		}
		turning[kind] = handler
	}
	return q.Local.Run(ctx, turning)
}
