package canary

import (
	"bytes"
	"math/bits"
	"slices"
)

// Bzip2 packs a small text in bzip2, which no encoder in Go's library does. It
// is one block, with a code of nearly equal lengths: valid, and not small. The
// format: https://github.com/dsnet/compress/blob/master/doc/bzip2-format.pdf
func Bzip2(text []byte) []byte {
	w := &bitWriter{}
	w.bytes("BZh1")
	sum := bzipSum(text)
	w.bytes("1AY&SY")
	w.bits(uint64(sum), 32)
	w.bits(0, 1)
	last, origin := transform(shortenRuns(text))
	w.bits(uint64(origin), 24)
	symbols := w.alphabet(last)
	moved := moveToFront(last, symbols)
	w.coded(moved, len(symbols)+2)
	w.bytes("\x17\x72\x45\x38\x50\x90")
	w.bits(uint64(sum), 32) // of one block: its own, since the sum before it is 0
	return w.out
}

// bzipSum is CRC-32 with the highest bit first.
func bzipSum(b []byte) uint32 {
	sum := ^uint32(0)
	for _, c := range b {
		sum ^= uint32(c) << 24
		for range 8 {
			if sum>>31 == 1 {
				sum = sum<<1 ^ 0x04c11db7
			} else {
				sum <<= 1
			}
		}
	}
	return ^sum
}

// shortenRuns writes four equal bytes and more as four and a count.
func shortenRuns(b []byte) (out []byte) {
	for i := 0; i < len(b); {
		n := 1
		for i+n < len(b) && n < 255 && b[i+n] == b[i] {
			n++
		}
		out = append(out, b[i:i+min(n, 4)]...)
		if n >= 4 {
			out = append(out, byte(n-4))
		}
		i += n
	}
	return out
}

// transform is Burrows and Wheeler's: the last column of all rotations in order,
// and which of them is the text.
func transform(b []byte) (last []byte, origin int) {
	twice := slices.Concat(b, b)
	order := make([]int, len(b))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return bytes.Compare(twice[i:i+len(b)], twice[j:j+len(b)]) })
	for at, i := range order {
		last = append(last, twice[i+len(b)-1])
		if i == 0 {
			origin = at
		}
	}
	return last, origin
}

// moveToFront writes each byte as its place in a list of the latest ones, runs
// of zeros as numbers in digits of 1 and 2, and the end.
func moveToFront(b, symbols []byte) (out []int) {
	list := slices.Clone(symbols)
	run := 0
	flush := func() {
		for ; run > 0; run = (run - 1) / 2 {
			out = append(out, (run-1)%2)
		}
	}
	for _, c := range b {
		i := bytes.IndexByte(list, c)
		if i == 0 {
			run++
			continue
		}
		flush()
		out = append(out, i+1)
		copy(list[1:i+1], list[:i])
		list[0] = c
	}
	flush()
	return append(out, len(symbols)+1)
}

// alphabet writes which bytes there are, and returns them.
func (w *bitWriter) alphabet(b []byte) (symbols []byte) {
	var used [256]bool
	for _, c := range b {
		used[c] = true
	}
	for i := range 16 {
		w.flag(slices.Contains(used[16*i:16*i+16], true))
	}
	for i := range 16 {
		for j, u := range used[16*i : 16*i+16] {
			if slices.Contains(used[16*i:16*i+16], true) {
				w.flag(u)
			}
			if u {
				symbols = append(symbols, byte(16*i+j))
			}
		}
	}
	return symbols
}

// coded writes the symbols in a prefix code: as many bits each as it takes, or
// one less for the first ones, so that the code is complete.
func (w *bitWriter) coded(symbols []int, size int) {
	long := uint(bits.Len(uint(size - 1)))
	short := 1<<long - size // symbols of one bit less
	groups := (len(symbols) + 49) / 50
	w.bits(2, 3) // tables: the least there may be, and the same
	w.bits(uint64(groups), 15)
	w.bits(0, groups) // each group uses the first table
	for range 2 {
		was := uint64(long - 1)
		w.bits(was, 5)
		for i := range size {
			if i == short {
				w.bits(0b10, 2) // one more
			}
			w.bits(0, 1)
		}
	}
	for _, s := range symbols {
		if s < short {
			w.bits(uint64(s), int(long-1))
		} else {
			w.bits(uint64(s+short), int(long))
		}
	}
}

// A bitWriter writes the highest bit first.
type bitWriter struct {
	out  []byte
	free int // bits in the last byte
}

func (w *bitWriter) bits(v uint64, n int) {
	for i := n - 1; i >= 0; i-- {
		if w.free == 0 {
			w.out, w.free = append(w.out, 0), 8
		}
		w.free--
		w.out[len(w.out)-1] |= byte(v>>i&1) << w.free
	}
}

func (w *bitWriter) flag(b bool) {
	if b {
		w.bits(1, 1)
	} else {
		w.bits(0, 1)
	}
}

func (w *bitWriter) bytes(s string) {
	for _, c := range []byte(s) {
		w.bits(uint64(c), 8)
	}
}
