package nested

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"

	"github.com/klauspost/compress/zstd"
)

// A zstdReader reads the frames of a zstd stream one by one (RFC 8878, section
// 3.1): each says for itself how much memory it takes, and where the last one
// ends is known.
type zstdReader struct {
	r     *Reader
	d     *Decoders
	b     *Budget
	held  int64         // of the budget's memory, by those that this lies in
	zr    *zstd.Decoder // nil between two frames
	frame zstdFrame
}

func (z *zstdReader) Read(p []byte) (int, error) {
	for len(p) > 0 {
		if z.zr == nil {
			if err := z.next(); err != nil {
				return 0, err
			}
		}
		n, err := z.zr.Read(p)
		if errors.Is(err, io.EOF) {
			z.zr, err = nil, nil
			z.b.Release(z.held)
		}
		if errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			err = &Exceeded{Reason: err.Error(), Alone: true}
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, nil
}

// next begins a frame, behind those that are skipped. It returns io.EOF where
// no further one begins.
func (z *zstdReader) next() error {
	for {
		start, _ := z.r.Peek(zstd.HeaderMaxSize)
		if !isZstd(start) {
			return io.EOF
		}
		var h zstd.Header
		if err := h.Decode(start); err != nil {
			return unexpected(err)
		}
		if h.Skippable {
			if err := z.r.skip(int64(h.HeaderSize) + int64(h.SkippableSize)); err != nil {
				return err
			}
			continue
		}
		window := h.WindowSize
		if h.SingleSegment {
			window = h.FrameContentSize
		}
		head := bytes.Clone(start[:h.HeaderSize])
		if window > maxWindow {
			reach := z.reach(h.HeaderSize)
			switch {
			case reach >= maxWindow/2: // it becomes the next power of two
				return tooLarge("a window", window)
			case h.SingleSegment:
				return fmt.Errorf("%w: it holds less than it says", errDamaged)
			}
			log := max(bits.Len64(reach), 10)
			head[5], window = byte(log-10)<<3, 1<<log // section 3.1.1.1.2
		}
		zr, err := z.decoder(window)
		if err != nil {
			return err
		}
		_ = z.r.skip(int64(len(head)))
		z.zr, z.frame = zr, zstdFrame{r: z.r, head: head, blocks: true, checksum: h.HasCheckSum}
		return zr.Reset(&z.frame)
	}
}

// reach bounds what the next frame unpacks to, in bytes, if all of it is in the
// buffer: it needs no larger window, whatever it says. Half of a test suite may
// say anything.
func (z *zstdReader) reach(header int) (n uint64) {
	b, err := z.r.Peek(z.r.Size())
	for b = b[header:]; len(b) >= 3; {
		block := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		size := int(block >> 3)
		n += uint64(max(size, 128<<10))
		if block>>1&3 == blockRLE {
			size = 1
		}
		if block&1 != 0 {
			return n
		}
		b = b[min(3+size, len(b)):]
	}
	if err == io.EOF {
		return n // it is cut
	}
	return math.MaxUint64
}

// decoder returns one for a frame with such a window, in bytes. The budget is
// asked before it takes much memory, and one that has is not kept.
func (z *zstdReader) decoder(window uint64) (_ *zstd.Decoder, err error) {
	switch {
	case window > Large:
		if err := z.b.Spend(int64(window)); err != nil {
			return nil, err
		}
		if err := z.b.reserve(int64(window)); err != nil {
			return nil, err
		}
		z.d.zstd = nil // nor keep its buffers beside this one's
		return newZstd()
	case z.d.zstd == nil:
		z.d.zstd, err = newZstd()
	}
	return z.d.zstd, err
}

func newZstd() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
}

func tooLarge(what string, size uint64) error {
	return &Exceeded{Reason: fmt.Sprintf("%s of %d bytes, more than the %d that one may have", what, size, maxWindow), Alone: true}
}

// isZstd says whether a frame begins here, or one that decoders skip (section
// 3.1.2), as pzstd writes before each.
func isZstd(b []byte) bool {
	return len(b) >= 4 && (string(b[:4]) == "\x28\xb5\x2f\xfd" || b[0]&0xf0 == 0x50 && string(b[1:4]) == "\x2a\x4d\x18")
}

// blockRLE is the type of a block whose size is not that of what it holds.
const blockRLE = 1

// A zstdFrame reads the bytes of one frame, and none that follow it.
type zstdFrame struct {
	r        *Reader
	head     []byte // what is left of the header
	left     int64  // of a block or the checksum
	blocks   bool   // more of them follow
	checksum bool   // follows the last block
}

func (f *zstdFrame) Read(p []byte) (int, error) {
	if len(f.head) > 0 {
		n := copy(p, f.head)
		f.head = f.head[n:]
		return n, nil
	}
	switch {
	case f.left > 0:
	case f.blocks: // section 3.1.1.2
		b, err := f.r.Peek(3)
		if err != nil {
			return 0, unexpected(err)
		}
		header := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		f.left, f.blocks = 3+int64(header>>3), header&1 == 0
		if header>>1&3 == blockRLE { // one byte, repeated
			f.left = 3 + 1
		}
	case f.checksum:
		f.left, f.checksum = 4, false
	default:
		return 0, io.EOF
	}
	n, err := f.r.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	return n, unexpected(err)
}
