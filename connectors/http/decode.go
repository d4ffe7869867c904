package http

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"amend"
)

// scanner walks an answer once and picks what a shape declares, without
// building anything else. It is strict: names that occur twice, invalid UTF-8
// and anything after the value are errors.
type scanner struct {
	shape  *shape
	answer *answer
	row    row
	each   func() // takes the row after each item
	items  bool   // the declared place of the items was found
	next   string // the cursor, if one was picked

	outer, inner input
	dec          *jsontext.Decoder
	scratch      []byte
	slab         []amend.Value
}

// input is a decoder with what it reads, without copying.
type input struct {
	dec  jsontext.Decoder
	text bytes.Buffer
}

func (in *input) open(text []byte) *jsontext.Decoder {
	in.text = *bytes.NewBuffer(text)
	in.dec.Reset(&in.text)
	return &in.dec
}

// row is one item while it is read.
type row struct {
	values  []amend.Value
	key     []byte
	version string
	problem string // why it can't be believed; names the field and never a value
}

var scanners = sync.Pool{New: func() any { return new(scanner) }}

func newScanner(shape *shape, a *answer) *scanner {
	s := scanners.Get().(*scanner)
	s.shape, s.answer, s.items, s.next = shape, a, false, ""
	return s
}

// free gives the scanner back; values that were handed out stay valid.
func (s *scanner) free() {
	s.shape, s.answer, s.each, s.dec, s.slab, s.row.values = nil, nil, nil, nil, nil, nil
	s.outer.open(nil)
	s.inner.open(nil)
	scanners.Put(s)
}

// read walks the answer: each is called after each item, and then items and
// next are known.
func (s *scanner) read() error {
	body, err := s.answer.json()
	if err != nil {
		return err
	}
	if !s.shape.items.computed() {
		s.dec = s.outer.open(body)
		if err := s.root(); err != nil {
			return err
		}
		if err := atEnd(s.dec); err != nil {
			return err
		}
	} else if err := s.computedItems(); err != nil {
		return err
	}
	if !s.items && !s.shape.single {
		return errNotAList
	}
	return s.cursor()
}

func atEnd(dec *jsontext.Decoder) error {
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return errNotStrict
	}
	return nil
}

func (s *scanner) root() error {
	switch {
	case s.shape.single:
		return s.item()
	case len(s.shape.answer.slots) > 0:
		return s.value(s.shape.answer)
	case s.dec.PeekKind() != '{':
		return errNotAnObject
	}
	return s.object(s.shape.answer)
}

var (
	errNotStrict   = errors.New("the answer is not whole and valid JSON")
	errNotAnObject = errors.New("the answer is not an object")
	errNotAList    = errors.New("items is not a list in this answer")
)

// object walks the members of an object and skips what nobody declared.
func (s *scanner) object(n *node) error {
	if _, err := s.dec.ReadToken(); err != nil {
		return errNotStrict
	}
	for s.dec.PeekKind() != '}' {
		name, err := s.dec.ReadValue()
		if err != nil {
			return errNotStrict
		}
		kid := s.kid(n, name)
		switch {
		case kid != nil:
			err = s.value(kid)
		case s.dec.SkipValue() != nil:
			err = errNotStrict
		}
		if err != nil {
			return err
		}
	}
	if _, err := s.dec.ReadToken(); err != nil {
		return errNotStrict
	}
	return nil
}

// kid finds the node of a quoted name.
func (s *scanner) kid(n *node, quoted []byte) *node {
	for _, kid := range n.kids {
		if kid.quoted == string(quoted) {
			return kid
		}
	}
	if bytes.IndexByte(quoted, '\\') < 0 {
		return nil
	}
	return n.find(string(s.unquote(quoted)))
}

// value reads what stands at a node.
func (s *scanner) value(n *node) error {
	kind := s.dec.PeekKind()
	switch {
	case len(n.slots) > 0 && n.slots[0] == slotItems:
		return s.array()
	case len(n.kids) > 0 && kind == '{':
		return s.object(n)
	case len(n.kids) > 0:
		if kind != 'n' { // what stands below null is missing, below anything else it is wrong
			s.wrong(n)
		}
		if s.dec.SkipValue() != nil {
			return errNotStrict
		}
		return nil
	}
	raw, err := s.dec.ReadValue()
	if err != nil {
		return errNotStrict
	}
	for _, slot := range n.slots {
		s.set(slot, raw)
	}
	return nil
}

// wrong notes that nothing below a node can be read.
func (s *scanner) wrong(n *node) {
	s.complain(n.name + " is not an object")
	for _, kid := range n.kids {
		if slices.Contains(kid.slots, slotNext) {
			s.next = notACursor
		}
		s.wrong(kid)
	}
}

func (s *scanner) complain(problem string) {
	if s.row.problem == "" {
		s.row.problem = problem
	}
}

// array reads the items.
func (s *scanner) array() error {
	if s.dec.PeekKind() != '[' {
		return errNotAList
	}
	if _, err := s.dec.ReadToken(); err != nil {
		return errNotStrict
	}
	s.items = true
	for s.dec.PeekKind() != ']' {
		if err := s.item(); err != nil {
			return err
		}
	}
	if _, err := s.dec.ReadToken(); err != nil {
		return errNotStrict
	}
	return nil
}

// item reads one item into the row and hands it on.
func (s *scanner) item() error {
	s.begin()
	var err error
	switch {
	case s.dec.PeekKind() != '{':
		s.complain("an item is not an object")
		if s.dec.SkipValue() != nil {
			err = errNotStrict
		}
	case len(s.shape.calculated) > 0:
		err = s.whole()
	default:
		err = s.object(s.shape.item)
	}
	if err != nil {
		return err
	}
	s.finish()
	s.each()
	return nil
}

// slabRows is for how many records memory is taken at once: few enough that one
// record that is kept doesn't keep a page.
const slabRows = 32

func (s *scanner) begin() {
	n := len(s.shape.fields)
	if len(s.slab) < n {
		s.slab = make([]amend.Value, slabRows*n)
	}
	s.row.values = s.slab[:n:n]
	clear(s.row.values)
	s.row.key, s.row.version, s.row.problem = s.row.key[:0], "", ""
}

// finish notes what is missing.
func (s *scanner) finish() {
	for i := range s.row.values {
		if s.row.values[i].IsNull() && s.row.problem == "" {
			if _, err := s.shape.fields[i].Null(); err != nil {
				s.complain(err.Error())
			}
		}
	}
}

// keep hands the row's values out for good.
func (s *scanner) keep() []amend.Value {
	kept := s.row.values
	s.slab = s.slab[len(kept):]
	return kept
}
