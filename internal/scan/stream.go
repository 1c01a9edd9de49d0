package scan

import (
	"io"
	"math"

	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/scan/nested"
)

// smallText is the size up to which a file is searched for short values too,
// in bytes, if it is a text.
const smallText = 64 << 10

// A stream is one run of uncompressed bytes, a blob's or what a file in it
// unpacks to, with everything that looks at all of its bytes.
type stream struct {
	src     *source
	ledger  *ledger
	matcher *index.Stream
	rows    *rows
	narrow  *narrow
	depth   int
}

// A part is a range of a stream that has a path: a file.
type part struct {
	st   *stream
	path string
	at   int64 // where it begins in the stream
	size int64 // in bytes; -1 if nobody knows
	r    io.Reader
}

// A level is what opening one part takes. It is kept for the next one.
type level struct {
	*nested.Reader
	decoders nested.Decoders
}

// A partReader knows its offset in the stream that the part lies in.
type partReader struct {
	*nested.Reader
	at int64
}

func (p partReader) pos() int64 { return p.at + p.Pos() }

// open makes r a stream, with the buffers of one that was closed.
func (w *walk) open(r io.Reader, depth int) *stream {
	var st *stream
	if n := len(w.idle); n > 0 {
		st, w.idle = w.idle[n-1], w.idle[:n-1]
	} else {
		st = w.s.newStream()
	}
	st.src.reset(r)
	st.ledger.reset(w.found)
	st.matcher.Reset()
	st.rows.reset(w, depth)
	st.narrow.reset(w, depth)
	st.depth = depth
	return st
}

func (s *Scanner) newStream() *stream {
	st := &stream{ledger: newLedger(nil)}
	found := func(offset int64, p *index.Pattern) { st.ledger.matched(offset, p) }
	st.matcher = s.index.NewStream(index.Blob&^index.Wide, found) // which narrow finds
	st.rows = newRows(s.index, st, func(offset int64) int64 { return offset }, found)
	st.narrow = newNarrow(s.index, st, found)
	st.src = newSource(nil, func(chunk []byte) {
		st.ledger.settle()
		st.ledger.total += int64(len(chunk))
		_, _ = st.matcher.Write(chunk)
		st.rows.see(chunk)
		st.narrow.see(chunk)
	})
	st.src.cut = s.cut
	return st
}

// drain reads the stream to its end, and says why it ended if that was no
// proper end.
func (w *walk) drain(st *stream) error {
	st.ledger.horizon = math.MaxInt64
	err := st.src.drain()
	st.rows.end()
	st.narrow.end()
	st.ledger.finish()
	w.total += st.src.total
	return err
}

func (w *walk) close(st *stream) {
	_ = st.matcher.Close()
	st.rows.close()
	st.narrow.close()
	st.src.r = nil // its decoder may hold a large window
	w.idle = append(w.idle, st)
}

func (w *walk) level(r io.Reader) *level {
	n := len(w.levels)
	if n == 0 {
		return &level{Reader: nested.NewReader(r, smallText+nested.Sniff)}
	}
	lv := w.levels[n-1]
	w.levels = w.levels[:n-1]
	lv.Reset(r)
	return lv
}
