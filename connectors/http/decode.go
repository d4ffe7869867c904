package http

import (
	"errors"
	"slices"

	"amend"
	"amend/connectors"
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

	text      []byte
	escaped   bool    // the string that was read last holds escapes
	unchecked uint64  // the highest bit of each of eight bytes, until a byte outside ASCII was met: then all were checked
	err       error   // why the walk ended, where it isn't errNotStrict
	root      *layout // of the answer
	item      *layout // of the items
	stranger  member  // stands for all names that are not learned
	learned   int     // how many are
	objects   uint64  // how many were read
	scratch   []byte
	slab      []amend.Value    // what is left of it was handed out to nobody
	texts     connectors.Texts // of this and other answers
}

// row is one item while it is read.
type row struct {
	values  []amend.Value
	key     []byte
	version string
	problem string // why it can't be believed; names the field and never a value
}

func newScanner(shape *shape, a *answer) *scanner {
	s, _ := shape.scanners.Get().(*scanner)
	if s == nil || s.learned >= mostLearned {
		s = &scanner{shape: shape, root: newLayout(shape.answer), item: newLayout(shape.item)}
	}
	s.answer, s.items, s.next, s.err = a, false, "", nil
	return s
}

// free gives the scanner back; values that were handed out stay valid.
func (s *scanner) free() {
	s.answer, s.each, s.text, s.row.values = nil, nil, nil, nil
	s.shape.scanners.Put(s)
}

// read walks the answer: each is called after each item, and then items and
// next are known.
func (s *scanner) read() error {
	body, err := s.answer.json()
	if err != nil {
		return err
	}
	if s.shape.items.computed() {
		err = s.computedItems()
	} else {
		err = s.walk(body, s.start)
	}
	if err != nil {
		return err
	}
	if !s.items && !s.shape.single {
		return errNotAList
	}
	return s.cursor()
}

// walk reads a text that is one value and nothing else.
func (s *scanner) walk(text []byte, from func(at, depth int) int) error {
	s.text, s.unchecked = text, highest
	at := from(space(text, 0), 0)
	switch {
	case s.err != nil:
		return s.err
	case at < 0 || space(text, at) < len(text):
		return errNotStrict
	}
	return nil
}

func (s *scanner) start(at, depth int) int {
	switch {
	case s.shape.single:
		return s.element(at, depth)
	case len(s.shape.answer.slots) > 0:
		return s.list(at, depth)
	case !s.stands(at, '{'):
		return s.fail(errNotAnObject)
	}
	return s.members(at, s.root, depth)
}

var (
	errNotStrict   = errors.New("the answer is not whole and valid JSON")
	errNotAnObject = errors.New("the answer is not an object")
	errNotAList    = errors.New("items is not a list in this answer")
)

func (s *scanner) fail(err error) int {
	s.err = err
	return broken
}

func (s *scanner) stands(at int, c byte) bool { return at < len(s.text) && s.text[at] == c }

// mostNested is how deep an answer may be nested.
const mostNested = 10_000

// members reads an object.
func (s *scanner) members(at int, l *layout, depth int) int {
	if depth == mostNested {
		return broken
	}
	s.objects++
	o := object{layout: l, number: s.objects}
	m, value := l.first, broken
	at++
	if m != nil {
		value = m.opening.end(s.text, at)
	}
	for {
		switch {
		case value >= 0:
			m.in = o.number
		case s.stands(at, '}'):
			return at + 1
		default:
			if m, value = s.member(&o, at); m == nil {
				return value
			}
		}
		switch {
		case m.node != nil:
			at = s.declared(value, m, depth+1)
		case s.stands(value, '"'): // mostly
			at = s.quoted(value + 1)
		default:
			at = s.skip(value, m, depth+1)
		}
		if at < 0 {
			return broken
		}
		o.last, m, value = m, m.next, broken
		if m != nil && m.in != o.number {
			value = m.lead.end(s.text, at)
		}
	}
}

// skip reads a value of which nothing is declared, with white space before it.
func (s *scanner) skip(at int, m *member, depth int) int {
	if at >= len(s.text) {
		return broken
	}
	switch s.text[at] {
	case '"':
		return s.quoted(at + 1)
	case '{':
		if m == &s.stranger {
			return s.members(at, new(layout), depth)
		}
		return s.members(at, m.inside(), depth)
	case '[':
		return s.elements(at, m, depth)
	case 't':
		return literal(s.text, at, "true")
	case 'f':
		return literal(s.text, at, "false")
	case 'n':
		return literal(s.text, at, "null")
	case ' ', '\n', '\r', '\t':
		return s.skip(space(s.text, at), m, depth)
	}
	return number(s.text, at)
}

// elements reads a list, of what m says, or of items where m is nil.
func (s *scanner) elements(at int, m *member, depth int) int {
	if depth == mostNested {
		return broken
	}
	if at = space(s.text, at+1); s.stands(at, ']') {
		return at + 1
	}
	for {
		if m == nil {
			at = s.element(at, depth+1)
		} else {
			at = s.skip(at, m, depth+1)
		}
		if at < 0 {
			return broken
		}
		if at = space(s.text, at); s.stands(at, ']') {
			return at + 1
		}
		if at = after(s.text, at, ','); at < 0 {
			return broken
		}
	}
}

// declared reads a value of which something is declared.
func (s *scanner) declared(at int, m *member, depth int) int {
	at = space(s.text, at)
	switch n := m.node; {
	case len(n.kids) == 0:
		return s.pick(at, n, depth)
	case s.stands(at, '{'):
		return s.members(at, m.inside(), depth)
	case !s.stands(at, 'n'): // what stands below null is missing, below anything else it is wrong
		s.wrong(n)
	}
	return s.skip(at, &s.stranger, depth)
}

// pick reads a value that is picked.
func (s *scanner) pick(at int, n *node, depth int) int {
	if n.slots[0] == slotItems {
		return s.list(at, depth)
	}
	var end int
	if s.stands(at, '"') { // mostly
		end = s.quoted(at + 1)
	} else {
		end = s.skip(at, &s.stranger, depth)
	}
	if end < 0 {
		return broken
	}
	for _, slot := range n.slots {
		s.set(slot, s.text[at:end])
	}
	return end
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

// list reads the items.
func (s *scanner) list(at, depth int) int {
	if !s.stands(at, '[') {
		return s.fail(errNotAList)
	}
	s.items = true
	return s.elements(at, nil, depth)
}

// element reads one item into the row and hands it on.
func (s *scanner) element(at, depth int) int {
	s.begin()
	var end int
	if s.stands(at, '{') {
		end = s.whole(at, depth)
	} else {
		s.complain("an item is not an object")
		end = s.skip(at, &s.stranger, depth)
	}
	if end < 0 {
		return broken
	}
	s.finish()
	s.each()
	return end
}

// whole reads an item that is an object, and computes what is computed from
// all of it. What can't be decoded then, though it is JSON, is one item's fault.
func (s *scanner) whole(at, depth int) int {
	end := s.members(at, s.item, depth)
	if end < 0 || len(s.shape.calculated) == 0 {
		return end
	}
	if err := s.calculateAll(s.text[at:end]); err != nil {
		s.complain("fields are computed from this item, which is nested too deep or has a number that is too large")
	}
	return end
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
	s.slab = s.slab[len(s.row.values):]
	return s.row.values
}
