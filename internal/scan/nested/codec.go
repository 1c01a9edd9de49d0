package nested

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds the memory that one decoder may ask for, in bytes: the
// dictionary of xz -9. xz and zstd take 8 MiB unless told otherwise.
const maxWindow = 64 << 20

var errDamaged = errors.New("damaged")

// Decoders keeps the decoders of one level for the next of many small files.
// The zero value is ready to use, by one goroutine and for one stream at a time.
type Decoders struct {
	gzip  *gzip.Reader
	zlib  io.ReadCloser
	flate io.ReadCloser
	zstd  *zstd.Decoder
}

// Open returns what r unpacks to. The budget is asked before a decoder takes
// much memory.
func (d *Decoders) Open(f Format, r *Reader, b *Budget) (io.Reader, error) {
	switch f {
	case Gzip:
		return d.openGzip(r)
	case Zlib:
		return d.openZlib(r)
	case Bzip2:
		return openBzip2(r), nil
	case Xz:
		return &xzReader{r: r, b: b, held: b.Held()}, nil
	case Lzma:
		return openLzma(r, b)
	case Zstd:
		return &zstdReader{r: r, d: d, b: b, held: b.Held()}, nil
	}
	return nil, fmt.Errorf("opening %s: %w", f, ErrUnsupported)
}

func (d *Decoders) openGzip(r *Reader) (_ io.Reader, err error) {
	if d.gzip == nil {
		d.gzip, err = gzip.NewReader(r.Reader)
	} else {
		err = d.gzip.Reset(r.Reader)
	}
	if err != nil {
		d.gzip = nil
		return nil, err
	}
	d.gzip.Multistream(false)
	return &gzipMembers{zr: d.gzip, r: r.Reader}, nil
}

// gzipMembers reads one member after another, and takes whatever else follows
// for padding: it was searched as it is.
type gzipMembers struct {
	zr *gzip.Reader
	r  *bufio.Reader
}

func (m *gzipMembers) Read(p []byte) (int, error) {
	n, err := m.zr.Read(p)
	if err != io.EOF {
		return n, err
	}
	if next, _ := m.r.Peek(4); Detect(next, "") != Gzip {
		return n, io.EOF
	}
	if err := m.zr.Reset(m.r); err != nil {
		return n, err
	}
	m.zr.Multistream(false)
	return n, nil
}

func (d *Decoders) openZlib(r *Reader) (_ io.Reader, err error) {
	if d.zlib == nil {
		if d.zlib, err = zlib.NewReader(r.Reader); err != nil {
			d.zlib = nil
		}
		return d.zlib, err
	}
	return d.zlib, d.zlib.(zlib.Resetter).Reset(r.Reader, nil)
}

func (d *Decoders) openFlate(r *Reader) (io.Reader, error) {
	if d.flate == nil {
		d.flate = flate.NewReader(r.Reader)
		return d.flate, nil
	}
	return d.flate, d.flate.(flate.Resetter).Reset(r.Reader, nil)
}
