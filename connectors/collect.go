package connectors

import (
	"strings"
	"time"

	"amend"
)

// Batch puts the records of an answer to Many where they were asked for. Every
// kind uses it, so that who is missing, or there twice, is the same everywhere.
type Batch struct {
	Strangers int // records of customers that nobody asked for
	nameless  int // records that nobody can be named for

	entity  *amend.Entity
	ids     []string
	records []amend.Record
	seen    []bool
	last    int // where the record before was put: services mostly keep the order
}

// NewBatch begins an empty answer to a question for ids.
func NewBatch(entity *amend.Entity, ids []string) *Batch {
	return &Batch{entity: entity, ids: ids, records: make([]amend.Record, len(ids)), seen: make([]bool, len(ids))}
}

// Add puts one record in its place; record is called only if there is one.
func (b *Batch) Add(key []byte, at time.Time, record func(at time.Time) amend.Record) {
	i := b.place(key)
	switch {
	case i < 0 && (len(key) == 0 || !b.entity.Valid(string(key))):
		b.nameless++
	case i < 0:
		b.Strangers++
	case b.seen[i]:
		b.records[i] = twice(at)
	default:
		b.seen[i], b.records[i] = true, record(at)
	}
}

func (b *Batch) place(key []byte) int {
	for n := range b.ids {
		i := (b.last + n) % len(b.ids)
		if b.ids[i] == string(key) {
			b.last = i
			return i
		}
	}
	return -1
}

// answered finds where the record of an ID was put, since an ID can be asked
// for twice, or gives -1.
func (b *Batch) answered(id string) int {
	for i := range b.ids {
		if b.seen[i] && b.ids[i] == id {
			return i
		}
	}
	return -1
}

// Records are the records in the order of the ids. Who is missing is absent,
// unless the answer also has records that nobody can be named for, one of which
// may be the missing one, or of customers that nobody asked for: then it isn't
// the answer to this question, and may be the first page of everybody.
func (b *Batch) Records(at time.Time) []amend.Record {
	for i := range b.records {
		if b.seen[i] {
			continue
		}
		switch same := b.answered(b.ids[i]); {
		case same >= 0:
			b.records[i] = b.records[same]
		case b.nameless > 0:
			b.records[i] = amend.UnseenRecord(amend.Malformed, "it is missing, but the answer has records that nobody can be named for", at)
		case b.Strangers > 0:
			b.records[i] = amend.UnseenRecord(amend.Malformed, "it is missing, but the answer has records of customers that nobody asked for", at)
		default:
			b.records[i] = amend.Record{Presence: amend.Absent, ReadAt: at}
		}
	}
	return b.records
}

// Texts makes strings that share memory, a few records' worth at a time: few
// enough that one record that is kept doesn't keep a page. The zero Texts is
// ready; nil makes each string by itself.
type Texts struct{ shared strings.Builder }

// sharedTexts is how many bytes of texts share memory.
const sharedTexts = 1 << 10

// Of is the text as a string.
func (t *Texts) Of(text []byte) string {
	if t == nil || len(text) > sharedTexts/8 {
		return string(text)
	}
	if t.shared.Cap()-t.shared.Len() < len(text) {
		t.shared.Reset() // strings that were made keep what they share
		t.shared.Grow(sharedTexts)
	}
	from := t.shared.Len()
	t.shared.Write(text)
	return t.shared.String()[from:]
}

// Listing collects the records of one page of a list.
type Listing struct {
	ids    IDs
	texts  Texts
	page   Page
	room   int
	rising bool // while keys rise no key can occur twice
}

// IDs tells what can be an ID. An *amend.Entity does.
type IDs interface{ Valid(id string) bool }

// NewListing begins an empty page with room for so many records.
func NewListing(ids IDs, room int) *Listing {
	return &Listing{ids: ids, room: room, rising: true}
}

// Into lets the page use the memory of records that nobody needs any more.
func (l *Listing) Into(records []Keyed) { l.page.Records = records[:0] }

// Add appends one record, or counts it as skipped if its key is no ID.
func (l *Listing) Add(key []byte, at time.Time, record func(at time.Time) amend.Record) {
	id := l.texts.Of(key)
	if id == "" || !l.ids.Valid(id) {
		l.page.Skipped++
		return
	}
	if cap(l.page.Records) == 0 {
		l.page.Records = make([]Keyed, 0, l.room)
	}
	n := len(l.page.Records)
	if n > 0 && id <= l.page.Records[n-1].ID {
		l.rising = false
	}
	l.page.Records = append(l.page.Records, Keyed{ID: id, Record: record(at)})
}

// Page is the page with its next cursor; nobody is on it twice.
func (l *Listing) Page(next string, at time.Time) Page {
	if !l.rising {
		l.page.Records = onceEach(l.page.Records, at)
	}
	l.page.Next = next
	return l.page
}

func onceEach(records []Keyed, at time.Time) []Keyed {
	place := make(map[string]int, len(records))
	kept := records[:0]
	for _, k := range records {
		if i, known := place[k.ID]; known {
			kept[i].Record = twice(at)
			continue
		}
		place[k.ID] = len(kept)
		kept = append(kept, k)
	}
	return kept
}

// ListedTwice is the reason of a record that a page or a batch held twice:
// neither of the two can be believed.
const ListedTwice = "there are two records of one customer"

func twice(at time.Time) amend.Record {
	return amend.UnseenRecord(amend.Malformed, ListedTwice, at)
}
