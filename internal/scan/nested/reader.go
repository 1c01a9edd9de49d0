package nested

import (
	"bufio"
	"io"
)

// A Reader reads a part of a stream with a buffer and knows how far it is. The
// decoders take single bytes from it, so they never read beyond their end.
type Reader struct {
	*bufio.Reader
	under counter
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// NewReader returns a Reader with a buffer of size bytes.
func NewReader(r io.Reader, size int) *Reader {
	nr := &Reader{under: counter{r: r}}
	nr.Reader = bufio.NewReaderSize(&nr.under, size)
	return nr
}

// Reset starts again with another stream.
func (r *Reader) Reset(from io.Reader) {
	r.under = counter{r: from}
	r.Reader.Reset(&r.under)
}

// Pos is the number of bytes that were read.
func (r *Reader) Pos() int64 { return r.under.n - int64(r.Buffered()) }

// skip reads n bytes and drops them.
func (r *Reader) skip(n int64) error {
	if n < 0 {
		return errDamaged
	}
	m, err := io.CopyN(io.Discard, r.Reader, n)
	if err == io.EOF && m < n {
		return io.ErrUnexpectedEOF
	}
	return err
}

// skipTo drops what is before the offset, of which nothing may be read yet.
func (r *Reader) skipTo(offset int64) error { return r.skip(offset - r.Pos()) }
