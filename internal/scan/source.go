package scan

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"unicode/utf8"
)

// chunkSize is how much uncompressed data is matched at once, in bytes. The
// matcher is fastest on long pieces, and what reads after it (archive/tar)
// asks for 512 bytes at a time.
const chunkSize = 128 << 10

// sniffSize is how much of a stream's start tells what it is: one tar header,
// or enough of a text.
const sniffSize = 4 << 10

// A source is the uncompressed stream of one blob. Every byte goes through see
// before anybody can read it, so nothing that parses the stream, and nothing
// that fails to, decides what is matched.
type source struct {
	r     io.Reader
	see   func([]byte) // all bytes, in order
	limit int64        // most uncompressed bytes, 0 for any number
	cut   int          // bytes given to see at once, 0 for all there are (for tests)

	buf    []byte
	unread []byte // the part of buf that nobody has read yet
	total  int64  // bytes read from r
	err    error  // sticky

	binary bool // a NUL byte was seen
	filled bool // a byte other than NUL was seen
}

func newSource(r io.Reader, see func([]byte)) *source {
	return &source{r: r, see: see, buf: make([]byte, 0, chunkSize)}
}

// reset starts again with another stream, and the same buffer.
func (s *source) reset(r io.Reader) { *s = source{r: r, see: s.see, cut: s.cut, buf: s.buf} }

// pos is the offset of the next byte that Read returns.
func (s *source) pos() int64 { return s.total - int64(len(s.unread)) }

func (s *source) Read(p []byte) (int, error) {
	if len(s.unread) == 0 {
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.unread)
	s.unread = s.unread[n:]
	return n, nil
}

// peek returns the first bytes of the stream, at most sniffSize, without
// reading them. It is for the start of the stream only.
func (s *source) peek() []byte {
	if s.total == 0 {
		_ = s.fill() // the error stays for Read
	}
	return s.unread[:min(len(s.unread), sniffSize)]
}

// drain reads the rest and returns the error that ended the stream, nil for
// its proper end.
func (s *source) drain() error {
	for s.err == nil {
		_ = s.fill()
	}
	s.unread = nil
	if s.err == io.EOF {
		return nil
	}
	return s.err
}

// fill replaces what was read by a whole chunk, or by what is left.
func (s *source) fill() error {
	if s.err != nil {
		return s.err
	}
	buf := s.buf[:cap(s.buf)]
	n, err := fillUp(s.r, buf)
	s.err = err
	if s.total += int64(n); s.limit > 0 && s.total > s.limit && (s.err == nil || s.err == io.EOF) {
		s.err = fmt.Errorf("more than %d bytes when uncompressed", s.limit)
	}
	s.unread = buf[:n]
	s.look(s.unread)
	if n == 0 {
		return s.err
	}
	return nil
}

func (s *source) look(chunk []byte) {
	if !s.binary || !s.filled {
		zeros := bytes.Count(chunk, []byte{0})
		s.binary = s.binary || zeros > 0
		s.filled = s.filled || zeros < len(chunk)
	}
	for cut := s.cut; cut > 0 && len(chunk) > cut; chunk = chunk[cut:] {
		s.see(chunk[:cut])
	}
	if len(chunk) > 0 {
		s.see(chunk)
	}
}

// isText says whether b could be the start of a text. Its last character may
// be cut.
func isText(b []byte) bool {
	for i := 0; i < utf8.UTFMax && len(b) > 0 && !utf8.Valid(b); i++ {
		b = b[:len(b)-1]
	}
	return utf8.Valid(b) && bytes.IndexByte(b, 0) < 0
}

// interruptible ends a read when ctx does.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i interruptible) stopped() error { return i.ctx.Err() }

func (i interruptible) Read(p []byte) (int, error) {
	if err := i.stopped(); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}

// A stopper is a reader that may end at any moment, and says so.
type stopper interface{ stopped() error }

// halting is what comes out of a decoder that reads from a stopper, and ends with
// it: between two reads of the one there may be very many of the other.
type halting struct {
	io.Reader
	by stopper
}

func (h halting) Read(p []byte) (int, error) {
	if err := h.by.stopped(); err != nil {
		return 0, err
	}
	return h.Reader.Read(p)
}
