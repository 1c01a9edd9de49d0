package nested

import (
	"sync"
	"time"
)

// A Turn is the place of one blob among those that want large windows. All its
// decoders have it together, from the first that asks to the last that is done:
// they lie within one another and run beside one another, so if each stood in the
// queue by itself, one would wait for what another of the same blob holds. A nil
// Turn waits for nobody.
type Turn struct {
	memory *Memory
	mu     sync.Mutex
	users  int
	token  bool
}

// Turn returns one for a blob.
func (m *Memory) Turn() *Turn {
	if m == nil {
		return nil
	}
	return &Turn{memory: m}
}

// Take waits until no other blob has large windows, or until patience is at its
// end. Each call has its Give.
func (t *Turn) Take() {
	if t == nil {
		return
	}
	t.mu.Lock() // while one waits the others have nothing to give back
	defer t.mu.Unlock()
	if t.users++; t.users > 1 {
		return
	}
	select {
	case t.memory.token <- struct{}{}:
		t.token = true
	case <-time.After(patience):
	}
}

// Give lets the next blob go on, if this was the last that had taken it.
func (t *Turn) Give() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.users--; t.users == 0 && t.token {
		t.token = false
		<-t.memory.token
	}
}
