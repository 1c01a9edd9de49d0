package scan

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/org/secure-build/internal/scan/nested"
)

// roomyWindow is the largest zstd window, in bytes, that may have twice its room:
// that of BuildKit's layers. The decoder moves its window to the front of its
// buffer when that is full. With room for two windows it takes a quarter less
// time than with room for hardly more than one.
const roomyWindow = 8 << 20

// roomyDecoders is how many blobs of a scan may have that room at one time: two
// take 8 MiB more, and the second layer is seldom a large one.
const roomyDecoders = 1

// decoders are kept from one blob to the next, with their buffers.
type decoders struct {
	roomy chan *zstd.Decoder // those that nobody uses; nil is one that has to be made
	tight sync.Pool          // *zstd.Decoder, for windows up to roomyWindow
}

func newDecoders() *decoders {
	d := &decoders{roomy: make(chan *zstd.Decoder, roomyDecoders)}
	for range roomyDecoders {
		d.roomy <- nil
	}
	return d
}

// frames reads the frames of a zstd stream one by one (RFC 8878, section 3.1),
// since each says for itself how large its window is.
type frames struct {
	r     *bufio.Reader
	all   *decoders
	turn  *nested.Turn
	frame frame
	zr    *zstd.Decoder // nil between two frames
	place bool          // one of all.roomy is taken, and is
	roomy *zstd.Decoder // this
	tight *zstd.Decoder
	large bool // tight has had a window beyond roomyWindow, and turn was taken for it
	sound bool // the last read ended, and without an error
}

func newFrames(r *bufio.Reader, all *decoders, turn *nested.Turn) *frames {
	return &frames{r: r, all: all, turn: turn}
}

func (f *frames) Read(p []byte) (int, error) {
	for len(p) > 0 {
		if f.zr == nil {
			if err := f.next(); err != nil {
				return 0, naming("zstd", err)
			}
		}
		f.sound = false
		n, err := f.zr.Read(p)
		if errors.Is(err, io.EOF) {
			f.zr, err = nil, nil // which it has from the frame: that has no byte left
		}
		f.sound = err == nil
		if n > 0 || err != nil {
			return n, naming("zstd", err)
		}
	}
	return 0, nil
}

// next begins a frame, or returns io.EOF after the last.
func (f *frames) next() error {
	start, err := f.r.Peek(zstd.HeaderMaxSize)
	if len(start) == 0 {
		return err
	}
	var h zstd.Header
	if err = h.Decode(start); err != nil {
		h, err = zstd.Header{}, nil // the decoder says what is wrong with it
	}
	f.frame = newFrame(f.r, h)
	window := h.WindowSize
	if h.SingleSegment {
		window = h.FrameContentSize
	}
	if f.zr, err = f.decoder(window); err != nil {
		return err
	}
	return f.zr.Reset(&f.frame)
}

// decoder returns one for a frame with such a window, in bytes.
func (f *frames) decoder(window uint64) (_ *zstd.Decoder, err error) {
	if window <= roomyWindow && !f.place {
		select {
		case f.roomy = <-f.all.roomy:
			f.place = true
		default:
		}
	}
	if window <= roomyWindow && f.place {
		if f.roomy == nil {
			f.roomy, err = newDecoder(false)
		}
		return f.roomy, err
	}
	if window > roomyWindow && !f.large {
		f.turn.Take()
		f.large, f.tight = true, nil // one that others may have keeps its small buffer
	}
	if f.tight == nil && !f.large {
		f.tight, _ = f.all.tight.Get().(*zstd.Decoder)
	}
	if f.tight == nil {
		f.tight, err = newDecoder(true)
	}
	return f.tight, err
}

func newDecoder(tight bool) (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(tight), zstd.WithDecoderMaxWindow(maxWindow))
}

// Close gives the decoders back, unless one of them ended in the middle.
func (f *frames) Close() {
	if f.roomy != nil && (!f.sound || f.roomy.Reset(nil) != nil) { // which lets go of the frame
		f.roomy = nil
	}
	if f.place {
		f.all.roomy <- f.roomy
	}
	if f.tight != nil && f.sound && !f.large && f.tight.Reset(nil) == nil {
		f.all.tight.Put(f.tight)
	}
	f.zr, f.place, f.roomy, f.tight = nil, false, nil, nil
	if f.large {
		f.large = false
		runtime.GC() // or the next one's window would be beside this one's for a while
		f.turn.Give()
	}
}

// A frame reads the bytes of one frame, and none that follow it.
type frame struct {
	r        *bufio.Reader
	left     int64 // of the header, a block or the checksum
	blocks   bool  // more of them follow
	checksum bool  // follows the last block
	unknown  bool  // it is no frame, so it has no end
}

const (
	blockHeader = 3 // bytes (RFC 8878, section 3.1.1.2)
	checksumLen = 4 // bytes (section 3.1.1)

	blockRLE = 1 // the type of a block whose size is not that of what it holds
)

func newFrame(r *bufio.Reader, h zstd.Header) frame {
	return frame{
		r: r, left: int64(h.HeaderSize) + int64(h.SkippableSize), blocks: h.HeaderSize > 0 && !h.Skippable,
		checksum: h.HasCheckSum, unknown: h.HeaderSize == 0,
	}
}

func (f *frame) Read(p []byte) (int, error) {
	if f.unknown {
		return f.r.Read(p)
	}
	if f.left == 0 {
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	n, err := f.r.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// next begins a block or the checksum, or returns io.EOF after the last.
func (f *frame) next() error {
	switch {
	case f.blocks:
		b, err := f.r.Peek(blockHeader)
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		header := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		size := int64(header >> 3)
		if header>>1&3 == blockRLE {
			size = 1
		}
		f.left, f.blocks = blockHeader+size, header&1 == 0
	case f.checksum:
		f.left, f.checksum = checksumLen, false
	default:
		return io.EOF
	}
	return nil
}

// naming says in an error what could not be read.
func naming(name string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return fmt.Errorf("reading %s: %w", name, err)
}
