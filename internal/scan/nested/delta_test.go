package nested

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"strings"
	"testing"
)

// FuzzDelta: no delta makes more than a base may have, or hands out what is not
// in what it makes; and each piece that is no part of the base is handed out.
func FuzzDelta(f *testing.F) {
	base := strings.Repeat("0123456789", 300)
	f.Add([]byte(base), []byte("\xb8\x17\x05\x90\x02\x03abc"))
	f.Add([]byte("abc"), []byte("\x03\x06\x90\x03\x90\x03"))
	f.Add([]byte("abc"), []byte("\x03\x80\x80\x40\x80"))
	f.Fuzz(func(t *testing.T, base, delta []byte) {
		result, near, err := applyDelta(base, delta)
		if err != nil {
			return
		}
		if len(result) > maxBase {
			t.Fatalf("%d bytes", len(result))
		}
		rest := result
		for _, piece := range near {
			i := bytes.Index(rest, piece)
			if i < 0 {
				t.Fatalf("%q is not in %q, in order", piece, result)
			}
			rest = rest[i+1:]
		}
		for i := 0; i+16 <= len(result) && len(result) < 1<<10; i++ {
			part := result[i : i+16]
			if !bytes.Contains(base, part) && !bytes.Contains(bytes.Join(near, []byte("\n")), part) {
				t.Fatalf("%q is in neither", part)
			}
		}
	})
}

// TestPackBases: what was used last is kept, within its bounds, which are wider
// where there is memory.
func TestPackBases(t *testing.T) {
	id := func(text []byte) []byte {
		sum := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(text), text))
		return sum[:]
	}
	for limit, more := range map[int]func() bool{fewBases: func() bool { return false }, manyBases: func() bool { return true }} {
		var b packBases
		b.more = more
		first := []byte("the first")
		b.keep(&packBase{at: 12, kind: "blob", data: first})
		for i := range 30 {
			if b.at(12) == nil || b.named(id(first)) == nil {
				t.Fatalf("%d: lost what is in use", i)
			}
			b.keep(&packBase{at: int64(100 + i), kind: "blob", data: bytes.Repeat([]byte{byte(i)}, 1<<20)})
			if b.size > limit || i > 25 && b.size < limit-2<<20 || len(b.byOffset) != b.order.Len() || len(b.byID) != b.order.Len() {
				t.Fatalf("%d: %d bytes of %d, %d, %d and %d objects", i, b.size, limit, len(b.byOffset), len(b.byID), b.order.Len())
			}
		}
		if b.at(100) != nil || b.at(129) == nil || b.named(id(bytes.Repeat([]byte{29}, 1<<20))) == nil {
			t.Error("kept others than the last")
		}
	}
}

// TestPackMemory: a pack gets more memory only where nobody else has it, and asks
// once.
func TestPackMemory(t *testing.T) {
	for _, tt := range []struct{ held, want int64 }{{0, manyBases}, {maxWindow - 1, maxWindow - 1}} {
		b := NewBudget(Limits{Memory: NewMemory()})
		if err := b.reserve(tt.held); err != nil {
			t.Fatal(err)
		}
		a := newPack(NewReader(bytes.NewReader(nil), 100), &Decoders{}, b)
		for i := range 10 {
			a.bases.keep(&packBase{at: int64(i), data: make([]byte, 1<<20)})
		}
		if b.Held() != tt.want {
			t.Errorf("%d held: got %d, want %d", tt.held, b.Held(), tt.want)
		}
	}
}
