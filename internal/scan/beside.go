package scan

import (
	"fmt"
	"io"
	"sync"
)

// Of a blob, how much is searched for patterns by the walk itself before that
// gets a goroutine of its own, and what waits for it, all in bytes but the last.
const (
	besideFrom  = 1 << 20
	besidePiece = 32 << 10
	besideWait  = 4 // pieces
)

// A beside searches for patterns in a goroutine of its own, one place after the
// other, so that one large layer keeps two cores busy with what it holds. It
// keeps the order: what it finds comes as it would have without it.
type beside struct {
	in     chan errand
	done   chan struct{}
	pieces *sync.Pool // *[]byte of besidePiece
	broken any        // what the patterns panicked with; read it after an answer
}

// An errand is one thing to do: write a piece, end a place, or answer.
type errand struct {
	to     PatternStream
	piece  *[]byte
	length int
	end    bool
	answer chan struct{}
}

func newBeside(pieces *sync.Pool) *beside {
	b := &beside{in: make(chan errand, besideWait), done: make(chan struct{}), pieces: pieces}
	go b.run()
	return b
}

func (b *beside) run() {
	defer close(b.done)
	for e := range b.in {
		if b.broken == nil {
			b.do(e)
		}
		if e.piece != nil {
			b.pieces.Put(e.piece)
		}
		if e.answer != nil {
			close(e.answer)
		}
	}
}

func (b *beside) do(e errand) {
	defer func() {
		if p := recover(); p != nil { // content is told, which cannot recover here
			b.broken = p
		}
	}()
	if e.piece != nil {
		_, _ = e.to.Write((*e.piece)[:e.length])
	}
	if e.end {
		_ = e.to.Close()
	}
}

// copy gives all of r to a stream and closes it. Reading may lead to a place
// within this one, whose pieces come in between.
func (b *beside) copy(to PatternStream, r io.Reader) {
	for {
		piece, ok := b.pieces.Get().(*[]byte)
		if !ok {
			buf := make([]byte, besidePiece)
			piece = &buf
		}
		n, err := fillUp(r, *piece)
		b.in <- errand{to: to, piece: piece, length: n, end: err != nil}
		if err != nil {
			return
		}
	}
}

// wait returns when everything that was given was searched.
func (b *beside) wait() {
	answer := make(chan struct{})
	b.in <- errand{answer: answer}
	<-answer
}

// settle waits for what was given to the patterns.
func (e *effort) settle() {
	if e.beside != nil {
		e.beside.wait()
	}
}

// failed says why not everything that was given to the patterns was searched.
// It is called after settle.
func (e *effort) failed() error {
	if e.beside == nil || e.beside.broken == nil {
		return nil
	}
	return fmt.Errorf("searching it for patterns ended in a panic: %T", e.beside.broken)
}

// end ends the goroutine that searches for patterns.
func (e *effort) end() {
	if e.beside != nil {
		close(e.beside.in)
		<-e.beside.done
	}
}
