package http

import (
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"

	"amend"
)

// ids tells what can be an ID. A scan asks it for every record, and a regular
// expression would cost as much there as reading the record's JSON. So the
// expression becomes a table of what each byte leads to, where it is small
// enough.
type ids struct {
	entity *amend.Entity
	states [][utf8.RuneSelf]uint8
	final  []bool // whether a text may end in a state
}

// mostStates is how many states the table may have: an ID of some fifty
// characters, and 8 KiB.
const mostStates = 64

// newIDs makes the table of an entity's pattern. Without one the entity itself is
// asked.
func newIDs(entity *amend.Entity) *ids {
	made := &ids{entity: entity}
	if entity.ID == nil {
		return made
	}
	parsed, err := syntax.Parse(entity.ID.String(), syntax.Perl)
	if err != nil { // it is POSIX
		return made
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return made
	}
	if !(&tabler{prog: prog, ids: made}).table() {
		made.states, made.final = nil, nil
	}
	return made
}

// Valid reports whether the text can be an ID.
func (d *ids) Valid(id string) bool {
	if d.states == nil {
		return d.entity.Valid(id)
	}
	if len(id) > amend.LongestID {
		return false
	}
	state := uint8(0)
	for i := range len(id) {
		c := id[i]
		if c >= utf8.RuneSelf {
			return d.entity.Valid(id)
		}
		state = d.states[state][c]
	}
	return d.final[state]
}

// tabler walks all threads of a compiled expression at once, as the regexp
// package does, and writes down where each byte leads.
type tabler struct {
	prog *syntax.Prog
	ids  *ids
	sets [][]uint32 // of each state: the instructions that its threads are at, or just matched
}

// matched is the instruction of a thread that has matched already, so that what
// follows doesn't matter.
const matched = ^uint32(0)

// table makes all states that can be reached. It reports false where they are
// too many, or where more than a byte and the text's ends says what comes next,
// as at the border of a word.
func (t *tabler) table() bool {
	if _, ok := t.state([]uint32{uint32(t.prog.Start)}); !ok {
		return false
	}
	for at := 0; at < len(t.sets); at++ {
		for c := range rune(utf8.RuneSelf) {
			to, ok := t.state(t.step(at, c))
			if !ok {
				return false
			}
			t.ids.states[at][c] = to
		}
	}
	t.refuseControls()
	return true
}

// refuseControls has control characters, which no ID has, lead to a state that
// nothing leads out of.
func (t *tabler) refuseControls() {
	refused := uint8(len(t.ids.states))
	var same [utf8.RuneSelf]uint8
	for c := range same {
		same[c] = refused
	}
	t.ids.states, t.ids.final = append(t.ids.states, same), append(t.ids.final, false)
	for at := range t.ids.states {
		for c := range rune(utf8.RuneSelf) {
			if unicode.IsControl(c) {
				t.ids.states[at][c] = refused
			}
		}
	}
}

// state is the number of the state with these threads, which may be new.
func (t *tabler) state(set []uint32) (uint8, bool) {
	same := func(other []uint32) bool { return slices.Equal(other, set) }
	// The first state is the only one at the text's beginning, so nothing leads back to it.
	if at := slices.IndexFunc(t.sets[min(1, len(t.sets)):], same); at >= 0 {
		return uint8(at + 1), true
	}
	at := len(t.sets)
	t.sets = append(t.sets, set)
	threads, ok := t.threads(at, syntax.EmptyEndText)
	t.ids.states = append(t.ids.states, [utf8.RuneSelf]uint8{})
	t.ids.final = append(t.ids.final, slices.Contains(threads, matched))
	return uint8(at), ok && at < mostStates
}

// step is where the threads of a state are after a byte. One more begins with
// each byte, since a match may begin anywhere.
func (t *tabler) step(at int, c rune) []uint32 {
	threads, _ := t.threads(at, 0)
	if slices.Contains(threads, matched) {
		return []uint32{matched}
	}
	next := []uint32{uint32(t.prog.Start)}
	for _, pc := range threads {
		if in := &t.prog.Inst[pc]; in.MatchRune(c) && !slices.Contains(next, in.Out) {
			next = append(next, in.Out)
		}
	}
	slices.Sort(next)
	return next
}

// threads are the instructions that a state's threads wait at for a byte, or
// matched; here says what holds between two bytes beside the text's beginning.
func (t *tabler) threads(at int, here syntax.EmptyOp) (waiting []uint32, ok bool) {
	const ends = syntax.EmptyBeginText | syntax.EmptyEndText
	if at == 0 {
		here |= syntax.EmptyBeginText
	}
	ok = true
	seen := map[uint32]bool{}
	var visit func(pc uint32)
	visit = func(pc uint32) {
		if seen[pc] {
			return
		}
		seen[pc] = true
		if pc == matched {
			waiting = append(waiting, matched)
			return
		}
		switch in := &t.prog.Inst[pc]; in.Op {
		case syntax.InstMatch:
			visit(matched)
		case syntax.InstAlt, syntax.InstAltMatch:
			visit(in.Out)
			visit(in.Arg)
		case syntax.InstCapture, syntax.InstNop:
			visit(in.Out)
		case syntax.InstEmptyWidth:
			needs := syntax.EmptyOp(in.Arg)
			ok = ok && needs&^ends == 0
			if needs&^here == 0 {
				visit(in.Out)
			}
		case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			waiting = append(waiting, pc)
		case syntax.InstFail:
		}
	}
	for _, pc := range t.sets[at] {
		visit(pc)
	}
	return waiting, ok
}
