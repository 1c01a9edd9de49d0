package index

import (
	"bytes"
	"slices"
)

// prefixes answers whether some bytes are the start of a pattern for logs.
type prefixes struct {
	sorted [][]byte
	filter []uint64 // hashes of the first four bytes
	shift  uint
	max    int
}

func newPrefixes(needles []needle) prefixes {
	var f prefixes
	for _, n := range needles {
		if n.class&Log != 0 {
			f.sorted = append(f.sorted, n.bytes)
			f.max = max(f.max, len(n.bytes))
		}
	}
	slices.SortFunc(f.sorted, bytes.Compare)
	size := log2(len(f.sorted)*filterLoad/64, 4, 17)
	f.shift = uint(64 - size)
	f.filter = make([]uint64, 1<<size)
	for _, b := range f.sorted {
		h := hash(load(b, 0))
		f.filter[h>>f.shift] |= 1 << (h >> 32 & 63)
	}
	return f
}

// Pending is the length of the longest suffix of p that a pattern for logs
// starts with and goes beyond: what has to be held back until the next bytes
// are known. It is below MaxLen.
func (x *Index) Pending(p []byte) int {
	f := &x.get().prefix
	if len(f.sorted) == 0 {
		return 0
	}
	for i := max(0, len(p)-f.max+1); i < len(p); i++ {
		if len(p)-i >= blockLen {
			if h := hash(load(p, i)); f.filter[h>>(f.shift&63)]>>(h>>32&63)&1 == 0 {
				continue
			}
		}
		if f.begins(p[i:]) {
			return len(p) - i
		}
	}
	return 0
}

// begins says whether a pattern starts with q and goes beyond it.
func (f *prefixes) begins(q []byte) bool {
	i, same := slices.BinarySearchFunc(f.sorted, q, bytes.Compare)
	if same {
		i++
	}
	return i < len(f.sorted) && bytes.HasPrefix(f.sorted[i], q)
}
