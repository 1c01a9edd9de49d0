package scan

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

// maxWindow bounds the memory that one zstd blob may ask for, in bytes. It is
// the window of zstd --ultra -22, the largest that its command writes unasked.
const maxWindow = 128 << 20

var (
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

// foreign lists compressions and archives that a whole blob may be in and that
// are not unpacked. Such a blob was not read, whatever its media type says.
var foreign = []struct{ name, magic string }{
	{"xz", "\xfd7zXZ\x00"},
	{"bzip2", "BZh"},
	{"lz4", "\x04\x22\x4d\x18"},
	{"lzip", "LZIP"},
	{"compress", "\x1f\x9d"},
	{"zip", "PK\x03\x04"},
	{"squashfs", "hsqs"},
}

// compressionOf tells by the first bytes how r is compressed, since a media type
// may be wrong: "" for not at all.
func compressionOf(r *bufio.Reader) string {
	magic, _ := r.Peek(len(zstdMagic)) // shorter blobs are not compressed
	switch {
	case bytes.HasPrefix(magic, gzipMagic):
		return "gzip"
	case bytes.Equal(magic, zstdMagic) || isSkippable(magic):
		return "zstd"
	}
	return ""
}

// decompress returns the uncompressed stream, and what to call at its end.
func (s *Scanner) decompress(rec *record, r *bufio.Reader) (io.Reader, func(), error) {
	switch rec.compression {
	case "gzip":
		zr, err := newMembers(r)
		return zr, func() {}, err
	case "zstd":
		zr := newFrames(r, s.zstds, rec.turn)
		return zr, zr.Close, nil
	}
	return r, func() {}, nil
}

// isSkippable says whether a zstd stream begins with a frame that decoders
// skip (RFC 8878, section 3.1.2).
func isSkippable(magic []byte) bool {
	return len(magic) == 4 && magic[0]&0xf0 == 0x50 && bytes.Equal(magic[1:], []byte{0x2a, 0x4d, 0x18})
}

// foreignName names the compression or archive that b begins with and that is
// not unpacked.
func foreignName(b []byte) string {
	for _, f := range foreign {
		if bytes.HasPrefix(b, []byte(f.magic)) {
			return f.name
		}
	}
	return ""
}

// members reads the members of a gzip file one by one, as RFC 1952 allows any
// number of them, and says so when something else follows.
type members struct {
	r  *bufio.Reader
	zr *gzip.Reader
}

func newMembers(r *bufio.Reader) (*members, error) {
	zr, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("reading gzip: %w", err)
	}
	zr.Multistream(false)
	return &members{r, zr}, nil
}

func (m *members) Read(p []byte) (int, error) {
	n, err := m.zr.Read(p)
	if err == io.EOF {
		err = m.next()
	} else if err != nil {
		err = fmt.Errorf("reading gzip: %w", err)
	}
	return n, err
}

// next opens the next member, or returns io.EOF after the last. Zeros after it
// are padding (gzip(1) ignores them too).
func (m *members) next() error {
	magic, err := m.r.Peek(len(gzipMagic))
	if err == nil && bytes.Equal(magic, gzipMagic) {
		if err := m.zr.Reset(m.r); err != nil {
			return fmt.Errorf("reading gzip: %w", err)
		}
		m.zr.Multistream(false)
		return nil
	}
	for {
		b, err := m.r.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return io.EOF
		case err != nil:
			return err
		case b != 0:
			return errors.New("reading gzip: other bytes after its end")
		}
	}
}
