package scan

import (
	"fmt"
	"io"
	"sync"
)

// aheadPieces is the number of chunks that are decompressed before anybody asks.
const aheadPieces = 3

// An ahead decompresses in a goroutine of its own, so that one large layer keeps
// two cores busy: what it packs, and what is packed within it. The caller must
// close it before it uses the stream below.
type ahead struct {
	full chan piece
	free chan []byte
	quit chan struct{}
	done chan struct{}

	chunks *sync.Pool // *[]byte

	buf  []byte // of the current piece
	left []byte
	err  error
}

type piece struct {
	b   []byte
	err error
}

func newAhead(r io.Reader, chunks *sync.Pool) *ahead {
	a := &ahead{
		full: make(chan piece, aheadPieces), free: make(chan []byte, aheadPieces),
		quit: make(chan struct{}), done: make(chan struct{}), chunks: chunks,
	}
	for range aheadPieces {
		a.free <- nil
	}
	go a.run(r)
	return a
}

func (a *ahead) run(r io.Reader) {
	defer close(a.done)
	defer close(a.full)
	defer func() {
		if p := recover(); p != nil { // as in inspect, which cannot recover here
			a.full <- piece{err: fmt.Errorf("reading it ended in a panic: %T", p)}
		}
	}()
	for {
		var buf []byte
		select {
		case buf = <-a.free:
		case <-a.quit:
			return
		}
		if buf == nil {
			if old, ok := a.chunks.Get().(*[]byte); ok {
				buf = *old
			} else {
				buf = make([]byte, chunkSize)
			}
		}
		n, err := fillUp(r, buf)
		a.full <- piece{buf[:n], err} // never waits: there are as many places as pieces
		if err != nil {
			return
		}
	}
}

func (a *ahead) Read(p []byte) (int, error) {
	for len(a.left) == 0 {
		if a.buf != nil {
			a.free <- a.buf[:cap(a.buf)]
			a.buf = nil
		}
		if a.err != nil {
			return 0, a.err
		}
		next, ok := <-a.full
		if !ok {
			return 0, io.ErrUnexpectedEOF
		}
		a.buf, a.left, a.err = next.b, next.b, next.err
	}
	n := copy(p, a.left)
	a.left = a.left[n:]
	return n, nil
}

// Close waits until the goroutine has ended.
func (a *ahead) Close() {
	close(a.quit)
	<-a.done
	recycle := func(b []byte) {
		if b = b[:cap(b)]; len(b) == chunkSize {
			a.chunks.Put(&b)
		}
	}
	recycle(a.buf)
	a.buf, a.left = nil, nil
	for range len(a.free) {
		recycle(<-a.free)
	}
}

// fillUp is io.ReadFull, but with the error of the stream itself: a decoder's
// unexpected EOF is not its end.
func fillUp(r io.Reader, buf []byte) (n int, err error) {
	for idle := 0; n < len(buf) && err == nil; {
		var m int
		m, err = r.Read(buf[n:])
		n += m
		if idle++; m > 0 {
			idle = 0
		} else if idle > 100 && err == nil {
			err = io.ErrNoProgress
		}
	}
	return n, err
}
