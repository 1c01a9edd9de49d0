package image

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

func describe(blob []byte) ocispecs.Descriptor {
	return ocispecs.Descriptor{Digest: digest.FromBytes(blob), Size: int64(len(blob))}
}

// TestTake: a blob that came early is watched like the others, and BuildKit need
// not send it. What it does not ask for is another build's, and goes.
func TestTake(t *testing.T) {
	l, seen := create(t), newWatcher()
	ours, begun, other := bytes.Repeat([]byte("ours"), 1<<18), []byte("ours too"), []byte("another build's")
	for _, blob := range [][]byte{ours, begun, other, ours} { // what is there is not taken twice
		if err := l.Take(seen.watch)(t.Context(), describe(blob), bytes.NewReader(blob)); err != nil {
			t.Fatal(err)
		}
	}
	d := describe(ours).Digest
	if _, err := l.Store(seen.watch).Info(t.Context(), d); err != nil {
		t.Errorf("BuildKit would send it again: %v", err)
	}
	// A caller that begins to send is told so too, and never asks.
	if w, err := l.Store(seen.watch).Writer(t.Context(), content.WithRef("x"), content.WithDescriptor(describe(begun))); err == nil {
		t.Errorf("BuildKit would send it again: %v", w.Close())
	}
	if err := l.SetRoot(t.Context(), describe(ours)); err != nil {
		t.Fatal(err)
	}
	for _, blob := range [][]byte{ours, begun} {
		if _, err := os.Stat(l.path(describe(blob).Digest)); err != nil {
			t.Error(err)
		}
	}
	checkBlobs(t, l, 2)
	if got := seen.seen[d.String()]; got == nil || !bytes.Equal(got.Bytes(), ours) {
		t.Error("the watcher did not see the blob")
	}
	if ends := seen.ends[d.String()]; len(ends) != 1 || !ends[0] {
		t.Errorf("ends: got %v, want [true]", ends)
	}
}

// TestTakeOfNothing: what a daemon calls a digest is a path.
func TestTakeOfNothing(t *testing.T) {
	l := create(t)
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("somebody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	up, err := filepath.Rel(filepath.Join(l.dir, "blobs", "x"), outside)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []digest.Digest{digest.Digest("x:" + up), digest.Digest("sha256:" + up), "sha256:", "no digest", ""} {
		if err := l.Take(newWatcher().watch)(t.Context(), ocispecs.Descriptor{Digest: d, Size: 1}, bytes.NewReader([]byte("x"))); err == nil {
			t.Errorf("%q was taken", d)
		}
	}
	if err := l.SetRoot(t.Context(), describe([]byte("another"))); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
}

// checkBlobs compares how many files there are, finished and not.
func checkBlobs(t *testing.T, l *Layout, want int) {
	t.Helper()
	blobs, err := files(filepath.Join(l.dir, ocispecs.ImageBlobsDir))
	if err != nil || len(blobs) != want {
		t.Errorf("%d blobs, %v, want %d", len(blobs), err, want)
	}
	begun, err := files(filepath.Join(l.dir, "ingest"))
	if err != nil || len(begun) > 0 {
		t.Errorf("left behind: %v, %v", begun, err)
	}
	if taken, err := filepath.Glob(filepath.Join(l.dir, "taken-*")); err != nil || len(taken) > 0 {
		t.Errorf("left behind: %v, %v", taken, err)
	}
}

// TestTakeBroken: bytes that do not have the digest are no blob, and BuildKit
// sends it.
func TestTakeBroken(t *testing.T) {
	blob := []byte("the bytes of a layer")
	for name, r := range map[string]io.Reader{
		"cut":        bytes.NewReader(blob[:5]),
		"endless":    endless{},
		"other":      bytes.NewReader([]byte("the bytes of a lair!")),
		"unreadable": io.MultiReader(bytes.NewReader(blob), iotest.ErrReader(errors.New("the daemon has gone"))),
	} {
		t.Run(name, func(t *testing.T) {
			l, seen := create(t), newWatcher()
			if err := l.Take(seen.watch)(t.Context(), describe(blob), r); err == nil {
				t.Error("it was taken")
			}
			checkBlobs(t, l, 0)
			store := l.Store(seen.watch)
			if _, err := store.Info(t.Context(), digest.FromBytes(blob)); err == nil {
				t.Fatal("the layout says that it has the blob")
			}
			if err := content.WriteBlob(t.Context(), store, "sent", bytes.NewReader(blob), describe(blob)); err != nil {
				t.Fatal(err)
			}
			if err := l.SetRoot(t.Context(), describe(blob)); err != nil {
				t.Fatal(err)
			}
			checkBlobs(t, l, 1)
			// What was taken may have been seen too, and counted for nothing.
			if ends := seen.ends[digest.FromBytes(blob).String()]; len(ends) == 0 || len(ends) > 2 || !slices.Contains(ends, true) || len(ends) == 2 && ends[0] && ends[1] {
				t.Errorf("ends: got %v, want [true] or one false too", ends)
			}
		})
	}
}

// endless is a blob that has no end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestTakeWhileAsked: BuildKit waits for a blob that is just coming, and what it
// sends itself is not taken.
func TestTakeWhileAsked(t *testing.T) {
	l, seen := create(t), newWatcher()
	store := l.Store(seen.watch)
	blob, sent := []byte("the bytes of a layer"), []byte("another layer")
	r, w := io.Pipe()
	go func() { _ = l.Take(seen.watch)(t.Context(), describe(blob), r) }()
	if _, err := w.Write(blob); err != nil { // from here on it is coming
		t.Fatal(err)
	}
	found := make(chan error)
	go func() {
		_, err := store.Info(t.Context(), digest.FromBytes(blob))
		found <- err
	}()
	select {
	case err := <-found:
		t.Fatalf("it did not wait, and says %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-found; err != nil {
		t.Error(err)
	}
	if _, err := store.Info(t.Context(), digest.FromBytes(sent)); err == nil {
		t.Error("a blob is there that nobody brought")
	}
	writer := openWriter(t, store, sent)
	defer writer.Close()
	if err := l.Take(seen.watch)(t.Context(), describe(sent), iotest.ErrReader(errors.New("read"))); err != nil {
		t.Errorf("a blob that BuildKit sends was taken too: %v", err)
	}
}
