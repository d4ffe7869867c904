package http

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"amend"
	"amend/conditions"
	"amend/connectors"
)

// set takes what was picked for a slot.
func (s *scanner) set(slot int, raw []byte) {
	switch slot {
	case slotKey:
		s.row.key = append(s.row.key[:0], s.name(raw)...)
		if s.shape.lent && len(s.row.key) == 0 && raw[0] != 'n' {
			s.complain("its key names nobody")
		}
	case slotVersion:
		s.row.version = s.texts.Of(s.name(raw))
	case slotNext:
		s.next = string(s.name(raw))
		if s.next == "" && raw[0] != 'n' && raw[0] != '"' {
			s.next = notACursor
		}
	default:
		v, err := s.field(&s.shape.fields[slot], raw)
		if err != nil {
			s.complain(err.Error())
			return
		}
		s.row.values[slot] = v
	}
}

// notACursor stands for a cursor that is neither text nor a whole number.
const notACursor = "\x00"

// name reads what names something: a text, or a whole number as its digits.
// Anything else names nothing.
func (s *scanner) name(raw []byte) []byte {
	switch raw[0] {
	case '"':
		return s.unquote(raw)
	case '{', '[', 't', 'f', 'n':
		return nil
	}
	if bytes.ContainsAny(raw, ".eE") {
		return nil
	}
	return raw
}

func (s *scanner) field(reader *connectors.FieldReader, raw []byte) (amend.Value, error) {
	switch raw[0] {
	case '"':
		return reader.TextIn(&s.texts, s.unquote(raw))
	case 't', 'f':
		return reader.Bool(raw[0] == 't')
	case 'n':
		return reader.Null()
	case '{', '[':
		return reader.Any([]any(nil)) // which no field is
	}
	return reader.Number(raw)
}

// unquote gives the text of the JSON string that was read last; it is valid
// until the next call.
func (s *scanner) unquote(raw []byte) []byte {
	if !s.escaped {
		return raw[1 : len(raw)-1]
	}
	text, err := jsontext.AppendUnquote(s.scratch[:0], raw)
	if err != nil { // it was checked, so this says nothing worse than that the text is empty
		return nil
	}
	s.scratch = text
	return text
}

// calculateAll computes what is computed from a whole item.
func (s *scanner) calculateAll(text []byte) error {
	item, err := decodeAll(text)
	if err != nil {
		return err
	}
	vars := conditions.Vars{"item": item}
	for _, c := range s.shape.calculated {
		if c.expr.Uses("header") {
			vars["header"] = s.answer.headers()
		}
		s.calculate(c, vars)
	}
	return nil
}

func (s *scanner) calculate(c calculation, vars conditions.Vars) {
	out, err := c.expr.Eval(vars)
	switch {
	case err != nil && c.slot >= 0: // CEL's error could quote the item
		s.complain("field " + s.shape.fields[c.slot].Name() + " can't be computed from this item")
	case err != nil:
		s.complain("its key or version can't be computed from this item")
	case c.slot == slotKey:
		s.row.key = append(s.row.key[:0], nameOf(out)...)
	case c.slot == slotVersion:
		s.row.version = nameOf(out)
	default:
		v, err := s.shape.fields[c.slot].Any(out)
		if err != nil {
			s.complain(err.Error())
			return
		}
		s.row.values[c.slot] = v
	}
}

// nameOf is name for what was computed.
func nameOf(v any) string {
	switch x := v.(type) {
	case string:
		return x
	case int64:
		return strconv.FormatInt(x, 10)
	}
	return ""
}

// computedItems reads items whose place is computed from the whole answer.
// They are written as JSON again, so that one reader reads all.
func (s *scanner) computedItems() error {
	found, err := s.answer.eval(s.shape.items.expr)
	if err != nil {
		return err
	}
	list, ok := found.([]any)
	if !ok {
		return errNotAList
	}
	s.items = true
	for _, one := range list {
		text, err := json.Marshal(one)
		if err != nil {
			return errNotStrict
		}
		if err := s.walk(text, s.element); err != nil {
			return err
		}
	}
	return nil
}

var errNotACursor = errors.New("next is neither a text nor a whole number in this answer")

// cursor finds the next cursor where it wasn't picked on the way.
func (s *scanner) cursor() error {
	switch {
	case s.shape.next.of("header"):
		s.next = s.answer.header.Get(s.shape.next.path[1])
	case s.shape.next.computed():
		next, err := s.answer.eval(s.shape.next.expr)
		if err != nil {
			return err
		}
		s.next = nameOf(next)
		if _, isText := next.(string); s.next == "" && next != nil && !isText {
			return errNotACursor
		}
	}
	if s.next == notACursor {
		return errNotACursor
	}
	return nil
}
