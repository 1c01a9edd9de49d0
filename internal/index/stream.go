package index

// A Stream finds patterns in a stream of any length with a carry-over of
// MaxLen-1 bytes. Each match is reported once, however the stream is cut.
// One goroutine may use it at a time.
type Stream struct {
	// A func, since the carry-over may hold plaintext: fmt follows a pointer for
	// a verb that does not fit, but not a func.
	s func() *stream
}

type stream struct {
	state *state
	want  Class
	yield func(offset int64, p *Pattern)
	carry []byte // the last bytes of what was written, at most max-1
	off   int64  // of the next byte
}

// NewStream returns a Stream that calls yield with the offset, in bytes from
// the stream's start, of every match.
func (x *Index) NewStream(want Class, yield func(offset int64, p *Pattern)) *Stream {
	st := x.get()
	s := &stream{state: st, want: want, yield: yield, carry: make([]byte, 0, 2*max(st.max, 1))}
	return &Stream{func() *stream { return s }}
}

// Write looks at the next bytes. It keeps a copy of the last few, never p
// itself, and never fails.
func (s *Stream) Write(p []byte) (int, error) {
	s.s().write(p)
	return len(p), nil
}

// Offset is the number of bytes written so far.
func (s *Stream) Offset() int64 { return s.s().off }

// Reset forgets the carry-over and starts again at offset 0, with the same
// buffers: for the next file of many small ones.
func (s *Stream) Reset() {
	st := s.s()
	st.carry, st.off = st.carry[:0], 0
}

// Close forgets the carry-over. Every match was reported as soon as its last
// byte was written, so there is nothing to wait for.
func (s *Stream) Close() error {
	st := s.s()
	clear(st.carry[:cap(st.carry)])
	st.carry = st.carry[:0]
	return nil
}

func (s *stream) write(p []byte) {
	keep := s.state.max - 1
	if keep < 0 || len(p) == 0 {
		s.off += int64(len(p))
		return
	}
	if c := len(s.carry); c > 0 {
		// What stands across the border lies within the carry-over and as many new bytes.
		border := append(s.carry, p[:min(keep, len(p))]...)
		base := s.off - int64(c)
		s.state.each(border, s.want, func(n *needle, start int) bool {
			if start < c && start+len(n.bytes) > c {
				s.yield(base+int64(start), n.pattern)
			}
			return true
		})
	}
	s.state.each(p, s.want, func(n *needle, start int) bool {
		s.yield(s.off+int64(start), n.pattern)
		return true
	})
	s.off += int64(len(p))
	if len(p) >= keep {
		s.carry = append(s.carry[:0], p[len(p)-keep:]...)
		return
	}
	if over := len(s.carry) + len(p) - keep; over > 0 {
		s.carry = s.carry[:copy(s.carry, s.carry[over:])]
	}
	s.carry = append(s.carry, p...)
}
