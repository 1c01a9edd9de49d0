package nested

import (
	"io"
	"strconv"
	"strings"
)

// A cpioArchive reads cpio files of the "newc" kind: initramfs images and what
// is in an rpm (https://docs.kernel.org/driver-api/early-userspace/buffer-format.html).
type cpioArchive struct {
	r   *Reader
	end int64
}

const cpioHeader = 110 // bytes

func (c *cpioArchive) Next() (*Entry, error) {
	if err := c.r.skipTo(max(c.end, c.r.Pos())); err != nil {
		return nil, err
	}
	e := &Entry{Header: c.r.Pos()}
	h := make([]byte, cpioHeader)
	if _, err := io.ReadFull(c.r, h); err != nil {
		return nil, err
	}
	size, err1 := strconv.ParseInt(string(h[54:62]), 16, 64)
	length, err2 := strconv.ParseInt(string(h[94:102]), 16, 64)
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
	if err := c.r.skip(pad4(c.r.Pos())); err != nil {
		return nil, err
	}
	e.Data, e.Size = c.r.Pos(), size
	e.Content = io.LimitReader(c.r, size)
	c.end = e.Data + size + pad4(size)
	return e, nil
}

func pad4(n int64) int64 { return (4 - n%4) % 4 }
