package scan

import (
	"encoding/binary"

	"github.com/org/secure-build/internal/index"
)

// leastWide is the length of a stretch of UTF-16 that is looked at, in bytes: 12
// characters. A whole value that is shorter is a pattern in UTF-16 itself.
const leastWide = 23

// narrow is a third view of a stream: its stretches of UTF-16, as far as they
// are ASCII, a byte for each character. PowerShell writes whatever it prints to
// a file like this, with CRLF, and nothing of a key's encodings has that form.
//
// A stretch is a run in which every other byte is zero and those between are
// not, so its byte order need not be known. One that is long enough has 8 bytes
// like that at every place that is a multiple of 16, from wherever one counts:
// only these are looked at, and most data has none.
type narrow struct {
	x     *index.Index
	st    *stream
	found func(offset int64, p *index.Pattern)

	matcher *index.Stream // nil until there is a stretch
	rows    *rows
	names   map[wideName]*index.Pattern

	w     *walk
	depth int
	pos   int64 // in the stream

	run  int    // bytes of the stretch that the last byte belongs to
	zero bool   // the next byte of it has to be zero
	at   int64  // of its first character
	big  bool   // its zeros come first
	open bool   // it is long enough
	text []byte // its characters that were not matched yet
}

type wideName struct {
	*index.Pattern
	big bool
}

func newNarrow(x *index.Index, st *stream, found func(int64, *index.Pattern)) *narrow {
	return &narrow{x: x, st: st, found: found, names: map[wideName]*index.Pattern{}}
}

func (n *narrow) reset(w *walk, depth int) {
	n.w, n.depth, n.pos = w, depth, 0
	n.run, n.open, n.text = 0, false, n.text[:0]
}

// see takes the next bytes of the stream.
func (n *narrow) see(p []byte) {
	i := 0
	if n.run > 0 {
		if i = n.more(p); i < len(p) {
			n.end()
		}
	}
	for i < len(p) {
		at := findWide(p[i:])
		if at < 0 {
			break
		}
		i = n.begin(p, i, i+at)
		if i += n.more(p[i:]); i < len(p) {
			n.end()
		}
	}
	if i < len(p) { // the end may be the beginning of one
		n.more(p[n.begin(p, i, len(p)-1):])
	}
	n.pos += int64(len(p))
	n.flush()
}

// findWide returns the place of 8 bytes within a stretch, -1 for none. They are
// compared as numbers of 16 bits, in both byte orders.
func findWide(p []byte) int {
	const (
		odd   = 0xff80ff80ff80ff80
		even  = 0x80ff80ff80ff80ff
		most  = 0x7fff7fff7fff7fff
		above = 0x8000800080008000
	)
	for i := 0; i+8 <= len(p); i += 16 {
		v := binary.LittleEndian.Uint64(p[i:])
		if v&odd != 0 {
			if v&even != 0 {
				continue
			}
			v >>= 8
		}
		if (v+most)&above == above { // none of them is zero
			return i
		}
	}
	return -1
}

// begin begins the stretch that p[i] is in, and returns where that is: not
// before p[from].
func (n *narrow) begin(p []byte, from, i int) int {
	n.run, n.open, n.text = 0, false, n.text[:0]
	zero := p[i] == 0
	for i >= from && p[i] < 0x80 && (p[i] == 0) == zero {
		i, zero = i-1, !zero
	}
	i++
	first := n.pos + int64(i)
	n.zero = i < len(p) && p[i] == 0
	n.at, n.big = first, false
	if n.zero {
		// Of two neighbours that are both zero, only the parity tells whose this is.
		n.at, n.big = first+1, first%2 == 0
	}
	return i
}

// more takes what of p goes on with the stretch, and returns its length.
func (n *narrow) more(p []byte) int {
	i := 0
	for i < len(p) && p[i] < 0x80 && (p[i] == 0) == n.zero {
		if !n.zero {
			n.text = append(n.text, p[i])
		}
		n.zero = !n.zero
		i++
	}
	if n.run += i; n.run >= leastWide && !n.open {
		n.start()
	}
	return i
}

// start prepares to match a stretch.
func (n *narrow) start() {
	n.open = true
	if n.matcher == nil {
		n.matcher = n.x.NewStream(index.Blob, n.matched)
		if n.w != nil {
			n.rows = newRows(n.x, n.st, n.where, n.matched)
		}
	}
	n.matcher.Reset()
	if n.rows != nil {
		n.rows.reset(n.w, n.depth)
	}
}

// flush matches the characters of a stretch as far as they came.
func (n *narrow) flush() {
	if !n.open || len(n.text) == 0 {
		return
	}
	_, _ = n.matcher.Write(n.text)
	if n.rows != nil {
		n.rows.see(n.text)
	}
	n.text = n.text[:0]
}

// end is the end of a stretch, or of the stream.
func (n *narrow) end() {
	n.flush()
	if n.open && n.rows != nil {
		n.rows.end()
	}
	n.run, n.open, n.text = 0, false, n.text[:0]
}

func (n *narrow) close() {
	if n.matcher != nil {
		_ = n.matcher.Close()
	}
	if n.rows != nil {
		n.rows.close()
	}
	clear(n.text[:cap(n.text)])
}

// where is the place in the stream of a character of the stretch.
func (n *narrow) where(offset int64) int64 {
	if n.big {
		return n.at + 2*offset - 1
	}
	return n.at + 2*offset
}

// matched names what was found after the encoding around it.
func (n *narrow) matched(offset int64, p *index.Pattern) {
	key := wideName{p, n.big}
	named := n.names[key]
	if named == nil {
		other := *p
		other.Encoding = wideEncoding(n.big, p.Encoding)
		named = &other
		n.names[key] = named
	}
	n.found(n.where(offset), named)
}

func wideEncoding(big bool, of string) string {
	name := "utf-16le"
	if big {
		name = "utf-16be"
	}
	if of == "raw" {
		return name
	}
	return name + "-" + of
}
