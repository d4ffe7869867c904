package store

import (
	"context"
	"fmt"
	"time"
)

// keepBatch is how many cases are deleted in one transaction: others wait for
// it no longer than for a busy moment.
const keepBatch = 200

// keepFresh is how long fresh scans are kept, and the looks that were asked for:
// there are so many of them that only the newest say anything.
const keepFresh = 48 * time.Hour

// batchOfEnded are the cases that ended longest ago.
const batchOfEnded = `(select id from cases where ended_at > 0 and ended_at < $1 order by ended_at limit $2)`

// Delete deletes what ended before a time: cases with all that belongs to
// them, incidents, requests and scans. What is open stays, however old it is.
// It gives the number of cases that are gone; at most a batch at a time, so that
// more says whether it is worth calling again. The audit is not touched.
func (s *Store) Delete(ctx context.Context, before time.Time) (cases int, more bool, err error) {
	err = s.write(ctx, func(tx *tx) error {
		old, limit := micros(before), keepBatch
		for _, text := range []string{
			`delete from steps where repair in (select id from repairs where case_id in ` + batchOfEnded + `)`,
			`delete from approvals where repair in (select id from repairs where case_id in ` + batchOfEnded + `)`,
			`delete from proposals where repair in (select id from repairs where case_id in ` + batchOfEnded + `)`,
			`delete from repairs where case_id in ` + batchOfEnded,
			`delete from timeline where case_id in ` + batchOfEnded,
			`delete from outbox where incident in (select id from incidents where closed_at > 0 and case_id in ` + batchOfEnded + `)`,
			`delete from incidents where closed_at > 0 and case_id in ` + batchOfEnded,
		} {
			if err := tx.Later(text, old, limit); err != nil {
				return fmt.Errorf("delete what is old: %w", err)
			}
		}
		done, err := tx.Exec(`delete from cases where id in `+batchOfEnded, old, limit)
		if err != nil {
			return fmt.Errorf("delete what is old: %w", err)
		}
		gone, err := done.RowsAffected()
		if err != nil {
			return fmt.Errorf("delete what is old: %w", err)
		}
		cases, more = int(gone), gone == keepBatch
		return s.deleteLoose(tx, before)
	})
	return cases, more, err
}

// deleteLoose deletes what is old and belongs to no case.
func (s *Store) deleteLoose(tx *tx, before time.Time) error {
	fresh := s.now().Add(-keepFresh)
	if fresh.Before(before) {
		fresh = before
	}
	for _, old := range []struct {
		text string
		at   time.Time
	}{
		{`delete from outbox where incident in (select id from incidents where case_id = '' and closed_at > 0 and closed_at < $1)`, before},
		{`delete from incidents where case_id = '' and closed_at > 0 and closed_at < $1`, before},
		{`delete from timeline where case_id = '' and at < $1`, before},
		{`delete from requests where taken_at > 0 and taken_at < $1`, before},
		{`delete from requests where kind = '` + AskLook + `' and taken_at > 0 and taken_at < $1`, fresh},
		// The last pass of each kind stays: schedules and brakes count from it.
		{`delete from scans where kind = 'full' and ended_at > 0 and ended_at < $1
			and id not in (select id from scans where kind = 'full' and status = 'done' order by started_at desc limit 1)`, before},
		{`delete from scans where kind <> 'full' and ended_at > 0 and ended_at < $1
			and id not in (select id from scans where kind = 'fresh' and ended_at > 0 order by started_at desc limit 1)`, fresh},
	} {
		if err := tx.Later(old.text, micros(old.at)); err != nil {
			return fmt.Errorf("delete what is old: %w", err)
		}
	}
	return nil
}
