package index

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
)

// An engine finds many byte strings at once without looking at every byte.
//
// Like Wu and Manber's algorithm (TR-94-17, University of Arizona, 1994) it
// works on blocks and skips by the length of the shortest string, but its step
// is fixed. Each needle is known by a window of its bytes, as long as the
// shortest needle (8 to 16 bytes). A block of 4 bytes is taken from the text
// every width-3 bytes: wherever the window stands, exactly one of these samples
// lies wholly within it. So all blocks of all windows are entered in a table,
// and a sample that is not in the table, seen in a bitmap of hashes first, needs
// no further look.
//
// Why not a table of shifts: there the next position hangs on the last load, and
// one short pattern among many brings it down to a seventh. Here the loads do
// not wait for one another, and the speed hardly depends on the text.
//
// Of a needle's windows the one whose blocks are rarest so far is taken, so that
// a thousand values with one prefix, or with "https://" in front, do not fill
// one bucket.
type engine struct {
	stride  int
	filter  []uint64 // two bits of one word per block
	slot    uint     // of the hash, for first
	first   []uint32 // entries[first[h]:first[h+1]] are the blocks with this hash
	entries []entry
	needles []needle
}

// An entry is one block of one needle's window.
type entry struct {
	block  uint32
	needle uint32
	back   uint32 // bytes from the needle's start to the block
}

const (
	blockLen   = 4
	maxWidth   = 16
	filterLoad = 128 // bits in the filter per block
)

func load(p []byte, i int) uint32 { return binary.LittleEndian.Uint32(p[i:]) }

// hash spreads a block over 64 bits, the upper ones best: a multiplication by
// 2^64 divided by the golden ratio (Knuth, 6.4).
func hash(block uint32) uint64 { return uint64(block) * 0x9E3779B97F4A7C15 }

// each reports every occurrence of every needle in p once. It returns false as
// soon as yield does.
func (e *engine) each(p []byte, want Class, yield func(*needle, int) bool) bool {
	filter, mask, stride := e.filter, uint64(len(e.filter)-1), e.stride
	if len(filter) == 0 {
		return true
	}
	i := 0
	for ; i+3*stride+blockLen <= len(p); i += 4 * stride {
		a, b, c, d := hash(load(p, i)), hash(load(p, i+stride)), hash(load(p, i+2*stride)), hash(load(p, i+3*stride))
		if filter[a>>40&mask]&(1<<(a>>32&63)) == 0 && filter[b>>40&mask]&(1<<(b>>32&63)) == 0 &&
			filter[c>>40&mask]&(1<<(c>>32&63)) == 0 && filter[d>>40&mask]&(1<<(d>>32&63)) == 0 {
			continue
		}
		for j := i; j < i+4*stride; j += stride {
			if e.may(p, j) && !e.compare(p, j, want, yield) {
				return false
			}
		}
	}
	for ; i+blockLen <= len(p); i += stride {
		if e.may(p, i) && !e.compare(p, i, want, yield) {
			return false
		}
	}
	return true
}

// may says whether the filter lets the block at p[i] pass.
func (e *engine) may(p []byte, i int) bool {
	h := hash(load(p, i))
	w := e.filter[h>>40&uint64(len(e.filter)-1)]
	return w>>(h>>32&63)&(w>>(h>>26&63))&1 != 0
}

// compare reports the needles that have the block at p[i] and stand around it.
func (e *engine) compare(p []byte, i int, want Class, yield func(*needle, int) bool) bool {
	block := load(p, i)
	h := hash(block) >> (e.slot & 63)
	for _, en := range e.entries[e.first[h]:e.first[h+1]] {
		if en.block != block {
			continue
		}
		n, start := &e.needles[en.needle], i-int(en.back)
		if start < 0 || start+len(n.bytes) > len(p) || n.class&want == 0 {
			continue
		}
		if bytes.Equal(p[start:start+len(n.bytes)], n.bytes) && !yield(n, start) {
			return false
		}
	}
	return true
}

// newEngine compiles the needles, none of which may be shorter than least (≥ 4).
func newEngine(needles []needle, least int) engine {
	if len(needles) == 0 {
		return engine{}
	}
	width := maxWidth
	for _, n := range needles {
		width = min(width, len(n.bytes))
	}
	width = max(width, least)
	e := engine{stride: width - blockLen + 1, needles: needles}
	e.enter(width)
	slots := log2(len(e.entries), 4, 24)
	e.slot = uint(64 - slots)
	e.first = make([]uint32, 1<<slots+1)
	words := 1 << log2(len(e.entries)*filterLoad/64, 12, 17)
	e.filter = make([]uint64, words)
	slices.SortFunc(e.entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(hash(a.block)>>e.slot, hash(b.block)>>e.slot), cmp.Compare(a.needle, b.needle), cmp.Compare(a.back, b.back))
	})
	for i, en := range e.entries {
		h := hash(en.block)
		e.filter[h>>40&uint64(words-1)] |= 1<<(h>>32&63) | 1<<(h>>26&63)
		e.first[h>>e.slot+1] = uint32(i + 1)
	}
	for i := 1; i < len(e.first); i++ {
		e.first[i] = max(e.first[i], e.first[i-1])
	}
	return e
}

// enter chooses each needle's window and lists its blocks.
func (e *engine) enter(width int) {
	const counters = 1 << 16
	seen := make([]uint16, counters)
	e.entries = make([]entry, 0, len(e.needles)*e.stride)
	for k, n := range e.needles {
		best, cost := 0, -1
		for at := 0; at+width <= min(len(n.bytes), 4*maxWidth); at++ {
			c := 0
			for j := at; j < at+e.stride; j++ {
				block := load(n.bytes, j)
				c += 2*int(seen[hash(block)>>48]) + ordinary(block)
			}
			if cost < 0 || c < cost {
				best, cost = at, c
			}
		}
		for j := best; j < best+e.stride; j++ {
			block := load(n.bytes, j)
			if s := &seen[hash(block)>>48]; *s < 1<<15 {
				*s++
			}
			e.entries = append(e.entries, entry{block: block, needle: uint32(k), back: uint32(j)})
		}
	}
}

// ordinary says how likely a block is to stand in any text or binary: 4 for
// zeros, for equal bytes, and for lower-case letters alone.
func ordinary(block uint32) int {
	n := 0
	for b := block; b != 0; b >>= 8 {
		if c := byte(b); c < 'a' || c > 'z' {
			n++
		}
	}
	if n == 0 || block == block<<8|block&0xff {
		return 4
	}
	return 0
}

// log2 is the exponent of the next power of two, within bounds.
func log2(n, least, most int) int {
	return min(max(bits.Len(uint(n)), least), most)
}
