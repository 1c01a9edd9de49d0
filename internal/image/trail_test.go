package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// slow is a watcher that sees nothing until it is released.
type slow struct {
	*watcher
	begun   chan string
	release chan struct{}
	now     atomic.Int32
	most    atomic.Int32 // that were at work at one time
}

func newSlow() *slow {
	return &slow{watcher: newWatcher(), begun: make(chan string, 100), release: make(chan struct{})}
}

func (s *slow) watch(d string) (io.Writer, func(bool)) {
	s.most.Store(max(s.most.Load(), s.now.Add(1)))
	s.begun <- d
	<-s.release
	w, end := s.watcher.watch(d)
	return w, func(whole bool) { s.now.Add(-1); end(whole) }
}

// TestTrailIsBehind: whoever takes a blob does not wait for the scan; SetRoot does.
func TestTrailIsBehind(t *testing.T) {
	l, seen := create(t), newSlow()
	take := l.Take(seen.watch)
	var first []byte
	for i := range 30 {
		blob := bytes.Repeat(fmt.Appendf(nil, "layer %d,", i), 100_000)
		if i == 0 {
			first = blob
		}
		if err := take(t.Context(), describe(blob), bytes.NewReader(blob)); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Store(seen.watch).Info(t.Context(), describe(blob).Digest); err != nil {
			t.Fatal(err)
		}
	}
	over := make(chan error)
	go func() { over <- l.SetRoot(t.Context(), describe(first)) }()
	select {
	case err := <-over:
		t.Fatalf("it did not wait for those who watch: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(seen.release)
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	if got := seen.seen[describe(first).Digest.String()]; got == nil || !bytes.Equal(got.Bytes(), first) {
		t.Error("not every byte was seen")
	}
	for d, ends := range seen.ends {
		if len(ends) != 1 || !ends[0] {
			t.Errorf("%s: ends: got %v, want [true]", d, ends)
		}
	}
	if len(seen.ends) != 30 || seen.most.Load() > trailsAtOnce {
		t.Errorf("%d were seen, %d at one time; want 30, at most %d", len(seen.ends), seen.most.Load(), trailsAtOnce)
	}
}

// TestTrailIsLeft: a blob that is not the image's keeps nobody, and neither does
// any once the run is cancelled or the layout goes.
func TestTrailIsLeft(t *testing.T) {
	blob := bytes.Repeat([]byte("layer"), 1000)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, end := range map[string]func(*Layout) error{
		"unwanted": func(l *Layout) error { return l.SetRoot(t.Context(), describe([]byte("another"))) },
		"cancelled": func(l *Layout) error {
			if _, err := l.Store(newWatcher().watch).Info(t.Context(), describe(blob).Digest); err != nil {
				return err
			}
			if err := l.SetRoot(cancelled, describe(blob)); !errors.Is(err, context.Canceled) {
				return fmt.Errorf("got %v, want that it was cancelled", err)
			}
			return nil
		},
		"removed": func(l *Layout) error { return l.Remove() },
	} {
		t.Run(name, func(t *testing.T) {
			l, seen := create(t), newSlow()
			if err := l.Take(seen.watch)(t.Context(), describe(blob), bytes.NewReader(blob)); err != nil {
				t.Fatal(err)
			}
			<-seen.begun
			over := make(chan error)
			go func() { over <- end(l) }()
			for seen.failed(l, describe(blob).Digest.String()) == nil {
				time.Sleep(time.Millisecond)
			}
			close(seen.release)
			if err := <-over; err != nil {
				t.Error(err)
			}
			if ends := seen.ends[describe(blob).Digest.String()]; len(ends) != 1 || ends[0] {
				t.Errorf("ends: got %v, want [false]", ends)
			}
			if err := l.Take(seen.watch)(t.Context(), describe([]byte("late")), bytes.NewReader([]byte("late"))); len(l.taken.trails.all) != 1 {
				t.Errorf("a blob that came late is watched: %v", err)
			}
		})
	}
}

func (s *slow) failed(l *Layout, d string) error {
	l.taken.trails.mu.Lock()
	defer l.taken.trails.mu.Unlock()
	return l.taken.trails.all[d].failed()
}

// TestTrail: what is written in pieces is read as it is, whoever is faster.
func TestTrail(t *testing.T) {
	l := create(t)
	seen := newWatcher()
	want := bytes.Repeat([]byte("0123456789"), 200_000)
	r, w := io.Pipe()
	var wait sync.WaitGroup
	wait.Go(func() {
		for i := 0; i < len(want); i += 7_001 {
			_, _ = w.Write(want[i:min(i+7_001, len(want))])
		}
		_ = w.Close()
	})
	if err := l.Take(seen.watch)(t.Context(), describe(want), r); err != nil {
		t.Fatal(err)
	}
	wait.Wait()
	if _, err := l.Store(seen.watch).Info(t.Context(), describe(want).Digest); err != nil {
		t.Fatal(err)
	}
	if err := l.SetRoot(t.Context(), describe(want)); err != nil {
		t.Fatal(err)
	}
	if got := seen.seen[describe(want).Digest.String()]; got == nil || !bytes.Equal(got.Bytes(), want) {
		t.Error("the watcher did not see the blob")
	}
}

// gate is a watcher whose writes wait until they are let through.
type gate struct {
	wrote chan int // bytes of each write
	ended chan bool
	err   error
}

func newGate() *gate { return &gate{wrote: make(chan int), ended: make(chan bool, 1)} }

func (g *gate) watch(string) (io.Writer, func(bool)) { return g, func(whole bool) { g.ended <- whole } }

func (g *gate) Write(p []byte) (int, error) { g.wrote <- len(p); return len(p), g.err }

// TestTrailWhileItGrows: what is there is seen before the rest comes, and a watcher
// that fails loses nothing.
func TestTrailWhileItGrows(t *testing.T) {
	l, seen := create(t), newGate()
	seen.err = errors.New("the scan has given up")
	first, second := []byte("the first half, "), []byte("and the second")
	blob := append(bytes.Clone(first), second...)
	r, w := io.Pipe()
	took := make(chan error)
	go func() { took <- l.Take(seen.watch)(t.Context(), describe(blob), r) }()
	if _, err := w.Write(first); err != nil {
		t.Fatal(err)
	}
	if n := <-seen.wrote; n != len(first) {
		t.Errorf("saw %d bytes, want %d", n, len(first))
	}
	if _, err := w.Write(second); err != nil {
		t.Fatal(err)
	}
	if n := <-seen.wrote; n != len(second) {
		t.Errorf("saw %d bytes, want %d", n, len(second))
	}
	if err := errors.Join(w.Close(), <-took); err != nil {
		t.Fatal(err)
	}
	if !<-seen.ended {
		t.Error("it was not whole")
	}
}

// TestTrailStopsInTheMiddle: a blob that nobody wants is not seen to its end, and
// whoever takes it may come to its end afterwards.
func TestTrailStopsInTheMiddle(t *testing.T) {
	l, seen := create(t), newGate()
	blob := bytes.Repeat([]byte("layer"), trailBuffer)
	r, w := io.Pipe()
	took := make(chan error)
	go func() { took <- l.Take(seen.watch)(t.Context(), describe(blob), r) }()
	if _, err := w.Write(blob[:len(blob)-1]); err != nil {
		t.Fatal(err)
	}
	n := <-seen.wrote // it is being watched
	rooted := make(chan error)
	go func() { rooted <- l.SetRoot(t.Context(), describe([]byte("another"))) }()
	trail := l.taken.trails.all[describe(blob).Digest.String()]
	for trail.failed() == nil {
		time.Sleep(time.Millisecond)
	}
	if _, err := w.Write(blob[len(blob)-1:]); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), <-took); err != nil {
		t.Fatal(err)
	}
	for {
		select {
		case m := <-seen.wrote:
			if n += m; n > 2*trailBuffer {
				t.Fatalf("saw %d bytes of a blob that nobody wants", n)
			}
			continue
		case whole := <-seen.ended:
			if whole {
				t.Error("it counts as whole")
			}
		}
		break
	}
	if err := <-rooted; err != nil {
		t.Error(err)
	}
}

// TestRemoveWaitsForNoCommit: the watcher of a blob that was taken may wait for
// that of another, whose writer is just about to end it.
func TestRemoveWaitsForNoCommit(t *testing.T) {
	l := create(t)
	sent, taken := []byte("sent by BuildKit"), []byte("taken from it")
	over, begun := make(chan struct{}), make(chan struct{})
	watch := func(d string) (io.Writer, func(bool)) {
		if d == describe(taken).Digest.String() {
			close(begun)
			return io.Discard, func(bool) { <-over }
		}
		return io.Discard, func(bool) { close(over) }
	}
	w := openWriter(t, l.Store(watch), sent)
	if _, err := w.Write(sent); err != nil {
		t.Fatal(err)
	}
	if err := l.Take(watch)(t.Context(), describe(taken), bytes.NewReader(taken)); err != nil {
		t.Fatal(err)
	}
	<-begun
	removed := make(chan error)
	go func() { removed <- l.Remove() }()
	for gone := false; !gone; time.Sleep(time.Millisecond) {
		gone = l.write(func() error { return nil }) != nil
	}
	if err := w.Commit(t.Context(), int64(len(sent)), describe(sent).Digest); err == nil {
		t.Error("a blob came into a layout that is gone")
	}
	select {
	case err := <-removed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it hangs")
	}
}
