package nested

import (
	"errors"
	"fmt"
	"io"
)

// A packArchive reads the objects of a git pack, each of them compressed on its
// own, one after another (https://git-scm.com/docs/pack-format). A delta is
// handed out as it is: what is new in it stands there in full.
type packArchive struct {
	r    *Reader
	d    *Decoders
	last io.Reader
}

// The kinds of object that a pack has.
var packKinds = []string{"", "commit", "tree", "blob", "tag", "", "delta", "delta"}

func (a *packArchive) Next() (*Entry, error) {
	if a.last != nil {
		if _, err := io.Copy(io.Discard, a.last); err != nil {
			return nil, err
		}
	}
	if rest, _ := a.r.Peek(33); len(rest) <= 32 { // the checksum
		return nil, io.EOF
	}
	e := &Entry{Header: a.r.Pos(), Packed: true}
	b, err := a.r.ReadByte()
	if err != nil {
		return nil, err
	}
	kind, size := b>>4&7, int64(b&15)
	for shift := 4; b&0x80 != 0; shift += 7 {
		if b, err = a.r.ReadByte(); err != nil || shift > 56 {
			return nil, errors.Join(errDamaged, err)
		}
		size |= int64(b&0x7f) << shift
	}
	switch kind {
	case 0, 5:
		return nil, errDamaged
	case 6: // the base is so many bytes before
		for b = 0x80; b&0x80 != 0; {
			if b, err = a.r.ReadByte(); err != nil {
				return nil, unexpected(err)
			}
		}
	case 7: // the base is this object
		if err := a.r.skip(20); err != nil {
			return nil, err
		}
	}
	e.Name = fmt.Sprintf("%s-%d", packKinds[kind], e.Header)
	e.Data, e.Size = a.r.Pos(), size
	e.Content, err = a.d.openZlib(a.r)
	a.last = e.Content
	return e, err
}
