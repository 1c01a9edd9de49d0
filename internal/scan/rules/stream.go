package rules

import (
	"bytes"
	"io"
)

// A Stream searches what is written to it, cut anywhere. Its memory is bounded,
// whatever is written.
type Stream struct {
	r     *Rules
	path  string
	found func(Hit)

	buf  []byte // a line break, then the stream; later only its last bytes
	base int64  // where in the stream buf begins; -1 before the first byte
	next int    // buf[next:] was not looked at yet
	end  bool   // buf ends where the stream does
	last []int64
	use  []usage
	weak usage // whether weak rules are used at this path
	seen Hit   // the last hit
}

// A usage says whether a rule is used in a stream, once that was asked.
type usage byte

const (
	unknown usage = iota
	used
	unused
)

// chunk is how many bytes are looked at together, when there are so many.
const chunk = 64 << 10

// Stream returns a writer that reports what looks like a secret, each once, in
// the order of its places. The path is the file's in its layer, or "" where
// there is none; some rules are for certain files only. Close has to be called
// at the end.
func (r *Rules) Stream(path string, found func(Hit)) *Stream {
	s, ok := r.unused.Get().(*Stream)
	if !ok {
		s = &Stream{last: make([]int64, len(r.rules)), use: make([]usage, len(r.rules))}
	}
	clear(s.last)
	clear(s.use)
	*s = Stream{r: r, path: path, found: found, last: s.last, use: s.use, buf: append(s.buf[:0], '\n'), base: -1, next: 1}
	return s
}

// Write returns no error.
func (s *Stream) Write(p []byte) (int, error) {
	if s.r == nil {
		return 0, io.ErrClosedPipe
	}
	for rest := p; len(rest) > 0; {
		n := min(len(rest), s.next+s.r.ahead+chunk-len(s.buf))
		s.buf = append(s.buf, rest[:n]...)
		rest = rest[n:]
		if len(s.buf) == s.next+s.r.ahead+chunk {
			s.search(len(s.buf) - s.r.ahead)
			s.forget()
		}
	}
	return len(p), nil
}

// Close searches the rest. The stream must not be used afterwards.
func (s *Stream) Close() error {
	if s.r == nil {
		return nil
	}
	s.end = true
	s.search(len(s.buf))
	r := s.r
	s.r, s.found = nil, nil
	r.unused.Put(s)
	return nil
}

// forget drops what no later place looks back at.
func (s *Stream) forget() {
	if drop := s.next - behind; drop > 0 {
		s.buf = s.buf[:copy(s.buf, s.buf[drop:])]
		s.base += int64(drop)
		s.next -= drop
	}
}

// search looks at the places before buf[to].
func (s *Stream) search(to int) {
	s.r.grams.each(s.buf, s.next, to, s.look)
	s.next = to
}

// look tries a rule at a place.
func (s *Stream) look(at int, index uint16) {
	r := s.r.rules[index]
	switch {
	case r.word && isWord(s.buf[at-1]):
		return
	case s.base+int64(at) < s.last[index]: // within the last match
		return
	case len(r.only.patterns) > 0 && !s.uses(r, index):
		return
	case r.pause > 0:
		s.last[index] = s.base + int64(at+r.pause)
	}
	if r.anchored {
		view := s.buf[at-1 : min(at+r.reach, len(s.buf))]
		if m := r.expression().FindSubmatchIndex(view); m != nil && r.keywordNear(s.buf, at) {
			m[0]++ // the byte before
			s.judge(r, index, at-1, view, m)
		}
		return
	}
	from, to := max(0, at-around), min(at+around, len(s.buf))
	view := s.buf[from:to]
	for _, m := range r.expression().FindAllSubmatchIndex(view, -1) {
		cutBefore := m[0] == 0 && s.base+int64(from) >= 0
		cutAfter := m[1] == len(view) && !(s.end && to == len(s.buf))
		if !cutBefore && !cutAfter && s.base+int64(from+m[0]) >= s.last[index] {
			s.judge(r, index, from, view, m)
		}
	}
}

// judge reports a match, unless it is too plain to be a secret or is allowed.
func (s *Stream) judge(r *rule, index uint16, from int, view []byte, m []int) {
	a, b := r.secret(m)
	secret := view[a:b]
	if entropy(secret) <= max(r.entropy, leastEntropy) {
		return
	}
	c := candidate{path: s.path, secret: secret, buf: s.buf, from: from + m[0], to: from + m[1]}
	if !c.confirmed(r.id) || c.allowed(s.r.allow) || c.allowed(r.lists) || isWeak(r.severity) && s.leftOut() {
		return
	}
	s.last[index] = s.base + int64(from+m[1])
	hit := Hit{Rule: r.id, Description: r.description, Severity: r.severity, Offset: s.base + int64(from+a)}
	if s.seen.Rule != "" && s.seen.Offset == hit.Offset && !outranks(hit, s.seen) {
		return // two rules, one secret
	}
	s.seen = hit
	s.found(hit)
}

// uses says whether a rule for certain files is used for this one.
func (s *Stream) uses(r *rule, index uint16) bool {
	if s.use[index] == unknown {
		s.use[index] = used
		if !r.only.match(s.path) {
			s.use[index] = unused
		}
	}
	return s.use[index] == used
}

// leftOut says whether weak rules are not used for this path.
func (s *Stream) leftOut() bool {
	if s.weak == unknown {
		s.weak = used
		if s.r.paths.match(s.path) {
			s.weak = unused
		}
	}
	return s.weak == unused
}

// line is the line, or what is near of it, around p[from:to].
func line(p []byte, from, to int) []byte {
	start, end := max(0, from-around), min(len(p), to+around)
	if i := bytes.LastIndexByte(p[start:from], '\n'); i >= 0 {
		start += i + 1
	}
	if i := bytes.IndexByte(p[to:end], '\n'); i >= 0 {
		end = to + i
	}
	return p[start:end]
}
