package scan

import (
	"archive/tar"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/index"
)

// smallText is the size up to which a file is searched for short values too,
// in bytes, if it is a text.
const smallText = 64 << 10

const tarBlock = 512

// isTar says whether b begins with a tar header: its checksum is right
// (pax(1), "ustar Interchange Format"; older headers have the same checksum).
func isTar(b []byte) bool {
	if len(b) < tarBlock {
		return false
	}
	field := strings.Trim(string(b[148:156]), " \x00")
	want, err := strconv.ParseInt(field, 8, 32)
	if err != nil {
		return false
	}
	var unsigned, signed int64 // both were in use
	for i, c := range b[:tarBlock] {
		if 148 <= i && i < 156 {
			c = ' '
		}
		unsigned += int64(c)
		signed += int64(int8(c))
	}
	return want == unsigned || want == signed
}

// walkTar names the files of a layer for the ledger. It returns nil at the end
// of the archive; what follows that end is matched, but has no name.
func (s *Scanner) walkTar(src *source, l *ledger) error {
	tr := tar.NewReader(src)
	var small []byte // the last small file
	for header := int64(0); ; {
		l.horizon = header // what is after it, the next header will tell
		h, err := tr.Next()
		if err != nil {
			l.mark(mark{start: max(header, src.pos()-2*tarBlock)}) // no file any more
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		data := src.pos()
		if header < 0 {
			header = data - tarBlock // after a sparse file: its length in the stream is not told
		}
		named := s.findInHeader(h, l)
		l.mark(mark{header, place{h.Name, finding.FieldHeader}, named})
		l.mark(mark{start: data, place: place{path: h.Name}})
		if header = -1; !isSparse(h) {
			header = (data + dataSize(h) + tarBlock - 1) / tarBlock * tarBlock
		}
		if small, err = s.inspectFile(h, tr, l, small); err != nil {
			return err
		}
	}
}

// inspectFile looks into one file of a layer, with a buffer that it returns for
// the next one. The ledger matches its bytes whether they are read here or not.
// This is where archives in layers will be opened.
func (s *Scanner) inspectFile(h *tar.Header, data io.Reader, l *ledger, buf []byte) ([]byte, error) {
	if h.Typeflag != tar.TypeReg || h.Size == 0 || h.Size > smallText || isSparse(h) {
		return buf, nil
	}
	text := slices.Grow(buf[:0], int(h.Size))[:h.Size]
	if _, err := io.ReadFull(data, text); err != nil {
		return text, err
	}
	if isText(text) {
		s.find(text, index.Short, func(m match) { l.add(hit{m, place{path: h.Name}}) })
	}
	return text, nil
}

// findInHeader searches the names in a header as a reader decodes them: in the
// stream one may be cut in two (ustar's prefix), or stand in a record before
// its header. The rest of a header is whole in the stream. It returns the
// secrets that it found.
func (s *Scanner) findInHeader(h *tar.Header, l *ledger) (named map[string]bool) {
	in := func(field, text string) {
		s.find([]byte(text), index.Blob, func(m match) {
			if named == nil {
				named = map[string]bool{}
			}
			named[m.Secret] = true
			l.add(hit{m, place{h.Name, field}})
		})
	}
	in(finding.FieldPath, h.Name)
	in(finding.FieldLink, h.Linkname)
	return named
}

// dataSize is how many bytes of the stream follow a header. Links, folders and
// devices have none, whatever their headers say.
func dataSize(h *tar.Header) int64 {
	switch h.Typeflag {
	case tar.TypeLink, tar.TypeSymlink, tar.TypeChar, tar.TypeBlock, tar.TypeDir, tar.TypeFifo:
		return 0
	}
	return h.Size
}

func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}
