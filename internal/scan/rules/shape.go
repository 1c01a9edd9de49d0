package rules

import (
	"encoding/binary"
	"regexp/syntax"
)

// strip leaves out what an expression may begin with but need not:
// "[\w.-]{0,50}?token=" is found wherever "token=" is. What is left begins with
// something to look for. Groups that capture stay.
func strip(re *syntax.Regexp) *syntax.Regexp {
	switch re.Op {
	case syntax.OpConcat:
		subs := re.Sub
		for len(subs) > 1 && optional(subs[0]) && subs[0].MaxCap() == 0 {
			subs = subs[1:]
		}
		kept := *re
		kept.Sub = append([]*syntax.Regexp{strip(subs[0])}, subs[1:]...)
		return &kept
	case syntax.OpAlternate:
		kept := *re
		kept.Sub = nil
		for _, sub := range re.Sub {
			kept.Sub = append(kept.Sub, strip(sub))
		}
		return &kept
	}
	return re
}

func optional(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpStar, syntax.OpQuest:
		return true
	case syntax.OpRepeat:
		return re.Min == 0
	}
	return false
}

// longest is the number of bytes that a match may have at most, or -1 when
// there is no bound.
func longest(re *syntax.Regexp) int {
	switch re.Op {
	case syntax.OpLiteral:
		n := 0
		for _, r := range re.Rune {
			n += width(r, re.Flags&syntax.FoldCase != 0)
		}
		return n
	case syntax.OpCharClass:
		if n := len(re.Rune); n > 0 {
			return width(re.Rune[n-1], false)
		}
		return 0
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 4
	case syntax.OpStar, syntax.OpPlus:
		return -1
	case syntax.OpRepeat:
		n := longest(re.Sub[0])
		if n < 0 || re.Max < 0 {
			return -1
		}
		return n * re.Max
	}
	total := 0
	for _, sub := range re.Sub {
		n := longest(sub)
		switch {
		case n < 0:
			return -1
		case re.Op == syntax.OpAlternate:
			total = max(total, n)
		default:
			total += n
		}
	}
	return total
}

// width is how many bytes a rune takes at most. Some letters fold to longer
// ones ("k" to the Kelvin sign).
func width(r rune, fold bool) int {
	if r < 0x80 && !fold {
		return 1
	}
	return 4
}

// maxGrams bounds how many beginnings one rule may have.
const maxGrams = 4096

// A beginning is what something that a rule matches begins with.
type beginning struct {
	gram   uint32 // the first four bytes, folded
	strict uint32 // bit 5 of each of them that may not be the other way …
	want   uint32 // … and how it has to be
	tail   string // what has to follow, folded
}

// beginnings lists the first four bytes of everything that the program can
// match. It returns false where there are too many, or a match may be shorter.
//
// Letters outside ASCII that fold to one inside it are left out: nobody writes a
// token with a Kelvin sign.
func beginnings(prog *syntax.Prog) ([]beginning, bool) {
	var list []beginning
	m := &machine{prog: prog, known: map[string]*reading{}}
	var walk func(states []uint32, b beginning, depth int) bool
	walk = func(states []uint32, b beginning, depth int) bool {
		if depth == gramLen {
			b.tail = m.tail(states)
			list = append(list, b)
			return len(list) <= maxGrams
		}
		r := m.at(states)
		if !r.ok {
			return false
		}
		for _, s := range r.steps {
			next := b
			next.gram |= uint32(s.folded) << (8 * depth)
			next.strict |= uint32(s.strict) << (8 * depth)
			next.want |= uint32(s.want) << (8 * depth)
			if !walk(s.to, next, depth+1) {
				return false
			}
		}
		return true
	}
	ok := walk([]uint32{uint32(prog.Start)}, beginning{}, 0)
	return list, ok && len(list) > 0
}

// A machine is a program with what is known of its states. A class of characters
// leads to the same ones by each of them, so there are few to find out about.
type machine struct {
	prog  *syntax.Prog
	known map[string]*reading // by states
	key   []byte
}

// A reading is what a program may read next, in some states.
type reading struct {
	steps []transition
	ok    bool
	tail  *string // nil until it is asked for
}

func (m *machine) at(states []uint32) *reading {
	m.key = m.key[:0]
	for _, s := range states {
		m.key = binary.LittleEndian.AppendUint32(m.key, s)
	}
	r := m.known[string(m.key)]
	if r == nil {
		r = &reading{}
		r.steps, r.ok = step(m.prog, states)
		m.known[string(m.key)] = r
	}
	return r
}

// tail is what has to follow, as long as there is one way only, in either case.
func (m *machine) tail(states []uint32) string {
	first := m.at(states)
	if first.tail == nil {
		var b []byte
		for r := first; len(b) < maxTail && r.ok && len(r.steps) == 1; r = m.at(r.steps[0].to) {
			b = append(b, r.steps[0].folded)
		}
		tail := string(b)
		first.tail = &tail
	}
	return *first.tail
}

const maxTail = 16

// A transition is one byte that a program may read, in either case.
type transition struct {
	folded, strict, want byte
	to                   []uint32
}

// step lists what the program may read next. It returns false where a match may
// end instead, or the byte may be outside ASCII.
func step(prog *syntax.Prog, states []uint32) (steps []transition, ok bool) {
	open, ok := follow(prog, states)
	if !ok {
		return nil, false
	}
	for c := byte(0); c < 0x80; c++ {
		if c&0x20 == 0 {
			continue
		}
		t := transition{folded: c}
		lower, upper := false, false
		for _, pc := range open {
			in := &prog.Inst[pc]
			l, u := in.MatchRune(rune(c)), in.MatchRune(rune(c&^0x20))
			lower, upper = lower || l, upper || u
			if l || u {
				t.to = append(t.to, in.Out)
			}
		}
		if lower != upper {
			t.strict = 0x20
		}
		if lower && !upper {
			t.want = 0x20
		}
		if lower || upper {
			steps = append(steps, t)
		}
	}
	return steps, true
}

// follow returns the states that read a byte next, with step's conditions.
func follow(prog *syntax.Prog, from []uint32) (open []uint32, ok bool) {
	seen := map[uint32]bool{}
	stack := append([]uint32(nil), from...)
	for len(stack) > 0 {
		pc := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[pc] {
			continue
		}
		seen[pc] = true
		switch in := &prog.Inst[pc]; in.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			stack = append(stack, in.Out, in.Arg)
		case syntax.InstCapture, syntax.InstNop, syntax.InstEmptyWidth:
			stack = append(stack, in.Out)
		case syntax.InstMatch:
			return nil, false
		case syntax.InstFail:
		default:
			if beyondASCII(in) {
				return nil, false
			}
			open = append(open, pc)
		}
	}
	return open, true
}

// beyondASCII says whether an instruction reads letters outside ASCII, but for
// the two that fold to "s" and "k".
func beyondASCII(in *syntax.Inst) bool {
	if in.Op == syntax.InstRuneAny || in.Op == syntax.InstRuneAnyNotNL {
		return true
	}
	if len(in.Rune) == 1 {
		return in.Rune[0] >= 0x80
	}
	for i := 0; i+1 < len(in.Rune); i += 2 {
		lo, hi := in.Rune[i], in.Rune[i+1]
		if hi >= 0x80 && (lo != hi || lo != 'ſ' && lo != '\u212a') {
			return true
		}
	}
	return false
}

// startsAtWord says whether every match begins with a word boundary before a
// word, so that a word's middle needs no further look.
func startsAtWord(re *syntax.Regexp) bool {
	for re.Op == syntax.OpConcat || re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	return re.Op == syntax.OpWordBoundary
}
