package nested

import (
	"io"
	"strconv"
	"strings"
)

// A cpioArchive reads cpio files of the "newc" kind, which initramfs images and
// rpms are (https://docs.kernel.org/driver-api/early-userspace/buffer-format.html),
// and of the older "odc" kind, which POSIX has.
type cpioArchive struct {
	r   *Reader
	end int64
}

// A cpioKind says where a header has what, in bytes.
type cpioKind struct {
	header, size, sizeEnd, name, nameEnd int
	base                                 int   // of its numbers
	align                                int64 // of data and headers
}

var (
	cpioNewc = cpioKind{110, 54, 62, 94, 102, 16, 4}
	cpioOdc  = cpioKind{76, 65, 76, 59, 65, 8, 1}
)

func (c *cpioArchive) Next() (*Entry, error) {
	if err := c.r.skipTo(max(c.end, c.r.Pos())); err != nil {
		return nil, err
	}
	e := &Entry{Header: c.r.Pos()}
	kind := cpioNewc
	if magic, _ := c.r.Peek(6); string(magic) == "070707" {
		kind = cpioOdc
	}
	h := make([]byte, kind.header)
	if _, err := io.ReadFull(c.r, h); err != nil {
		return nil, err
	}
	size, err1 := strconv.ParseInt(string(h[kind.size:kind.sizeEnd]), kind.base, 64)
	length, err2 := strconv.ParseInt(string(h[kind.name:kind.nameEnd]), kind.base, 64)
	if string(h[:5]) != "07070" || err1 != nil || err2 != nil || length < 1 || length > maxName || size < 0 {
		return nil, errDamaged
	}
	name := make([]byte, length)
	if _, err := io.ReadFull(c.r, name); err != nil {
		return nil, unexpected(err)
	}
	e.Name = strings.TrimRight(string(name), "\x00")
	if e.Name == "TRAILER!!!" {
		return nil, io.EOF
	}
	if err := c.r.skip(padding(c.r.Pos()-e.Header, kind.align)); err != nil {
		return nil, err
	}
	e.Data, e.Size = c.r.Pos(), size
	e.Content = io.LimitReader(c.r, size)
	c.end = e.Data + size + padding(size, kind.align)
	return e, nil
}

func padding(n, align int64) int64 { return (align - n%align) % align }
