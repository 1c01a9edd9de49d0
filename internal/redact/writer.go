package redact

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/org/secure-build/internal/index"
)

const (
	// DefaultDelay is how long a line that does not end is held.
	DefaultDelay = 100 * time.Millisecond
	// MaxLine is the length in bytes from which a line is passed on before it ends.
	MaxLine = 64 << 10
	// MaxHold is the most that is held back to keep overlapping values under one mask.
	MaxHold = 8 << 10
)

// A Writer redacts one stream. It is safe for concurrent use.
type Writer struct {
	// A func, since fmt follows pointers for a verb that does not fit.
	w func() *writer
}

type writer struct {
	mu     sync.Mutex
	r      *Redactor
	dst    io.Writer
	delay  time.Duration // 0: do not wait for the line to end
	timer  *time.Timer
	armed  bool
	closed bool
	buf    []byte // what is not passed on yet
	before carried
	s      scratch
	err    error // of the timer's write, for the next call
}

// An Option changes how a Writer waits.
type Option func(*writer)

// Delay sets how long a line that does not end is held.
func Delay(d time.Duration) Option { return func(w *writer) { w.delay = d } }

// Immediately passes every write on at once, but for a tail that may be the
// beginning of a value. It is for the frames of a terminal's progress display,
// and for logs that come in chunks and are shown by someone else. It starts no
// timer: call Flush at the end.
func Immediately() Option { return Delay(0) }

// Writer returns a Writer that passes the redacted bytes on to dst. Close it, or
// Flush it, when the stream ends.
func (r *Redactor) Writer(dst io.Writer, options ...Option) *Writer {
	w := &writer{r: r, dst: dst, delay: DefaultDelay}
	for _, o := range options {
		o(w)
	}
	return &Writer{func() *writer { return w }}
}

// Write takes the next bytes. Whole lines reach dst in one Write. The error is
// dst's; it is also that of a delayed write since the last call.
func (w *Writer) Write(p []byte) (int, error) {
	s := w.w()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.err; err != nil {
		s.err = nil
		return 0, err
	}
	if s.closed {
		return 0, fmt.Errorf("writing redacted output: %w", io.ErrClosedPipe)
	}
	if err := s.write(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush passes on everything, also what is held back. A value that is split
// over a Flush is not caught.
func (w *Writer) Flush() error {
	s := w.w()
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.err
	s.err = nil
	if err != nil {
		return err
	}
	return s.flush()
}

// Close flushes, and ends the Writer. It does not close dst.
func (w *Writer) Close() error {
	err := w.Flush()
	s := w.w()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	return err
}

// Format keeps fmt away from the buffers.
func (w *Writer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "redacting writer") }

func (w *writer) write(p []byte) error {
	x := w.r.index.Load()
	if x == nil {
		return w.send(p)
	}
	if len(w.buf) > 0 || w.before.open {
		w.buf = append(w.buf, p...)
		n, err := w.pass(x, w.buf)
		w.buf = w.buf[:copy(w.buf, w.buf[n:])]
		w.shrink()
		return err
	}
	n, err := w.pass(x, p) // most often whole lines, from the caller's own memory
	w.buf = append(w.buf, p[n:]...)
	return err
}

// pass sends what of b may go: its whole lines, and the beginning of the last
// line if there is no waiting for its end. It returns how much that was.
func (w *writer) pass(x *index.Index, b []byte) (n int, err error) {
	if w.delay == 0 || x.Joint() {
		n, err = w.partial(x, b)
		return n, err
	}
	if n = bytes.LastIndexByte(b, '\n') + 1; n > 0 {
		w.s.find(x, b[:n], w.before)
		err = w.send(w.s.mask(b[:n], n, w.before))
		w.before = carried{}
	}
	if rest := b[n:]; len(rest) > MaxLine {
		m, e := w.partial(x, rest)
		n += m
		if err == nil {
			err = e
		}
	}
	if n < len(b) {
		w.wait()
	}
	return n, err
}

// partial sends b but for a tail that may be the beginning of a value.
func (w *writer) partial(x *index.Index, b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	w.s.find(x, b, w.before)
	cut := w.s.cut(x, b)
	after := carried{}
	for i := range w.s.spans {
		switch s := &w.s.spans[i]; {
		case s.end < cut || s.start >= cut:
		case s.end == cut:
			after = carried{id: s.id, open: true}
		case len(b)-s.start <= MaxHold && !w.before.continues(*s):
			cut = s.start // the whole of it waits, so that its longest match names it
			if after = (carried{}); i > 0 && w.s.spans[i-1].end == cut {
				after = carried{id: w.s.spans[i-1].id, open: true}
			}
		default:
			after = carried{id: s.id, size: s.end - cut, open: true}
		}
	}
	if cut == 0 {
		return 0, nil // the carried state stays as it is
	}
	err = w.send(w.s.mask(b, cut, w.before))
	w.before = after
	return cut, err
}

// cut is where the tail of b begins that may be the beginning of a value. A tail
// that is endless for its control characters is not waited for.
func (s *scratch) cut(x *index.Index, b []byte) int {
	plain := len(b) - x.Pending(b)
	cut := plain
	i := control(b)
	if i < 0 {
		return cut
	}
	for _, strings := range []bool{true, false} {
		some := s.strip(b, i, strings)
		if n := x.Pending(s.view); n > 0 {
			cut = min(cut, s.origin(len(s.view)-n))
		}
		if !some {
			break
		}
	}
	if len(b)-cut > MaxLine {
		return plain
	}
	return cut
}

func (w *writer) flush() error {
	x := w.r.index.Load()
	b := w.buf
	w.buf = w.buf[:0]
	before := w.before
	w.before = carried{}
	if len(b) == 0 {
		return nil
	}
	if x == nil {
		return w.send(b)
	}
	w.s.find(x, b, before)
	return w.send(w.s.mask(b, len(b), before))
}

// send writes to dst. A short write is an error, as io.Writer has it.
func (w *writer) send(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	n, err := w.dst.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}

// wait makes sure that the line at hand is passed on after the delay at most.
func (w *writer) wait() {
	switch {
	case w.armed || w.delay == 0:
		return
	case w.timer == nil:
		w.timer = time.AfterFunc(w.delay, w.late)
	default:
		w.timer.Reset(w.delay)
	}
	w.armed = true
}

// late is called by the timer.
func (w *writer) late() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = false
	x := w.r.index.Load()
	if w.closed || x == nil || len(w.buf) == 0 {
		return
	}
	n, err := w.partial(x, w.buf)
	w.buf = w.buf[:copy(w.buf, w.buf[n:])]
	if err != nil {
		w.err = err
	}
}

// shrink gives the memory of an unusually large write back.
func (w *writer) shrink() {
	if cap(w.buf) > 16*MaxLine && len(w.buf) < MaxLine {
		w.buf = append([]byte(nil), w.buf...)
	}
}
