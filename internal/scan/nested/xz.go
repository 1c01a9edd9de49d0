package nested

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// An xzReader reads the blocks of xz streams
// (https://tukaani.org/xz/xz-file-format.txt). The framing is read here because
// each block says how large its dictionary is, up to 4 GiB, and a library that
// reads it allocates that. Checksums are left alone: wrong data is searched too.
type xzReader struct {
	r     *Reader
	b     *Budget
	check int64         // bytes after each block
	block *lzma.Reader2 // nil between blocks
	at    int64         // where the block's data began
	held  int64         // of the budget's memory, by those that this lies in
	state int           // 0: a stream's header comes next; 1: a block or the index
}

func (x *xzReader) Read(p []byte) (int, error) {
	for {
		if x.block != nil {
			n, err := x.block.Read(p)
			if err == io.EOF {
				err = x.endBlock()
			}
			if n > 0 || err != nil {
				return n, err
			}
			continue
		}
		if err := x.next(); err != nil {
			return 0, err
		}
	}
}

// next reads the header of a stream or of a block, or what follows the last.
func (x *xzReader) next() error {
	if x.state == 0 {
		h := make([]byte, 12)
		if _, err := io.ReadFull(x.r, h); err != nil {
			return err
		}
		if string(h[:6]) != "\xfd7zXZ\x00" || h[6] != 0 || h[7] > 15 {
			return errDamaged
		}
		x.check = []int64{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[h[7]]
		x.state = 1
	}
	size, err := x.r.ReadByte()
	if err != nil {
		return unexpected(err)
	}
	if size == 0 {
		return x.endStream()
	}
	h := make([]byte, (int(size)+1)*4-1)
	if _, err := io.ReadFull(x.r, h); err != nil {
		return unexpected(err)
	}
	window, err := xzWindow(h)
	if err != nil {
		return err
	}
	if window > maxWindow {
		return tooLarge("a dictionary", uint64(window))
	}
	if err := x.b.Spend(price(window)); err != nil {
		return err
	}
	if err := x.b.reserve(window); err != nil {
		return err
	}
	x.at = x.r.Pos()
	x.block, err = lzma.Reader2Config{DictCap: int(max(window, lzma.MinDictCap))}.NewReader2(x.r)
	return err
}

func (x *xzReader) endBlock() error {
	x.block = nil
	x.b.Release(x.held)
	return unexpected(x.r.skip((4-(x.r.Pos()-x.at)%4)%4 + x.check))
}

// endStream skips the index and the footer, and says whether a stream follows.
func (x *xzReader) endStream() error {
	start := x.r.Pos() - 1
	records, err := binary.ReadUvarint(x.r)
	for i := uint64(0); err == nil && i < 2*records; i++ {
		_, err = binary.ReadUvarint(x.r)
	}
	if err == nil {
		err = x.r.skip((4-(x.r.Pos()-start)%4)%4 + 4 + 12)
	}
	if err != nil {
		return unexpected(err)
	}
	for { // padding, four zeros at a time
		next, _ := x.r.Peek(4)
		if len(next) < 4 || string(next) != "\x00\x00\x00\x00" {
			break
		}
		_ = x.r.skip(4)
	}
	x.state = 0
	if next, _ := x.r.Peek(6); string(next) != "\xfd7zXZ\x00" {
		return io.EOF
	}
	return nil
}

// xzWindow finds the size of the dictionary in a block's header. The filters
// for machine code (3.1 in the format) change addresses only, so what stands
// between them is found without undoing them; the one for deltas changes all.
func xzWindow(h []byte) (int64, error) {
	flags := h[0]
	rest := h[1:]
	next := func() (v uint64) {
		v, n := binary.Uvarint(rest)
		if n <= 0 {
			rest = nil
			return 0
		}
		rest = rest[n:]
		return v
	}
	for bit := byte(0x40); bit != 0; bit <<= 1 {
		if flags&bit != 0 {
			next() // sizes, which nobody needs
		}
	}
	for range int(flags&3) + 1 {
		id, size := next(), next()
		if uint64(len(rest)) < size {
			return 0, errDamaged
		}
		switch {
		case id == 0x21 && size == 1:
			return lzma.DecodeDictCap(rest[0])
		case id < 4 || id > 0x0b:
			return 0, fmt.Errorf("the filter %d: %w", id, ErrUnsupported)
		}
		rest = rest[size:]
	}
	return 0, errDamaged
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
