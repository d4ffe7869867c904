package store

import (
	"context"
	"fmt"
	"time"
)

const (
	// sampleSlot is how long one row of samples counts.
	sampleSlot = 5 * time.Minute
	// samplesKept is how long they are: a service's month and a day.
	samplesKept = 31 * 24 * time.Hour
)

// Sample is how many customers scans have read of a service, and how many of
// them could not be.
type Sample struct {
	Service      string
	Read, Unseen int
}

// AddSamples adds to what is counted now. Samples of the same services come in
// the same order from everybody, so that nobody waits in a circle.
func (s *Store) AddSamples(ctx context.Context, samples []Sample) error {
	return s.write(ctx, func(tx *tx) error {
		now := s.now()
		for _, one := range samples {
			err := tx.Later(`insert into service_samples (slot, service, read, unseen) values ($1, $2, $3, $4)
				on conflict (slot, service) do update set read = service_samples.read + excluded.read, unseen = service_samples.unseen + excluded.unseen`,
				micros(now.Truncate(sampleSlot)), one.Service, one.Read, one.Unseen)
			if err != nil {
				return fmt.Errorf("write samples: %w", err)
			}
		}
		// What lies ahead was counted by a clock that was put back since.
		if err := tx.Later(`delete from service_samples where slot < $1 or slot > $2`, micros(now.Add(-samplesKept)), micros(now)); err != nil {
			return fmt.Errorf("delete old samples: %w", err)
		}
		return nil
	})
}

// Samples sums up what was counted in the slot of a time and since, until now.
func (s *Store) Samples(ctx context.Context, since time.Time) ([]Sample, error) {
	scan := func(r row) (one Sample, err error) {
		err = r.Scan(&one.Service, &one.Read, &one.Unseen)
		return one, err
	}
	return query(ctx, s, scan, `select service, sum(read), sum(unseen) from service_samples where slot between $1 and $2 group by service order by service`,
		micros(since.Truncate(sampleSlot)), micros(s.now()))
}
