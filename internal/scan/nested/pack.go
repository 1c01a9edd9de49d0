package nested

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// A packArchive reads the objects of a git pack, each of them compressed on its
// own, one after another (https://git-scm.com/docs/pack-format). Of a delta it
// hands out what is new in the object that it makes, with what surrounds that
// (see applyDelta): a value that begins like the one before it stands in no delta
// in full. A delta whose base is not at hand is handed out as it is.
type packArchive struct {
	r       *Reader
	d       *Decoders
	b       *Budget
	last    io.Reader
	bases   packBases
	deltas  int
	unknown int // deltas without a base at hand
}

func newPack(r *Reader, d *Decoders, b *Budget) *packArchive {
	a := &packArchive{r: r, d: d, b: b}
	a.bases.more = func() bool { return b.reserve(manyBases) == nil }
	return a
}

// The kinds of object that a pack has.
var packKinds = []string{"", "commit", "tree", "blob", "tag", "", "delta", "delta"}

const (
	packOffsetDelta = 6 // the base is so many bytes before
	packRefDelta    = 7 // the base has this digest
)

func (a *packArchive) Next() (*Entry, error) {
	if a.last != nil {
		if _, err := io.Copy(io.Discard, a.last); err != nil {
			return nil, err
		}
	}
	if rest, _ := a.r.Peek(33); len(rest) <= 32 { // the checksum
		return nil, a.end()
	}
	e := &Entry{Header: a.r.Pos(), Packed: true}
	kind, size, err := a.header()
	if err != nil {
		return nil, err
	}
	var base *packBase
	switch kind {
	case 0, 5:
		return nil, errDamaged
	case packOffsetDelta:
		back, err := a.distance()
		if err != nil {
			return nil, err
		}
		base = a.bases.at(e.Header - back)
	case packRefDelta:
		id := make([]byte, 20)
		if _, err := io.ReadFull(a.r, id); err != nil {
			return nil, unexpected(err)
		}
		base = a.bases.named(id)
	}
	e.Name = fmt.Sprintf("%s-%d", packKinds[kind], e.Header)
	e.Data, e.Size = a.r.Pos(), size
	if a.last, err = a.d.openZlib(a.r); err != nil {
		return nil, err
	}
	return e, a.content(e, kind, base)
}

// content reads an object that is small enough to be a base, and others as they
// come.
func (a *packArchive) content(e *Entry, kind byte, base *packBase) error {
	isDelta := kind >= packOffsetDelta
	if isDelta {
		a.deltas++
	}
	e.Content = a.last
	if e.Size > maxBase || isDelta && base == nil {
		if isDelta {
			a.unknown++
		}
		return nil
	}
	data, all := readObject(a.last, e.Size)
	if !all { // whoever reads on is told
		e.Content = io.MultiReader(bytes.NewReader(data), a.last)
		return nil
	}
	e.Content = bytes.NewReader(data)
	if !isDelta {
		a.bases.keep(&packBase{at: e.Header, kind: packKinds[kind], data: data})
		return nil
	}
	if err := a.b.Spend(deltaSize(data) / copied); err != nil {
		return err
	}
	result, near, err := applyDelta(base.data, data)
	if err != nil {
		a.unknown++
		return nil
	}
	a.bases.keep(&packBase{at: e.Header, kind: base.kind, data: result})
	if Detect(result, "") != None { // to open it takes all of it
		near = [][]byte{result}
	}
	e.Size, e.Content = -1, bytes.NewReader(bytes.Join(near, []byte("\n")))
	return nil
}

// end is io.EOF, or says that there were deltas without a base.
func (a *packArchive) end() error {
	if n := a.unknown; n > 0 {
		a.unknown = 0
		return fmt.Errorf("of %d deltas %d have no base at hand", a.deltas, n)
	}
	return io.EOF
}

// header reads an object's kind and size.
func (a *packArchive) header() (kind byte, size int64, err error) {
	b, err := a.r.ReadByte()
	if err != nil {
		return 0, 0, err
	}
	kind, size = b>>4&7, int64(b&15)
	for shift := 4; b&0x80 != 0; shift += 7 {
		if b, err = a.r.ReadByte(); err != nil || shift > 56 {
			return 0, 0, errors.Join(errDamaged, err)
		}
		size |= int64(b&0x7f) << shift
	}
	if size < 0 {
		return 0, 0, errDamaged
	}
	return kind, size, nil
}

// distance reads how many bytes before this object its base begins.
func (a *packArchive) distance() (n int64, err error) {
	for i := 0; ; i++ {
		b, err := a.r.ReadByte()
		if err != nil {
			return 0, unexpected(err)
		}
		if i > 8 {
			return 0, errDamaged
		}
		if n = n<<7 | int64(b&0x7f); b&0x80 == 0 {
			return n, nil
		}
		n++
	}
}
