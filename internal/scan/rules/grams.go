package rules

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// gramLen is how many bytes a rule is known by before its expression is tried.
const gramLen = 4

// fold makes upper-case letters lower, in four bytes at once. Some other bytes
// fall together too ("@" and "`"): that costs a look, and loses nothing.
const fold = 0x20202020

// grams finds the places where rules may match: those whose next four bytes,
// whatever their case, are the beginning of something that a rule matches.
//
// The engine of package index cannot serve here. It skips by the length of its
// shortest string, which has to be 8 bytes to pay, and it compares bytes as they
// are; rules begin with as little as "s." or "SK", in either case. So the hash
// of every four bytes is looked up, eight places at a time: no load waits for
// another, and one branch in five is taken.
type grams struct {
	filter  [filterLen]byte // by hash: one bit per beginning, by three more bits of the hash
	first   []uint32        // entries[first[h]:first[h+1]] have this hash
	entries []gramEntry
}

type gramEntry struct {
	beginning
	rule uint16
}

const (
	filterBits = 17
	filterLen  = 1 << filterBits
	slotBits   = 14
)

// hash32 spreads four bytes over 32 bits, the upper ones best: a multiplication
// by 2^32 divided by the golden ratio (Knuth, 6.4).
func hash32(gram uint32) uint32 { return gram * 0x9E3779B1 }

func newGrams(entries []gramEntry) *grams {
	g := &grams{entries: entries, first: make([]uint32, 1<<slotBits+1)}
	slot := func(e gramEntry) uint32 { return hash32(e.gram) >> (32 - slotBits) }
	slices.SortFunc(g.entries, func(a, b gramEntry) int {
		return cmp.Or(cmp.Compare(slot(a), slot(b)), cmp.Compare(a.rule, b.rule))
	})
	for i, e := range g.entries {
		h := hash32(e.gram)
		g.filter[h>>(32-filterBits)] |= 1 << (h >> 12 & 7)
		g.first[slot(e)+1] = uint32(i + 1)
	}
	for i := 1; i < len(g.first); i++ {
		g.first[i] = max(g.first[i], g.first[i-1])
	}
	return g
}

// may says whether the filter lets four folded bytes pass.
func (g *grams) may(gram uint32) bool {
	h := hash32(gram)
	return g.filter[h>>(32-filterBits)]>>(h>>12&7)&1 != 0
}

// each calls yield with every place in p[from:to] where a rule may match, and
// the rule. Four bytes have to follow a place within p.
func (g *grams) each(p []byte, from, to int, yield func(at int, rule uint16)) {
	to = min(to, len(p)-gramLen+1)
	f, i := &g.filter, from
	const s = 32 - filterBits
	for ; i+8 <= to && i+12 <= len(p); i += 8 {
		x := binary.LittleEndian.Uint64(p[i:]) | fold<<32 | fold
		y := binary.LittleEndian.Uint64(p[i+4:]) | fold<<32 | fold
		ahead := f[hash32(uint32(x))>>s] | f[hash32(uint32(x>>8))>>s] | f[hash32(uint32(x>>16))>>s] | f[hash32(uint32(x>>24))>>s]
		after := f[hash32(uint32(y))>>s] | f[hash32(uint32(y>>8))>>s] | f[hash32(uint32(y>>16))>>s] | f[hash32(uint32(y>>24))>>s]
		if ahead|after == 0 {
			continue
		}
		if ahead != 0 {
			g.four(p, x, i, yield)
		}
		if after != 0 {
			g.four(p, y, i+4, yield)
		}
	}
	for ; i < to; i++ {
		if gram := binary.LittleEndian.Uint32(p[i:]) | fold; g.may(gram) {
			g.look(p, gram, i, yield)
		}
	}
}

// four looks at four places, of which x holds the folded bytes.
func (g *grams) four(p []byte, x uint64, at int, yield func(int, uint16)) {
	for j := range 4 {
		if gram := uint32(x >> (8 * j)); g.may(gram) {
			g.look(p, gram, at+j, yield)
		}
	}
}

// look reports the rules that begin with what stands at p[at].
func (g *grams) look(p []byte, gram uint32, at int, yield func(int, uint16)) {
	h := hash32(gram) >> (32 - slotBits)
	for i := g.first[h]; i < g.first[h+1]; i++ {
		e := &g.entries[i]
		if e.gram == gram && binary.LittleEndian.Uint32(p[at:])&e.strict == e.want && follows(p[at+gramLen:], e.tail) {
			yield(at, e.rule)
		}
	}
}

// follows says whether p begins with a folded tail.
func follows(p []byte, tail string) bool {
	if len(p) < len(tail) {
		return false
	}
	for i := range len(tail) {
		if p[i]|0x20 != tail[i] {
			return false
		}
	}
	return true
}
