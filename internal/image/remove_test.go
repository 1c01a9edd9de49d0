package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestRemoveWhileWriting: a cancelled build's writers that are still at work
// when the layout is removed neither stop that nor leave anything.
func TestRemoveWhileWriting(t *testing.T) {
	for range 50 {
		l, err := Temp(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		own := l.Dir() + "/.."
		store := l.Store(newWatcher().watch)
		var wait sync.WaitGroup
		begun, over := make(chan struct{}, 4), make(chan struct{})
		for n := range 4 {
			wait.Go(func() {
				for i := 0; ; i++ {
					blob := fmt.Appendf(nil, "%d of %d", i, n)
					w, err := store.Writer(t.Context(), content.WithRef(string(blob)), content.WithDescriptor(ocispecs.Descriptor{Size: int64(len(blob))}))
					if err == nil {
						_, _ = w.Write(blob)
						_ = w.Commit(t.Context(), int64(len(blob)), digest.FromBytes(blob))
						_ = w.Close()
					}
					if i == 0 {
						begun <- struct{}{}
					}
					select {
					case <-over:
						return
					default:
					}
				}
			})
		}
		<-begun
		if err := l.Remove(); err != nil {
			t.Error(err)
		}
		close(over)
		wait.Wait()
		if _, err := os.Stat(own); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("the run's folder is there after its removal: %v", err)
		}
	}
}

// TestWriteAfterRemove: what was begun before cannot be ended afterwards.
func TestWriteAfterRemove(t *testing.T) {
	l := create(t)
	blob := []byte("late")
	w := openWriter(t, l.Store(newWatcher().watch), blob)
	if _, err := w.Write(blob); err != nil {
		t.Fatal(err)
	}
	if err := l.Remove(); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), int64(len(blob)), digest.FromBytes(blob)); !errors.Is(err, errRemoved) {
		t.Errorf("Commit: %v, want %v", err, errRemoved)
	}
	_ = w.Close()
	from := t.TempDir() + "/blob"
	if err := os.WriteFile(from, blob, 0o600); err != nil {
		t.Fatal(err)
	}
	if l.link(from, digest.FromBytes(blob)) {
		t.Error("a blob was linked into a layout that was removed")
	}
	if _, err := os.Stat(l.Dir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the layout is there after its removal: %v", err)
	}
}

// TestRemoveAll: files that go on coming for a while are removed too.
func TestRemoveAll(t *testing.T) {
	dir := t.TempDir() + "/run"
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	begun := make(chan struct{}, 4)
	for n := range 4 {
		wait.Go(func() {
			for i := range 5000 {
				f, err := os.Create(fmt.Sprintf("%s/%d-%d", dir, n, i))
				if err == nil {
					_ = f.Close()
				}
				if i == 0 {
					begun <- struct{}{}
				}
			}
		})
	}
	<-begun
	if err := removeAll(dir); err != nil {
		t.Error(err)
	}
	wait.Wait()
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is there after its removal: %v", err)
	}
}
