package scan

import "bytes"

// joins are the escapes that stand in base64 for a character of it: those of
// JSON (PHP, .NET, Gson), once and within another string, of URLs and of XML.
var joins = func() (list []join) {
	for char, spellings := range map[byte][]string{
		'+': {`\u002B`, `\u002b`, `\\u002B`, `\\u002b`, "%2B", "%2b", "%252B", "%252b", "&#43;", "&#x2B;", "&#x2b;"},
		'/': {`\/`, `\\/`, `\\\/`, `\u002F`, `\u002f`, `\\u002F`, `\\u002f`, "%2F", "%2f", "%252F", "%252f", "&#47;", "&#x2F;", "&#x2f;"},
	} {
		for _, s := range spellings {
			odd := len(s) - len(bytes.TrimLeft([]byte(s), `\%&#`))
			list = append(list, join{s, odd, char})
		}
	}
	return list
}()

const maxJoin = 7 // bytes

// A join is a spelling of one character.
type join struct {
	spelling string
	odd      int // so many bytes of it, at the start, are of no row
	char     byte
}

// beginsJoin are the bytes that a join begins with.
var beginsJoin = [256]bool{'\\': true, '%': true, '&': true}

// stringPrefix are the letters that may stand before the quotes of a string in
// Python, C and Rust: one or two of them.
var stringPrefix = [256]bool{'b': true, 'B': true, 'r': true, 'R': true, 'u': true, 'U': true, 'f': true, 'F': true, 'L': true}

// joinOf returns the length of the join that p begins with and the character
// that it spells, or whether one could begin with p.
func joinOf(p []byte) (n int, char byte, open bool) {
	if len(p) == 0 || !beginsJoin[p[0]] {
		return 0, 0, false
	}
	for _, j := range joins {
		if s := j.spelling; len(p) >= len(s) {
			if string(p[:len(s)]) == s {
				return len(s), j.char, false
			}
		} else if s[:len(p)] == string(p) {
			open = true
		}
	}
	return 0, 0, open
}

// rowStart is where the row begins that p[i-1] or p[i] is in, over all joins.
func rowStart(p []byte, i int) int {
	if i == len(p) { // one that is cut there
		for k := i - 1; k > 0 && k > i-maxJoin; k-- {
			if _, _, open := joinOf(p[k:]); open {
				i = k
			}
		}
	}
	for i > 0 {
		switch before := p[i-1]; {
		case byteClass[before]&isLetter != 0:
			i--
		case before == '\\', before == '%', before == ';':
			n := joinBefore(p, i)
			if n == 0 {
				return i
			}
			i -= n
		default:
			return i
		}
	}
	return i
}

// joinBefore is how many bytes before p[i], none of them of a row, belong to a
// join between two characters.
func joinBefore(p []byte, i int) int {
	for _, j := range joins {
		n := j.odd
		if p[i-1] == ';' {
			n = len(j.spelling)
		}
		if start := i - n; start > 0 && (byteClass[p[start-1]]&isLetter != 0 || p[start-1] == ';') && bytes.HasPrefix(p[start:], []byte(j.spelling)) {
			return n
		}
	}
	return 0
}

// rowLength counts the characters of a row, joins as one, up to leastRow. Open
// says that p ends before the row does.
func rowLength(p []byte) (n int, open bool) {
	for len(p) > 0 && n < leastRow {
		l := letters(p)
		n, p = n+l, p[l:]
		if len(p) == 0 {
			return n, true
		}
		size, _, more := joinOf(p)
		if size == 0 {
			return n, more
		}
		n, p = n+1, p[size:]
	}
	return n, len(p) == 0
}

// join looks at the bytes behind a character of a row that may be a join, which
// end before an offset.
func (r *rows) join(end int64) {
	n, char, open := joinOf(r.odd)
	switch {
	case n > 0:
		r.state, r.joined = inRow, true
		r.starts = append(r.starts, rowAt{r.total + int64(len(r.text)), end - int64(n)})
		r.grow([]byte{char}, end-int64(n))
		r.starts = append(r.starts, rowAt{r.total + int64(len(r.text)), end})
	case !open:
		odd := append([]byte(nil), r.odd...) // which is taken for what it is without this
		r.endRow()
		r.take(odd, end-int64(len(odd)))
	}
}

// prefix takes the byte behind what may be a string's prefix, and returns how
// many bytes that was.
func (r *rows) prefix(c byte, at int64) int {
	switch {
	case c == '"' || c == '\'':
		r.state = inGap
		r.length += len(r.odd)
	case len(r.odd) == 1 && stringPrefix[c]:
		r.odd = append(r.odd, c)
	default:
		r.state, r.length = inRow, 0
		r.grow(r.odd, at-int64(len(r.odd)))
		return 0
	}
	return 1
}

// escaped is how many letters at p[i], where a block may begin, belong to an
// escape that ends there: the n of \n, the 3D of %3D.
func (r *rows) escaped(p []byte, i int) int {
	before := r.before
	if i > 0 {
		before = p[i-1]
	}
	rest := p[i:]
	switch {
	case before == '\\' && len(rest) > 5 && rest[0] == 'u' && letters(rest[:5]) == 5:
		return 5
	case before == '\\' && (rest[0] == 'n' || rest[0] == 'r' || rest[0] == 't'):
		return 1
	case before == '%' && letters(rest[:min(2, len(rest))]) == 2:
		return 2
	}
	return 0
}
