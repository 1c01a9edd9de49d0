package redact

import (
	"cmp"
	"slices"

	"github.com/org/secure-build/internal/index"
)

// A span is a stretch of bytes to mask. The longest match in it names the mask.
type span struct {
	start, end int
	longest    int
	name       *index.Pattern // nil: a mask that was written for it already
	id         string
}

// carried is what one block leaves to the next: the secret whose mask was
// written last, and how many bytes of the next block that mask stands for.
type carried struct {
	id   string
	size int
	open bool // whether the next block begins right behind (or within) the mask
}

// scratch is the working memory of one stream, kept so that nothing is allocated
// once it has grown.
type scratch struct {
	spans []span
	out   []byte
	view  []byte // the block without control sequences
	runs  []run  // where the view's bytes stand in the block
}

// find sets s.spans to what has to be masked in p, in order, overlapping matches
// joined. It looks at p as it is and, if p has control characters, also at p
// without them.
func (s *scratch) find(x *index.Index, p []byte, before carried) {
	s.spans = s.spans[:0]
	if before.size > 0 {
		s.spans = append(s.spans, span{start: 0, end: min(before.size, len(p)), longest: MaxHold + 1, id: before.id})
	}
	x.Each(p, index.Log, func(m index.Match) bool {
		s.add(m.Start, m.End, m.End-m.Start, m.Pattern)
		return true
	})
	if i := control(p); i >= 0 {
		for _, strings := range []bool{true, false} {
			some := s.strip(p, i, strings)
			x.Each(s.view, index.Log, func(m index.Match) bool {
				s.add(s.origin(m.Start), s.origin(m.End-1)+1, m.End-m.Start, m.Pattern)
				return true
			})
			if !some {
				break
			}
		}
	}
	s.join()
}

func (s *scratch) add(start, end, size int, p *index.Pattern) {
	s.spans = append(s.spans, span{start: start, end: end, longest: size, name: p, id: p.Secret})
}

// join merges spans that overlap, and then those that touch and are of one
// secret: the pieces of one value get one mask.
func (s *scratch) join() {
	if len(s.spans) < 2 {
		return
	}
	slices.SortFunc(s.spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.longest, a.longest), cmp.Compare(a.id, b.id))
	})
	joined := s.spans[:1]
	for _, n := range s.spans[1:] {
		last := &joined[len(joined)-1]
		if n.start >= last.end {
			joined = append(joined, n)
			continue
		}
		last.end = max(last.end, n.end)
		if n.longest > last.longest {
			last.longest, last.name, last.id = n.longest, n.name, n.id
		}
	}
	s.spans = joined
	joined = s.spans[:1]
	for _, n := range s.spans[1:] {
		last := &joined[len(joined)-1]
		if n.start == last.end && n.id == last.id {
			last.end = n.end
			continue
		}
		joined = append(joined, n)
	}
	s.spans = joined
}

// mask returns p[:cut] with the spans masked. It may return p[:cut] itself, or
// memory of s that the next call overwrites. No span may begin before cut and
// end behind it, but the one that the caller carries over.
func (s *scratch) mask(p []byte, cut int, before carried) []byte {
	if len(s.spans) == 0 || s.spans[0].start >= cut {
		return p[:cut]
	}
	out, from := s.out[:0], 0
	for _, n := range s.spans {
		if n.start >= cut {
			break
		}
		out = append(out, p[from:n.start]...)
		if !before.continues(n) {
			out = append(out, n.name.Mask...)
		}
		from = min(n.end, cut)
	}
	s.out = append(out, p[from:cut]...)
	return s.out
}

// continues says whether the mask for a span was written with the block before.
func (c carried) continues(n span) bool {
	return n.name == nil || c.open && n.start == 0 && (n.id == c.id || c.size > 0)
}
