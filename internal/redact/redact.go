// Package redact holds the writer that every byte printed goes through: known
// values, in every encoding of the index, are shown as [masked:ID].
//
// A [Redactor] is the state of a run. Before it has an index nothing is known
// to be secret, and everything is passed on. Each stream (stdout, stderr, one
// vertex of a build) has a [Writer] of its own, so that lines that interleave do
// not hide a value.
//
// What a Writer promises: a value is caught however it is split over writes,
// also with control sequences, carriage returns and other control characters
// inside; no byte that belongs to no secret is changed; a whole line is passed
// on at once, a line that does not end after the delay, but for a tail that may
// be the beginning of a value.
package redact

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/org/secure-build/internal/index"
)

// A Redactor knows what to mask, for all Writers of a run. The zero Redactor is
// ready; it masks nothing until it has an index.
type Redactor struct {
	index atomic.Pointer[index.Index]
	pool  sync.Pool // of *scratch, for Bytes
}

// New returns a Redactor that passes everything on until SetIndex is called.
func New() *Redactor { return &Redactor{} }

// SetIndex sets the values to mask, from the next write on.
func (r *Redactor) SetIndex(x *index.Index) { r.index.Store(x) }

// Bytes returns p with all values masked: p itself if there is none. It is for
// what is whole, such as an error message or a field of a report.
func (r *Redactor) Bytes(p []byte) []byte {
	x := r.index.Load()
	if x == nil {
		return p
	}
	s, _ := r.pool.Get().(*scratch)
	if s == nil {
		s = new(scratch)
	}
	defer r.pool.Put(s)
	s.find(x, p, carried{})
	if len(s.spans) == 0 {
		return p
	}
	return append([]byte(nil), s.mask(p, len(p), carried{})...)
}

// String is Bytes for a string.
func (r *Redactor) String(s string) string {
	p := []byte(s)
	return string(r.Bytes(p))
}

// Format keeps fmt away from the buffers.
func (r *Redactor) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "redactor") }
