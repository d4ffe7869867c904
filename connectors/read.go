package connectors

import (
	"context"
	"sync"
	"time"

	"amend"
)

// Read reads one customer from all services at once; the records come in the
// order of the connectors. It is the read that a decision may rest on: where a
// service can prove absence, an absent record is believed only with a proof
// that is younger than the record. A service that can't be read leaves its
// record unseen.
func Read(ctx context.Context, conns []Connector, id string, now func() time.Time) amend.View {
	view := amend.View{ID: id, Records: make([]amend.Record, len(conns))}
	var group sync.WaitGroup
	for i, c := range conns {
		group.Go(func() { view.Records[i] = readProven(ctx, c, id, now) })
	}
	group.Wait()
	return view
}

func readProven(ctx context.Context, c Connector, id string, now func() time.Time) amend.Record {
	record := readOne(ctx, c, id, now)
	p, can := c.(Prover)
	if record.Presence != amend.Absent || !can {
		return record
	}
	if err := p.Proof(ctx, record.ReadAt); err != nil {
		return AsUnseen(err).Record(record.ReadAt)
	}
	return record
}

func readOne(ctx context.Context, c Connector, id string, now func() time.Time) amend.Record {
	record, err := c.One(ctx, id)
	if err != nil {
		return AsUnseen(err).Record(now())
	}
	return record
}
