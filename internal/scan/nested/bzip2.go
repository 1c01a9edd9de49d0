package nested

import (
	"compress/bzip2"
	"io"
)

// A bzip2Reader reads streams of bzip2 up to whatever follows the last. The
// library takes two bytes of that to see whether it is a further stream, so the
// last two that it asked for stay unread until it asks for more.
type bzip2Reader struct {
	r     *Reader
	zr    io.Reader
	taken int // bytes given to zr and still unread
	err   error
}

const errNoStream = bzip2.StructuralError("bad magic value in continuation file")

func openBzip2(r *Reader) *bzip2Reader {
	b := &bzip2Reader{r: r}
	b.zr = bzip2.NewReader(lagging{b})
	return b
}

func (b *bzip2Reader) Read(p []byte) (n int, err error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err = b.zr.Read(p)
	if err == errNoStream {
		err = io.EOF
	} else if err != nil {
		_ = b.r.skip(int64(b.taken))
	}
	b.err = err
	return n, err
}

// lagging is what a bzip2Reader gives to the library.
type lagging struct{ b *bzip2Reader }

func (l lagging) ReadByte() (byte, error) {
	b := l.b
	next, err := b.r.Peek(b.taken + 1)
	if err != nil {
		return 0, err
	}
	c := next[b.taken]
	if b.taken < 2 {
		b.taken++
	} else {
		_, _ = b.r.Discard(1)
	}
	return c, nil
}

func (l lagging) Read(p []byte) (int, error) { // which nobody calls
	c, err := l.ReadByte()
	if err != nil || len(p) == 0 {
		return 0, err
	}
	p[0] = c
	return 1, nil
}
