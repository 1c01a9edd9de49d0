package scan

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/scan/nested"
)

const tarBlock = 512

// A positioned reader knows its offset in the stream.
type positioned interface {
	io.Reader
	pos() int64
}

// walkTar names the files of an archive for the ledger of the stream that it
// lies in, and looks into each. It returns nil at the end of the archive; what
// follows that end is matched, but has no name.
func (w *walk) walkTar(st *stream, r positioned, archive string, depth int) error {
	tr := tar.NewReader(r)
	l := st.ledger
	for header := r.pos(); ; {
		l.horizon = header // what is after it, the next header will tell
		h, err := tr.Next()
		if err != nil {
			// No file any more. A header that was due behind the end is of a file that was cut.
			l.mark(mark{start: min(max(header, r.pos()-2*tarBlock), r.pos()), place: place{path: archive}})
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		data := r.pos()
		if header < 0 {
			header = data - tarBlock // after a sparse file: its length in the stream is not told
		}
		name := inside(archive, h.Name)
		named := w.findNames(name, h.Name, h.Linkname)
		if archive == "" {
			w.guessName(h, name)
		}
		l.mark(mark{header, place{name, finding.FieldHeader}, named})
		switch size := dataSize(h); {
		case isSparse(h):
			header = -1
			l.mark(mark{start: data, place: place{name, finding.FieldCompression}})
			w.expand(name, tr, r, depth)
		default:
			header = data + (size+tarBlock-1)/tarBlock*tarBlock
			l.mark(mark{start: data, place: place{path: name}})
			if size > 0 {
				w.look(part{st, name, data, size, tr}, depth)
			}
		}
		if w.stopped(depth) {
			return nil
		}
	}
}

// expand looks into a sparse file. The stream has its data without the holes, and
// maybe a list of them, while what is packed in it is found only with them: so it
// is a stream of its own, bounded like everything that comes out larger than it
// went in.
func (w *walk) expand(name string, content io.Reader, r positioned, depth int) {
	if w.spent {
		w.found.unread.add(name, spentBefore)
		return
	}
	lv := w.level(content)
	defer func() { w.levels = append(w.levels, lv) }()
	start, _ := lv.Peek(nested.Sniff)
	isPacked := nested.Detect(start, name) != nested.None || bytes.HasPrefix(start, []byte("#!"))
	err := w.unpack(name, w.budget.Meter(lv, r.pos), depth)
	if over, ok := errors.AsType[*nested.Exceeded](err); ok && !over.Total && !isPacked {
		// Its data was matched as it stands in the stream, and nothing is to be opened.
		w.found.remarks.add(name, "a sparse file with large holes, of which only the beginning was searched for patterns")
		return
	}
	if err != nil {
		w.fail(name, fmt.Errorf("reading a sparse file: %w", err))
	}
}

// findNames searches the names in a header as a reader decodes them: in the
// stream one may be cut in two (ustar's prefix), or stand in a record before
// its header. The rest of a header is whole in the stream. It returns the
// secrets that it found.
func (w *walk) findNames(path, name, link string) (named map[string]bool) {
	in := func(field, text string) {
		w.s.find([]byte(text), index.Blob, func(m match) {
			if named == nil {
				named = map[string]bool{}
			}
			named[m.Secret] = true
			w.found.add(hit{m, place{path, field}})
		})
	}
	in(finding.FieldPath, name)
	in(finding.FieldLink, link)
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
