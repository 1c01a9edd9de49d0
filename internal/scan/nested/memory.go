package nested

import (
	"runtime"
	"time"
)

// Large is the window up to which a decoder takes its memory without asking:
// what xz -6, zstd -19 and everything below them use, in bytes.
const Large = 8 << 20

// patience bounds the wait for memory. A layer that arrives may be what another
// one waits behind, so waiting for ever could be a deadlock; and giving up would
// make the verdict hang on chance. So then the memory is taken all the same.
const patience = 10 * time.Second

// Memory lets one blob after another have a decoder with a large window. Any
// number of budgets may share one.
type Memory struct{ token chan struct{} }

// NewMemory returns a Memory that nobody uses.
func NewMemory() *Memory { return &Memory{make(chan struct{}, 1)} }

// reserve waits for the memory, unless this blob has it already.
func (b *Budget) reserve(window int64) {
	if window <= Large || b.limits.Memory == nil || b.holds {
		return
	}
	select {
	case b.limits.Memory.token <- struct{}{}:
		b.holds = true
	case <-time.After(patience):
	}
}

// price is what a window costs of the budget for bytes: clearing it takes about
// as long as a sixty-fourth of it takes to unpack. A large one costs its size.
func price(window int64) int64 {
	if window > Large {
		return window
	}
	return window / 64
}

// Holds says whether the blob has a decoder with a large window.
func (b *Budget) Holds() bool { return b.holds }

// Release gives the memory back. The caller knows that the decoder is done with.
func (b *Budget) Release() {
	if b.holds {
		b.holds = false
		runtime.GC() // or the next one's window would be beside this one's for a while
		<-b.limits.Memory.token
	}
}
