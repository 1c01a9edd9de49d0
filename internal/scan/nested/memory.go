package nested

import (
	"fmt"
	"runtime"
	"time"
)

// Large is the window up to which a decoder takes its memory without asking:
// what xz -6, zstd -19 and everything below them use, in bytes.
const Large = 8 << 20

// patience bounds the wait for memory. Who holds it gives it back when his blob
// is read, and nothing that he waits for waits for us; if that should ever be
// wrong, the memory is taken all the same after this time, since a verdict must
// not hang on it.
const patience = 10 * time.Minute

// Memory lets one blob after another have decoders with large windows. Any
// number of budgets may share one.
type Memory struct{ token chan struct{} }

// NewMemory returns a Memory that nobody uses.
func NewMemory() *Memory { return &Memory{make(chan struct{}, 1)} }

// reserve waits for the memory that a window takes, unless this blob has some
// already: then the two are within one another, and must be small enough to be
// there at the same time.
func (b *Budget) reserve(window int64) error {
	if window <= Large {
		return nil
	}
	if b.held+window > maxWindow {
		return &Exceeded{Reason: fmt.Sprintf("packed data within packed data that take more than %d bytes to unpack", maxWindow), Alone: true}
	}
	if b.held == 0 {
		b.turn.Take()
	}
	b.held += window
	return nil
}

// price is what a window costs of the budget for bytes: clearing it takes about
// as long as a sixty-fourth of it takes to unpack. A large one costs its size.
func price(window int64) int64 {
	if window > Large {
		return window
	}
	return window / 64
}

// Held is how much of the shared memory the blob has, in bytes.
func (b *Budget) Held() int64 { return b.held }

// Release gives memory back until so much is left. The caller knows that the
// decoders are done with.
func (b *Budget) Release(left int64) {
	if b.held <= left {
		return
	}
	b.held = left
	runtime.GC() // or the next one's window would be beside this one's for a while
	if left == 0 {
		b.turn.Give()
	}
}
