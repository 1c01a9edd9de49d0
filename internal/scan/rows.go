package scan

import (
	"bytes"
	"slices"

	"github.com/org/secure-build/internal/index"
)

// Bounds of what looks like base64 or hex that was wrapped.
const (
	leastRow  = 24  // characters of a row; shorter ones end a block
	window    = 16  // characters that are looked at to find a row
	mostBreak = 128 // bytes between two rows
	rowEnds   = index.MaxPattern
	fullRows  = 32 << 10 // bytes of joined rows to match at once
)

// rows is a second view of a stream, without what stands between the rows of
// wrapped base64 and hex: line breaks, indentation, quotes, comment signs, and
// line breaks spelled as \n. It looks closer only where 16 characters in a row
// are of base64's alphabet, so most data passes at memory speed. Where such a
// block begins like a packed file, in base64, it is unpacked too.
type rows struct {
	st      *stream
	w       *walk
	matcher *index.Stream
	where   func(int64) int64 // the place in st of one in what is seen

	state  rowState
	length int  // characters of this row, or of this gap
	rows   int  // in this block
	broken bool // a line break was seen in this gap
	escape bool // the last byte was a backslash

	before byte   // the last byte of the chunk before
	odd    []byte // bytes of which the next ones tell what they are, see rowjoin.go
	joined bool   // this block has more than what stands in the stream

	text   []byte   // rows to match; the last one may grow
	row    int      // where the last row begins in text
	total  int64    // bytes matched before text
	last   byte     // of these, 0 for none
	starts []rowAt  // of the rows in text, and of some before
	pos    int64    // in the stream
	packed *capture // nil: not a packed file
	sniff  sniffer
}

type rowState byte

const (
	noRow rowState = iota
	inRow
	inGap
	inEscape // behind a character of a row
	inPrefix // of a string, before a row
)

// A rowAt is the offset of a row in the joined text and in the stream.
type rowAt struct{ joined, stream int64 }

// Classes of bytes.
const (
	isLetter = 1 << iota // of base64, its URL alphabet, or hex
	isGap                // may stand between two rows
)

var byteClass = func() (t [256]byte) {
	for c := range t {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '+', c == '/', c == '-', c == '_':
			t[c] = isLetter
		case c > 0 && bytes.IndexByte([]byte(" \t\r\n\"'\\,|>#*;="), byte(c)) >= 0:
			t[c] = isGap
		}
	}
	return t
}()

// newRows makes a view of st, or of what another view makes of it: where tells
// the place in st then.
func newRows(x *index.Index, st *stream, where func(int64) int64, found func(int64, *index.Pattern)) *rows {
	r := &rows{st: st, where: where}
	r.matcher = x.NewStream(index.Long, func(offset int64, p *index.Pattern) { found(r.origin(offset), p) })
	return r
}

func (r *rows) reset(w *walk, depth int) {
	r.matcher.Reset()
	*r = rows{st: r.st, w: w, where: r.where, matcher: r.matcher, text: r.text[:0], starts: r.starts[:0], odd: r.odd[:0], sniff: sniffer{head: r.sniff.head[:0]}}
}

// see takes the next bytes of the stream.
func (r *rows) see(p []byte) {
	if len(p) == 0 {
		return
	}
	r.take(p, r.pos)
	r.pos += int64(len(p))
	r.before = p[len(p)-1]
	r.flush()
}

// take goes on with the bytes at an offset of the stream.
func (r *rows) take(p []byte, at int64) {
	for i := 0; i < len(p); {
		switch r.state {
		case noRow:
			i += findRow(p[i:])
			r.beginBlock()
		case inRow:
			if r.length == 0 && r.rows == 0 {
				i += r.escaped(p, i)
			}
			n := letters(p[i:])
			r.grow(p[i:i+n], at+int64(i))
			if i += n; i == len(p) {
				return
			}
			if r.length > 0 && beginsJoin[p[i]] {
				r.state, r.odd = inEscape, r.odd[:0]
			} else {
				r.endRow()
			}
		case inGap:
			i += r.gap(p[i:], at+int64(i))
		case inEscape:
			r.odd = append(r.odd, p[i])
			i++
			r.join(at + int64(i))
		case inPrefix:
			i += r.prefix(p[i], at+int64(i))
		}
	}
}

// findRow returns where the first row begins, or where the end of p could be
// the beginning of one.
func findRow(p []byte) int {
	for i := 0; i+window <= len(p); i += window {
		w := p[i : i+window : i+window]
		if byteClass[w[5]]&byteClass[w[10]]&byteClass[w[15]]&byteClass[w[0]]&isLetter == 0 || letters(w) < window {
			continue
		}
		start := rowStart(p, i)
		if n, open := rowLength(p[start:]); n >= leastRow || open {
			return start
		}
	}
	return rowStart(p, len(p))
}

func letters(p []byte) int {
	for i, c := range p {
		if byteClass[c]&isLetter == 0 {
			return i
		}
	}
	return len(p)
}

// beginBlock is called where a block may begin.
func (r *rows) beginBlock() {
	r.state, r.length, r.rows, r.joined = inRow, 0, 0, false
	r.row = len(r.text)
	r.sniff.beginBlock()
}

// begin starts a row in the joined text.
func (r *rows) begin(at int64) {
	r.row = len(r.text)
	r.starts = append(r.starts, rowAt{r.total + int64(len(r.text)), at})
}

// grow takes more of the current row. Of a long one its two ends are kept: what
// lies between them was matched where it stands.
func (r *rows) grow(b []byte, at int64) {
	if len(b) == 0 {
		return
	}
	if r.length == 0 {
		r.begin(at)
		r.sniff.beginRow()
	}
	r.length += len(b)
	r.unpack(b, at)
	if len(b) > 2*rowEnds {
		r.text = append(append(r.text, b[:rowEnds]...), '\n')
		r.begin(at + int64(len(b)-rowEnds))
		b = b[len(b)-rowEnds:]
	}
	r.text = append(r.text, b...)
	if len(r.text) > fullRows {
		r.flush()
	}
}

// unpack hands what follows the beginning of packed data to whatever opens it.
func (r *rows) unpack(b []byte, at int64) {
	if r.packed == nil && r.w != nil && !r.w.s.shallow {
		n, start, found := r.sniff.more(b, at)
		if b = b[n:]; !found {
			return
		}
		head := r.sniff.head[start:]
		r.packed = newCapture(r.w, r.st, r.where(r.sniff.at+int64(start)))
		r.packed.feed(head)
	}
	if r.packed == nil {
		return
	}
	if r.packed.feed(b); r.packed.done && !r.packed.packed {
		r.packed.end()
		r.packed = nil
		r.sniff.done = true // until the next row
	}
}

func (r *rows) endRow() {
	r.rows++
	if r.length < leastRow {
		r.endBlock()
		return
	}
	r.state, r.length, r.broken, r.escape = inGap, 0, false, false
}

// gap takes what is between two rows, at most up to the next row, and returns
// how much that is.
func (r *rows) gap(p []byte, at int64) int {
	for i, c := range p {
		if r.length++; r.length > mostBreak {
			r.endBlock()
			return i
		}
		switch {
		case r.escape && (c == 'n' || c == 'r'):
			r.broken, r.escape = true, false
		case byteClass[c]&isGap != 0, c == '+' && !r.broken: // which joins strings in many languages
			r.broken = r.broken || c == '\n' || c == '\r'
			r.escape = c == '\\'
		case r.broken && stringPrefix[c]:
			r.state, r.odd = inPrefix, append(r.odd[:0], c)
			return i + 1
		case byteClass[c]&isLetter != 0 && r.broken:
			r.state, r.length = inRow, 0
			return i
		default:
			r.endBlock()
			return i
		}
	}
	return len(p)
}

// endBlock separates what was a block from the next one. A block of one row is
// forgotten, since it was matched where it stands.
func (r *rows) endBlock() {
	r.state = noRow
	if r.packed != nil {
		r.packed.end()
		r.packed = nil
	}
	if r.rows < 2 && !r.joined {
		r.text = r.text[:r.row]
	}
	last := r.last // of it may be matched already
	if len(r.text) > 0 {
		last = r.text[len(r.text)-1]
	}
	if last != '\n' && last != 0 {
		r.text = append(r.text, '\n')
	}
}

// flush matches the joined rows, the last one as far as it came.
func (r *rows) flush() {
	if len(r.text) == 0 {
		return
	}
	_, _ = r.matcher.Write(r.text)
	r.total += int64(len(r.text))
	r.last = r.text[len(r.text)-1]
	r.text, r.row = r.text[:0], 0
	// A match that ends later begins at most one pattern before here.
	keep := 0
	for keep+1 < len(r.starts) && r.starts[keep+1].joined <= r.total-index.MaxPattern {
		keep++
	}
	r.starts = slices.Delete(r.starts, 0, keep)
}

// origin is where in the stream the joined text at this offset stands.
func (r *rows) origin(joined int64) int64 {
	at := joined
	for _, s := range r.starts {
		if s.joined > joined {
			break
		}
		at = s.stream + joined - s.joined
	}
	return at
}

// end is the end of the stream.
func (r *rows) end() {
	switch r.state {
	case inRow, inEscape:
		r.rows++
	}
	if r.state != noRow {
		r.endBlock()
	}
	r.flush()
}

func (r *rows) close() {
	if r.packed != nil {
		r.packed.end()
		r.packed = nil
	}
	_ = r.matcher.Close()
	clear(r.text[:cap(r.text)])
}
