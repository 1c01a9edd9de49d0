package nested

import (
	"encoding/binary"
	"io"
)

// An rpmArchive is the payload of an rpm, behind its lead, its signature and its
// header, which are searched as they are
// (https://rpm-software-management.github.io/rpm/manual/format_v4.html).
type rpmArchive struct {
	r    *Reader
	done bool
}

func (a *rpmArchive) Next() (*Entry, error) {
	if a.done {
		return nil, io.EOF
	}
	a.done = true
	if err := a.r.skip(96); err != nil {
		return nil, err
	}
	for _, padded := range []bool{true, false} {
		h := make([]byte, 16)
		if _, err := io.ReadFull(a.r, h); err != nil {
			return nil, unexpected(err)
		}
		if string(h[:3]) != "\x8e\xad\xe8" {
			return nil, errDamaged
		}
		n := 16*int64(binary.BigEndian.Uint32(h[8:])) + int64(binary.BigEndian.Uint32(h[12:]))
		if padded {
			n += (8 - n%8) % 8
		}
		if err := a.r.skip(n); err != nil {
			return nil, err
		}
	}
	return &Entry{Name: "payload", Data: a.r.Pos(), Size: -1, Content: a.r}, nil
}
