package nested

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// A zipArchive reads the entries of a zip file by their local headers
// (APPNOTE.TXT 4.3.7), front to back. An unzip program goes by the directory at
// the end, so there may be entries here that it does not show; they are in the
// image all the same.
type zipArchive struct {
	r *Reader
	d *Decoders
	b *Budget

	end     int64     // where the entry's data ends; -1 if it does not say
	content io.Reader // of an entry that ends where its compression does, or where its size is told
	wide    bool      // its sizes take 8 bytes
}

const (
	zipLocal   = "PK\x03\x04"
	zipDesc    = "PK\x07\x08"
	zipCentral = "PK\x01\x02"
	zipHeader  = 30 // bytes
	zipStored  = 0
	zipDeflate = 8
)

// zipMethods are the rarer ones (4.4.5).
var zipMethods = map[uint16]Format{12: Bzip2, 93: Zstd, 95: Xz}

func (z *zipArchive) Next() (*Entry, error) {
	if err := z.finish(); err != nil {
		return nil, err
	}
	if next, _ := z.r.Peek(8); string(next) == zipDesc+zipLocal {
		_ = z.r.skip(4)
	}
	next, err := z.r.Peek(zipHeader)
	if len(next) < 4 || isZipEnd(next) {
		return nil, io.EOF // the directory, which is searched as it is
	}
	if string(next[:4]) != zipLocal {
		return z.resync()
	}
	if err != nil {
		return nil, unexpected(err)
	}
	return z.entry(bytes.Clone(next))
}

// isZipEnd says whether a part of the directory begins here (4.3.11 to 4.3.16).
func isZipEnd(b []byte) bool {
	if len(b) < 4 || string(b[:2]) != "PK" {
		return false
	}
	switch string(b[2:4]) {
	case "\x01\x02", "\x05\x05", "\x05\x06", "\x06\x06", "\x06\x07", "\x06\x08":
		return true
	}
	return false
}

func (z *zipArchive) entry(h []byte) (*Entry, error) {
	u16 := func(i int) uint16 { return binary.LittleEndian.Uint16(h[i:]) }
	flags, method := u16(6), u16(8)
	packed, size := int64(binary.LittleEndian.Uint32(h[18:])), int64(binary.LittleEndian.Uint32(h[22:]))
	e := &Entry{Header: z.r.Pos(), Size: size}
	rest := make([]byte, int(u16(26))+int(u16(28)))
	_ = z.r.skip(zipHeader)
	if _, err := io.ReadFull(z.r, rest); err != nil {
		return nil, unexpected(err)
	}
	e.Name = string(rest[:u16(26)])
	e.Data = z.r.Pos()
	z.wide = false
	zip64(rest[u16(26):], func(field []byte) { // 4.5.3
		z.wide = true
		if len(field) >= 16 && packed == 1<<32-1 {
			size, packed = int64(binary.LittleEndian.Uint64(field)), int64(binary.LittleEndian.Uint64(field[8:]))
			e.Size = size
		}
	})
	if packed < 0 || size < 0 {
		return nil, errDamaged
	}
	later := flags&8 != 0 && packed == 0 // the sizes follow the data
	if z.end = e.Data + packed; later {
		z.end, e.Size = -1, -1
	}
	z.open(e, flags, method, packed)
	return e, nil
}

func (z *zipArchive) open(e *Entry, flags, method uint16, packed int64) {
	switch {
	case flags&1 != 0:
		e.Err = ErrEncrypted
	case method == zipDeflate:
		e.Packed = true
		if e.Content, e.Err = z.d.openFlate(z.r); e.Err == nil && z.end < 0 {
			z.content = e.Content
		}
	case method == zipStored && z.end >= 0:
		if packed > 0 {
			e.Content = io.LimitReader(z.r, packed)
		}
	case method == zipStored:
		stored := &storedReader{r: z.r, folder: strings.HasSuffix(e.Name, "/")}
		e.Content, z.content = stored, stored
	case zipMethods[method] != None && z.end < 0:
		e.Packed = true
		if e.Content, e.Err = z.d.Open(zipMethods[method], z.r, z.b); e.Err == nil {
			z.content = e.Content
		}
	case zipMethods[method] != None:
		e.Packed = true
		e.Content, e.Err = z.d.Open(zipMethods[method], NewReader(io.LimitReader(z.r, packed), 16<<10), z.b)
	default:
		e.Err = fmt.Errorf("compression method %d: %w", method, ErrUnsupported)
	}
}

// finish goes to where the last entry ends.
func (z *zipArchive) finish() error {
	end, content := z.end, z.content
	z.end, z.content = 0, nil
	switch {
	case end > 0:
		if end < z.r.Pos() {
			return errDamaged // its compression went on beyond what the header says
		}
		return z.r.skipTo(end)
	case end < 0 && content != nil:
		_, err := io.Copy(io.Discard, content)
		if stored, ok := content.(*storedReader); ok {
			return cmp.Or(err, z.r.skip(int64(stored.skip)))
		}
		if err != nil {
			return nil // Next looks for the next header
		}
		return z.descriptor()
	}
	return nil
}

// descriptor skips the sizes that follow an entry (4.3.9): a signature that may
// be missing, a checksum, and two sizes of 4 or 8 bytes. What fits is what has a
// signature after it.
func (z *zipArchive) descriptor() error {
	b, _ := z.r.Peek(24 + 2)
	sizes := []int{16, 24, 12, 20}
	if z.wide {
		sizes = []int{24, 16, 20, 12}
	}
	for _, n := range sizes {
		if signed := n%8 == 0; signed != bytes.HasPrefix(b, []byte(zipDesc)) {
			continue
		}
		if len(b) >= n+2 && string(b[n:n+2]) == "PK" {
			return z.r.skip(int64(n))
		}
	}
	return nil // Next looks for the next header
}

// resync looks for the next local header after something that could not be
// understood.
func (z *zipArchive) resync() (*Entry, error) {
	for {
		b, err := z.r.Peek(4 << 10)
		if i := bytes.Index(b, []byte(zipLocal)); i >= 0 {
			_ = z.r.skip(int64(i))
			if b, err = z.r.Peek(zipHeader); err != nil {
				return nil, unexpected(err)
			}
			return z.entry(bytes.Clone(b))
		}
		if err != nil {
			_ = z.r.skip(int64(len(b)))
			return nil, io.EOF
		}
		_ = z.r.skip(int64(len(b) - 3))
	}
}

// zip64 calls yield with the extra field that has the large sizes.
func zip64(extra []byte, yield func([]byte)) {
	for len(extra) >= 4 {
		id, size := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		extra = extra[4:]
		if size > len(extra) {
			return
		}
		if id == 1 {
			yield(extra[:size])
		}
		extra = extra[size:]
	}
}
