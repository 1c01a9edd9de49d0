package nested

import (
	"container/list"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"io"
)

// Bounds of what is kept to make objects from deltas, in bytes. git puts a base
// in front of its deltas, mostly at once.
const (
	maxBase   = 2 << 20  // of one object
	fewBases  = 4 << 20  // of all of them, without asking for memory
	manyBases = 24 << 20 // of all of them, if there is memory
	// smallBase is what is believed of a size before the bytes are there.
	smallBase = 64 << 10
	// copied is how many bytes of a base are copied in the time in which one
	// byte is unpacked.
	copied = 32
	// around is what is handed out before and behind what is new: the longest
	// pattern that anybody looks for (index.MaxPattern).
	around = 512
)

// packBases keeps the objects that were used last. The zero value is empty.
type packBases struct {
	byOffset map[int64]*list.Element
	byID     map[[sha1.Size]byte]*packBase // nil until somebody asks for one
	order    list.List                     // of *packBase, the last used at the end
	size     int
	limit    int         // of size; 0 before the first
	more     func() bool // asks for memory up to manyBases; nil if it was asked
}

type packBase struct {
	at   int64
	kind string
	data []byte
	id   [sha1.Size]byte
}

func (b *packBases) keep(base *packBase) {
	if b.byOffset == nil {
		b.byOffset, b.limit = map[int64]*list.Element{}, fewBases
	}
	const overhead = 256 // of a small object
	b.byOffset[base.at] = b.order.PushBack(base)
	if b.byID != nil {
		b.name(base)
	}
	b.size += cap(base.data) + overhead
	if b.size > b.limit && b.more != nil {
		if b.more() {
			b.limit = manyBases
		}
		b.more = nil
	}
	for b.size > b.limit {
		old := b.order.Remove(b.order.Front()).(*packBase)
		delete(b.byOffset, old.at)
		delete(b.byID, old.id)
		b.size -= cap(old.data) + overhead
	}
}

// at returns the object that begins there, nil if it is not at hand.
func (b *packBases) at(offset int64) *packBase {
	e := b.byOffset[offset]
	if e == nil {
		return nil
	}
	b.order.MoveToBack(e)
	return e.Value.(*packBase)
}

// named returns the object with this digest, nil if it is not at hand.
func (b *packBases) named(id []byte) *packBase {
	if b.byID == nil {
		b.byID = map[[sha1.Size]byte]*packBase{}
		for e := b.order.Front(); e != nil; e = e.Next() {
			b.name(e.Value.(*packBase))
		}
	}
	base := b.byID[[sha1.Size]byte(id)]
	if base == nil {
		return nil
	}
	return b.at(base.at)
}

// readObject reads an object of this size. It returns what came, and whether that
// is all of it.
func readObject(r io.Reader, size int64) ([]byte, bool) {
	data := make([]byte, min(size, smallBase))
	n, err := io.ReadFull(r, data)
	if err == nil && size > smallBase {
		all := make([]byte, size)
		n = copy(all, data)
		m, rest := io.ReadFull(r, all[n:])
		data, n, err = all, n+m, rest
	}
	if err == nil { // the end of the compression, and no byte before it
		var more [1]byte
		m, end := r.Read(more[:])
		return append(data, more[:m]...), m == 0 && end == io.EOF
	}
	return data[:n], false
}

// name finds out the digest of an object, which git has given it.
func (b *packBases) name(base *packBase) {
	h := sha1.New()
	fmt.Fprintf(h, "%s %d\x00", base.kind, len(base.data))
	h.Write(base.data)
	base.id = [sha1.Size]byte(h.Sum(nil))
	b.byID[base.id] = base
}

// deltaSize is the size of what a delta makes, in bytes; 0 if that is too much.
func deltaSize(delta []byte) int64 {
	_, n := binary.Uvarint(delta)
	if n <= 0 {
		return 0
	}
	if size, n := binary.Uvarint(delta[n:]); n > 0 && size <= maxBase {
		return int64(size)
	}
	return 0
}

// applyDelta makes an object from its base. What is near to anything new in it
// comes in pieces: everything else stands in the base just so, and was handed
// out with that.
func applyDelta(base, delta []byte) (result []byte, near [][]byte, err error) {
	from, n := binary.Uvarint(delta)
	if n <= 0 || from != uint64(len(base)) {
		return nil, nil, errDamaged
	}
	delta = delta[n:]
	size, n := binary.Uvarint(delta)
	if n <= 0 || size > maxBase {
		return nil, nil, errDamaged
	}
	delta = delta[n:]
	result = make([]byte, 0, size)
	var spans [][2]int
	add := func(start, end int) {
		start, end = max(start-around, 0), end+around
		if n := len(spans); n > 0 && spans[n-1][1] >= start {
			spans[n-1][1] = end
			return
		}
		spans = append(spans, [2]int{start, end})
	}
	follows := 0 // in the base, what was copied last
	for len(delta) > 0 {
		op, at := delta[0], len(result)
		delta = delta[1:]
		if op&0x80 == 0 { // so many bytes that are new
			if op == 0 || int(op) > len(delta) {
				return nil, nil, errDamaged
			}
			result, delta = append(result, delta[:op]...), delta[op:]
			add(at, len(result))
			follows = -1
		} else {
			var start, length int
			if start, length, delta, err = copyOf(op, delta); err != nil || start+length > len(base) {
				return nil, nil, errDamaged
			}
			if result = append(result, base[start:start+length]...); start != follows {
				add(at, at)
			}
			follows = start + length
		}
		if uint64(len(result)) > size {
			return nil, nil, errDamaged
		}
	}
	if uint64(len(result)) != size {
		return nil, nil, errDamaged
	}
	for _, s := range spans {
		near = append(near, result[s[0]:min(s[1], len(result))])
	}
	return result, near, nil
}

// copyOf reads which part of the base is copied: of an offset in 4 bytes and a
// length in 3, those that are not 0.
func copyOf(op byte, delta []byte) (start, length int, rest []byte, err error) {
	for i := range 7 {
		if op>>i&1 == 0 {
			continue
		}
		if len(delta) == 0 {
			return 0, 0, nil, errDamaged
		}
		if i < 4 {
			start |= int(delta[0]) << (8 * i)
		} else {
			length |= int(delta[0]) << (8 * (i - 4))
		}
		delta = delta[1:]
	}
	if length == 0 {
		length = 0x10000
	}
	return start, length, delta, nil
}
