package dashboard

import (
	"slices"
	"strings"

	"amend"
	"amend/desk"
)

// table is what every service says, side by side.
type table struct {
	Services []column
	Rows     []row
}

// column is one service's record as a whole.
type column struct {
	Name    string
	Kind    string
	Mark    string // present, absent, could not be read
	Reason  string // why it could not be read
	Read    *moment
	Decides bool // the state rests on whether there is a record
}

// row is one field in every service that has it.
type row struct {
	Field string
	Mark  string // differs, same; empty where nothing is to be compared
	Kind  string
	Cells []cell
}

// cell is one field of one service.
type cell struct {
	Text    string
	Kind    string // value, hidden, none, absent, unseen; empty: the service has no such field
	Decides bool   // the state rests on it
}

// table puts rows that differ first, then those that the state rests on.
func (s *Server) table(sheet *desk.Sheet) table {
	schema, view := s.options.Desk.Schema, sheet.Look.View
	rests := restsOn(sheet)
	var t table
	var fields []string
	for i := range schema.Services {
		t.Services = append(t.Services, s.column(&schema.Services[i], &view.Records[i], rests[i][wholeRecord]))
		for _, f := range schema.Services[i].Fields {
			if !slices.Contains(fields, f.Name) {
				fields = append(fields, f.Name)
			}
		}
	}
	for _, name := range fields {
		r := row{Field: name}
		for i := range schema.Services {
			at, field := schema.Services[i].Field(name)
			r.Cells = append(r.Cells, s.clock().cell(&view.Records[i], at, field))
			r.Cells[i].Decides = field != nil && rests[i][at]
		}
		r.Mark, r.Kind = compare(schema, view, name)
		t.Rows = append(t.Rows, r)
	}
	slices.SortStableFunc(t.Rows, func(a, b row) int { return a.rank() - b.rank() })
	return t
}

func (r row) rank() int {
	switch {
	case r.Mark == differs:
		return 0
	case slices.ContainsFunc(r.Cells, func(c cell) bool { return c.Decides }):
		return 1
	}
	return 2
}

// wholeRecord stands for a service's record among the indexes of its fields.
const wholeRecord = -1

// restsOn says which fields of which services the state's own condition reads.
func restsOn(sheet *desk.Sheet) map[int]map[int]bool {
	all := map[int]map[int]bool{}
	if sheet.Look.Verdict.State == nil {
		for _, service := range sheet.Look.Verdict.Needs {
			all[service] = map[int]bool{wholeRecord: true}
		}
		return all
	}
	for _, r := range sheet.Look.Verdict.State.When.Reads() {
		if all[r.Service] == nil {
			all[r.Service] = map[int]bool{}
		}
		all[r.Service][max(r.Field, wholeRecord)] = true
	}
	return all
}

func (s *Server) column(service *amend.Service, record *amend.Record, decides bool) column {
	c := column{Name: service.Name, Mark: record.Presence.String(), Kind: good, Decides: decides, Read: s.clock().at(record.ReadAt)}
	switch record.Presence {
	case amend.Present:
	case amend.Absent:
		c.Kind = quiet
	case amend.Unseen:
		c.Kind, c.Mark, c.Reason = warn, "could not be read ("+record.Cause.String()+")", s.say(record.Reason)
	}
	return c
}

func (now clock) cell(record *amend.Record, at int, field *amend.Field) cell {
	switch {
	case field == nil:
		return cell{}
	case record.Presence == amend.Absent:
		return cell{Text: "absent", Kind: "absent"}
	case record.Presence == amend.Unseen:
		return cell{Text: "not read", Kind: "unseen"}
	case record.Value(at).IsNull():
		return cell{Text: "none", Kind: "none"}
	case field.Sensitive:
		return cell{Text: desk.Hidden, Kind: "hidden"}
	}
	text := desk.Show(field, record.Value(at))
	if field.Type == amend.Timestamp {
		m := now.at(record.Value(at).Time())
		text = m.Ago + " (" + m.Clock + ")"
	}
	if field.Unit != "" {
		text += " " + field.Unit
	}
	return cell{Text: text, Kind: "value"}
}

const (
	differs = "differs"
	same    = "same"
)

// compare says whether services that hold a field of one name and meaning agree
// on it. Fields with other types or other sets of values only share a name: the
// status of a card is no status of an account.
func compare(schema *amend.Schema, view *amend.View, name string) (mark, kind string) {
	said := map[string][]amend.Value{}
	for i := range schema.Services {
		if at, field := schema.Services[i].Field(name); field != nil && view.Records[i].Presence == amend.Present {
			meaning := field.Type.String() + "\x00" + strings.Join(field.Values, "\x00")
			said[meaning] = append(said[meaning], view.Records[i].Value(at))
		}
	}
	for _, values := range said {
		if len(values) < 2 {
			continue
		}
		if slices.ContainsFunc(values, func(v amend.Value) bool { return v != values[0] }) {
			return differs, bad
		}
		mark, kind = same, good
	}
	return mark, kind
}
