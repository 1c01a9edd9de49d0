package scan

import (
	"bytes"
	"encoding/base64"
	"io"
	"iter"

	"github.com/org/secure-build/internal/scan/nested"
)

// captureCost is what a capture takes of the budget, in bytes, beside what it
// unpacks: a text of many beginnings has to come to an end too.
const captureCost = 4 << 10

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

	packed bool // it was packed data

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
		head := make([]byte, nested.Sniff)
		n, _ := io.ReadFull(r, head)
		if head = head[:n]; nested.Detect(head, "") == nested.None && (n < leastRow || !beginsPacked(head[:leastRow])) {
			return // it only looked like packed data
		}
		c.packed = true
		err := c.w.budget.Spend(captureCost)
		if err == nil {
			err = c.w.budget.Deeper(st.depth)
		}
		if err == nil {
			content := io.MultiReader(bytes.NewReader(head), r)
			err = c.w.unpack("!base64", c.w.budget.Meter(content, func() int64 { return 1 << 40 }), st.depth+1)
		}
		if err != nil {
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
	if c.packed {
		c.st.ledger.unpacked(c.at, c.w.found)
	}
	c.w.found.guesses.wait = nil // whatever takes it in is of the same blob, and waits for it
}
