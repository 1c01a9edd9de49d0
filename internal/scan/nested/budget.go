package nested

import (
	"fmt"
	"io"
)

// Limits bound what one blob may unpack to. The zero value of a field stands
// for its default.
type Limits struct {
	Depth int   // archives and compressions within one another
	Ratio int64 // bytes out per byte in, once Free bytes came out
	Free  int64 // bytes that one stream may unpack to at any ratio
	Bytes int64 // of all streams of one blob

	// Memory is shared by the blobs that are read at the same time; nil if it
	// need not be.
	Memory *Memory
}

// Defaults. A real archive rarely passes 20:1; zeros reach 1000:1.
const (
	defaultDepth = 8
	defaultRatio = 200
	defaultFree  = 64 << 20
	defaultBytes = 8 << 30
)

// An Exceeded error says which budget was hit.
type Exceeded struct {
	Reason string
	Total  bool // nothing more of this blob can be unpacked
	Alone  bool // it is about this one part, and says nothing of those beside it
}

func (e *Exceeded) Error() string { return e.Reason }

// A Budget is what is left of the Limits of one blob.
type Budget struct {
	limits Limits
	left   int64
	held   int64 // bytes of large windows
	turn   *Turn // of the shared memory
}

// NewBudget returns a full budget.
func NewBudget(l Limits) *Budget {
	if l.Depth <= 0 {
		l.Depth = defaultDepth
	}
	if l.Ratio <= 0 {
		l.Ratio = defaultRatio
	}
	if l.Free <= 0 {
		l.Free = defaultFree
	}
	if l.Bytes <= 0 {
		l.Bytes = defaultBytes
	}
	return &Budget{limits: l, left: l.Bytes, turn: l.Memory.Turn()}
}

// Share makes the budget's large windows those of a blob that has others too.
// It is called before anything is opened.
func (b *Budget) Share(t *Turn) { b.turn = t }

// Deeper returns an error if data at this depth may not be opened.
func (b *Budget) Deeper(depth int) error {
	if depth >= b.limits.Depth {
		return &Exceeded{Reason: fmt.Sprintf("nested more than %d deep", b.limits.Depth)}
	}
	return nil
}

// Spend takes n bytes: what came out, or memory that was asked for, which takes
// time as well.
func (b *Budget) Spend(n int64) error {
	if b.left -= n; b.left < 0 {
		return &Exceeded{Reason: fmt.Sprintf("more than %d bytes of nested data", b.limits.Bytes), Total: true}
	}
	return nil
}

// Meter returns a reader of r that ends with an Exceeded error when too much
// comes out. Consumed tells how many packed bytes went in so far.
func (b *Budget) Meter(r io.Reader, consumed func() int64) io.Reader {
	return &meter{b: b, r: r, consumed: consumed, from: consumed()}
}

type meter struct {
	b        *Budget
	r        io.Reader
	consumed func() int64
	from     int64
	out      int64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.out += int64(n)
	if over := m.b.Spend(int64(n)); over != nil {
		return n, over
	}
	if m.out > m.b.limits.Free && m.out-m.b.limits.Free > (m.consumed()-m.from)*m.b.limits.Ratio {
		return n, &Exceeded{Reason: fmt.Sprintf("unpacks to more than %d times its size", m.b.limits.Ratio)}
	}
	return n, err
}
