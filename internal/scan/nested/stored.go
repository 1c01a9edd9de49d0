package nested

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

var errNoEnd = errors.New("a stored file whose end nobody tells")

// A storedReader reads a file that is stored in a zip and whose size follows it
// (APPNOTE.TXT 4.3.9). Its end is where the size is told that it has by then: of
// another zip in the file each size is smaller than what was read, since the
// headers before it count too.
type storedReader struct {
	r      *Reader
	n      int64 // bytes read
	safe   int   // bytes that were looked at and belong to the file
	isEnd  bool  // it is behind them
	skip   int   // the descriptor's length
	folder bool
}

const (
	storedWindow = 16 << 10 // bytes to look at, at once
	descriptor   = 24       // bytes, at most
)

func (s *storedReader) Read(p []byte) (int, error) {
	if s.safe == 0 && !s.isEnd {
		if err := s.look(); err != nil {
			return 0, err
		}
	}
	if s.safe == 0 {
		return 0, io.EOF
	}
	n, err := s.r.Read(p[:min(len(p), s.safe)])
	s.safe -= n
	s.n += int64(n)
	return n, unexpected(err)
}

// look finds out how many of the next bytes belong to the file.
func (s *storedReader) look() error {
	b, err := s.r.Peek(min(storedWindow, s.r.Size()))
	for i := 0; ; i++ {
		next := bytes.Index(b[i:], []byte("PK"))
		if next < 0 {
			break
		}
		if i += next; i+descriptor > len(b) && err == nil {
			break // it is in the next window too
		}
		if end, length := s.endAt(b, i); length >= 0 {
			s.safe, s.isEnd, s.skip = end, true, length
			return nil
		}
	}
	if err != nil {
		if len(b) == 0 && err == io.EOF {
			return errNoEnd
		}
		if len(b) == 0 {
			return err
		}
		s.safe = len(b)
		return nil
	}
	s.safe = len(b) - 2*descriptor // what may be told of the rest is seen again
	return nil
}

// endAt says whether what begins at b[i] tells that the file has ended, where,
// and how long what tells it is: -1 if it does not.
func (s *storedReader) endAt(b []byte, i int) (end, length int) {
	fits := func(at, width int) bool { // at a checksum and two sizes
		if at < 0 || at+4+2*width > len(b) {
			return false
		}
		sizes := b[at+4:]
		if width == 4 {
			return binary.LittleEndian.Uint32(sizes) == binary.LittleEndian.Uint32(sizes[4:])
		}
		return binary.LittleEndian.Uint64(sizes) == binary.LittleEndian.Uint64(sizes[8:])
	}
	size := func(at, width int) int64 {
		if width == 4 {
			return int64(binary.LittleEndian.Uint32(b[at+4:]))
		}
		return int64(binary.LittleEndian.Uint64(b[at+4:]))
	}
	isNext := bytes.HasPrefix(b[i:], []byte(zipLocal)) || bytes.HasPrefix(b[i:], []byte(zipCentral))
	for _, width := range []int{8, 4} {
		if bytes.HasPrefix(b[i:], []byte(zipDesc)) && fits(i+4, width) && size(i+4, width) == s.n+int64(i) {
			return i, 8 + 2*width
		}
		at := i - 4 - 2*width // without a signature
		if isNext && fits(at, width) && size(at, width) == s.n+int64(at) {
			return at, 4 + 2*width
		}
	}
	if isNext && s.folder && s.n == 0 && i == 0 {
		return 0, 0
	}
	return 0, -1
}
