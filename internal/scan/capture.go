package scan

import (
	"encoding/base64"
	"io"
	"iter"
	"strings"
)

// packedMagics are the beginnings of packed data, and what base64 makes of
// them, once and twice: Kubernetes encodes what Helm has encoded.
var packedMagics = func() (list []string) {
	for _, magic := range []string{"\x1f\x8b\x08", "PK\x03\x04", "\xfd7zXZ\x00", "\x28\xb5\x2f\xfd", "BZh91AY&SY", "BZh61AY&SY", "!<arch>\n"} {
		once := encoded([]byte(magic))
		list = append(list, once, encoded([]byte(once)))
	}
	return list
}()

// encoded is the base64 that any data has that begins with b.
func encoded(b []byte) string {
	return base64.RawStdEncoding.EncodeToString(b)[:len(b)*8/6]
}

var packedFirst = func() (t [256]bool) {
	for _, m := range packedMagics {
		t[m[0]] = true
	}
	t['_'] = t['/']
	return t
}()

// beginsPacked says whether base64, in either alphabet, begins like packed data.
func beginsPacked(head []byte) bool {
	if !packedFirst[head[0]] {
		return false
	}
	var std [leastRow]byte
	for i, c := range head[:min(len(head), leastRow)] {
		switch c {
		case '-':
			c = '+'
		case '_':
			c = '/'
		}
		std[i] = c
	}
	for _, m := range packedMagics {
		if std[0] == m[0] && strings.HasPrefix(string(std[:]), m) {
			return true
		}
	}
	return false
}

// A capture unpacks data that stands in a text as base64. The text comes as it
// is read, while decoders want to fetch: so the unpacking is a coroutine, which
// runs when it is fed and rests when it wants more.
type capture struct {
	more func() (struct{}, bool)
	stop func()
	in   []byte // base64 that was not decoded yet, less than 4 characters
	out  []byte // decoded, for the coroutine
	full bool   // there will be no more
	done bool   // the coroutine wants no more

	w  *walk
	st *stream
	at int64
}

func newCapture(parent *walk, st *stream, at int64) *capture {
	c := &capture{st: st, at: at}
	c.w = &walk{s: parent.s, found: newHits(), effort: parent.effort}
	c.w.found.guesses.wait = parent.settle
	c.more, c.stop = iter.Pull(func(yield func(struct{}) bool) {
		r := readFunc(func(p []byte) (int, error) {
			for len(c.out) == 0 {
				if c.full || !yield(struct{}{}) {
					return 0, io.EOF
				}
			}
			n := copy(p, c.out)
			c.out = c.out[n:]
			return n, nil
		})
		if err := c.w.budget.Deeper(st.depth); err != nil {
			c.w.fail("!base64", err)
			return
		}
		if err := c.w.unpack("!base64", c.w.budget.Meter(r, func() int64 { return 1 << 40 }), st.depth+1); err != nil {
			c.w.fail("!base64", err)
		}
	})
	return c
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// feed takes more base64, of either alphabet.
func (c *capture) feed(b []byte) {
	for len(b) > 0 && !c.done {
		n := min(len(b), 32<<10)
		text := append(c.in, b[:n]...)
		b = b[n:]
		for i, ch := range text {
			switch ch {
			case '-':
				text[i] = '+'
			case '_':
				text[i] = '/'
			}
		}
		whole := len(text) / 4 * 4
		c.decode(text[:whole])
		c.in = append(c.in[:0], text[whole:]...)
	}
}

// decode decodes in place and lets the coroutine take it.
func (c *capture) decode(text []byte) {
	n, _ := base64.RawStdEncoding.Decode(text, text)
	if c.out = text[:n]; n > 0 && !c.done {
		_, ok := c.more()
		c.done = !ok
	}
}

// end lets the coroutine come to its end and takes what it found.
func (c *capture) end() {
	c.decode(c.in)
	c.full = true
	if !c.done {
		_, _ = c.more()
	}
	c.stop()
	c.st.ledger.unpacked(c.at, c.w.found)
	c.w.found.guesses.wait = nil // whatever takes it in is of the same blob, and waits for it
}
